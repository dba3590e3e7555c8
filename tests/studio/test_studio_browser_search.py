"""A search in Chromium: a clip is projected, stopped early, and becomes a source of content."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import serving
from studio_page import BROWSER_MARKS, Page, frame

from styleganv.editing.latents import load_latents
from styleganv.studio.studio_model import SearchResult, StudioModel

pytest.importorskip("selenium", reason="pip install styleganv[dev]")
from selenium.webdriver.common.keys import Keys

pytestmark = [*BROWSER_MARKS, pytest.mark.slow]


def buttons(page: Page, job: int) -> Callable[[str], Any]:
    """Return a function that waits for the buttons of a job."""
    return lambda name: page.until(lambda: page.find(f"#job-{job} [data-action={name}]"), 120)[0]


@pytest.mark.long
def test_projected_clip_is_stopped_shown_edited_and_compared(
    browser: Any, models: list[Path], clip_model: Path, video: Path, tmp_path: Path
) -> None:
    with serving(models, "--clip-model", str(clip_model)) as (_, url):
        page = Page(browser, url)
        page.click("play")
        page.get("clip").send_keys(str(video))
        page.set("clip-seconds", 1)
        page.select("num-steps", "600 (thorough)")
        page.set("seed", 3)
        page.set("psi", 0.6)
        page.click("mix")
        page.click("project-clip")
        button = buttons(page, 1)
        button("stop")
        assert page.text("activity").startswith(f"Clip {video.name}: projecting")
        assert 0 <= page.find("#job-1 progress")[0].get_property("value") < 1
        page.set("text", "red")
        page.click("edit-by-text")
        waiting = buttons(page, 2)
        page.until(lambda: [each.text for each in page.find("#job-2 .job-status")] == ["Waiting"])
        waiting("cancel").click()
        page.until(lambda: not page.find("#job-2"))
        button("stop").click()
        button("show")
        assert json.loads(page.fetch("api/jobs"))[0]["state"] == "done"

        # The result is shown with its motion, and without the edits of the seed.
        page.until(lambda: page.address.get("content") == "result-1")
        assert not page.find("#columns") and not page.is_checked("mix")
        page.get("source")
        page.until(lambda: page.selected("source") == f"Clip {video.name}")
        assert page.is_checked("own-motion") and not page.find("#activity:not([hidden])")
        model = result_model(models[0], page.fetch("api/jobs/1/latents.safetensors"), tmp_path / "latents.safetensors")
        page.set("time", 0.4)
        page.until_shows(frame(model, 0.4, content="result-1", motion=None))
        page.select("compare-with", 2)
        page.until(lambda: "wide has no result-1" in page.text("second-screen-message"))
        page.select("compare-with", 0)
        page.set("motion-seed", 4)
        page.until_shows(frame(model, 0.4, content="result-1", motion=4))
        assert not page.is_checked("own-motion")
        page.click("own-motion")
        page.set("psi", 0.5)
        page.until_shows(frame(model, 0.4, content="result-1", motion=None, psi=0.5))
        page.click("show-command")
        page.until(lambda: page.find("#command") and "styleganv project" in page.text("command"))
        assert f"'{video.name}' --start 0 --seconds 1 --num-steps 600 --out projection-1" in page.text("command")
        page.click("tab-edit")
        button("compare").click()
        page.until(lambda: page.get("comparison").get_property("currentTime") > 0.2)
        page.find("#comparison-dialog button")[0].click()

        # A new seed replaces the result.
        page.set("seed", 5)
        page.until_shows(frame(model, 0.4, content=5, motion=4, psi=0.5))
        assert page.is_visible("columns")

        page.get("text").send_keys("a red bar", Keys.ENTER)
        buttons(page, 3)("cancel").click()
        page.until(lambda: not page.find("#job-3"))


def result_model(model: Path, latents: bytes, file: Path) -> StudioModel:
    """Return a model with these downloaded latents as search result 1."""
    file.write_bytes(latents)
    studio_model = StudioModel(model)
    studio_model.search_results[1] = SearchResult("", load_latents(studio_model.generator, file), "", ())
    return studio_model
