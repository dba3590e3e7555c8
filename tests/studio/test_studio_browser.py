"""The controls of the page in Chromium: each changes the video as its label says."""

import time
from pathlib import Path

import numpy as np
import pytest
from studio_page import BROWSER_MARKS, Page, frame

from styleganv.studio.studio_model import StudioModel

pytest.importorskip("selenium", reason="pip install styleganv[dev]")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

pytestmark = BROWSER_MARKS


def test_seeds_psi_and_class(page: Page, studio_model: StudioModel) -> None:
    page.until_shows(frame(studio_model))
    page.set("seed", 5)
    page.until_shows(frame(studio_model, content=5))
    page.set("time", 3.0)
    page.until_shows(frame(studio_model, 3.0, content=5))
    page.set("motion-seed", 8)
    page.until_shows(frame(studio_model, 3.0, content=5, motion=8))
    page.set("psi", 0.3)
    page.until_shows(frame(studio_model, 3.0, content=5, motion=8, psi=0.3))
    page.select("class", "class2")
    page.until_shows(frame(studio_model, 3.0, content=5, motion=8, psi=0.3, label=2))
    page.get("psi-value").send_keys(Keys.CONTROL, "a")  # the number next to the slider
    page.get("psi-value").send_keys("0.7")
    page.until_shows(frame(studio_model, 3.0, content=5, motion=8, psi=0.7, label=2))
    ActionChains(page.browser).double_click(page.get("psi")).perform()
    page.until_shows(frame(studio_model, 3.0, content=5, motion=8, label=2))
    page.click("own-motion")
    page.until_shows(frame(studio_model, 3.0, content=5, motion=5, label=2))
    page.click("reset")
    page.until_shows(frame(studio_model, 3.0))
    assert page.value("seed") == "0" and page.value("psi") == "1"


def test_style_mixing(page: Page, studio_model: StudioModel) -> None:
    page.click("mix")
    page.set("mix-seed", 4)
    page.until_shows(frame(studio_model, mix="4:0-3"))
    page.click("mix-0-5")
    page.until_shows(frame(studio_model, mix="4:0-3,5"))
    page.set("mix-amount", 0.5)
    page.until_shows(frame(studio_model, mix="4:0-3,5@0.5"))
    page.click("mix")
    page.until_shows(frame(studio_model))


def test_grid_varies_content_by_column_and_motion_by_row(page: Page, studio_model: StudioModel) -> None:
    page.set("time", 1)
    page.set("columns", 3)
    page.set("rows", 2)
    page.until_shows(frame(studio_model, 1.0, grid=(2, 3)))
    pixels = page.pixels()
    assert pixels.shape == (2 * 32 + 2, 3 * 32 + 4, 3)
    last_cell = frame(studio_model, 1.0, content=2, motion=1)
    assert np.abs(pixels[34:, 68:].astype(float) - last_cell).mean() < 4


@pytest.mark.long
def test_directions_become_sliders(page: Page, studio_model: StudioModel) -> None:
    page.click("find-directions")
    sliders = page.until(lambda: page.find("#directions [type=range]"), 60)
    names = studio_model.direction_names()
    assert {"content 1", "motion 1"} < set(names)
    assert [slider.get_attribute("id") for slider in sliders] == [f"direction-{n.replace(' ', '-')}" for n in names]
    page.set("time", 2)
    for name in ("content 2", "motion 1"):
        page.set(f"direction-{name.replace(' ', '-')}", 4)
        page.until_shows(frame(studio_model, 2.0, directions={name: 4}))
        page.set(f"direction-{name.replace(' ', '-')}", 0)
        page.until_shows(frame(studio_model, 2.0))


def test_playback_continues_from_any_time(page: Page, studio_model: StudioModel) -> None:
    page.set("time", 1_000_000)
    page.until_shows(frame(studio_model, 1_000_000))
    page.click("play")
    page.until(lambda: (page.time() or 0) > 1_000_000.5)
    page.click("play")
    page.set("timeline", 10)
    page.until_shows(frame(studio_model, 10.0))


def test_speed_and_frame_rate(page: Page) -> None:
    """On a clock that waits for the machine."""
    page.set("speed", 0.25)
    page.set("fps", 10)
    page.control_clock()
    page.record()
    page.click("play")
    # At first, a busy machine may show fewer frames.
    page.until(lambda: len(page.recorded()) > 25 and np.ptp(np.diff(page.recorded(25)[:, 1])) < 1e-6)
    page.click("play")
    clock, times = page.recorded(20).T
    time.sleep(0.3)  # the frames ahead of the clock are not drawn
    assert page.time() == times[-1]
    assert np.allclose(np.diff(times), 0.025)  # a tenth of a second at a quarter of the speed
    assert np.ptp(clock - 4 * times) < 1.01 / 60  # each is drawn at the first animation frame at which it is due


def test_paused_page_asks_for_no_animation_frames(page: Page) -> None:
    page.until(lambda: page.phase() == "current")
    page.browser.execute_script(
        "window.numAsked_ = 0; const animate = window.requestAnimationFrame.bind(window);"
        "window.requestAnimationFrame = (callback) => { window.numAsked_ += 1; return animate(callback); };"
    )
    time.sleep(0.3)  # one that was asked for before
    before = page.browser.execute_script("return window.numAsked_")
    time.sleep(0.3)
    assert page.browser.execute_script("return window.numAsked_") == before
    page.click("play")
    page.until(lambda: (page.time() or 0) > 0.2)


def test_locked_seeds_keep_their_values(page: Page) -> None:
    page.set("seed", 3)
    page.set("motion-seed", 4)
    page.click("seed-lock")
    page.click("randomize")
    assert page.value("seed") == "3" and page.value("motion-seed") != "4"
    page.click("motion-seed-lock")
    motion = page.value("motion-seed")
    page.type("c", "m", "s")
    assert not page.get("seed-dice").is_enabled() and not page.get("motion-seed-dice").is_enabled()
    page.get("seed").send_keys("5", Keys.ARROW_UP)
    assert (page.value("seed"), page.value("motion-seed")) == ("3", motion)
    page.click("seed-lock")
    page.click("seed-dice")
    page.until(lambda: page.value("seed") != "3")
    assert page.value("motion-seed") == motion


def test_two_models_play_side_by_side(page: Page, models: list[Path], studio_model: StudioModel) -> None:
    second = StudioModel(models[1])
    page.select("compare-with", 2)
    page.set("seed", 6)
    page.until_shows(frame(studio_model, content=6))
    page.until_shows(frame(second, content=6), "second-screen")
    assert page.pixels("second-screen").shape == (16, 32, 3)
    page.set("time", 2)
    page.click("play")
    page.until(lambda: (page.time() or 0) > 2.3 and (page.time("second-screen") or 0) > 2.3)
    page.click("play")
    assert abs((page.time() or 0) - (page.time("second-screen") or 0)) < 0.3  # in sync
    page.select("model", 1)
    page.set("time", 0)
    page.until_shows(frame(second, content=6))  # the same seeds
    assert not page.find("#class")
    page.select("compare-with", "None")
    assert not page.find("#second-screen")


@pytest.mark.parametrize("rows", [1, 2])
def test_slice_shows_the_middle_row_of_a_video(page: Page, rows: int) -> None:
    """Of a grid with an even number of rows, the middle is a border: it shows the middle of a video."""
    page.set("rows", rows)
    page.click("show-slice")
    page.set("seed", 1)
    page.until(lambda: page.pixels("slice").any())
    page.click("play")
    page.until(lambda: (page.time() or 0) > 1)
    page.click("play")
    page.until(lambda: page.phase() == "current")
    middle = 16 + 34 * (rows - 1)
    page.until(lambda: np.abs(page.pixels("slice")[-1].astype(float) - page.pixels()[middle]).mean() < 3)
    assert page.pixels("slice").shape == (144, 32, 3)
    assert page.pixels()[middle].std() > 3  # no border
    page.click("show-slice")


def test_shortcuts(page: Page, studio_model: StudioModel) -> None:
    page.type(Keys.ARROW_RIGHT)
    page.until_shows(frame(studio_model, 1.0))
    page.type(Keys.ARROW_RIGHT, modifier=Keys.SHIFT)
    page.until_shows(frame(studio_model, 11.0))
    page.type("0")
    page.until_shows(frame(studio_model))
    page.type("c")
    assert page.value("seed") != "0"
    page.type("x")
    assert page.is_visible("slice-figure")
    page.type("x")
    page.until(lambda: not page.find("#slice-figure"))
    page.type("?")
    page.until(lambda: page.is_visible("help"))
    for text in ("Play or pause", "Randomize content", "Undo", "x–t slice"):
        assert text in page.text("help")
    page.type(Keys.ESCAPE)
    page.until(lambda: not page.is_visible("help"))
    page.type(" ")
    assert page.get("play").get_attribute("aria-label") == "Pause"


@pytest.mark.long
def test_shortcuts_work_after_any_control_was_clicked(page: Page) -> None:
    page.click("psi")  # in the middle of its track
    page.until(lambda: page.value("psi") == "0.75")
    page.type(Keys.ARROW_RIGHT)
    page.until(lambda: page.time() == 1)
    assert page.value("psi") == "0.75"
    page.browser.execute_script("document.getElementById('compare-with').focus()")
    page.type("0")
    page.until(lambda: page.time() == 0)
    page.click("play")
    page.type(" ")
    assert page.get("play").get_attribute("aria-label") == "Play"
    page.click("own-motion")
    page.type(" ")
    assert page.get("play").get_attribute("aria-label") == "Pause" and page.is_checked("own-motion")
    page.type(" ")
    # Text is entered, not taken as shortcuts.
    page.set("time", 2)
    page.until(lambda: page.time() == 2)
    page.get("seed").send_keys(Keys.CONTROL, "a")
    page.get("seed").send_keys("70")
    page.until(lambda: page.address.get("content") == "70")
    page.until(lambda: page.phase() == "current")
    assert page.time() == 2


def test_controls_reached_by_the_tab_key_keep_their_keys_and_show_their_focus(page: Page) -> None:
    page.click("own-motion")
    page.type(Keys.TAB)  # the slider of psi
    assert page.browser.switch_to.active_element.get_attribute("id") == "psi"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.browser.execute_script(outline) == "solid"
    page.type(Keys.ARROW_LEFT)
    page.until(lambda: page.value("psi") == "0.95")
    page.until(lambda: page.time() == 0)  # The keys of the transport would have moved it.
    page.type("c")  # a slider needs no letters
    page.until(lambda: page.value("seed") != "0")


def test_command_has_the_settings_of_the_page(page: Page) -> None:
    page.set("seed", 5)
    page.set("psi", 0.5)
    page.set("time", 2)
    page.click("show-command")
    command = page.until(lambda: page.find("#command") and page.text("command"))
    assert " --seed 5 --motion-seed 0 --psi 0.5 " in command
    assert command.endswith(" --start 2 --seconds 4 --fps 25")
    page.set("export-seconds", 3)
    page.until(lambda: not page.find("#command"))  # that of another video
