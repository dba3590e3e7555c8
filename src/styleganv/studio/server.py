"""The studio's server: one page, an API for its models and searches, and frames over a WebSocket.

The page requests a few frames at a time, shortly before it needs them. Only the latest request of each client is
served, so nothing queues up for a slow browser. Clients of one model take turns.
"""

import json
import secrets
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated

from styleganv.errors import StyleganvError
from styleganv.options import DEFAULT_CLIP_MODEL
from styleganv.studio.jobs import JobManager
from styleganv.studio.studio_model import open_sources
from styleganv.validation import Interval, check_arguments

try:
    import uvicorn
    from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
    from fastapi.responses import JSONResponse

    from styleganv.studio.access import MAX_BODY_BYTES, AccessGuard, is_loopback
    from styleganv.studio.frame_socket import serve_frames
    from styleganv.studio.routes import job_routes, model_routes, page_routes, run_routes, search_routes
except ImportError as error:
    raise StyleganvError("The studio requires extra packages: run pip install 'styleganv[studio]'.") from error

#: How long a shutdown waits for open requests.
SHUTDOWN_SECONDS = 3


def create_app(
    paths: Sequence[Path | str],
    *,
    token: str | None = None,
    clip_model: Path | str = DEFAULT_CLIP_MODEL,
    device: str | None = None,
) -> FastAPI:
    """Return the studio of these models. With a `token`, clients must open `/?token=…` first."""
    sources = open_sources(paths, device=device)
    manager, guard = JobManager(clip_model=clip_model, device=device), AccessGuard(token)
    # One thread per model: its clients take turns, each with one request at a time.
    executors = [ThreadPoolExecutor(1, thread_name_prefix=source.path) for source in sources]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        manager.close()  # Here for SIGTERM, which uvicorn raises again afterwards; see `run_studio`.
        for executor in executors:
            executor.shutdown(cancel_futures=True)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.manager = manager
    app.middleware("http")(guard)
    app.include_router(page_routes())
    for router in (
        model_routes(sources),
        run_routes(sources),
        search_routes(sources, manager),
        job_routes(sources, manager),
    ):
        app.include_router(router, prefix="/api")

    @app.exception_handler(StyleganvError)
    async def report_error(_: Request, error: StyleganvError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 400)

    @app.websocket("/frames")
    async def frames(client: WebSocket) -> None:
        if not guard.allows_socket(client):
            await client.close(1008)
            return
        await client.accept()
        with suppress(WebSocketDisconnect, RuntimeError, json.JSONDecodeError):
            await serve_frames(client, sources, executors)

    return app


@check_arguments
def run_studio(
    paths: Sequence[Path | str],
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Interval(0, 65_535)] = 8000,
    token: str | None = None,
    open_page: bool = True,
    clip_model: Path | str = DEFAULT_CLIP_MODEL,
    device: str | None = None,
) -> None:
    """Serve until Ctrl-C.

    Args:
        paths: model folders or runs.
        host: address to listen on; any but a loopback address requires a token.
        port: 0 takes any free port.
        token: access token that clients must supply. Default: random if `host` is not a loopback address.
        open_page: open the page in the default browser.
        clip_model: CLIP for text edits: a folder or a name on the Hugging Face Hub.
        device: torch device. Default: cuda if available.

    Raises:
        StyleganvError: if a model cannot be read or the port is not available.
    """
    if not is_loopback(host) and token is None:
        token = secrets.token_urlsafe(16)
    with _listen(host, port) as listener:  # First, because loading the models takes longer.
        app = create_app(paths, token=token, clip_model=clip_model, device=device)
        config = uvicorn.Config(
            app, log_level="warning", ws_max_size=MAX_BODY_BYTES, timeout_graceful_shutdown=SHUTDOWN_SECONDS
        )
        server = uvicorn.Server(config)
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{listener.getsockname()[1]}/" + ("" if token is None else f"?token={token}")
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
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise StyleganvError(f"Cannot listen on {host}:{port}: choose another --port, or 0 for a free one.") from error
