"""HTTP routes to watch runs: how they are doing, logs, snapshots; with a token, stop and resume."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, JSONResponse

from styleganv.inventory import is_run
from styleganv.run_monitor import RunMonitor
from styleganv.studio.help_page import read_section
from styleganv.studio.run_list import RunList

T = TypeVar("T")

#: A snapshot's URL changes with the version of the log, so that a browser may keep what it has loaded.
SNAPSHOT_HEADERS = {"Cache-Control": "private, max-age=86400"}
NEEDS_TOKEN = "Stopping and resuming require an access token: start the studio with --token."
MEDIA_TYPES = {"png": "image/png", "mp4": "video/mp4"}


def watch_routes(
    runs: RunList,
    on_new: Callable[[Sequence[RunMonitor]], None],
    *,
    can_control: bool,
    public_text: Callable[[str], str],
) -> APIRouter:
    """Return the routes.

    Args:
        on_new: called with the runs that have appeared.
        can_control: whether clients may stop and resume runs.
        public_text: removes paths from a message.
    """
    router = APIRouter()

    @router.get("/runs")
    async def list_runs() -> JSONResponse:
        on_new(await _in_thread(runs.search))
        statuses = await _in_thread(_describe, runs, public_text)
        return JSONResponse([status | {"can_control": can_control} for status in statuses])

    @router.get("/help/{section}")
    async def help_section(section: str) -> JSONResponse:
        """Return the title and the Markdown text of a section of the page that findings refer to."""
        return JSONResponse(await _in_thread(read_section, section))

    @router.get("/runs/{name:path}/log")
    async def log(name: str, after: int = 0, version: str = "") -> JSONResponse:
        return JSONResponse(await _in_thread(runs.find(name).log, after, version))

    @router.get("/runs/{name:path}/settings")
    async def settings(name: str) -> JSONResponse:
        """Return all settings by their dotted names, as texts."""
        values = await _in_thread(runs.find(name).settings)
        return JSONResponse({key: public_text(value) for key, value in values.items()})

    @router.get("/runs/{name:path}/tail")
    async def tail(name: str) -> JSONResponse:
        """Return the last lines of the log, and of what a resumed training has printed."""
        files = await _in_thread(runs.find(name).tail)
        return JSONResponse({key: [public_text(line) for line in lines] for key, lines in files.items()})

    @router.get("/runs/{name:path}/snapshots")
    async def snapshots(name: str) -> JSONResponse:
        """Return the clips seen at each snapshot, in order."""
        return JSONResponse(await _in_thread(runs.find(name).snapshots))

    @router.get("/runs/{name:path}/snapshots/{clips_seen:int}.{suffix}")
    async def snapshot(name: str, clips_seen: int, suffix: Literal["png", "mp4"]) -> FileResponse:
        path = runs.find(name).snapshot(clips_seen, f".{suffix}")
        if not path.is_file():
            raise HTTPException(404, "This snapshot no longer exists: reload the page.")
        return FileResponse(path, media_type=MEDIA_TYPES[suffix], headers=SNAPSHOT_HEADERS)

    @router.post("/runs/{name:path}/{action}")
    async def control(name: str, action: Literal["stop", "resume"]) -> JSONResponse:
        if not can_control:
            raise HTTPException(403, NEEDS_TOKEN)
        run = runs.find(name)
        await _in_thread({"stop": run.stop, "resume": run.resume}[action])
        return JSONResponse({})

    return router


def _describe(runs: RunList, public_text: Callable[[str], str]) -> list[dict[str, Any]]:
    statuses = [run.status() for run in list(runs.runs.values()) if is_run(run.folder)]  # others were deleted
    return [status.to_dict() | {"failure": public_text(status.failure)} for status in statuses]


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, partial(function, *arguments))
