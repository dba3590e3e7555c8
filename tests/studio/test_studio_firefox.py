"""The main flow of the page in real Firefox: it plays, controls change the picture, and the address is the state."""

import base64
import io
import time
from collections.abc import Iterator

import numpy as np
import pytest
from firefox import FIREFOX, MISSING, Firefox, open_firefox
from numpy.typing import NDArray
from PIL import Image
from studio_page import frame

from styleganv.studio.studio_model import StudioModel

pytest.importorskip("websockets")

pytestmark = [pytest.mark.long, pytest.mark.browser, pytest.mark.skipif(not FIREFOX, reason=MISSING)]


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    with open_firefox() as browser:
        yield browser


def pixels(firefox: Firefox) -> NDArray[np.uint8]:
    url = firefox.run("document.getElementById('screen').toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def until_shows(firefox: Firefox, expected: NDArray[np.uint8]) -> None:
    """Wait for a frame, within the loss of JPEG compression."""
    deadline = time.monotonic() + 30
    while (now := pixels(firefox)).shape != expected.shape or np.abs(now.astype(float) - expected).mean() >= 3:
        assert time.monotonic() < deadline, firefox.run("[location.search, document.body.innerText]")
        time.sleep(0.05)


def test_main_flow(firefox: Firefox, url: str, studio_model: StudioModel) -> None:
    firefox.resize(1280, 800)
    firefox.open(url)
    firefox.until("Number(document.getElementById('screen')?.dataset.time) > 0.5")
    firefox.type(" ", "0")  # pause, and go to the start
    firefox.until("location.search.includes('play=0') && !location.search.includes('t=')")
    until_shows(firefox, frame(studio_model))
    for name, value in (("seed", 5), ("psi", 0.5)):
        firefox.run(
            f"(() => {{ const one = document.getElementById('{name}'); one.value = {value};"
            "one.dispatchEvent(new Event('input', { bubbles: true })); })()"
        )
    until_shows(firefox, frame(studio_model, content=5, psi=0.5))
    firefox.until("location.search.includes('content=5&motion=0&psi=0.5')")
    firefox.reload()
    firefox.until("Boolean(document.getElementById('seed-dice'))")
    until_shows(firefox, frame(studio_model, content=5, psi=0.5))

    firefox.click("#seed-dice")
    seed = int(
        firefox.until("Number(document.getElementById('seed').value) !== 5 && document.getElementById('seed').value")
    )
    until_shows(firefox, frame(studio_model, content=seed, psi=0.5))
    firefox.type("u")  # after a click on a button, too
    until_shows(firefox, frame(studio_model, content=5, psi=0.5))
    firefox.type("?")
    firefox.until("document.getElementById('help').open")
    firefox.type("\ue00c")  # Escape
    firefox.until("!document.getElementById('help').open")
    firefox.click("#tab-edit")
    firefox.until("Boolean(document.getElementById('columns'))")
    firefox.click("#play")
    firefox.until("Number(document.getElementById('screen').dataset.time) > 0.2")
    assert firefox.errors == []


def test_phone(firefox: Firefox, url: str) -> None:
    firefox.resize(390, 844)
    firefox.open(url + "?tab=edit")
    firefox.until("Number(document.getElementById('screen')?.dataset.time) > 0")
    left, top, right, bottom = firefox.run(
        "(() => { const box = document.getElementById('screen').getBoundingClientRect();"
        "return [box.left, box.top, box.right, box.bottom]; })()"
    )
    assert left >= 0 and top >= 0 and right <= 390 and bottom <= 844 and right - left > 150
    assert firefox.run("document.documentElement.scrollWidth") <= 390
    assert firefox.run("document.getElementById('redo').disabled")  # opened anew in the same tab
    assert firefox.errors == []
