"""Film the studio while its map and its filmstrip are used: docs/studio-explore.webp.

python examples/explore_film.py faces-64

It requires `pip install 'styleganv[dev]'`, Chromium and its driver. Video time advances by one frame per picture, so
the film is smooth on slow machines, too.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from studio_film import FPS, filming, jump, save, shoot, wait

SIZE, SHOWN_WIDTH = (1120, 700), 800
NUM_MAP, NUM_STRIP = 28, 4  # pictures of a round on the map, and of each seed
OUT = Path(__file__).parents[1] / "docs" / "studio-explore.webp"


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
    jump(browser, index / FPS)
    wait(browser, "document.querySelector('#screen-figure.current')")
    return shoot(browser, SHOWN_WIDTH)


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
    with filming(model, "content=3&motion=7&play=0", size=SIZE) as browser:
        save(list(film(browser)), OUT)


if __name__ == "__main__":
    main(*sys.argv[1:])
