"""A studio in its own process."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import warm
from browsers import CHROMIUM, DRIVER, MISSING, open_browser

__all__ = ["CHROMIUM", "DRIVER", "MISSING", "open_browser", "serving", "serving_here"]


@contextmanager
def serving(models: Sequence[Path], *options: str, start: Any = warm.Popen) -> Iterator[tuple[Any, str]]:
    """Serve these models within the block, in a process that `start` starts. Yield it and its URL."""
    command = [sys.executable, "-m", "styleganv.cli", "studio", *map(str, models), "--port", "0", "--no-open", *options]
    with start(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            url = re.search(r"https?://\S+", line)
            assert url, line
            yield process, url[0]
        finally:
            process.terminate()


@contextmanager
def serving_here(models: Sequence[Path], *, port: int = 0, **options: Any) -> Iterator[str]:
    """Serve these models within the block, in a thread of this process, and yield the URL."""
    import uvicorn

    from styleganv.studio import server

    app = server.create_app(models, **options)
    studio = uvicorn.Server(uvicorn.Config(app, http=server._Protocol, log_level="warning", port=port))
    thread = threading.Thread(target=studio.run, daemon=True)
    thread.start()
    while not studio.started:
        assert thread.is_alive()
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{studio.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        studio.should_exit = True
        thread.join(60)
