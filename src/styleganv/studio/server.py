"""The studio's server: one page, what it needs to know, and frames over a WebSocket.

The page asks for every few frames when it is about to need them, and only the newest question of a viewer is answered:
so nothing queues up for a slow browser, and viewers of one model take turns. Nothing that a browser sends is ever
a path.
"""

import asyncio
import json
import secrets
import socket
import struct
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from urllib.parse import urlsplit

from styleganv.data.dataset import encode_frame
from styleganv.errors import StyleganvError
from styleganv.options import DEFAULT_CLIP
from styleganv.studio.jobs import Job, Jobs
from styleganv.studio.scene import Scene, Take
from styleganv.studio.stage import Footage, Stage, Viewer, stages_of

try:
    import uvicorn
    from fastapi import APIRouter, FastAPI, HTTPException, Request, WebSocket, WebSocketDisconnect
    from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
except ImportError as error:
    raise StyleganvError("The studio needs its extra: pip install 'styleganv[studio]'.") from error

JPEG_QUALITY = 95
#: Frames that a page may ask for at a time.
MOST_FRAMES = 32
#: Of a request, and of an uploaded video.
MOST_BYTES, MOST_UPLOADED = 2**16, 2**28
#: Seconds that the end of the studio waits for open requests.
SHUTDOWN = 3
COOKIE = "styleganv-token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
    "connect-src 'self'"
)
MEDIA = {"mp4": "video/mp4", "gif": "image/gif", "webp": "image/webp"}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def create_app(
    places: Sequence[Path | str],
    *,
    token: str | None = None,
    clip: Path | str = DEFAULT_CLIP,
    device: str | None = None,
) -> FastAPI:
    """The studio of these models; with a `token`, for those alone who open `/?token=…` first."""
    stages = stages_of(places, device=device)
    jobs = Jobs(clip=clip, device=device)
    # One thread a model: its viewers take turns there, each with one question at a time.
    turns = [ThreadPoolExecutor(1, thread_name_prefix=stage.place) for stage in stages]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        jobs.close()  # here for SIGTERM, which uvicorn raises again after this; see `studio`
        for turn in turns:
            turn.shutdown(cancel_futures=True)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.jobs = jobs
    app.include_router(page_routes())
    app.include_router(model_routes(stages), prefix="/api")
    app.include_router(job_routes(stages, jobs), prefix="/api")

    def allowed(host: str | None, origin: str | None, given: str | None) -> bool:
        """Not for pages of other sites: those can reach this port, also through a name of their own, which is no
        loopback one."""
        if origin is not None and urlsplit(origin).netloc != host:
            return False
        if token is not None:
            return given is not None and secrets.compare_digest(given.encode(), token.encode())
        return is_loopback(urlsplit(f"//{host}").hostname or "")

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        given = request.query_params.get("token") or request.cookies.get(COOKIE)  # which may be of a studio before
        if not allowed(request.headers.get("host"), request.headers.get("origin"), given):
            return Response("Open the address that styleganv studio printed, with its token.", 403)
        most = MOST_UPLOADED if request.url.path.endswith("/clip") else MOST_BYTES
        if int(request.headers.get("content-length", most + 1 if request.method == "POST" else 0)) > most:
            return JSONResponse({"error": f"That is more than the {most / 2**20:g} MB that the studio takes."}, 413)
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
    async def frames(page: WebSocket) -> None:
        host, origin = page.headers.get("host"), page.headers.get("origin")
        if origin is None or not allowed(host, origin, page.cookies.get(COOKIE)):
            await page.close(1008)
            return
        await page.accept()
        with suppress(WebSocketDisconnect, RuntimeError, json.JSONDecodeError):
            await serve(page, stages, turns)

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

    stage_of = partial(chosen, stages)

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
    async def export(values: dict[str, Any], request: Request) -> Response:
        stage, scene, take = stage_of(values.get("model")), Scene.of(values.get("scene", {})), Take.of(values)
        gone = threading.Event()

        def video() -> bytes:
            with TemporaryDirectory() as folder:
                path = Path(folder) / f"video.{take.format}"
                stage.write(scene, take, path, until=gone.is_set)
                return path.read_bytes()

        writing = asyncio.get_running_loop().run_in_executor(None, video)
        # The body has been read, so that all that can still come is that the page has gone.
        leaving: asyncio.Future[Any] = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait([writing, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:  # also when the studio ends
            gone.set()
            leaving.cancel()
        return Response(await writing, media_type=MEDIA[take.format])

    return router


def job_routes(stages: Sequence[Stage | Footage], jobs: Jobs) -> APIRouter:
    """Searches: beginning, following, stopping them, and what they found."""
    router = APIRouter()

    def stage_of(number: int) -> Stage:
        stage = chosen(stages, number)
        if not isinstance(stage, Stage):
            raise StyleganvError("Real videos cannot be searched: choose a model.")
        return stage

    def job_of(number: int) -> Job:
        if number not in jobs.all:
            raise HTTPException(404)
        return jobs.all[number]

    def described(job: Job) -> dict[str, Any]:
        told = {name: getattr(job, name) for name in ("number", "kind", "name", "state", "doing", "share", "left")}
        return told | {"error": job.error, "model": stages.index(job.stage)}

    @router.get("/jobs")
    async def all_jobs() -> JSONResponse:
        return JSONResponse([described(job) for job in list(jobs.all.values())])

    @router.post("/models/{number}/text")
    async def text(number: int, values: dict[str, Any]) -> JSONResponse:
        scene, wanted = Scene.of(values.get("scene", {})), str(values.get("text", ""))
        begin = partial(jobs.by_text, stage_of(number), scene, wanted, values.get("steps", 100))
        return JSONResponse(described(await asyncio.get_running_loop().run_in_executor(None, begin)))

    @router.post("/models/{number}/clip")
    async def clip(
        number: int, request: Request, name: str, start: float = 0.0, seconds: float = 2.0, steps: int = 300
    ) -> JSONResponse:
        """The body is the file."""
        stage = stage_of(number)
        wanted: dict[str, Any] = {"start": start, "seconds": seconds, "steps": steps}
        place, size = jobs.upload(stage, name, **wanted), 0
        try:
            with open(place, "wb") as file:
                async for part in request.stream():
                    size += len(part)
                    if size > MOST_UPLOADED:
                        raise HTTPException(413)
                    file.write(part)
            job = jobs.in_clip(stage, place, name, **wanted)
        finally:
            place.unlink(missing_ok=True)
            place.parent.rmdir()
        return JSONResponse(described(job))

    @router.post("/jobs/{number}/{how}")
    async def end(number: int, how: Literal["stop", "cancel"]) -> JSONResponse:
        job = job_of(number)
        await asyncio.get_running_loop().run_in_executor(None, partial(job.end, keep=how == "stop"))
        return JSONResponse(described(job))

    @router.get("/jobs/{number}/{name}")
    async def found(number: int, name: Literal["latents.safetensors", "comparison.mp4"]) -> FileResponse:
        path = job_of(number).folder / "found" / name
        if job_of(number).state != "done":
            raise HTTPException(404)
        return FileResponse(path)

    return router


def chosen(stages: Sequence[Stage | Footage], number: Any) -> Stage | Footage:
    if not isinstance(number, int) or not 0 <= number < len(stages):
        raise StyleganvError("There is no such model: load the page again.")
    return stages[number]


async def serve(page: WebSocket, stages: Sequence[Stage | Footage], turns: Sequence[ThreadPoolExecutor]) -> None:
    """Answer a page's questions one at a time: of several that wait the last, which cuts the answer before it short."""
    viewers: dict[int, Viewer] = {}
    latest: Any = None
    asked = asyncio.Event()

    async def listen() -> None:
        nonlocal latest
        while True:
            latest = json.loads(await page.receive_text())
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
                viewer = viewers.setdefault(number, Viewer(chosen(stages, number)))
                reply = await loop.run_in_executor(turns[number], answered, viewer, question, asked.is_set)
            except (StyleganvError, KeyError, TypeError, ValueError) as error:
                reply = packed({"id": question.get("id"), "error": str(error)}, [])
            await page.send_bytes(reply)

    tasks = [asyncio.create_task(listen()), asyncio.create_task(answer())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


def answered(viewer: Viewer, question: dict[str, Any], overtaken: Callable[[], bool]) -> bytes:
    """The frames that a page asked for, as JPEG; one at least, and no more once another question has overtaken it."""
    scene = Scene.of(question["scene"])
    start, fps = float(question["start"]), float(question["fps"])
    count = min(max(1, int(question["count"])), MOST_FRAMES)
    shown = viewer.next(scene, start=start, fps=fps, count=count, until=overtaken)
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
    clip: Path | str = DEFAULT_CLIP,
    device: str | None = None,
) -> None:
    """Serve until Ctrl-C.

    Args:
        places: model folders or runs.
        host: the address to listen at; any but this machine's own needs a token, which is made up where left out.
        port: 0 takes a free one.
        token: what a browser must bring; none is needed at a loopback address.
        open_page: in the person's browser.
        clip: the CLIP that judges texts, as `load_clip` takes it.

    Raises:
        StyleganvError: if a model cannot be read or the port cannot be had.
    """
    if not is_loopback(host) and token is None:
        token = secrets.token_urlsafe(16)
    with _listening(host, port) as listener:  # before the models are read, which takes longer
        app = create_app(places, token=token, clip=clip, device=device)
        config = uvicorn.Config(app, log_level="warning", ws_max_size=MOST_BYTES, timeout_graceful_shutdown=SHUTDOWN)
        server = uvicorn.Server(config)
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{listener.getsockname()[1]}/" + ("" if token is None else f"?token={token}")

        def announce() -> None:
            while not server.started:
                if server.should_exit:
                    return
                threading.Event().wait(0.05)
            print(f"Studio: {address}  (Ctrl-C ends it)", flush=True)
            if open_page:
                webbrowser.open(address)

        threading.Thread(target=announce, daemon=True).start()
        try:
            server.run(sockets=[listener])
        finally:  # a second Ctrl-C leaves out what the application does at its end
            app.state.jobs.close()


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise StyleganvError(
            f"Port {port} of {host} cannot be had: choose another --port, or 0 for a free one."
        ) from error
