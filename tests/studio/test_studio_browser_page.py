"""The page as a whole in Chromium: layout, accessibility, errors, runs in training, and slow models."""

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import serving
from studio_page import BROWSER_MARKS, Page

from styleganv.data.dataset import VideoDataset

pytest.importorskip("selenium", reason="pip install styleganv[dev]")

pytestmark = BROWSER_MARKS


AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
PHONE, DESKTOP, LARGE = (360, 640), (1280, 800), (3840, 2160)


def violations(page: Page) -> list[str]:
    """Return what axe finds on the page as it is now."""
    page.browser.execute_script("if (!window.axe) (0, eval)(arguments[0])", AXE)
    found = page.browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then((result) => done("
        "result.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html)}`)))"
    )
    assert isinstance(found, list)
    return found


@pytest.fixture
def restored(page: Page) -> Iterator[Page]:
    """The page, whose emulated screen ends with the test."""
    yield page
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_axe_finds_nothing_on_any_tab(restored: Page, scheme: str) -> None:
    page = restored
    page.resize(*DESKTOP, prefers_color_scheme=scheme)
    for name in ("explore", "edit", "create", "saved"):
        page.click(f"tab-{name}")
        page.until(lambda name=name: page.find(f"#tab-{name}[aria-selected=true]"))
        assert violations(page) == []
    page.type("?")
    page.until(lambda: page.is_visible("help"))
    assert violations(page) == []
    page.type("\ue00c")  # Escape
    page.click("appearance")
    page.until(lambda: page.is_visible("theme"))
    assert violations(page) == []


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    loaded = page.browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert {Path(name).name for name in loaded} > {"main.js", "player.js", "style.css"}
    assert all(name.startswith(page.url) for name in loaded), loaded
    assert [line for line in page.browser.get_log("browser") if line["level"] == "SEVERE"] == []


@pytest.mark.parametrize("size", [PHONE, (640, 360), DESKTOP, LARGE])
def test_picture_is_always_visible_and_nothing_overflows(restored: Page, size: tuple[int, int]) -> None:
    page = restored
    page.resize(*size)
    page.click("show-slice")
    page.select("compare-with", 2)
    page.until(lambda: page.phase("second-screen") == "current")
    for name in ("explore", "edit", "create"):
        page.click(f"tab-{name}")
        page.until(lambda name=name: page.find(f"#tab-{name}[aria-selected=true]"))
        page.browser.execute_script("document.getElementById('tab-panel').scrollTop = 1e6; scrollTo(0, 1e6)")
        for canvas, ratio in (("screen", 1), ("second-screen", 2)):
            box = page.browser.execute_script(
                "const box = document.getElementById(arguments[0]).getBoundingClientRect();"
                "return [box.left, box.top, box.right, box.bottom]",
                canvas,
            )
            width, height = box[2] - box[0], box[3] - box[1]
            assert box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]
            assert abs(width / height - ratio) < 0.05
            assert width > 0.2 * min(size)
        # An element that scrolls sideways, but the filmstrip, or one beyond the right edge.
        overflow = page.browser.execute_script(
            "const right = document.documentElement.clientWidth;"
            "return [...document.querySelectorAll('html, body *')].filter((one) => one.checkVisibility() && "
            "!one.closest('#seeds') && "
            "(one.getBoundingClientRect().right > right + 1 || one.clientWidth && one.scrollWidth > one.clientWidth + 1"
            "&& !['hidden', 'clip'].includes(getComputedStyle(one).overflowX)))"
            ".map((one) => one.id || one.outerHTML)"
        )
        assert overflow == []
    page.click("show-slice")


def test_appearance_follows_the_system_until_it_is_chosen(restored: Page) -> None:
    page = restored

    def is_dark() -> bool:
        color = page.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", color)[:3])) < 200

    def has_backdrop() -> bool:
        return bool(page.find(".backdrop"))

    page.resize(*DESKTOP, prefers_color_scheme="dark", prefers_reduced_motion="no-preference")
    page.until(lambda: is_dark() and has_backdrop())
    page.resize(*DESKTOP, prefers_color_scheme="light", prefers_reduced_motion="reduce")
    page.until(lambda: not is_dark() and not has_backdrop())
    page.click("appearance")
    page.until(lambda: page.is_visible("theme"))
    page.find("#theme [value=dark]")[0].click()
    page.find("#motion [value=full]")[0].click()
    page.until(lambda: is_dark() and has_backdrop())
    page.browser.refresh()
    page.until(lambda: page.find("#screen"))
    assert is_dark() and has_backdrop()
    page.browser.execute_script("localStorage.clear()")


def test_errors_stand_next_to_their_controls_until_corrected(browser: Any, models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    with serving(models[:1]) as (process, url):
        page = Page(browser, url)
        page.click("project-clip")
        page.until(lambda: page.find("#project-clip + .error")[0].text == "No video file selected: choose one.")
        page.get("clip").send_keys(str(tmp_path / "broken.mp4"))
        page.until(lambda: not page.errors())
        page.click("project-clip")
        page.until(lambda: page.find("#job-1 .job-status.error"), 60)
        assert page.text("jobs").startswith("Clip broken.mp4\nCannot read broken.mp4 ")
        page.click("edit-by-text")
        page.until(lambda: "The text must be one line of 1 to 200" in page.find("#edit-by-text + .error")[0].text)
        page.record()
        page.until(lambda: len(page.recorded()) > 10)  # Playback goes on.
        page.get("text").send_keys("red")
        page.until(lambda: not page.find("#edit-by-text + .error")[0].text)

        page.set("seed", "three")
        page.until(lambda: "Enter a whole number" in page.error("content"))
        assert page.get("seed").get_attribute("aria-invalid") == "true"
        assert page.address.get("content", "0") == "0"
        page.set("seed", "3")
        page.until(lambda: not page.errors() and page.phase() == "current")
        page.set("time", 1e9)  # beyond the resolution of the model
        page.until(lambda: "Motion time must be" in page.error("time"))
        assert page.phase() == "stale" and "Motion time must be" in page.text()
        page.set("psi", 0.9)  # Another control does not correct it.
        page.until_message("Motion time must be")
        assert "Motion time must be" in page.error("time") and not page.error("psi")
        page.set("time", -1)
        page.until(lambda: "0 or later" in page.error("time"))
        page.set("time", 0)
        page.until(lambda: not page.errors() and not page.text())
        process.terminate()
        page.until_message("Cannot reach the studio")
        assert page.phase() == "stale"


def test_run_shows_its_training_and_its_real_videos(browser: Any, finished_run: Path, faces: Path) -> None:
    with serving([finished_run]) as (_, url):
        page = Page(browser, url)
        page.click("play")
        page.set("time", 0)
        page.select("compare-with", f"real: {faces.name}")
        page.set("seed", 3)
        page.until_shows(VideoDataset(faces).read(3, [0])[0].transpose(1, 2, 0), "second-screen")
        page.click("tab-training")
        page.until(lambda: page.find("#training") and "16 clips" in page.text("training"))
        page.until(lambda: page.get("snapshot-image").get_property("naturalWidth") > 100)
        assert violations(page) == []
        page.select("model", 1)  # A dataset has no training.
        page.until(lambda: not page.find("#tab-training"))


@contextmanager
def slow_down(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Stop a process for ten elevenths of the time."""
    is_done = threading.Event()

    def pause() -> None:
        while not is_done.is_set():
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.2)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.02)

    thread = threading.Thread(target=pause)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


@pytest.mark.long
def test_slow_model_shows_fewer_frames_at_equal_distances(models: list[Path], browser: Any) -> None:
    with serving(models[:1]) as (process, url):
        page = Page(browser, url)
        page.record()

        def step(least: float, most: float) -> float | None:
            """Return the distance between the latest frames if it is constant and within the bounds."""
            steps = np.diff(page.recorded(13)[:, 1])
            is_even = len(steps) == 12 and np.ptp(steps) < 1e-6 and least < steps[0] < most
            return float(steps[0]) if is_even else None

        with slow_down(process):
            slow = page.until(lambda: step(0.045, 1), 40)  # 25 fps are 0.04 s apart.
        page.until(lambda: step(0, slow - 0.005), 40)
