"""Film the studio while a timeline plays and a keyframe changes: docs/studio-create.webp.

python examples/create_film.py faces-64

It requires `pip install 'styleganv[dev]'`, Chromium and its driver. Video time advances by one frame per picture, so
the film is smooth on slow machines, too.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from studio_film import FPS, filming, jump, module, save, shoot, wait

SIZE, SHOWN_WIDTH = (1120, 760), 760
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


def picture(browser: Any) -> Image.Image:
    """Return the page once it shows the present frame and thumbnails."""
    time.sleep(0.1)  # the request of the change
    wait(
        browser,
        "document.querySelector('#screen-figure.current') && !document.querySelector('.keyframe:not(:has(img))')",
    )
    return shoot(browser, SHOWN_WIDTH)


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
            f"{module('core/state')}.then(({{ change }}) => {{ change({{ content: seed }}); done(); }})",
            str(seed),
        )
        time.sleep(0.6)  # until its thumbnail follows
        yield from [picture(browser)] * 3


def main(model: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project.yaml"
        project.write_text(PROJECT, "utf-8")
        with filming(model, "content=3&motion=7&play=0&tab=create", size=SIZE) as browser:
            save(list(film(browser, project)), OUT)


if __name__ == "__main__":
    main(*sys.argv[1:])
