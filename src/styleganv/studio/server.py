"""The studio's server: one page, an API for its models and searches, and frames over a WebSocket.

    page ──requests──▶ FrameSocket ─┐
    thumbnails ─────────────────────┴─▶ WorkQueue of the source ──▶ frames ──▶ images
    runs ──▶ SourceWatcher ──▶ new weights          OSC ──▶ LiveMessages ──▶ page

The page requests a few frames at a time, shortly before it needs them. Only the latest request of each client is
served, so nothing queues up for a slow browser. Clients of one model take turns.
"""

import asyncio
import logging
import secrets
import socket
import ssl
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.run_monitor import RunMonitor
from styleganv.studio.favorites import Favorites
from styleganv.studio.job import MAX_ADDRESS_LENGTH
from styleganv.studio.jobs import JobManager
from styleganv.studio.model_pool import ModelPool
from styleganv.studio.run_list import RunList, is_run_folder
from styleganv.studio.sources import SourceWatcher, make_names_unique, open_sources
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.studio_options import StudioOptions
from styleganv.studio.work_queue import QueueClosedError

try:
    import uvicorn
    from fastapi import FastAPI, Request, WebSocket
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from styleganv.studio.access import BODY, AccessGuard, check_token, hide_paths, is_loopback, public_name
    from styleganv.studio.frame_socket import FAILURE, FrameSocket
    from styleganv.studio.job_routes import favorite_routes, job_routes, search_routes
    from styleganv.studio.live import LiveMessages
    from styleganv.studio.osc import OscReceiver, open_osc_socket
    from styleganv.studio.routes import osc_routes, page_routes
    from styleganv.studio.run_routes import watch_routes
    from styleganv.studio.source_routes import source_routes, thumbnail_routes
except ImportError as error:
    raise StyleganvError("The studio requires extra packages: run pip install 'styleganv[studio]'.") from error

logger = logging.getLogger(__name__)

#: How long a connection may take to send the headers of a request.
HEADER_SECONDS = 10
#: How long a shutdown waits for open requests.
SHUTDOWN_SECONDS = 3


def create_app(
    paths: Sequence[Path | str],
    *,
    token: str | None = None,
    clip_model: Path | str | None = None,
    device: str | None = None,
    osc_socket: socket.socket | None = None,
    favorites: Path | str = "favorites",
) -> FastAPI:
    """Return the studio of these models, which sends pages the OSC messages that arrive at a socket.

    With a `token`, clients must open `/?token=…` first.
    """
    runs, pool = RunList(paths), ModelPool()
    sources = open_sources([path for path in paths if not is_run_folder(path)], device=device)
    manager = JobManager(clip_model=clip_model, device=device)
    names = {
        path: public_name(source.path) for source in sources for path in (str(Path(source.path).resolve()), source.path)
    }
    public_text = partial(hide_paths, names=names)
    live = LiveMessages()

    def add_sources(new: Sequence[RunMonitor]) -> None:
        for run in new:
            sources.append(StudioModel(run.folder, device=device, name=run.name, pool=pool))
            names.update({str(run.folder.resolve()): run.name, str(run.folder): run.name})
        make_names_unique(sources)

    add_sources(runs.search())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        if osc_socket is not None:
            await loop.create_datagram_endpoint(partial(OscReceiver, live.tell_osc), sock=osc_socket)

        def tell_pages() -> None:
            loop.call_soon_threadsafe(live.tell_sources_changed)

        watcher = SourceWatcher(sources, tell_pages)
        yield
        manager.close()  # Here for SIGTERM, which uvicorn raises again afterwards; see `run_studio`.
        watcher.close()
        for source in sources:
            source.queue.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.manager = manager
    app.add_middleware(AccessGuard, token=token)
    app.include_router(page_routes())
    for router in (
        source_routes(sources),
        thumbnail_routes(sources),
        watch_routes(runs, add_sources, can_control=token is not None, public_text=public_text),
        search_routes(sources, manager),
        job_routes(manager, public_text),
        favorite_routes(sources, Favorites(favorites)),
        osc_routes(None if osc_socket is None else osc_socket.getsockname()[1]),
    ):
        app.include_router(router, prefix="/api")

    async def report(describe: Callable[[Any], tuple[int, str]], _: Request, error: Exception) -> JSONResponse:
        status, text = describe(error)
        return JSONResponse({"error": public_text(text)}, status)

    for kind, describe in ERRORS.items():
        app.add_exception_handler(kind, partial(report, describe))

    @app.websocket("/frames")
    async def frames(client: WebSocket) -> None:
        await client.accept()
        await FrameSocket(client, sources, public_text).serve()

    @app.websocket("/live")
    async def messages(client: WebSocket) -> None:
        await client.accept()
        await live.serve(client)

    return app


def _describe_invalid(error: RequestValidationError) -> tuple[int, str]:
    first = error.errors()[0]
    return 422, f"Invalid request ({'.'.join(map(str, first['loc']))}: {first['msg']}): reload the page."


#: Functions from errors to the status and text that clients get.
ERRORS: dict[type[Exception], Callable[[Any], tuple[int, str]]] = {
    StyleganvError: lambda error: (400, str(error)),
    HTTPException: lambda error: (error.status_code, str(error.detail)),
    RequestValidationError: _describe_invalid,
    QueueClosedError: lambda _: (503, "The studio is stopping."),
    ClientDisconnect: lambda _: (400, "The client has disconnected."),
    Exception: lambda _: (500, FAILURE),  # The server logs the error itself.
}


def run_studio(
    paths: Sequence[Path | str],
    options: StudioOptions = StudioOptions(),
    *,
    open_page: bool = True,
    clip_model: Path | str | None = None,
    device: str | None = None,
) -> None:
    """Serve until Ctrl-C.

    Args:
        clip_model: CLIP for text edits: a folder or a name on the Hugging Face Hub. Default: each model's own, else
            OpenAI's.

    Raises:
        StyleganvError: if the token is empty, or a model, the certificate or a port is not available.
    """
    host, token = options.host, options.token
    if token is not None:
        check_token(token)
    tls = _check_certificate(options.certificate, options.key)
    if not is_loopback(host) and token is None:
        token = secrets.token_urlsafe(16)
    with _listen(host, options.port) as listener, ExitStack() as stack:  # First, because loading takes longer.
        osc_port, favorites = options.osc_port, options.favorites
        osc_socket = None if osc_port is None else stack.enter_context(open_osc_socket(host, osc_port))
        app = create_app(
            paths, token=token, clip_model=clip_model, device=device, osc_socket=osc_socket, favorites=favorites
        )
        config = uvicorn.Config(
            app,
            http=_Protocol,
            log_level="warning",
            h11_max_incomplete_event_size=MAX_ADDRESS_LENGTH,  # A page's address holds its timeline.
            ws_max_size=BODY.num_bytes,
            ws_per_message_deflate=False,  # Images are compressed already.
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            server_header=False,
            **tls,
        )
        server = uvicorn.Server(config)
        name = f"[{host}]" if ":" in host else host
        url = f"http{'s' if tls else ''}://{name}:{listener.getsockname()[1]}/" + (
            "" if token is None else f"?token={token}"
        )
        threading.Thread(target=_announce, args=(server, url, open_page), daemon=True).start()
        try:
            server.run(sockets=[listener])
        finally:  # A second Ctrl-C skips the end of the application's lifespan.
            app.state.manager.close()


def _announce(server: "uvicorn.Server", url: str, open_page: bool) -> None:
    """Print the URL and open the page as soon as the server accepts connections."""
    while not server.started:
        if server.should_exit:
            return
        threading.Event().wait(0.05)
    print(f"Studio: {url} (press Ctrl-C to stop)", flush=True)
    if open_page:
        webbrowser.open(url)


def _listen(host: str, port: int) -> socket.socket:
    if not host:
        raise StyleganvError("--host is empty: pass an address, e.g. 127.0.0.1, or 0.0.0.0 for all.")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError, UnicodeError) as error:
        raise StyleganvError(
            f"Cannot listen on {host}:{port} ({error}): choose another --host or --port, or port 0 for a free one."
        ) from error


def _check_certificate(certificate: Path | str | None, key: Path | str | None) -> dict[str, Any]:
    """Return the server's settings for HTTPS; none without a certificate."""
    if certificate is None:
        if key is not None:
            raise StyleganvError(f"--key {key} requires a certificate: pass --certificate too.")
        return {}

    def refuse_password() -> str:
        raise ValueError("it is encrypted")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, refuse_password)
    except (OSError, ValueError) as error:
        files = f"{certificate}" if key is None else f"{certificate} with --key {key}"
        raise StyleganvError(
            f"Cannot read --certificate {files} ({error}): pass PEM files of a certificate and its unencrypted key."
        ) from error
    return {"ssl_certfile": certificate, "ssl_keyfile": key}


class _Protocol(H11Protocol):
    """HTTP that closes connections which send no complete headers within `HEADER_SECONDS`."""

    _timer: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_request()

    def _expect_request(self) -> None:
        if self._timer is None and self._is_idle():
            self._timer = self.loop.call_later(HEADER_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        self._timer = None
        if self._is_idle() and self.transport.get_protocol() is self:  # A WebSocket has a protocol of its own.
            self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete
