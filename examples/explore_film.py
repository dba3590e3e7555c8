"""Film the studio while its map and its filmstrip are used: docs/studio-explore.webp.

python examples/explore_film.py src/styleganv/pretrained/faces-64

It requires `pip install 'styleganv[dev]'`, Chromium and its driver. Video time advances by one frame per picture, so
the film is smooth on slow machines, too.
"""

import io
import math
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver

FPS, WIDTH, HEIGHT, SHOWN_WIDTH = 10, 1120, 700, 800
NUM_MAP, NUM_STRIP = 28, 4  # pictures of a round on the map, and of each seed
OUT = Path(__file__).parents[1] / "docs" / "studio-explore.webp"


def open_studio(url: str) -> Any:
    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(option)
    options.binary_location = shutil.which("chromium") or ""
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(f"{url}?content=3&motion=7&play=0")
    return browser


def wait(browser: Any, script: str) -> None:
    deadline = time.monotonic() + 120
    while not browser.execute_script(f"return {script}"):
        assert time.monotonic() < deadline, script
        time.sleep(0.05)


def wait_for_thumbnails(browser: Any, selector: str) -> None:
    """Wait for those that are in sight."""
    wait(
        browser,
        f"[...document.querySelectorAll('{selector} .thumbnail')].every((one) => one.getBoundingClientRect().left > "
        f"document.querySelector('{selector}').getBoundingClientRect().right || "
        "(one.querySelector('img') && !one.matches('.old')))",
    )


def picture(browser: Any, index: int) -> Image.Image:
    """Show the next frame of the video, and return the page."""
    browser.execute_async_script(
        "const [time, done] = arguments; import('./page/core/playback.js').then(({ jump }) => { jump(time); done(); })",
        index / FPS,
    )
    wait(browser, "document.querySelector('#screen-figure.current') && "
         f"Math.abs(document.getElementById('screen').dataset.time - {index / FPS}) < 0.01")  # fmt: skip
    image = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    return image.resize((SHOWN_WIDTH, HEIGHT * SHOWN_WIDTH // WIDTH), Image.Resampling.LANCZOS)


def film(browser: Any) -> Iterator[Image.Image]:
    wait(browser, "document.querySelector('#map')")
    browser.execute_script("document.getElementById('map-kind').scrollIntoView()")
    wait_for_thumbnails(browser, "#map")
    wait_for_thumbnails(browser, "#seeds")
    box = browser.find_element("id", "map").rect
    middle, radius = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), 0.4 * box["width"]
    browser.execute_script("scrollTo(0, 0)")
    index = 0

    def move(kind: str, x: float, y: float) -> None:
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    move("mousePressed", *middle)
    for step in range(NUM_MAP):  # once around the map, and back to its middle
        angle, distance = 2 * math.pi * step / NUM_MAP, radius * math.sin(math.pi * step / (NUM_MAP - 1))
        move("mouseMoved", middle[0] + distance * math.cos(angle), middle[1] + distance * math.sin(angle))
        yield picture(browser, index := index + 1)
    move("mouseReleased", *middle)
    for seed in (4, 6):
        browser.find_element("css selector", f"[data-seed='{seed}']").click()
        for _ in range(NUM_STRIP):
            yield picture(browser, index := index + 1)


def main(model: str) -> None:
    folder = Path(model).resolve()
    command = [sys.executable, "-m", "styleganv.cli", "studio", folder.name, "--port", "0", "--no-open"]
    with subprocess.Popen(command, cwd=folder.parent, stdout=subprocess.PIPE, text=True) as studio:
        assert studio.stdout is not None
        found = re.search(r"https?://\S+", studio.stdout.readline())
        assert found
        browser = open_studio(found[0])
        try:
            images = list(film(browser))
        finally:
            browser.quit()
            studio.terminate()
    options = {"duration": 1000 // FPS, "loop": 0, "quality": 45, "method": 6, "minimize_size": True}
    images[0].save(OUT, save_all=True, append_images=images[1:], **options)
    print(f"{OUT}: {len(images)} pictures, {OUT.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
