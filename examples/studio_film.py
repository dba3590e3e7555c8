"""What the films of the studio share: a studio in Chromium whose video time advances by one frame per picture."""

import io
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver

FPS = 10


@contextmanager
def filming(model: str, query: str, *, size: tuple[int, int]) -> Iterator[Any]:
    """Yield a dark page of a studio of one model, e.g. faces-64, within the block."""
    command = [sys.executable, "-m", "styleganv.cli", "studio", model, "--port", "0", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio:
        assert studio.stdout is not None
        found = re.search(r"https?://\S+", studio.stdout.readline())
        assert found
        options = webdriver.ChromeOptions()
        for option in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
            options.add_argument(option)
        options.binary_location = shutil.which("chromium") or ""
        browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            features = [{"name": "prefers-color-scheme", "value": "dark"}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            browser.get(f"{found[0]}?{query}")
            yield browser
        finally:
            browser.quit()
            studio.terminate()


def wait(browser: Any, script: str) -> None:
    deadline = time.monotonic() + 120
    while not browser.execute_script(f"return {script}"):
        assert time.monotonic() < deadline, script
        time.sleep(0.05)


def module(name: str) -> str:
    """Return a JavaScript promise of a module of the page, e.g. core/timeline."""
    return f"import(document.querySelector('script[src]').src.replace('main.js', '{name}.js'))"


def jump(browser: Any, seconds: float) -> None:
    """Show the frame at a time."""
    browser.execute_async_script(
        f"const [time, done] = arguments; {module('core/playback')}.then(({{ jump }}) => {{ jump(time); done(); }})",
        seconds,
    )
    wait(browser, f"Math.abs(document.getElementById('screen').dataset.time - {seconds}) < 0.01")


def shoot(browser: Any, width: int) -> Image.Image:
    """Return the page, reduced to a width."""
    image = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    return image.resize((width, image.height * width // image.width), Image.Resampling.LANCZOS)


def save(images: list[Image.Image], out: Path) -> None:
    options = {"duration": 1000 // FPS, "loop": 0, "quality": 45, "method": 6, "minimize_size": True}
    images[0].save(out, save_all=True, append_images=images[1:], **options)
    print(f"{out}: {len(images)} pictures, {out.stat().st_size // 1000} kB")
