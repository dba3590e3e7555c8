"""HTTP routes of the studio: the page and the port for OSC. No string that a browser sends is a path."""

import gzip
import hashlib
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from styleganv.studio.access import IMMUTABLE

#: Not left to `mimetypes`, which depends on the machine: browsers refuse modules of another type.
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def page_routes() -> APIRouter:
    """Return the routes of the page's files, which are read from the package.

    Browsers keep the files: their URLs, which the page names, change with their contents.
    """
    router = APIRouter()
    served = dict(_page_files(files("styleganv.studio") / "page"))

    @router.get("/")
    async def index(request: Request) -> Response:
        version = hashlib.sha256(b"".join(served[name].read_bytes() for name in sorted(served))).hexdigest()[:12]
        text = served["index.html"].read_bytes().replace(b'"page/', f'"page/{version}/'.encode())
        return _text_response(request, text, "text/html")

    @router.get("/page/{version}/{name:path}")
    async def page(request: Request, name: str) -> Response:
        if name not in served:
            raise HTTPException(404)
        response = _text_response(request, served[name].read_bytes(), MEDIA_TYPES[Path(name).suffix])
        response.headers["Cache-Control"] = IMMUTABLE
        return response

    return router


def osc_routes(port: int | None) -> APIRouter:
    """Return the route that tells pages the UDP port for OSC; None if there is none."""
    router = APIRouter()

    @router.get("/osc")
    async def osc() -> dict[str, int | None]:
        return {"port": port}

    return router


def _page_files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield the files that browsers may load, by their paths in the folder."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _page_files(entry, f"{prefix}{entry.name}/")
        elif Path(entry.name).suffix in MEDIA_TYPES:
            yield prefix + entry.name, entry


def _text_response(request: Request, content: bytes, media_type: str) -> Response:
    """Return a response, compressed if the browser accepts it."""
    headers = {"Vary": "Accept-Encoding"}
    if _accepts_gzip(request.headers.get("accept-encoding", "")):
        content = gzip.compress(content, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=media_type, headers=headers)


def _accepts_gzip(header: str) -> bool:
    """Return whether a browser's Accept-Encoding allows gzip, which a weight of 0 refuses."""
    weights = {name.strip(): value for name, _, value in (part.partition(";") for part in header.lower().split(","))}
    weight = weights.get("gzip", weights.get("*"))
    return weight is not None and not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)
