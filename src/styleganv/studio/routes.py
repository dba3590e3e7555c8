"""HTTP routes of the studio: the page, its models and their runs. No string that a browser sends is a path."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from styleganv.errors import StyleganvError
from styleganv.studio.commands import export_commands
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import EXPORT_FORMATS, ExportParams, VideoParams, parse_object
from styleganv.studio.video_source import VideoSource, find_source

#: Not left to `mimetypes`, which depends on the machine: browsers refuse modules of another type.
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def page_routes() -> APIRouter:
    """Return the routes of the page's files, which are read from the package."""
    router = APIRouter()
    folder = files("styleganv.studio") / "page"
    names = {file.name for file in folder.iterdir() if Path(file.name).suffix in MEDIA_TYPES}

    @router.get("/")
    @router.get("/page/{name}")
    async def page(name: str = "index.html") -> Response:
        if name not in names:
            raise HTTPException(404)
        return Response((folder / name).read_bytes(), media_type=MEDIA_TYPES[Path(name).suffix])

    return router


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


def parse_export(
    sources: Sequence[VideoSource], values: dict[str, Any]
) -> tuple[VideoSource, VideoParams, ExportParams]:
    """Return the source, the video and its part that a page wants to export."""
    params = VideoParams.from_json(values.get("params", {}))
    return find_source(sources, values.get("model")), params, ExportParams.from_json(values)


def png(path: Path) -> Response:
    """Return the response with an image of a run."""
    if not path.is_file():
        raise HTTPException(404)
    return Response(path.read_bytes(), media_type="image/png")
