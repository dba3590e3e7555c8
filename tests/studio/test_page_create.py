"""The tab Create in Chromium: timelines, project files, and the queue of exports."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_page import BROWSER_MARKS, Page, module
from test_studio_browser_page import restored, violations

from styleganv.studio.studio_model import StudioModel
from styleganv.timeline.project import parse_project
from styleganv.timeline.timeline import Timeline

pytest.importorskip("selenium", reason="pip install styleganv[dev]")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

__all__ = ["restored"]
pytestmark = BROWSER_MARKS

#: A project with a track of each kind that runs smoothly.
PROJECT = """
model: one
seconds: 2
fps: 25
start: 1.5
keyframes:
  - {time: 0, content: 3, motion: 5, psi: 1}
  - {time: 1, content: "3@0.5,8@0.5", psi: 0.3, speed: 2}
  - {time: 2, content: 8, motion: 6}
"""


def timeline_frame(model: StudioModel, values: dict[str, Any], start: float) -> np.ndarray:
    return next(model.frames(Timeline.from_json(values), start=start, fps=25))


def line_of(page: Page) -> dict[str, Any]:
    """Return the timeline under edit."""
    line = page.browser.execute_async_script(
        f"const done = arguments[0]; {module('core/timeline')}.then((all) => done(all.timeline.peek()))"
    )
    assert isinstance(line, dict)
    return line


def times(page: Page) -> list[float]:
    return [keyframe["time"] for keyframe in line_of(page)["keyframes"]]


def marks(page: Page, kind: str = "keyframe") -> list[Any]:
    return page.find(f"#keyframes .{kind}")


@pytest.fixture
def line_page(page: Page) -> Iterator[Page]:
    yield page
    page.browser.get("about:blank")  # an entry of the history without a timeline


def test_keyframes_by_pointer_and_keyboard(line_page: Page, studio_model: StudioModel) -> None:
    page = line_page
    page.set("seed", 3)
    page.set("time", 1.5)
    page.type("k")  # starts a timeline
    page.until(lambda: marks(page))
    page.set("export-seconds", 2)
    page.set("timeline", 0.99)
    page.type("k")
    assert times(page) == [0, 1]  # on a frame
    page.set("seed", 8)
    page.set("psi", 0.3)
    page.until(lambda: line_of(page)["keyframes"][1]["psi"] == 0.3)
    expected = {
        "seconds": 2,
        "start": 1.5,
        "keyframes": [{"content": 3, "motion": 0}, {"time": 1, "content": 8, "psi": 0.3}],
    }
    expected["keyframes"][0]["psi"] = 1
    page.until_shows(timeline_frame(studio_model, expected, 1.0))
    page.set("timeline", 0.4)
    page.until_shows(timeline_frame(studio_model, expected, 0.4))
    page.until(lambda: 0.3 < float(page.value("psi")) < 1)  # Controls follow the tracks.
    page.type("[")  # selects the first one
    page.until_shows(timeline_frame(studio_model, expected, 0))
    assert page.value("seed") == "3" and page.value("psi") == "1"

    ActionChains(page.browser).drag_and_drop_by_offset(marks(page)[1], 150, 0).perform()
    page.until(lambda: times(page)[1] > 1.05)
    assert abs(times(page)[1] * 25 - round(times(page)[1] * 25)) < 1e-3
    moved = times(page)[1]
    page.type(Keys.ARROW_LEFT)
    page.type(Keys.ARROW_LEFT, modifier=Keys.SHIFT)
    page.until(lambda: abs(times(page)[1] - (moved - 0.44)) < 1e-6)
    page.type("d")
    assert len(times(page)) == 3
    page.type(Keys.DELETE)
    assert len(times(page)) == 2
    page.rest()
    psi_marks = [one for one in marks(page, "diamond") if one.get_attribute("aria-label").startswith("Psi")]
    psi_marks[1].click()
    page.type(Keys.DELETE)
    page.until(lambda: "psi" not in line_of(page)["keyframes"][1])
    page.type("u")
    page.until(lambda: "psi" in line_of(page)["keyframes"][1])
    page.type("U")
    page.until(lambda: "psi" not in line_of(page)["keyframes"][1])
    page.browser.refresh()
    page.until(lambda: marks(page) and page.time() is not None)
    assert len(times(page)) == 2
    page.click("close-timeline")
    page.until(lambda: not marks(page))


def test_project_file_opens_plays_and_saves(line_page: Page, studio_model: StudioModel, tmp_path: Path) -> None:
    page, path = line_page, tmp_path / "mine.yaml"
    path.write_text(PROJECT + "  - {time: 3, content: 8, speeed: 2}\n")
    page.get("project-file").send_keys(str(path))
    page.until(lambda: page.error("project") == "Keyframe 4: Unknown key 'speeed': did you mean speed?")
    path.write_text(PROJECT.replace("content: 8", "content: edit.safetensors"))
    page.get("project-file").send_keys(str(path))
    page.until(lambda: "Keyframe 3: content: Unknown content or motion edit.safetensors" in page.error("project"))
    path.write_text(PROJECT)
    page.get("project-file").send_keys(str(path))
    page.until(lambda: len(marks(page)) == 3)
    assert not page.error("project")
    import yaml

    project = parse_project(yaml.safe_load(PROJECT))
    for start in (0, 0.52, 2):
        page.set("timeline", start)
        page.until_shows(next(studio_model.frames(project.timeline, start=start, fps=25)))
    page.rest()
    page.click("export-loop")  # in which a keyframe at the end would be at the start
    page.until(lambda: line_of(page)["loop"])
    assert times(page) == [0, 1, 1.96]
    page.set("export-seconds", 1.5)
    page.until(lambda: "The last keyframe is at 1.96 s" in page.error("seconds"))
    page.browser.back()
    page.until(lambda: not line_of(page).get("loop"))
    # The file that is saved describes the same timeline.
    page.browser.execute_script(
        "const create = URL.createObjectURL; URL.createObjectURL = (blob) => {"  # also called for pictures
        "if (blob.type.includes('yaml')) blob.text().then((text) => { window.saved_ = text; }); return create(blob); };"
    )
    page.click("save-project")
    saved = page.until(lambda: page.browser.execute_script("return window.saved_"))
    assert parse_project(yaml.safe_load(saved)) == project
    # So does the address, in another window too.
    line, link = line_of(page), page.until(lambda: "timeline" in page.address and page.browser.current_url)
    page.browser.get("about:blank")
    page.browser.get(link)
    page.until(lambda: len(marks(page)) == 3)
    assert line_of(page) == line
    # Playback stays within the timeline.
    page.record()
    page.click("play")
    page.until(lambda: np.any(np.diff(page.recorded()[:, 1]) < -1))
    assert page.recorded()[:, 1].max() <= 2
    page.click("play")


@pytest.mark.parametrize("damage", ["bm90IGpzb24", "eyJrZXlmcmFtZXMiOlt7fV19", "%00%ff"])
def test_damaged_timeline_in_an_address_is_one_sentence(line_page: Page, damage: str) -> None:
    page = Page(line_page.browser, line_page.url, f"?play=0&tab=create&timeline={damage}")
    page.until(lambda: "The timeline in the address is damaged" in page.errors())
    assert not marks(page)


@pytest.mark.long
def test_seamless_loop_and_its_export(line_page: Page, studio_model: StudioModel) -> None:
    page = line_page
    page.set("seed", 4)
    page.set("export-seconds", 1)
    page.click("export-loop")
    expected = {"seconds": 1, "loop": True, "keyframes": [{"content": 4, "motion": 0}]}
    page.until_shows(timeline_frame(studio_model, expected, 0))
    page.control_clock()
    page.record()
    page.click("play")
    # It goes on beyond the seam, without a jump: 30 frames last longer than the loop. At first, a busy machine may show
    # fewer frames.
    page.until(lambda: len(page.recorded()) > 30 and np.ptp(np.diff(page.recorded(30)[:, 1])) < 1e-6)
    assert np.diff(page.recorded()[:, 1]).min() > 0 and page.recorded()[-1, 1] > 1.1
    page.click("play")
    page.set("psi", 0.5)  # Controls change the loop.
    page.until(lambda: line_of(page)["keyframes"][0]["psi"] == 0.5)
    assert float(page.get("timeline").get_property("max")) == 1
    page.select("export-format", "WebM (VP9)")
    page.select("export-scale", "2×")
    page.click("export")
    page.until(lambda: page.find("#exports [data-action=download]"), 60)
    page.until(lambda: page.find("#exports video")[0].get_property("duration"))
    video = page.find("#exports video")[0]
    assert (video.get_property("videoWidth"), video.get_property("duration")) == (64, 1)
    page.click("close-timeline")
    page.until(lambda: not marks(page))
    page.click("tab-create")
    page.find("#exports [data-action=restore]")[0].click()  # the state that it was started from
    page.until(lambda: marks(page))
    assert line_of(page)["loop"] and line_of(page)["keyframes"][0]["psi"] == 0.5


@pytest.mark.long
def test_plain_video_is_exported_and_canceled(line_page: Page) -> None:
    page = line_page
    page.set("seed", 2)
    page.set("export-seconds", 0.2)
    page.click("show-command")
    page.until(lambda: any("styleganv edit one --out video.mp4 --seed 2" in one.text for one in page.find("#command")))
    page.click("export")
    page.until(lambda: any("seed-2" in one.text for one in page.find("#exports .job-name")))
    num_jobs = len(page.find("#exports .job"))
    page.set("export-seconds", 3600)
    page.click("export")
    page.until(lambda: len(page.find("#exports .job")) > num_jobs)
    page.find("#exports [data-action=cancel]")[0].click()
    page.until(
        lambda: page.find("#exports [data-action=download]") and not page.find("#exports [data-action=cancel]"), 60
    )
    page.set("export-seconds", 1e9)
    page.click("export")
    page.until(lambda: "expected a number from 0.01 to 86400" in page.errors())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_timeline_on_desktop_and_phone(restored: Page, scheme: str, tmp_path: Path) -> None:
    page = restored
    (tmp_path / "mine.yaml").write_text(PROJECT)
    page.get("project-file").send_keys(str(tmp_path / "mine.yaml"))
    page.until(lambda: len(page.find("#keyframes .keyframe img")) == 3)
    for size in ((1280, 800), (390, 844)):
        page.resize(*size, prefers_color_scheme=scheme)
        page.until(lambda: page.get("screen").rect["height"] > 100)
        page.browser.save_screenshot(f"/tmp/create_{size[0]}_{scheme}.png")
        assert violations(page) == []
        boxes = [one.rect for one in marks(page)]
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= size[0] for box in boxes)
        assert all(a["x"] < b["x"] for a, b in pairwise(boxes))
        right = page.browser.execute_script("return document.documentElement.scrollWidth")
        assert right <= size[0]
    page.browser.get("about:blank")
