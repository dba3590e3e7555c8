"""The page as a whole in Chromium: layout, accessibility, errors, runs in training, and slow models."""

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


def test_every_control_has_a_name_and_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    nameless = page.browser.execute_script(
        "return [...document.querySelectorAll('input, select, button, canvas, video, progress, a')].filter((one) => "
        "!(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.id)"
    )
    assert nameless == []
    loaded = page.browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert {name.removeprefix(page.url) for name in loaded} > {"page/main.js", "page/player.js", "page/style.css"}
    assert all(name.startswith(page.url) for name in loaded), loaded
    assert [line for line in page.browser.get_log("browser") if line["level"] == "SEVERE"] == []


@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_the_width_of_phones_and_desktops(page: Page, width: int) -> None:
    page.browser.set_window_size(width, 900)
    time.sleep(0.2)
    # A scrolling element, or one beyond the right edge.
    overflow = page.browser.execute_script(
        "const right = document.documentElement.clientWidth;"
        "return [...document.querySelectorAll('html, body *')].filter((one) => "
        "one.getBoundingClientRect().right > right || one.clientWidth && one.scrollWidth > one.clientWidth + 1)"
        ".map((one) => one.id || one.outerHTML)"
    )
    page.browser.set_window_size(1280, 1100)
    assert overflow == []


def test_errors_are_shown_until_they_are_fixed(browser: Any, models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    with serving(models[:1]) as (process, url):
        page = Page(browser, url)
        page.click("project-clip")
        page.until_message("No video file selected: choose one.")
        page.get("clip").send_keys(str(tmp_path / "broken.mp4"))
        page.click("project-clip")
        page.until(lambda: page.find("#job-1 .job-status.error"), 60)
        assert page.text("jobs").startswith("Clip broken.mp4\nCannot read broken.mp4 ")
        page.click("edit-by-text")
        page.until_message("The text must be one line of 1 to 200 characters, got 0")
        page.record()
        page.until(lambda: len(page.recorded()) > 10)
        assert "The text must be" in page.text()
        page.set("time", 1e9)  # beyond the resolution of the model
        page.until_message("Start time must be")
        page.set("time", 0)
        page.until(lambda: not page.text())
        process.terminate()
        page.until_message("Cannot reach the studio")


def test_run_shows_its_training_and_its_real_videos(browser: Any, finished_run: Path, faces: Path) -> None:
    with serving([finished_run]) as (_, url):
        page = Page(browser, url)
        page.until(lambda: "16 clips" in page.text("training"))
        page.click("play")
        page.set("time", 0)
        page.select("compare-with", f"real: {faces.name}")
        page.set("seed", 3)
        page.until_shows(VideoDataset(faces).read(3, [0])[0].transpose(1, 2, 0), "second-screen")
        page.click("show-training")
        for image in ("curves", "snapshot-image"):
            page.until(lambda name=image: page.get(name).get_property("naturalWidth") > 100)
        assert page.is_visible("training-dialog")


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


@pytest.mark.slow
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
