"""The studio's server: one page, what it needs to know, and frames over a WebSocket.

The page asks for every few frames when it is about to need them, and each viewer has at most one such question open:
so nothing queues up for a slow browser, and viewers of one model take turns. Nothing that a browser sends is ever
a path.
"""

import asyncio
import json
import secrets
import struct
import threading
import webbrowser
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from styleganv.data.dataset import encode_frame
from styleganv.errors import StyleganvError
from styleganv.studio.scene import Scene, Take
from styleganv.studio.stage import Footage, Stage, Viewer, stages_of

try:
    import uvicorn
    from fastapi import APIRouter, FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
    from fastapi.responses import HTMLResponse, JSONResponse, Response
except ImportError as error:
    raise StyleganvError("The studio needs its extra: pip install 'styleganv[studio]'.") from error

JPEG_QUALITY = 95
#: Frames that a page may ask for at a time.
MOST_FRAMES = 32
#: Of a request.
MOST_BYTES = 2**16
COOKIE = "styleganv-token"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'"
MEDIA = {"mp4": "video/mp4", "gif": "image/gif", "webp": "image/webp"}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def create_app(places: Sequence[Path | str], *, token: str | None = None, device: str | None = None) -> FastAPI:
    """The studio of these models; with a `token`, for those alone who open `/?token=…` first."""
    stages = stages_of(places, device=device)
    # One thread a model: its viewers take turns there, each with one question at a time.
    turns = [ThreadPoolExecutor(1, thread_name_prefix=stage.place) for stage in stages]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for turn in turns:
            turn.shutdown(cancel_futures=True)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(page_routes())
    app.include_router(model_routes(stages), prefix="/api")

    def allowed(host: str | None, given: str | None) -> bool:
        """A page of another site can reach this port through a name of its own; such a name is not a loopback one."""
        if token is not None:
            return given is not None and secrets.compare_digest(given.encode(), token.encode())
        return is_loopback(urlsplit(f"//{host}").hostname or "")

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        given = request.cookies.get(COOKIE) or request.query_params.get("token")
        if not allowed(request.headers.get("host"), given):
            return Response("Open the address that styleganv studio printed, with its token.", 403)
        if int(request.headers.get("content-length", MOST_BYTES + 1 if request.method == "POST" else 0)) > MOST_BYTES:
            return Response("That is more than the studio takes.", 413)
        response: Response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        if token is not None and "token" in request.query_params:
            response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return response

    @app.exception_handler(StyleganvError)
    async def refused(_: Request, error: StyleganvError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    @app.websocket("/frames")
    async def frames(socket: WebSocket) -> None:
        host, origin = socket.headers.get("host"), socket.headers.get("origin")
        same = origin is not None and urlsplit(origin).netloc == host
        if not (same and allowed(host, socket.cookies.get(COOKIE))):
            await socket.close(1008)
            return
        await socket.accept()
        with suppress(WebSocketDisconnect, RuntimeError, json.JSONDecodeError):
            await serve(socket, stages, turns)

    return app


def page_routes() -> APIRouter:
    """The page and its parts, which are in the package."""
    router = APIRouter()

    @router.get("/")
    async def page() -> Response:
        return asset("page.html")

    @router.get("/page.{suffix}")
    async def part(suffix: str) -> Response:
        if f".{suffix}" not in TYPES:
            raise HTTPException(404)
        return asset(f"page.{suffix}")

    return router


def model_routes(stages: Sequence[Stage | Footage]) -> APIRouter:
    """What the page asks of models, but for frames."""
    router = APIRouter()

    def stage_of(number: Any) -> Stage | Footage:
        if not isinstance(number, int) or not 0 <= number < len(stages):
            raise StyleganvError("There is no such model: load the page again.")
        return stages[number]

    @router.get("/models")
    async def models() -> JSONResponse:
        return JSONResponse([stage.described() for stage in stages])

    @router.get("/models/{number}/directions")
    async def directions(number: int) -> JSONResponse:
        loop = asyncio.get_running_loop()
        return JSONResponse(await loop.run_in_executor(None, stage_of(number).direction_names))

    @router.get("/models/{number}/training")
    async def training(number: int) -> JSONResponse:
        """How many snapshots there are, and the last line of the log."""
        stage = stage_of(number)
        if not isinstance(stage, Stage) or stage.run is None:
            raise StyleganvError("This is no run, so there is no training to show.")
        log = [line for line in (stage.run / "log.jsonl").read_text().splitlines() if '"clips_per_second"' in line]
        return JSONResponse({"snapshots": len(stage.snapshots()), "last": json.loads(log[-1]) if log else None})

    @router.get("/models/{number}/curves")
    async def curves(number: int) -> Response:
        stage = stage_of(number)
        return picture(stage.run / "curves.png" if isinstance(stage, Stage) and stage.run is not None else None)

    @router.get("/models/{number}/snapshots/{index}")
    async def snapshot(number: int, index: int) -> Response:
        stage = stage_of(number)
        taken = stage.snapshots() if isinstance(stage, Stage) else []
        return picture(taken[index] if 0 <= index < len(taken) else None)

    @router.post("/command")
    async def command(values: dict[str, Any]) -> JSONResponse:
        scene, take = Scene.of(values.get("scene", {})), Take.of(values)
        return JSONResponse({"command": stage_of(values.get("model")).command(scene, take)})

    @router.post("/export")
    async def export(values: dict[str, Any]) -> Response:
        stage, scene, take = stage_of(values.get("model")), Scene.of(values.get("scene", {})), Take.of(values)

        def video() -> bytes:
            with TemporaryDirectory() as folder:
                path = Path(folder) / f"video.{take.format}"
                stage.write(scene, take, path)
                return path.read_bytes()

        content = await asyncio.get_running_loop().run_in_executor(None, video)
        return Response(content, media_type=MEDIA[take.format])

    return router


async def serve(socket: WebSocket, stages: Sequence[Stage | Footage], turns: Sequence[ThreadPoolExecutor]) -> None:
    """Answer a page's questions one at a time; of several that wait, the last."""
    viewers: dict[int, Viewer] = {}
    latest: Any = None
    asked = asyncio.Event()

    async def listen() -> None:
        nonlocal latest
        while True:
            latest = json.loads(await socket.receive_text())
            asked.set()

    async def answer() -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asked.wait()
            asked.clear()
            question = latest
            if not isinstance(question, dict):
                return  # no page asks so
            try:
                number = int(question["model"])
                if not 0 <= number < len(stages):
                    raise StyleganvError("There is no such model: load the page again.")
                viewer = viewers.setdefault(number, Viewer(stages[number]))
                reply = await loop.run_in_executor(turns[number], answered, viewer, question)
            except (StyleganvError, KeyError, TypeError, ValueError) as error:
                reply = packed({"id": question.get("id"), "error": str(error)}, [])
            await socket.send_bytes(reply)

    tasks = [asyncio.create_task(listen()), asyncio.create_task(answer())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


def answered(viewer: Viewer, question: dict[str, Any]) -> bytes:
    """The frames that a page asked for, as JPEG."""
    scene = Scene.of(question["scene"])
    start, fps = float(question["start"]), float(question["fps"])
    count = min(max(1, int(question["count"])), MOST_FRAMES)
    shown = viewer.next(scene, start=start, fps=fps, count=count)
    pictures = [encode_frame(frame, JPEG_QUALITY) for frame in shown]
    return packed({"id": question["id"], "start": start, "fps": fps}, pictures)


def packed(about: dict[str, Any], pictures: Sequence[bytes]) -> bytes:
    """A length (4 bytes, little-endian), so much JSON with the pictures' sizes, and the pictures."""
    head = json.dumps(about | {"sizes": [len(picture) for picture in pictures]}).encode()
    return b"".join([struct.pack("<I", len(head)), head, *pictures])


def picture(path: Path | None) -> Response:
    if path is None or not path.is_file():
        raise HTTPException(404)
    return Response(path.read_bytes(), media_type="image/png")


def asset(name: str) -> Response:
    content = files("styleganv.studio").joinpath(name).read_text(encoding="utf-8")
    return HTMLResponse(content) if name.endswith(".html") else Response(content, media_type=TYPES[Path(name).suffix])


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def studio(
    places: Sequence[Path | str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    open_page: bool = True,
    device: str | None = None,
) -> None:
    """Serve until Ctrl-C.

    Args:
        places: model folders or runs.
        host: the address to listen at; any but this machine's own needs a token, which is made up where left out.
        port: 0 takes a free one.
        token: what a browser must bring; none is needed at a loopback address.
        open_page: in the person's browser.
    """
    if not is_loopback(host) and token is None:
        token = secrets.token_urlsafe(16)
    app = create_app(places, token=token, device=device)
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", ws_max_size=MOST_BYTES))

    def announce() -> None:
        while not server.started:
            if server.should_exit:
                return
            threading.Event().wait(0.05)
        bound = server.servers[0].sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{bound}/" + ("" if token is None else f"?token={token}")
        print(f"Studio: {address}  (Ctrl-C ends it)", flush=True)
        if open_page:
            webbrowser.open(address)

    threading.Thread(target=announce, daemon=True).start()
    try:
        server.run()
    except SystemExit as error:
        raise StyleganvError(
            f"Port {port} of {host} cannot be had: choose another --port, or 0 for a free one."
        ) from error
