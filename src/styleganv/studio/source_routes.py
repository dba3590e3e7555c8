"""HTTP routes of the sources: what they are, thumbnails, directions, commands and projects."""

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from styleganv.media.writing import FORMATS
from styleganv.studio.access import IMMUTABLE
from styleganv.studio.commands import export_commands
from styleganv.studio.projects import open_project
from styleganv.studio.sources import lower_priority
from styleganv.studio.thumbnails import MAX_WAITING, ThumbnailParams, render_thumbnail
from styleganv.studio.video_params import ExportParams
from styleganv.studio.video_source import VideoSource, find_source
from styleganv.studio.work_queue import Priority, QueueFullError, Turn
from styleganv.timeline.notation import VideoParams
from styleganv.timeline.timeline import Timeline

T = TypeVar("T")

#: Of thumbnails whose address does not contain the present version; others are immutable.
REVALIDATED = "private, no-cache"


def source_routes(sources: Sequence[VideoSource]) -> APIRouter:
    """Return the routes of sources, and of the commands and projects that repeat their videos."""
    router = APIRouter()
    # For what takes seconds to minutes in one piece, which the queue of a model could not interrupt.
    background = ThreadPoolExecutor(1, initializer=lower_priority)

    @router.get("/sources")
    async def list_sources() -> JSONResponse:
        return JSONResponse([asdict(source.metadata()) for source in list(sources)])

    @router.get("/directions")
    async def directions(source: str) -> JSONResponse:
        names = asyncio.get_running_loop().run_in_executor(background, find_source(sources, source).direction_names)
        return JSONResponse(await names)

    @router.post("/command")
    async def command(values: dict[str, Any]) -> JSONResponse:
        commands = export_commands(*parse_export(sources, values))
        return JSONResponse({"command": "\n".join(commands.lines), "project": commands.project})

    @router.get("/formats")
    async def formats() -> JSONResponse:
        return JSONResponse({name: each.title for name, each in FORMATS.items()})

    @router.post("/project")
    async def project(values: dict[str, Any]) -> JSONResponse:
        """Open a project file, with the model that plays now if its own is not open."""
        opened = partial(open_project, sources, values.get("project"), values.get("source"))
        return JSONResponse(await asyncio.get_running_loop().run_in_executor(background, opened))

    return router


def thumbnail_routes(sources: Sequence[VideoSource]) -> APIRouter:
    """Return the route of thumbnails."""
    router = APIRouter()

    @router.get("/thumbnail")
    async def thumbnail(request: Request) -> Response:
        query = dict(request.query_params)
        source, params = find_source(sources, query.get("source")), ThumbnailParams.from_query(query)
        version, is_canceled = source.version, threading.Event()
        tag = f'"{hashlib.sha256(f"{source.name} {version} {params}".encode()).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Cache-Control": IMMUTABLE if query.get("version") == version else REVALIDATED}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)

        def render(turn: Turn) -> bytes:
            return render_thumbnail(source, params, turn, is_canceled=is_canceled.is_set)

        client = request.client and request.client.host
        try:
            future = source.queue.submit(Priority.THUMBNAILS, client, render, limit=MAX_WAITING)
        except QueueFullError:
            text = f"{MAX_WAITING} thumbnails of this model are waiting: request more when they have arrived."
            raise HTTPException(429, text) from None
        await request.body()
        sprite = await cancel_on_disconnect(request, asyncio.wrap_future(future), is_canceled)
        return Response(sprite, media_type="image/webp", headers=headers)

    return router


async def cancel_on_disconnect(request: Request, work: "asyncio.Future[T]", is_canceled: threading.Event) -> T:
    """Return the result of work; set `is_canceled` as soon as the client disconnects, or the studio stops."""
    # The body has been read, so the only message that can follow is the client's disconnect.
    disconnect: asyncio.Future[Any] = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait([work, disconnect], return_when=asyncio.FIRST_COMPLETED)
    finally:  # also when the studio shuts down
        is_canceled.set()
        disconnect.cancel()
    return await work


def parse_export(
    sources: Sequence[VideoSource], values: dict[str, Any]
) -> tuple[VideoSource, VideoParams | Timeline, ExportParams]:
    """Return the source, the video and its part that a page wants to export."""
    timeline = values.get("timeline")
    if isinstance(timeline, dict):
        values = {"start": 0.0, "seconds": 1.0, "fps": 25.0, "speed": 1.0} | values
    video = VideoParams.from_json(values.get("params", {})) if timeline is None else Timeline.from_json(timeline)
    return find_source(sources, values.get("source")), video, ExportParams.from_json(values)
