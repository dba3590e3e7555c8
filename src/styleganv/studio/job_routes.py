"""HTTP routes of jobs and favorites. No string that a browser sends is a path."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse
from PIL import Image

from styleganv.errors import StyleganvError
from styleganv.media.writing import FORMATS
from styleganv.studio import exports, searches
from styleganv.studio.favorites import Favorites
from styleganv.studio.job import PREVIEW, Job
from styleganv.studio.jobs import JobManager
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import MAX_START_SECONDS, number
from styleganv.studio.video_source import VideoSource, find_source
from styleganv.timeline.notation import VideoParams
from styleganv.video_model import Frame

T = TypeVar("T")

#: Of the thumbnails of favorites.
THUMBNAIL_FPS, NUM_THUMBNAIL_FRAMES, THUMBNAIL_PIXELS = 8.0, 16, 128
#: Not left to `mimetypes`, which depends on the machine.
MEDIA_TYPES = {each.suffix: each.media_type for each in FORMATS.values() if each.suffix} | {
    ".png": "image/png",
    ".zip": "application/zip",
    ".yaml": "text/plain",
}


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Return what a function returns that would block the server."""
    return await asyncio.get_running_loop().run_in_executor(None, partial(function, *args))


def search_routes(sources: Sequence[VideoSource], manager: JobManager) -> APIRouter:
    """Return the routes that start jobs."""
    router = APIRouter()

    @router.post("/jobs/text")
    async def text(values: dict[str, Any]) -> JSONResponse:
        params = VideoParams.from_json(values.get("params", {}))
        wanted, num_steps = str(values.get("text", "")), values.get("num_steps", 100)
        model = find_model(sources, values.get("source"))
        address = values.get("address", "")
        job = await in_thread(searches.edit_by_text, manager, model, params, wanted, num_steps, address)
        return JSONResponse(job.to_dict())

    @router.post("/jobs/clip")
    async def clip(
        request: Request, source: str, name: str, params: Annotated[searches.ClipParams, Depends()], address: str = ""
    ) -> JSONResponse:
        """Start a projection of the file in the request's body."""
        model = find_model(sources, source)
        with searches.receive_upload(manager, model, name) as upload:
            await save_body(request, upload)
            job = searches.project(manager, model, upload, name, params, address)
        return JSONResponse(job.to_dict())

    @router.post("/jobs/directions")
    async def directions(values: dict[str, Any]) -> JSONResponse:
        model = find_model(sources, values.get("source"))
        return JSONResponse((await in_thread(searches.find_directions, manager, model, values)).to_dict())

    @router.post("/jobs/export")
    async def export(values: dict[str, Any]) -> JSONResponse:
        model = find_model(sources, values.get("source"))
        return JSONResponse((await in_thread(exports.export, manager, model, values)).to_dict())

    @router.post("/directions/rename")
    async def rename(values: dict[str, Any]) -> JSONResponse:
        model = find_model(sources, values.get("source"))
        await in_thread(searches.rename_direction, model, values.get("name"), values.get("new_name"))
        return JSONResponse(await in_thread(model.direction_names))

    return router


def job_routes(manager: JobManager, public_text: Callable[[str], str]) -> APIRouter:
    """Return the routes that follow jobs, end them, and serve their files."""
    router = APIRouter()

    def find_job(number: int) -> Job:
        if (job := manager.jobs.get(number)) is None:
            raise HTTPException(404)
        return job

    def describe(job: Job) -> dict[str, Any]:
        values = job.to_dict()
        return values | {"error": public_text(values["error"])}

    @router.get("/jobs")
    async def jobs() -> JSONResponse:
        return JSONResponse(await in_thread(lambda: [describe(job) for job in list(manager.jobs.values())]))

    @router.post("/jobs/{number}/{action}")
    async def end(number: int, action: Literal["stop", "cancel"]) -> JSONResponse:
        job = find_job(number)
        await in_thread({"stop": job.stop, "cancel": job.cancel}[action])
        return JSONResponse(describe(job))

    @router.get("/jobs/{number}/{name}")
    async def file(number: int, name: str) -> FileResponse:
        job = find_job(number)
        files = dict(job.task.files) if job.state == "done" else {}
        path = (files | {PREVIEW: job.folder / PREVIEW}).get(name)
        if path is None or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, media_type=MEDIA_TYPES.get(path.suffix, "application/octet-stream"))

    return router


def favorite_routes(sources: Sequence[VideoSource], favorites: Favorites) -> APIRouter:
    """Return the routes of favorites."""
    router = APIRouter()

    @router.get("/favorites")
    async def show() -> JSONResponse:
        return JSONResponse(await in_thread(favorites.list))

    @router.post("/favorites")
    async def save(values: dict[str, Any]) -> JSONResponse:
        """Save a project with a thumbnail of the video that `params` and `start` describe."""
        model = find_model(sources, values.get("source"))
        params, start = VideoParams.from_json(values.get("params", {})), values.get("start", 0.0)
        frames = partial(thumbnail_frames, model, params, start)

        def write() -> str:
            return favorites.save(values.get("name"), values.get("project"), frames(), THUMBNAIL_FPS)

        return JSONResponse({"name": await in_thread(write)})

    @router.post("/favorites/rename")
    async def rename(values: dict[str, Any]) -> JSONResponse:
        new_name = await in_thread(favorites.rename, values.get("name"), values.get("new_name"))
        return JSONResponse({"name": new_name})

    @router.delete("/favorites")
    async def delete(name: str) -> JSONResponse:
        await in_thread(favorites.delete, name)
        return JSONResponse({})

    @router.get("/favorites/thumbnail")
    async def thumbnail(name: str) -> FileResponse:
        return FileResponse(await in_thread(favorites.thumbnail, name), media_type="image/webp")

    return router


def thumbnail_frames(model: StudioModel, params: VideoParams, start: Any) -> Iterator[Frame]:
    """Yield small frames of a video. Raises StyleganvError for a start out of range."""
    try:
        seconds = number(start, 0, MAX_START_SECONDS)
    except ValueError as error:
        raise StyleganvError(f"Invalid request from the page ({error}): reload it.") from error
    for frame in islice(model.frames(params, start=seconds, fps=THUMBNAIL_FPS), NUM_THUMBNAIL_FRAMES):
        image = Image.fromarray(frame)
        image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BOX)
        yield np.asarray(image)


def find_model(sources: Sequence[VideoSource], name: Any) -> StudioModel:
    """Return a model by its name. Raises StyleganvError for real videos."""
    source = find_source(sources, name)
    if not isinstance(source, StudioModel):
        raise StyleganvError("A job requires a model, got real videos: select a model.")
    return source


async def save_body(request: Request, path: Path) -> None:
    """Write the body of a request to a file, in constant memory. The access guard limits its size and time.

    Raises:
        StyleganvError: if the body is empty, or cannot be stored.
    """
    try:
        with open(path, "wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
    except OSError as error:
        raise StyleganvError(f"Cannot store the upload ({error.strerror}): free space on the server.") from error
    if not path.stat().st_size:
        raise StyleganvError("The uploaded file is empty: choose another one.")
