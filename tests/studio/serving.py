"""A studio in its own process, and a real browser."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import warm

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
MISSING = "needs Chromium and its driver: apt-get install chromium chromium-driver"


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


def open_browser(*flags: str, **capabilities: Any) -> Any:
    """Return a headless Chromium, which the caller quits."""
    from selenium import webdriver

    assert CHROMIUM and DRIVER, MISSING
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", *flags):
        options.add_argument(flag)
    for name, value in capabilities.items():
        options.set_capability(f"goog:{name}", value)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
