"""What can go wrong around the page, in Chromium: browsers with less, addresses with nonsense, lost connections."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import serving, serving_here
from studio_page import BROWSER_MARKS, Page, frame, module, script_first

from styleganv.studio.studio_model import StudioModel

pytest.importorskip("selenium", reason="pip install styleganv[dev]")

pytestmark = BROWSER_MARKS

BLOCK_STORAGE = """for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, {
  configurable: true, get() { throw new DOMException("Access is denied", "SecurityError"); } });"""


@pytest.mark.long
def test_blocked_storage_and_missing_websockets(browser: Any, url: str, studio_model: StudioModel) -> None:
    with script_first(browser, BLOCK_STORAGE):
        page = Page(browser, url, "?play=0&content=3")
        page.until_shows(frame(studio_model, content=3, motion=3))
        page.set("psi", 0.5)
        page.until_shows(frame(studio_model, content=3, motion=3, psi=0.5))
        page.click("appearance")
        page.until(lambda: page.is_visible("theme"))
        page.find("#theme [value=dark]")[0].click()
        page.until(lambda: page.find(":root[data-theme=dark]"))
    with script_first(browser, "delete window.WebSocket;"):
        browser.get(url)
        page.until(
            lambda: page.find(".problem") and "requires a browser with WebSockets" in page.find(".problem")[0].text
        )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?content=%00&psi=NaN&grid=999x999&dir=;;;&t=-1e99", "A grid must have 1 to 24 cells"),
        ("?psi=NaN&model=&label=&content=&motion=&mix=&b.model=&grid=0x5&dir=;;;&speed=0&fps=x&tab=__proto__", ""),
        ("?psi=1e99", "psi must be a finite number"),
        ("?t=1e300", "Motion time must be"),
        ("?mix=1:0-99", "must be ascending and below 64"),
        ("?label=999999999999999999999", "Unknown class 999999999999999999999"),
        ("?model=%3Cimg%20src=x%3E", "<img src=x> is not open in this studio: select another model."),
        (f"?content={'3,' * 500}3", "content must have at most 16 parts"),
    ],
)
def test_nonsense_in_the_address(browser: Any, url: str, query: str, message: str) -> None:
    page = Page(browser, url, query)
    if message:
        page.until_message(message)
        assert page.phase() == "empty" and not page.errors()
    else:
        page.until(lambda: page.phase() == "current" and not page.text())
        assert page.find("#tab-explore[aria-selected=true]")


@pytest.mark.long
def test_killed_studio_and_another_token(browser: Any, models: list[Path], studio_model: StudioModel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with serving(models[:1], "--port", str(port)) as (process, url):
        page = Page(browser, url, "?play=0&content=3")
        page.until_shows(frame(studio_model, content=3, motion=3))
        process.send_signal(signal.SIGKILL)
        page.until_message("Cannot reach the studio: check that it is running. Reconnecting…")
    with serving_here(models[:1], port=port):
        page.until(lambda: page.phase() == "current" and not page.text())
        page.set("psi", 0.5)
        page.until_shows(frame(studio_model, content=3, motion=3, psi=0.5))
    with serving_here(models[:1], port=port, token="another"):
        page.until_message("Access denied: open the URL that `styleganv studio` printed.")
        assert page.phase() == "stale"


@pytest.mark.long
def test_two_tabs_with_one_address(browser: Any, url: str, studio_model: StudioModel) -> None:
    page = Page(browser, url, "?play=0&content=3")
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    try:
        second = Page(browser, url, "?play=0&content=3")
        second.set("seed", 4)
        second.until_shows(frame(studio_model, content=4, motion=4))
    finally:
        browser.close()
        browser.switch_to.window(first)
    page.until_shows(frame(studio_model, content=3, motion=3))
    assert page.address["content"] == "3" and page.value("seed") == "3"


@pytest.mark.long
def test_hung_connection_is_opened_again(page: Page) -> None:
    """As after a laptop slept: the answer to the open request never arrives."""
    page.until(lambda: page.phase() == "current")
    page.browser.execute_async_script(
        f"const done = arguments[0], module = {module('core/playback')};"
        """
        module.then(({ players }) => {
          window.socket_ = players.a.socket;
          window.socket_.onmessage = null;
          done();
        });
        """
    )
    page.set("seed", 5)
    page.until_message("Updating…")
    page.browser.execute_script(
        "const now = performance.now.bind(performance); performance.now = () => now() + 61_000;"
    )
    page.until(lambda: page.phase() == "current" and not page.text())
    assert page.browser.execute_script("return window.socket_.readyState") == 3  # closed


@pytest.mark.long
def test_slow_network_loses_frames_but_no_time(page: Page) -> None:
    page.browser.execute_cdp_cmd("Network.enable", {})
    page = Page(page.browser, page.url, "?tab=create&play=0")  # Only connections opened from now on are limited.
    limits = {"offline": False, "latency": 300, "downloadThroughput": 30_000, "uploadThroughput": 30_000}
    page.browser.execute_cdp_cmd("Network.emulateNetworkConditions", limits)
    try:
        page.record()
        page.click("play")
        time.sleep(5)
        shown = page.recorded()[:, 1]
        late = page.browser.execute_async_script(
            f"const done = arguments[0]; {module('core/clock')}.then(({{ clock }}) =>"
            "done(clock.time - Number(document.getElementById('screen').dataset.time)))"
        )
    finally:
        limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        page.browser.execute_cdp_cmd("Network.emulateNetworkConditions", limits)
    assert 10 < len(shown) < 100  # of 125 at full speed
    assert np.all(np.diff(shown) > 0) and late < 0.8


@pytest.mark.long
def test_empty_upload_with_a_hostile_name(page: Page, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)> & ..\\.mp4"
    (tmp_path / name).touch()
    page.get("clip").send_keys(str(tmp_path / name))
    page.click("project-clip")
    page.until(lambda: page.find("#project-clip + .error")[0].text == "The uploaded file is empty: choose another one.")
    assert not page.find("img[src='x']") and not page.text("jobs")


# Accessibility


@pytest.fixture
def restored(page: Page) -> Iterator[Page]:
    """The page at desktop size, whose emulated screen ends with the test."""
    page.resize(1280, 800)
    yield page
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


CONTROLS = """return [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && !one.closest("[inert]")
    && one.tabIndex >= 0 && !(one.type === "radio" && !one.checked))
  .map((one) => one.id || one.ariaLabel || one.outerHTML)"""

NAME_OF_ACTIVE = "const one = document.activeElement; return one.id || one.ariaLabel || one.outerHTML"


def test_every_control_is_reached_by_the_tab_key_in_reading_order(restored: Page) -> None:
    page = restored
    for tab in ("explore", "edit", "create"):
        page.click(f"tab-{tab}")
        page.until(lambda tab=tab: page.find(f"#tab-{tab}[aria-selected=true]"))
        expected = page.browser.execute_script(CONTROLS)
        page.browser.execute_script("document.activeElement.blur(); document.body.focus()")
        page.find("h1")[0].click()  # The next control is the first one.
        reached = []
        for _ in expected:
            page.type("\ue004")
            one = page.browser.execute_script(NAME_OF_ACTIVE)
            reached.append(one)
        assert reached == expected
        hidden = page.browser.execute_script(
            "return [...document.querySelectorAll('button, input, select, textarea, canvas')].filter((one) =>"
            "one.checkVisibility() && !one.ariaLabel && !one.labels?.length && !one.textContent.trim()"
            "&& !one.getAttribute('aria-labelledby') && !one.ariaHidden).map((one) => one.outerHTML)"
        )
        assert hidden == [], "has no name for screen readers"


def test_zoom_of_200_percent_and_forced_colors(restored: Page) -> None:
    page = restored
    page.resize(640, 400, forced_colors="active", prefers_color_scheme="dark")  # 1280 × 800 at 200 %
    for tab in ("explore", "edit", "create"):
        page.click(f"tab-{tab}")
        page.until(lambda tab=tab: page.find(f"#tab-{tab}[aria-selected=true]"))
        for name in page.browser.execute_script(CONTROLS):
            # A control lies within the window once it has the focus, and shows it.
            box = page.browser.execute_script(
                "const one = document.getElementById(arguments[0]); if (!one) return null; one.focus();"
                "one.scrollIntoView({ block: 'nearest' }); const box = one.getBoundingClientRect();"
                "return [box.left, box.top, box.right, box.bottom]",
                name,
            )
            if box is not None and name != "tab-panel":
                assert box[0] >= -1 and box[1] >= -1 and box[2] <= 641 and box[3] <= 401, (name, box)
        for chosen, other in (
            ("[role=tab][aria-selected=true]", "[role=tab][aria-selected=false]"),
            ("#speed-presets :checked + span", "#speed-presets :not(:checked) + span"),
        ):
            looks = [
                page.browser.execute_script(
                    "const style = getComputedStyle(document.querySelector(arguments[0]));"
                    "return [style.borderBottomColor, style.backgroundColor, style.color]",
                    selector,
                )
                for selector in (chosen, other)
            ]
            assert looks[0] != looks[1], chosen
    smooth = "return getComputedStyle(document.getElementById('smooth')).backgroundColor"
    pressed = page.browser.execute_script(smooth)
    page.click("smooth")
    page.until(lambda: page.browser.execute_script(smooth) != pressed)
    page.click("smooth")
