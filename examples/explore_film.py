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
from selenium.webdriver.common.action_chains import ActionChains

FPS, WIDTH, HEIGHT, SHOWN_WIDTH = 10, 1120, 700, 800
NUM_MAP, NUM_STRIP = 32, 5  # pictures of a round on the map, and of each seed
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
    area = browser.find_element("id", "map")
    radius = area.size["width"] * 0.4
    actions = ActionChains(browser, duration=0)
    actions.move_to_element(area).click_and_hold().perform()
    index = 0
    for step in range(NUM_MAP):  # once around the map, and back to its middle
        angle, distance = 2 * math.pi * step / NUM_MAP, radius * math.sin(math.pi * step / (NUM_MAP - 1))
        x, y = round(distance * math.cos(angle)), round(distance * math.sin(angle))
        ActionChains(browser, duration=0).move_to_element_with_offset(area, x, y).perform()
        yield picture(browser, index := index + 1)
    ActionChains(browser).release().perform()
    for seed in (4, 6):
        browser.find_element("css selector", f"[data-seed='{seed}']").click()
        wait_for_thumbnails(browser, "#map")
        for _ in range(NUM_STRIP):
            yield picture(browser, index := index + 1)


def main(model: str) -> None:
    command = [sys.executable, "-m", "styleganv.cli", "studio", model, "--port", "0", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio:
        assert studio.stdout is not None
        found = re.search(r"https?://\S+", studio.stdout.readline())
        assert found
        browser = open_studio(found[0])
        try:
            images = list(film(browser))
        finally:
            browser.quit()
            studio.terminate()
    options = {"duration": 1000 // FPS, "loop": 0, "quality": 55, "method": 6, "minimize_size": True}
    images[0].save(OUT, save_all=True, append_images=images[1:], **options)
    print(f"{OUT}: {len(images)} pictures, {OUT.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
