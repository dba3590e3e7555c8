"""The parts that explore and edit: filmstrip, map, walk, favorites, recent states, mixing, comparison; in Chromium."""

from pathlib import Path
from typing import Any

import pytest
from serving import serving
from studio_page import BROWSER_MARKS, Page, frame

from styleganv.studio.studio_model import StudioModel

pytest.importorskip("selenium", reason="pip install styleganv[dev]")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

pytestmark = BROWSER_MARKS


def is_loaded(page: Page, selector: str, frames: int = 1) -> bool:
    """Return whether a thumbnail shows a picture of this many frames of 32×32, and nothing older."""
    return bool(
        page.browser.execute_script(
            "const box = document.querySelector(arguments[0] + ' .thumbnail'), image = box?.querySelector('img');"
            "return image && !box.matches('.old') && image.naturalWidth === 32 * arguments[1];",
            selector,
            frames,
        )
    )


def drag(page: Page, *points: tuple[Any, float, float]) -> None:
    """Press at the first point and move to the others: elements, and offsets from their centers in pixels."""
    actions = ActionChains(page.browser, duration=20)
    for i, (element, x, y) in enumerate(points):
        actions.move_to_element_with_offset(element, x, y)
        if i == 0:
            actions.click_and_hold()
    actions.release().perform()


def texts(page: Page, selector: str) -> list[str]:
    return [one.text for one in page.find(selector)]


def test_filmstrip_selects_neighboring_seeds(page: Page, studio_model: StudioModel) -> None:
    page.until(lambda: is_loaded(page, "[data-seed='2']"))
    assert not page.find("[data-seed='24'] img")  # out of sight
    picture = page.find("[data-seed='2'] img")[0]
    assert picture.value_of_css_property("animation-name") == "none"
    page.resize(1280, 1100, prefers_reduced_motion="no-preference")
    page.until(lambda: is_loaded(page, "[data-seed='2']", frames=8))
    assert picture.value_of_css_property("animation-name") == "sprite"
    page.resize(1280, 1100, prefers_reduced_motion="reduce")
    page.until(lambda: is_loaded(page, "[data-seed='2']"))
    assert picture.value_of_css_property("animation-name") == "none"
    page.resize(1280, 1100)
    page.find("[data-seed='3']")[0].click()
    page.until_shows(frame(studio_model, content=3))
    page.type(".")
    page.until(lambda: page.address["content"] == "4")
    page.find("#filmstrip-kind label")[1].click()
    page.find("[data-seed='2']")[0].click()
    page.until_shows(frame(studio_model, content=4, motion=2))
    page.type(Keys.TAB)  # leaves the list, which is one stop
    page.type(Keys.TAB, modifier=Keys.SHIFT)
    page.type(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    page.until(lambda: page.address["motion"] == "3" and page.time() == 0)
    page.set("motion-seed", 100000)
    page.until(
        lambda: is_loaded(page, "[aria-selected=true]") and page.find("[data-seed='100000'][aria-selected=true]")
    )
    page.browser.execute_script("document.getElementById('seeds').scrollLeft = 0")
    page.until(lambda: page.find("[data-seed='99970']"))  # More are added.
    page.click("motion-seed-lock")
    page.find("[data-seed='99990']")[0].click()
    page.until(lambda: page.text("toast") == "Motion is locked.")
    assert page.address["motion"] == "100000"
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_point_on_the_map_is_the_content(page: Page, studio_model: StudioModel) -> None:
    def point() -> list[float]:
        text = page.get("map-point").get_attribute("aria-valuetext")
        return [float(part.split()[0]) for part in text.split(",")]

    page.set("seed", 5)
    page.until(lambda: page.find("#map .thumbnail")[0].find_elements("css selector", "img"))
    assert len(page.find("#map .thumbnail")) == 49
    page.browser.execute_script("document.getElementById('map').scrollIntoView({block: 'center'})")
    map_ = page.get("map")
    width = map_.size["width"]
    page.rest()
    drag(page, (map_, 0, 0), (map_, width * 0.1, 0), (map_, width * 2 / 7, -width / 7))
    # Thumbnails stand at multiples of 0.5.
    page.until(lambda: point() == pytest.approx([1, 0.5], abs=0.02))
    place = page.value("seed")
    weights = [float(term.partition("@")[2] or 1) for term in place.split(",")]
    assert [term.partition("@")[0] for term in place.split(",")] == ["5", "6", "7"]
    assert sum(weight**2 for weight in weights) == pytest.approx(1, abs=1e-3)
    assert [weight / weights[0] for weight in weights] == pytest.approx([1, 1, 0.5], abs=0.02)
    page.until_shows(frame(studio_model, content=place))
    page.until(lambda: page.address["content"] == place)
    page.browser.refresh()
    page.until(lambda: page.find("#map-point"))
    assert point() == pytest.approx([1, 0.5], abs=0.02)
    page.browser.execute_script("arguments[0].focus()", page.get("map-point"))
    page.type(Keys.TAB)
    page.type(Keys.TAB, modifier=Keys.SHIFT)
    page.type(Keys.ARROW_LEFT, Keys.ARROW_UP)
    page.until(lambda: point() == pytest.approx([0.9, 0.6], abs=0.02))
    page.rest()
    page.click("map-center")
    page.until(lambda: point() == [0, 0])
    page.until(lambda: len(page.address["content"].split(",")) == 5)
    for _ in range(3):
        page.click("undo")
    page.until(lambda: page.address["content"] == "5")


def test_walk_glides_without_restarts_and_stays_where_it_stops(page: Page, studio_model: StudioModel) -> None:
    page.set("walk-seconds", 2)
    page.until_shows(frame(studio_model))
    page.click("play")
    page.until(lambda: (page.time() or 0) > 0.2)
    epoch = page.get("screen").get_attribute("data-epoch")
    page.click("walk")
    page.until(lambda: page.address.get("content", "").count(",") >= 2)
    assert page.get("screen").get_attribute("data-epoch") == epoch
    page.click("walk")
    page.click("play")
    place = page.value("seed")
    page.set("time", 1)
    page.until_shows(frame(studio_model, 1.0, content=place))
    page.until(lambda: page.address["content"] == place)
    page.click("walk")
    page.set("seed", 3)  # Another choice ends the walk.
    page.until(lambda: page.text("walk") == "Walk")
    page.until(lambda: page.address["content"] == "3")


def test_favorites_are_saved_opened_renamed_and_deleted(page: Page, studio_model: StudioModel) -> None:
    page.set("seed", 6)
    page.set("psi", 0.6)
    page.set("time", 2)
    for name in ("Müller & Söhne", "b" * 100):
        page.click("favorite")
        page.set("favorite-name", name)
        page.find("#save-favorite")[0].click()
        page.until(lambda: not page.find("#favorite-dialog[open]"))
        page.set("psi", 0.5)
    page.click("favorite")
    page.set("favorite-name", "b" * 100)
    page.find("#save-favorite")[0].click()
    page.until(lambda: "already exists in favorites" in page.errors())
    page.type(Keys.ESCAPE)
    page.set("seed", 1)
    page.rest()  # A state counts as recent once it rests.
    page.click("tab-saved")
    page.until(lambda: len(page.find(".favorite")) == 2)
    assert page.browser.execute_script("return document.body.scrollWidth <= innerWidth")
    page.find("[aria-label='Open Müller & Söhne']")[0].click()
    page.until_shows(frame(studio_model, 2.0, content=6, psi=0.6))
    field = page.find("[aria-label^='Name of M']")[0]
    page.browser.execute_script("arguments[0].value = '../x'; arguments[0].dispatchEvent(new Event('change'))", field)
    page.until(lambda: "must not contain '/'" in page.errors())
    field.clear()
    field.send_keys("a", Keys.ENTER)
    page.until(lambda: page.find("[aria-label='Open a']"))
    page.find("[aria-label='Copy command of a']")[0].click()
    page.until(
        lambda: page.text("toast").startswith(("Command copied", "Copy this command: styleganv render favorites/a."))
    )
    page.find("[aria-label='Delete a']")[0].click()
    page.until(lambda: len(page.find(".favorite")) == 1)
    page.find("#toast-action")[0].click()
    page.until(lambda: len(page.find(".favorite")) == 2)
    for _ in range(2):
        page.find("[aria-label^=Delete]")[0].click()
    page.browser.refresh()  # does not wait for the end of the toasts
    page.until(lambda: page.find("#tab-saved"))
    page.click("tab-saved")
    page.until(lambda: "The heart above" in texts(page, "#tab-panel")[0])
    page.until(lambda: len(page.find("#recent button")) >= 4)
    page.find("#recent button")[-1].click()
    page.until(lambda: page.address.get("content") is None)


def test_layers_are_painted(page: Page, studio_model: StudioModel) -> None:
    page.click("mix-add")
    page.set("mix-seed-2", 9)
    drag(page, (page.get("mix-0-1"), 0, 0), (page.get("mix-0-2"), 0, 0), (page.get("mix-0-3"), 0, 0))
    page.until_shows(frame(studio_model, mix="1:1-3"))
    drag(page, (page.get("mix-1-3"), 0, 0), (page.get("mix-1-4"), 0, 0))  # takes one from the other row
    page.until_shows(frame(studio_model, mix="1:1-2;9:3-4"))
    drag(page, (page.get("mix-0-1"), 0, 0), (page.get("mix-0-2"), 0, 0))
    page.set("mix-amount-2", 0.4)
    page.until_shows(frame(studio_model, mix="9:3-4@0.4"))
    page.browser.execute_script("arguments[0].focus()", page.get("mix-1-0"))
    page.type(Keys.TAB)
    page.type(Keys.TAB, modifier=Keys.SHIFT)
    page.type(Keys.ARROW_RIGHT, " ")
    page.until(lambda: page.address["mix"] == "9:1,3-4@0.4" and page.address["play"] == "0")
    page.browser.refresh()
    page.until(lambda: page.find("#mix-rows"))
    assert page.value("mix-seed") == "9" and len(page.find("#mix-rows [aria-checked=true]")) == 3


def test_directions_show_what_they_do(page: Page, studio_model: StudioModel) -> None:
    page.click("find-directions")
    page.until(lambda: is_loaded(page, ".direction [aria-label='content 1, minus']"), 60)
    page.find("[aria-label='content 1, plus']")[0].click()
    page.until_shows(frame(studio_model, directions={"content 1": 3}))
    ActionChains(page.browser).double_click(page.get("direction-content-1")).perform()
    page.until(lambda: "dir" not in page.address)


def test_controls_change_either_video_of_a_comparison(page: Page, studio_model: StudioModel) -> None:
    page.select("compare-with", "one")
    page.set("seed", 2)  # of both
    page.until_shows(frame(studio_model, content=2), "second-screen")
    sides = lambda: page.find("#compare-side label")  # noqa: E731
    sides()[2].click()  # B
    page.set("seed", 3)
    page.until_shows(frame(studio_model, content=3))
    page.until_shows(frame(studio_model, content=2), "second-screen")
    left = lambda name: page.get(name).location["x"]  # noqa: E731
    assert left("second-screen") < left("screen")
    page.until(lambda: page.address.get("side") == "b" and page.address.get("content") == "3")
    page.browser.refresh()
    page.until(lambda: page.find("#second-screen"))
    page.until_shows(frame(studio_model, content=2), "second-screen")
    assert page.value("seed") == "3" and left("second-screen") < left("screen")
    page.click("compare-swap")
    page.until_shows(frame(studio_model, content=3), "second-screen")
    page.until_shows(frame(studio_model, content=2))
    page.set("psi", 0.5)
    page.click("compare-copy")
    page.until_shows(frame(studio_model, content=2, psi=0.5), "second-screen")
    sides()[0].click()
    page.set("psi", 0.7)
    page.until_shows(frame(studio_model, content=2, psi=0.7), "second-screen")
    page.select("compare-with", "None")
    page.until(lambda: not page.find("#second-screen") and "side" not in page.address)


def test_phone(page: Page) -> None:
    page.resize(390, 844)
    page.until(lambda: is_loaded(page, "[data-seed='1']"))
    assert page.get("screen").size["height"] > 150
    for tab in ("explore", "edit", "saved"):
        page.click(f"tab-{tab}")
        assert page.browser.execute_script(
            "const panel = document.getElementById('tab-panel');"
            "return panel.scrollWidth <= panel.clientWidth && document.body.scrollWidth <= innerWidth"
        )
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.long
def test_clips_and_found_directions(browser: Any, models: list[Path], video: Path) -> None:
    with serving(models) as (_, url):
        page = Page(browser, url, "?play=0")
        for kind in ("content", "motion"):
            page.get(f"clip-{kind}").send_keys(str(video))
        page.get("direction-score")
        page.until(lambda: page.find(".drop .preview"), 200)  # the best result so far
        page.until(lambda: page.address.get("motion") == "result-2", 300)
        assert page.address["content"] == "result-1" and page.phase() == "current"
        page.select("direction-score", "red")
        page.find("#find-by-score")[0].click()
        page.until(lambda: page.find("[aria-label='Rename red']"), 300)
        page.find("[aria-label='Rename red']")[0].click()
        page.find("#direction-new-name")[0].clear()
        page.find("#direction-new-name")[0].send_keys("warm")
        page.find("#rename-direction")[0].click()
        page.until(lambda: page.find("#direction-warm"))
        page.set("direction-warm", 2)
        page.until(lambda: page.address.get("dir") == "warm:2" and page.phase() == "current" and not page.errors())
