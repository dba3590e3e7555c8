"""The studio's page as a user operates and sees it."""

import base64
import io
import os
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from serving import CHROMIUM, DRIVER, MISSING

from styleganv.studio.studio_model import StudioModel
from styleganv.timeline.notation import VideoParams

#: Marks of a test module that needs a browser. In CI a missing one is a failure.
BROWSER_MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER) and "CI" not in os.environ, reason=MISSING),
]


class Page:
    """The page in a browser, opened at a URL and playing."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser, self.url = browser, url
        browser.get_log("browser")  # Discard the messages of earlier tests.
        browser.get(url)
        self.until(lambda: self.time() is not None)

    def get(self, name: str) -> Any:
        return self.browser.find_element("id", name)

    def find(self, selector: str) -> list[Any]:
        found: list[Any] = self.browser.find_elements("css selector", selector)
        return found

    def text(self, name: str = "message") -> str:
        text: str = self.get(name).text
        return text

    def value(self, name: str) -> str:
        value: str = self.get(name).get_property("value")
        return value

    def is_visible(self, name: str) -> bool:
        return bool(self.get(name).is_displayed())

    def is_checked(self, name: str) -> bool:
        return bool(self.get(name).is_selected())

    def click(self, name: str) -> None:
        self.get(name).click()

    def set(self, name: str, value: object) -> None:
        """Set a control and send the events of a user's input."""
        self.browser.execute_script(
            "arguments[0].value = arguments[1]; for (const kind of ['input', 'change'])"
            "arguments[0].dispatchEvent(new Event(kind, {bubbles: true}));",
            self.get(name),
            str(value),
        )

    def select(self, name: str, option: str | int) -> None:
        """Select an option by its text or index."""
        from selenium.webdriver.support.ui import Select

        control = Select(self.get(name))
        if isinstance(option, str):
            control.select_by_visible_text(option)
        else:
            control.select_by_index(option)

    def selected(self, name: str) -> str:
        """Return the text of the selected option."""
        text: str = self.find(f"#{name} option:checked")[0].text
        return text

    def type(self, *keys: str) -> None:
        self.browser.find_element("tag name", "body").send_keys(*keys)

    def fetch(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path) as response:
            content: bytes = response.read()
            return content

    def time(self, canvas: str = "screen") -> float | None:
        """Return the time of the frame on a canvas."""
        time = self.get(canvas).get_attribute("data-time")
        return None if time is None else float(time)

    def pixels(self, canvas: str = "screen") -> NDArray[np.uint8]:
        url = self.browser.execute_script("return arguments[0].toDataURL('image/png')", self.get(canvas))
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))

    def control_clock(self) -> None:
        """From now on, each animation frame is a 60th of a second, which begins once the next video frame is ready."""
        self.browser.execute_async_script(
            """
            const done = arguments[0];
            import("./page/playback.js").then(({ mainPlayer }) => {
              const animate = window.requestAnimationFrame.bind(window);
              let now = performance.now();
              performance.now = () => now;
              window.requestAnimationFrame = (callback) => animate(() => {
                if (mainPlayer.frames.length && !mainPlayer.isWaiting) now += 1000 / 60;
                callback(now);
              });
              done();
            });
            """
        )

    def record(self) -> None:
        """Record [seconds of the page's clock, time] of every frame from now on, for `recorded`."""
        self.browser.execute_script(
            "const screen = document.getElementById('screen');"
            "window.frames_ = [];"
            "new MutationObserver(() => window.frames_.push([performance.now() / 1000, Number(screen.dataset.time)]))"
            ".observe(screen, { attributeFilter: ['data-time'] });"
        )

    def recorded(self, last: int = 10**6) -> NDArray[np.float64]:
        """Return the last recorded pairs."""
        pairs = self.browser.execute_script(f"return window.frames_.slice(-{last})")
        return np.asarray(pairs, np.float64).reshape(-1, 2)

    def until(self, condition: Callable[[], Any], seconds: float = 30) -> Any:
        """Wait for a condition and return its value."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.02)
        return value

    def until_message(self, part: str) -> None:
        self.until(lambda: part in self.text())

    def until_shows(self, expected: NDArray[np.uint8], canvas: str = "screen") -> None:
        """Wait for a frame, within the loss of JPEG compression."""

        def is_close() -> bool:
            pixels = self.pixels(canvas)
            return pixels.shape == expected.shape and np.abs(pixels.astype(float) - expected).mean() < 3

        self.until(is_close)


def frame(model: StudioModel, start: float = 0.0, **params: Any) -> NDArray[np.uint8]:
    """Return the frame that the page must show."""
    return next(model.frames(VideoParams.from_json({"motion": 0} | params), start=start, fps=25))
