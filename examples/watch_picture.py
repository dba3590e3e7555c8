"""Record the studio while two runs are compared, as a moving picture for the documentation.

    python examples/watch_picture.py runs docs/studio-watch.webp --run runs/faces --other runs/emoji

It serves the folder of runs, opens the page in Chromium (with chromedriver), and plays the film of their snapshots
above their curves.
"""

import argparse
import io
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

WIDTH, HEIGHT, SCALE = 1100, 760, 0.72
FRAME_MS = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of runs")
    parser.add_argument("out", type=Path, help="WebP file to write")
    parser.add_argument("--run", required=True, help="name of a run in the studio")
    parser.add_argument("--other", required=True, help="run to compare it with")
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "styleganv", "studio", str(options.runs), "--port", str(port), "--no-open"]
    with subprocess.Popen(command) as studio:
        try:
            frames = record(f"http://127.0.0.1:{port}/", options.run, options.other)
        finally:
            studio.terminate()
    frames[0].save(
        options.out, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=60, method=6
    )
    print(f"{options.out}: {len(frames)} frames, {options.out.stat().st_size / 1000:.0f} kB")


def record(url: str, run: str, other: str) -> list[Image.Image]:
    """Return pictures of the page: the list, both runs while their film plays, and smoothed curves under a cursor."""
    wait_for(url)
    flags = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={WIDTH},{HEIGHT}"):
        flags.add_argument(flag)
    flags.binary_location = shutil.which("chromium") or ""
    browser = webdriver.Chrome(options=flags, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False},
        )
        frames: list[Image.Image] = []

        def shoot(count: int = 1) -> None:
            for _ in range(count):
                picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
                frames.append(picture.resize((round(WIDTH * SCALE), round(HEIGHT * SCALE)), Image.Resampling.LANCZOS))

        browser.get(f"{url}?view=runs")
        time.sleep(3)
        shoot(3)
        browser.get(f"{url}?{urlencode({'view': 'run', 'run': run, 'with': other})}")
        time.sleep(4)
        film = browser.find_element(By.ID, "film-time")
        for index in range(int(film.get_attribute("max") or 0) + 1):
            set_value(browser, film, index)
            time.sleep(0.3)
            shoot()
        browser.execute_script("document.getElementById('run').scrollTo(0, 1e4)")
        controls = browser.find_element(By.CSS_SELECTOR, "#run .watch-bar:has(#smoothing)")
        browser.execute_script("arguments[0].scrollIntoView({block: 'start'})", controls)
        time.sleep(0.3)
        for smoothing in (0, 0.5, 0.8, 0.9):
            set_value(browser, browser.find_element(By.ID, "smoothing"), smoothing)
            time.sleep(0.3)
            shoot()
        chart = browser.find_element(By.CSS_SELECTOR, ".chart:nth-child(2) .u-over")
        for offset in (-60, -30, 0, 30, 60):
            ActionChains(browser).move_to_element_with_offset(chart, offset, 0).perform()
            shoot()
        return frames
    finally:
        browser.quit()


def set_value(browser: webdriver.Chrome, control: object, value: float) -> None:
    """Move a slider and send the event of a user's input."""
    browser.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        control,
        str(value),
    )


def wait_for(url: str, seconds: float = 120) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            urlopen(url).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
