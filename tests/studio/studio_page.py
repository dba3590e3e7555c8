"""The studio's page as a user operates and sees it."""

import base64
import io
import os
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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


#: Names and beginnings of names of controls in each tab.
TABS = {
    "explore": r"(seed|motion-seed|own-motion|source|psi|class|labels|randomize|map|walk|compare|speed|fps|reset"
    r"|show-slice)",
    "edit": r"(find-directions|direction|mix|columns|rows|text|edit-by-text|num-steps|clip|project-clip|jobs)",
    "create": r"(export|show-command|command|start-timeline|close-timeline|save-project|open-project|project-file)",
    "saved": r"(favorites|recent)",
    "perform": r"(learn|mapping|save-mappings|open-mappings|connect-midi|midi|osc|audio|meter|open-window|record)",
    "training": r"(training|curves|snapshot)",
}


def module(name: str) -> str:
    """Return a JavaScript promise of a module of the page, e.g. core/timeline."""
    return f"import(document.querySelector('script[src]').src.replace('main.js', '{name}.js'))"


class Page:
    """The page in a browser, opened at a URL and playing."""

    def __init__(self, browser: Any, url: str, query: str = "") -> None:
        self.browser, self.url = browser, url
        browser.get(url + query)
        self.until(lambda: self.find("#screen"))
        self.until(lambda: self.time() is not None or self.text())

    def get(self, name: str) -> Any:
        """Return an element by its id, in the tab that a user would open for it."""
        tab = next((tab for tab, names in TABS.items() if re.match(f"{names}(-|$)", name)), None)
        if tab and self.find(f"#tab-{tab}[aria-selected=false]"):
            self.browser.find_element("id", f"tab-{tab}").click()
            self.until(lambda: self.find(f"#tab-{tab}[aria-selected=true]"))
        return self.browser.find_element("id", name)

    def resize(self, width: int, height: int, **media: str) -> None:
        """Emulate a screen, and the values of its media features."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def find(self, selector: str) -> list[Any]:
        found: list[Any] = self.browser.find_elements("css selector", selector)
        return found

    def text(self, name: str = "screen-message") -> str:
        """Return the visible text of an element; by default, what the stage says of its picture."""
        text: str = self.get(name).text
        return text

    def error(self, key: str) -> str:
        """Return the error next to the control of a key."""
        return "".join(one.text for one in self.find(f"#error-{key}"))

    def errors(self) -> str:
        """Return all errors next to controls."""
        return "".join(one.text for one in self.find(".error"))

    def phase(self, canvas: str = "screen") -> str:
        """Return which picture the stage shows: none ("empty"), that of earlier settings ("stale"), or "current"."""
        classes = self.get(f"{canvas}-figure").get_attribute("class").split()
        return next(name for name in ("empty", "stale", "current") if name in classes)

    @property
    def address(self) -> dict[str, str]:
        """The state in the page's address."""
        return dict(parse_qsl(urlsplit(self.browser.current_url).query))

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

    def type(self, *keys: str, modifier: str | None = None) -> None:
        """Press keys, wherever the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains

        actions = ActionChains(self.browser)
        for key in keys:
            if modifier is None:
                actions.send_keys(key)
            else:
                actions.key_down(modifier).send_keys(key).key_up(modifier)
        actions.perform()

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
            f"const done = arguments[0], module = {module('core/playback')};"
            """
            module.then(({ players }) => {
              const animate = window.requestAnimationFrame.bind(window);
              let now = performance.now();
              performance.now = () => now;
              window.requestAnimationFrame = (callback) => animate(() => {
                if (players.a.frames.length && !players.a.isWaiting) now += 1000 / 60;
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
            assert time.monotonic() < deadline, [
                one.text for one in self.find(".screen .message, .error, .problem") if one.text
            ]
            time.sleep(0.02)
        return value

    def rest(self) -> None:
        """Wait until the next change is a step of its own for undo."""
        time.sleep(0.8)

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


@contextmanager
def script_first(browser: Any, script: str) -> Iterator[None]:
    """Run a script before those of each page that is opened within the block."""
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
