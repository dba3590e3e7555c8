"""Film the studio while a timeline plays and a keyframe changes: docs/studio-create.webp.

python examples/create_film.py faces-64

It requires `pip install 'styleganv[dev]'`, Chromium and its driver. Video time advances by one frame per picture, so
the film is smooth on slow machines, too.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains

FPS, WIDTH, HEIGHT, SHOWN_WIDTH = 10, 1120, 760, 760
SECONDS, NUM_CHANGES = 3.0, 8
OUT = Path(__file__).parents[1] / "docs" / "studio-create.webp"
PROJECT = """
seconds: 3
fps: 25
loop: true
keyframes:
  - {time: 0, content: 3, motion: 7, psi: 0.8, speed: 1}
  - {time: 1, content: 11}
  - {time: 2, content: 26, speed: 2}
"""


def open_studio(url: str) -> Any:
    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(option)
    if chromium := shutil.which("chromium"):
        options.binary_location = chromium
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(f"{url}?content=3&motion=7&play=0&tab=create")
    return browser


def wait(browser: Any, script: str) -> None:
    deadline = time.monotonic() + 120
    while not browser.execute_script(f"return {script}"):
        assert time.monotonic() < deadline, script
        time.sleep(0.05)


def picture(browser: Any) -> Image.Image:
    """Return the page once it shows the present frame and thumbnails."""
    time.sleep(0.1)  # the request of the change
    wait(
        browser,
        "document.querySelector('#screen-figure.current') && !document.querySelector('.keyframe:not(:has(img))')",
    )
    image = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    return image.resize((SHOWN_WIDTH, HEIGHT * SHOWN_WIDTH // WIDTH), Image.Resampling.LANCZOS)


def jump(browser: Any, seconds: float) -> None:
    browser.execute_async_script(
        "const [time, done] = arguments; import('./page/core/playback.js').then(({ jump }) => { jump(time); done(); })",
        seconds,
    )
    wait(browser, f"Math.abs(document.getElementById('screen').dataset.time - {seconds}) < 0.01")


def film(browser: Any, project: Path) -> Iterator[Image.Image]:
    wait(browser, "document.querySelector('#project-file')")
    browser.find_element("id", "project-file").send_keys(str(project))
    wait(browser, "document.querySelectorAll('.keyframe img').length === 3")
    for index in range(round(SECONDS * FPS)):
        jump(browser, index / FPS)
        yield picture(browser)
    keyframe = browser.find_elements("css selector", ".keyframe")[1]
    ActionChains(browser, duration=0).move_to_element(keyframe).click_and_hold().perform()
    yield picture(browser)
    for _ in range(NUM_CHANGES):
        ActionChains(browser, duration=0).move_by_offset(8, 0).perform()
        yield picture(browser)
    ActionChains(browser).release().perform()
    for seed in (12, 14, 15):  # a control of another tab changes the keyframe
        browser.execute_async_script(
            "const [seed, done] = arguments;"
            "import('./page/core/state.js').then(({ change }) => { change({ content: seed }); done(); })",
            str(seed),
        )
        time.sleep(0.6)  # until its thumbnail follows
        yield from [picture(browser)] * 3


def main(model: str) -> None:
    command = [sys.executable, "-m", "styleganv.cli", "studio", model, "--port", "0", "--no-open"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio,
    ):
        project = Path(folder) / "project.yaml"
        project.write_text(PROJECT, "utf-8")
        assert studio.stdout is not None
        found = re.search(r"https?://\S+", studio.stdout.readline())
        assert found
        browser = open_studio(found[0])
        try:
            images = list(film(browser, project))
        finally:
            browser.quit()
            studio.terminate()
    options = {"duration": 1000 // FPS, "loop": 0, "quality": 45, "method": 6, "minimize_size": True}
    images[0].save(OUT, save_all=True, append_images=images[1:], **options)
    print(f"{OUT}: {len(images)} pictures, {OUT.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
