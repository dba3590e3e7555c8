"""HTTP routes of the studio: the page, its models, and searches in them. No string that a browser sends is a path."""

import asyncio
import gzip
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from styleganv.errors import StyleganvError
from styleganv.studio.commands import export_commands
from styleganv.studio.jobs import ClipParams, Job, JobManager
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import EXPORT_FORMATS, ExportParams, VideoParams, parse_object
from styleganv.studio.video_source import VideoSource, find_source

#: Not left to `mimetypes`, which depends on the machine: browsers refuse modules of another type.
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def page_routes() -> APIRouter:
    """Return the routes of the page's files, which are read from the package."""
    router = APIRouter()
    folder = files("styleganv.studio") / "page"
    served = dict(_page_files(folder))

    @router.get("/")
    @router.get("/page/{name:path}")
    async def page(request: Request, name: str = "index.html") -> Response:
        if name not in served:
            raise HTTPException(404)
        content, headers = served[name].read_bytes(), {"Vary": "Accept-Encoding"}
        if _accepts_gzip(request.headers.get("accept-encoding", "")):
            content = gzip.compress(content, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return Response(content, media_type=MEDIA_TYPES[Path(name).suffix], headers=headers)

    return router


def _page_files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield the files that browsers may load, by their paths in the folder."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _page_files(entry, f"{prefix}{entry.name}/")
        elif Path(entry.name).suffix in MEDIA_TYPES:
            yield prefix + entry.name, entry


def _accepts_gzip(header: str) -> bool:
    """Return whether a browser's Accept-Encoding allows gzip, which a weight of 0 refuses."""
    weights = {name.strip(): value for name, _, value in (part.partition(";") for part in header.lower().split(","))}
    weight = weights.get("gzip", weights.get("*"))
    return weight is not None and not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)


def model_routes(sources: Sequence[VideoSource]) -> APIRouter:
    """Return the routes of models and their exports."""
    router = APIRouter()

    @router.get("/models")
    async def models() -> JSONResponse:
        names = [source.name for source in sources]
        numbers = [names[: i + 1].count(name) for i, name in enumerate(names)]
        return JSONResponse(
            [
                asdict(source.metadata()) | ({} if number == 1 else {"name": f"{source.name} ({number})"})
                for source, number in zip(sources, numbers, strict=True)
            ]
        )

    @router.get("/models/{number}/directions")
    async def directions(number: int) -> JSONResponse:
        names = find_source(sources, number).direction_names
        return JSONResponse(await asyncio.get_running_loop().run_in_executor(None, names))

    @router.post("/command")
    async def command(values: dict[str, Any]) -> JSONResponse:
        lines = export_commands(*parse_export(sources, values))
        return JSONResponse({"command": "\n".join(lines)})

    @router.post("/export")
    async def export(values: dict[str, Any], request: Request) -> Response:
        source, params, part = parse_export(sources, values)
        is_canceled = threading.Event()

        def encode() -> bytes:
            with TemporaryDirectory() as folder:
                path = Path(folder) / f"video.{part.format}"
                source.export(params, part, path, is_canceled=is_canceled.is_set)
                return path.read_bytes()

        encoding = asyncio.get_running_loop().run_in_executor(None, encode)
        # The body has been read, so the only message that can follow is the client's disconnect.
        disconnect: asyncio.Future[Any] = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait([encoding, disconnect], return_when=asyncio.FIRST_COMPLETED)
        finally:  # also when the studio shuts down
            is_canceled.set()
            disconnect.cancel()
        return Response(await encoding, media_type=EXPORT_FORMATS[part.format])

    return router


def run_routes(sources: Sequence[VideoSource]) -> APIRouter:
    """Return the routes of a run's log and images."""
    router = APIRouter()

    @router.get("/models/{number}/training")
    async def training(number: int) -> JSONResponse:
        """Return the number of snapshots and the last record of the log."""
        model, run = find_run(number)
        lines = reversed((run / "log.jsonl").read_bytes().splitlines())
        records = filter(None, map(parse_object, lines))
        last = next((record for record in records if "clips_per_second" in record), None)
        return JSONResponse({"num_snapshots": len(model.snapshots()), "last": last})

    @router.get("/models/{number}/curves")
    async def curves(number: int) -> Response:
        return png(find_run(number)[1] / "curves.png")

    @router.get("/models/{number}/snapshots/{index}")
    async def snapshot(number: int, index: int) -> Response:
        snapshots = find_run(number)[0].snapshots()
        if not 0 <= index < len(snapshots):
            raise HTTPException(404)
        return png(snapshots[index])

    def find_run(number: int) -> tuple[StudioModel, Path]:
        source = find_source(sources, number)
        if not isinstance(source, StudioModel) or source.run is None:
            raise StyleganvError(f"A training log requires a run, got {source.name}: open the run instead.")
        return source, source.run

    return router


def search_routes(sources: Sequence[VideoSource], manager: JobManager) -> APIRouter:
    """Return the routes that start searches."""
    router = APIRouter()

    @router.post("/models/{number}/text")
    async def text(number: int, values: dict[str, Any]) -> JSONResponse:
        params = VideoParams.from_json(values.get("params", {}))
        wanted, num_steps = str(values.get("text", "")), values.get("num_steps", 100)
        start = partial(manager.edit_by_text, find_model(sources, number), params, wanted, num_steps)
        return JSONResponse((await asyncio.get_running_loop().run_in_executor(None, start)).to_dict())

    @router.post("/models/{number}/clip")
    async def clip(number: int, request: Request, name: str, params: Annotated[ClipParams, Depends()]) -> JSONResponse:
        """Start a projection of the file in the request's body."""
        model = find_model(sources, number)
        with manager.receive_upload(model, name) as upload:
            await save_body(request, upload)
            job = manager.project(model, upload, name, params)
        return JSONResponse(job.to_dict())

    return router


def job_routes(sources: Sequence[VideoSource], manager: JobManager, public_text: Callable[[str], str]) -> APIRouter:
    """Return the routes that follow searches, end them, and serve their results."""
    router = APIRouter()

    def find_job(number: int) -> Job:
        if number not in manager.jobs:
            raise HTTPException(404)
        return manager.jobs[number]

    def describe(job: Job) -> dict[str, Any]:
        values = job.to_dict()
        return values | {"error": public_text(values["error"]), "model": sources.index(job.model)}

    @router.get("/jobs")
    async def jobs() -> JSONResponse:
        return JSONResponse([describe(job) for job in list(manager.jobs.values())])

    @router.post("/jobs/{number}/{action}")
    async def end(number: int, action: Literal["stop", "cancel"]) -> JSONResponse:
        job = find_job(number)
        await asyncio.get_running_loop().run_in_executor(None, {"stop": job.stop, "cancel": job.cancel}[action])
        return JSONResponse(describe(job))

    @router.get("/jobs/{number}/{name}")
    async def result(number: int, name: Literal["latents.safetensors", "comparison.mp4"]) -> FileResponse:
        job = find_job(number)
        if job.state != "done":
            raise HTTPException(404)
        return FileResponse(job.folder / "result" / name)

    return router


def parse_export(
    sources: Sequence[VideoSource], values: dict[str, Any]
) -> tuple[VideoSource, VideoParams, ExportParams]:
    """Return the source, the video and its part that a page wants to export."""
    params = VideoParams.from_json(values.get("params", {}))
    return find_source(sources, values.get("model")), params, ExportParams.from_json(values)


def find_model(sources: Sequence[VideoSource], number: int) -> StudioModel:
    """Return a model by its number. Raises StyleganvError for real videos."""
    source = find_source(sources, number)
    if not isinstance(source, StudioModel):
        raise StyleganvError("A search requires a model, got real videos: select a model.")
    return source


async def save_body(request: Request, path: Path) -> None:
    """Write the body of a request to a file, in constant memory. The access guard limits its size and time."""
    try:
        with open(path, "wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
    except OSError as error:
        raise StyleganvError(f"Cannot store the upload ({error.strerror}): free space on the server.") from error


def png(path: Path) -> Response:
    """Return the response with an image of a run."""
    if not path.is_file():
        raise HTTPException(404)
    return Response(path.read_bytes(), media_type="image/png")
