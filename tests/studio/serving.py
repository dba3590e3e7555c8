"""A real studio in a process of its own, and a real browser that looks at it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
MISSING = "needs Chromium and its driver: apt-get install chromium chromium-driver"


@contextmanager
def serving(models: Sequence[Path], *words: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The process and the address of a studio of these models, which ends with the block."""
    command = [sys.executable, "-m", "styleganv.cli", "studio", *map(str, models), "--port", "0", "--no-open", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            told = process.stdout.readline()
            found = re.search(r"http://\S+", told)
            assert found, told
            yield process, found[0]
        finally:
            process.terminate()


@contextmanager
def running(models: Sequence[Path], *words: str) -> Iterator[str]:
    """The address alone."""
    with serving(models, *words) as (_, address):
        yield address


def browser(*flags: str, **capabilities: Any) -> Any:
    """Headless Chromium; the caller quits it."""
    from selenium import webdriver

    assert CHROMIUM and DRIVER, MISSING
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", *flags):
        options.add_argument(flag)
    for name, value in capabilities.items():
        options.set_capability(f"goog:{name}", value)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
