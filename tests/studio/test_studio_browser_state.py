"""The picture is always that of the name above it, and the address is the state of the page; in Chromium."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import serving, serving_here
from studio_page import BROWSER_MARKS, Page, frame

from styleganv.studio.studio_model import StudioModel

pytest.importorskip("selenium", reason="pip install styleganv[dev]")

pytestmark = BROWSER_MARKS


@contextmanager
def stopped(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Stop a process within the block."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def record_heights(page: Page) -> None:
    """Record the heights of all frames that are drawn from now on."""
    page.browser.execute_script(
        "const screen = document.getElementById('screen'); window.heights_ = [];"
        "new MutationObserver(() => window.heights_.push(screen.height))"
        ".observe(screen, { attributeFilter: ['data-epoch'] })"
    )


@pytest.fixture(scope="module")
def wide(models: list[Path]) -> StudioModel:
    return StudioModel(models[1])


def test_no_picture_stands_under_another_name(
    browser: Any, models: list[Path], studio_model: StudioModel, wide: StudioModel
) -> None:
    with serving(models) as (process, url):
        page = Page(browser, url, "?play=0")
        page.until_shows(frame(studio_model))
        with stopped(process):
            page.set("psi", 0.3)
            page.until(lambda: page.phase() == "stale")
            assert page.text() == "Updating…"
            page.until(lambda: float(page.get("screen").value_of_css_property("opacity")) < 0.5)
        page.until_shows(frame(studio_model, psi=0.3))
        page.until(lambda: page.phase() == "current" and not page.text())
        record_heights(page)
        with stopped(process):
            page.set("seed", 5)  # Its answer will be late.
            page.select("model", 1)
            assert page.phase() == "empty" and page.text() == "Loading wide…"
            assert not page.pixels().any() and not page.is_visible("screen")
        page.until_shows(frame(wide, content=5, psi=0.3))
        assert page.phase() == "current" and page.is_visible("screen")
        assert set(page.browser.execute_script("return window.heights_")) == {16}


@pytest.mark.long
def test_models_keep_their_names_when_another_studio_starts(
    browser: Any, models: list[Path], studio_model: StudioModel, wide: StudioModel
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with serving_here(models, port=port) as url:
        page = Page(browser, url, "?model=wide&content=4&play=0&b.model=one")
        page.until_shows(frame(wide, content=4, motion=4))
        page.until_shows(frame(studio_model, content=4, motion=4), "second-screen")
    page.until_message("Cannot reach the studio")
    assert page.phase() == "stale"
    with serving_here(models[::-1], port=port):
        page.until(lambda: page.phase() == "current" and page.phase("second-screen") == "current")
        page.until_shows(frame(wide, content=4, motion=4))
        page.until_shows(frame(studio_model, content=4, motion=4), "second-screen")
        page.set("seed", 6)
        page.until_shows(frame(wide, content=6, motion=6))  # Its motion is that of the content.
    with serving_here(models[:1], port=port):
        page.until_message("wide is not open in this studio: select another model.")
        assert page.phase() == "empty" and not page.pixels().any()
        assert "wide (not open)" in page.selected("model")
        page.select("model", "one (StyleGAN-V, 32×32)")
        page.until_shows(frame(studio_model, content=6, motion=6))


def test_address_restores_the_page(page: Page, studio_model: StudioModel, wide: StudioModel) -> None:
    page.set("seed", 5)
    page.set("psi", 0.5)
    page.select("class", "class2")
    page.set("fps", 10)
    page.set("time", 3)
    page.set("columns", 2)
    page.find("#speed-presets [value='0.25']")[0].click()
    page.select("compare-with", "wide")
    expected = {"content": "5", "motion": "0", "psi": "0.5", "label": "2", "fps": "10", "speed": "0.25", "play": "0"}
    expected |= {"model": "one", "t": "3", "grid": "1x2", "b.model": "wide"}
    page.until(lambda: page.address == expected)
    page.browser.refresh()
    page.until(lambda: page.find("#screen"))
    page.until_shows(frame(studio_model, 3.0, content=5, psi=0.5, label=2, grid=(1, 2)))
    page.until(lambda: page.value("fps") == "10" and page.value("seed") == "5" and page.selected("class") == "class2")
    assert page.get("play").get_attribute("aria-label") == "Play"
    page = Page(page.browser, page.url, "?model=wide&content=7&t=2&play=0&mix=4:2-3@0.5&tab=edit")
    assert (
        page.is_checked("mix")
        and page.value("mix-seed") == "4"
        and len(page.find("[id^=mix-0-][aria-checked=true]")) == 2
    )
    assert page.find("#tab-edit[aria-selected=true]")
    for query, message in (
        ("?content=7@x", "Unknown content or motion 7@x"),
        ("?model=none", "none is not open"),
        ("?label=9", "Unknown class 9"),
        ("?mix=1", "mix must be TERM:LAYERS"),
    ):
        page = Page(page.browser, page.url, f"{query}&play=0")
        page.until_message(message)
        assert page.phase() == "empty"


def test_back_is_undo_and_forward_is_redo(page: Page, studio_model: StudioModel) -> None:
    assert not page.get("undo").is_enabled()
    page.set("seed", 7)
    page.rest()
    page.browser.execute_script(  # one gesture
        "for (const value of [0.9, 0.8, 0.7, 0.6]) {"
        "arguments[0].value = value; arguments[0].dispatchEvent(new Event('input', {bubbles: true})); }",
        page.get("psi"),
    )
    page.until_shows(frame(studio_model, content=7, psi=0.6))
    page.browser.back()
    page.until_shows(frame(studio_model, content=7))
    assert page.value("psi") == "1" and page.value("seed") == "7"
    page.click("undo")
    page.until_shows(frame(studio_model))
    page.until(lambda: not page.get("undo").is_enabled())
    page.click("redo")
    page.until_shows(frame(studio_model, content=7))
    page.browser.forward()
    page.until_shows(frame(studio_model, content=7, psi=0.6))
    page.until(lambda: not page.get("redo").is_enabled() and page.value("psi") == "0.6")
    page.type("u")
    page.until(lambda: page.value("psi") == "1")
    page.rest()
    page.set("seed", 8)  # What was undone cannot be redone.
    page.until(lambda: not page.get("redo").is_enabled())
    page.browser.execute_script("for (let i = 0; i < 9; i += 1) document.getElementById('undo').click()")
    page.until_shows(frame(studio_model))  # and not what was open before the studio
    page.until(lambda: not page.get("undo").is_enabled() and page.get("redo").is_enabled())


def test_link_is_copied_without_the_token(browser: Any, models: list[Path]) -> None:
    with serving_here(models[:1], token="secret") as url:
        page = Page(browser, url, "?token=secret&content=5")
        # A headless browser has no clipboard.
        browser.execute_script("navigator.clipboard.writeText = async (text) => { window.copied_ = text; }")
        page.click("share")
        page.until(lambda: page.text("toast") == "Link copied.")
        link = browser.execute_script("return window.copied_")
        assert link.startswith(f"{url}?model=one&content=5") and "secret" not in link + browser.current_url
        browser.refresh()
        page.until(lambda: page.find("#screen") and page.time() is not None)


def test_pixels_are_shown_on_request(page: Page) -> None:
    assert page.get("screen").value_of_css_property("image-rendering") == "auto"
    page.click("smooth")
    page.until(lambda: page.get("screen").value_of_css_property("image-rendering") == "pixelated")
