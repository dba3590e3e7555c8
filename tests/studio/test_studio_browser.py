"""The studio's page in real Chromium: every control changes the picture as it says."""

import base64
import io
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny as models_of
from numpy.typing import NDArray
from PIL import Image
from serving import CHROMIUM, DRIVER, MISSING, running, serving
from serving import browser as opened

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.editing.latents import open_latents
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.media import writing
from styleganv.runs import train
from styleganv.studio.scene import Scene
from styleganv.studio.stage import Find, Stage

pytest.importorskip("selenium", reason="pip install styleganv[dev]")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER) and "CI" not in os.environ, reason=MISSING),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    return [
        models_of.save(folder / "one", height=32, width=32, num_classes=3),
        models_of.save(folder / "wide", width=32),
    ]


@pytest.fixture(scope="module")
def stage(models: list[Path]) -> Stage:
    return Stage(models[0])


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of the studio: a CLIP that has learned nothing, where there can be one."""
    try:
        from taught import taught_clip
    except ImportError:
        return []
    return ["--clip-model", str(taught_clip(tmp_path_factory.mktemp("clip") / "clip", 1))]


@pytest.fixture(scope="module")
def browser(models: list[Path], words: list[str]) -> Iterator[Any]:
    with running(models, *words) as address:
        driver = opened("--window-size=1280,1100", loggingPrefs={"browser": "ALL", "performance": "ALL"})
        driver.address = address
        yield driver
        driver.quit()


@pytest.fixture
def page(browser: Any) -> "Page":
    browser.get_log("browser")  # what the test before left in it
    browser.get(browser.address)
    page = Page(browser)
    page.until(lambda: page.shown() is not None)
    page.press("play")
    page.set("time", 0)
    return page


class Page:
    """What a person does with the page, and sees."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def get(self, name: str) -> Any:
        return self.browser.find_element(By.ID, name)

    def press(self, name: str) -> None:
        self.get(name).click()

    def set(self, name: str, value: object) -> None:
        """A new value, as by hand: with the events that a person's input has."""
        self.browser.execute_script(
            "arguments[0].value = arguments[1]; for (const kind of ['input', 'change'])"
            "arguments[0].dispatchEvent(new Event(kind, {bubbles: true}));",
            self.get(name),
            str(value),
        )

    def card(self, number: int) -> Callable[[str], Any]:
        """The buttons of a search."""
        self.until(lambda: self.browser.find_elements(By.ID, f"job-{number}"))
        return lambda name: self.browser.find_element(By.CSS_SELECTOR, f"#job-{number} [data-do={name}]")

    def fetched(self, path: str) -> bytes:
        with urllib.request.urlopen(self.browser.address + path) as answer:
            content: bytes = answer.read()
            return content

    def shown(self, canvas: str = "screen") -> str | None:
        """The time of the picture."""
        return self.get(canvas).get_attribute("data-time")

    def pixels(self, canvas: str = "screen") -> NDArray[np.uint8]:
        url = self.browser.execute_script("return arguments[0].toDataURL('image/png')", self.get(canvas))
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))

    def until(self, true: Callable[[], Any], seconds: float = 20) -> Any:
        """What `true` gives once that is something."""
        deadline = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < deadline, self.get("message").text
            time.sleep(0.02)
        return found

    def shows(self, expected: NDArray[np.uint8], canvas: str = "screen") -> None:
        """Within what JPEG changes."""

        def near() -> bool:
            pixels = self.pixels(canvas)
            return pixels.shape == expected.shape and np.abs(pixels.astype(float) - expected).mean() < 3

        self.until(near)


def frame(stage: Stage, at: float = 0.0, **scene: Any) -> NDArray[np.uint8]:
    return next(stage.frames(Scene(**scene), start=at, fps=25))


def test_seeds_psi_and_class(page: Page, stage: Stage) -> None:
    page.shows(frame(stage))
    page.set("seed", 5)
    page.shows(frame(stage, seed=5))
    page.set("time", 3.0)
    page.shows(frame(stage, 3.0, seed=5))
    page.set("motion-seed", 8)
    page.shows(frame(stage, 3.0, seed=5, motion_seed=8))
    page.set("psi", 0.3)
    page.shows(frame(stage, 3.0, seed=5, motion_seed=8, psi=0.3))
    Select(page.get("class")).select_by_visible_text("class2")
    page.shows(frame(stage, 3.0, seed=5, motion_seed=8, psi=0.3, label=2))
    page.press("reset")
    page.shows(frame(stage))
    assert page.get("seed").get_attribute("value") == "0" and page.get("psi").get_attribute("value") == "1"


def test_a_second_content_is_mixed_in(page: Page, stage: Stage) -> None:
    page.press("mix")
    page.set("mix-seed", 4)
    page.set("mix-first", 2)
    page.set("mix-last", 5)
    page.shows(frame(stage, mix=(4, 2, 5, 1.0)))
    page.set("mix-amount", 0.5)
    page.shows(frame(stage, mix=(4, 2, 5, 0.5)))
    page.press("mix-all")
    page.shows(frame(stage, mix=(4, 0, stage.described()["layers"] - 1, 0.5)))
    page.press("mix")
    page.shows(frame(stage))


def test_a_grid_of_contents_and_motions(page: Page, stage: Stage) -> None:
    page.set("time", 1)
    page.set("columns", 3)
    page.set("rows", 2)
    page.shows(frame(stage, 1.0, grid=(2, 3)))
    shown = page.pixels()
    assert shown.shape == (2 * 32 + 2, 3 * 32 + 4, 3)
    one = frame(stage, 1.0, seed=2, motion_seed=1)
    assert np.abs(shown[34:, 68:].astype(float) - one).mean() < 4


def test_directions_become_sliders(page: Page, stage: Stage) -> None:
    page.press("find-directions")
    page.until(lambda: page.browser.find_elements(By.CSS_SELECTOR, "#directions input"), 60)
    sliders = page.browser.find_elements(By.CSS_SELECTOR, "#directions input")
    names = stage.direction_names()
    assert {"content 1", "motion 1"} < set(names)
    assert [slider.get_attribute("id") for slider in sliders] == [f"direction-{n.replace(' ', '-')}" for n in names]
    page.set("time", 2)
    for name in ("content 2", "motion 1"):
        page.set(f"direction-{name.replace(' ', '-')}", 4)
        page.shows(frame(stage, 2.0, moved=((name, 4.0),)))
        page.set(f"direction-{name.replace(' ', '-')}", 0)
        page.shows(frame(stage, 2.0))


def test_any_time_can_be_reached_and_playing_goes_on(page: Page, stage: Stage) -> None:
    page.set("time", 1_000_000)
    page.shows(frame(stage, 1_000_000))
    page.press("play")
    page.until(lambda: float(page.shown() or 0) > 1_000_000.5)
    page.press("play")
    page.set("timeline", 10)
    page.shows(frame(stage, 10.0))


def test_speed_and_rate(page: Page, stage: Stage) -> None:
    page.set("speed", -2)  # a quarter
    page.set("rate", 10)
    page.press("play")
    page.until(lambda: float(page.shown() or 0) > 0.5)
    times = set()
    started = time.monotonic(), float(page.shown() or 0)
    while time.monotonic() - started[0] < 2:
        times.add(float(page.shown() or 0))
        time.sleep(0.01)
    passed = max(times) - started[1]
    assert 0.3 < passed < 0.7, passed
    steps = np.diff(sorted(times))
    assert np.allclose(steps / 0.025, np.round(steps / 0.025), atol=1e-3), steps  # tenths of a second, at a quarter
    page.press("play")


def test_shuffling_keeps_what_is_locked(page: Page) -> None:
    page.set("seed", 3)
    page.set("motion-seed", 3)
    page.press("lock-content")
    page.press("shuffle")
    assert page.get("seed").get_attribute("value") == "3" and page.get("motion-seed").get_attribute("value") != "3"
    page.press("shuffle-content")
    assert page.get("seed").get_attribute("value") != "3"


def test_two_models_play_side_by_side(page: Page, models: list[Path], stage: Stage) -> None:
    Select(page.get("beside")).select_by_index(2)
    page.set("seed", 6)
    page.shows(frame(stage, seed=6))
    page.shows(frame(Stage(models[1]), seed=6), "beside-screen")
    assert page.pixels("beside-screen").shape == (16, 32, 3)
    Select(page.get("model")).select_by_index(1)
    page.shows(frame(Stage(models[1])))
    assert not page.get("class-row").is_displayed()


def test_the_slice_has_the_middle_row_of_every_picture(page: Page) -> None:
    page.press("show-slice")
    page.set("seed", 1)
    page.until(lambda: page.pixels("slice").any())
    page.press("play")
    page.until(lambda: float(page.shown() or 0) > 1)
    page.press("play")
    page.until(lambda: not page.get("message").text)
    time.sleep(0.3)
    shown = page.pixels("slice")
    assert shown.shape == (144, 32, 3)
    assert np.abs(shown[-1].astype(float) - page.pixels()[16]).mean() < 3


def test_keys(page: Page, stage: Stage) -> None:
    body = page.browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.ARROW_RIGHT)
    page.shows(frame(stage, 1.0))
    body.send_keys("0")
    page.shows(frame(stage))
    body.send_keys("c")
    assert page.get("seed").get_attribute("value") != "0"
    body.send_keys("?")
    assert page.get("help").is_displayed()
    body.send_keys(Keys.ESCAPE)
    body.send_keys(" ")
    assert page.get("play").get_attribute("aria-label") == "Pause"


def test_the_command_makes_the_same_video(page: Page) -> None:
    page.set("seed", 5)
    page.set("psi", 0.5)
    page.set("time", 2)
    page.press("show-command")
    page.until(lambda: page.get("command").text)
    told = page.get("command").text
    assert " --seed 5 --motion-seed 0 --psi 0.5 " in told and told.endswith(" --start 2 --seconds 4 --fps 25")


def test_a_clip_is_found_kept_early_and_changed_by_text(
    page: Page, models: list[Path], words: list[str], tmp_path: Path
) -> None:
    drawn = draw_video(sample_face(np.random.default_rng(5)), 5, num_frames=25, height=48, width=64)
    writing.write_video(tmp_path / "my clip.mp4", iter(drawn), 25)
    page.press("in-clip")
    assert page.get("message").text == "Choose a video file first."
    page.get("clip").send_keys(str(tmp_path / "my clip.mp4"))
    page.set("clip-seconds", 1)
    Select(page.get("steps")).select_by_visible_text("thoroughly")
    page.set("seed", 3)
    page.set("psi", 0.6)
    page.press("mix")
    page.press("in-clip")
    card = page.card(1)
    page.until(lambda: card("stop").is_displayed(), 120)
    assert 0 <= float(page.browser.find_element(By.CSS_SELECTOR, "#job-1 progress").get_attribute("value")) < 1
    page.set("text", "red")
    page.press("by-text")
    page.until(lambda: "Another search is running" in page.get("message").text)
    card("stop").click()
    page.until(lambda: card("show").is_displayed(), 60)
    # It is shown by itself, with its motion; from here on it is a content like any other.
    page.until(lambda: Select(page.get("found")).first_selected_option.text == "the clip my clip.mp4")
    assert page.get("own-motion").is_selected() and not page.get("grid-group").is_displayed()
    assert not page.get("mix").is_selected()
    stage, file = Stage(models[0]), tmp_path / "latents.safetensors"
    file.write_bytes(page.fetched("api/jobs/1/latents.safetensors"))
    latents = open_latents(stage.editable_model(), file)
    stage.finds[1] = Find("", latents, "", ())
    page.set("time", 0.4)
    page.shows(frame(stage, 0.4, found=1, motion_seed=None))
    Select(page.get("beside")).select_by_index(2)  # which has not found it
    page.shows(frame(Stage(models[1]), 0.4, seed=3), "beside-screen")
    Select(page.get("beside")).select_by_index(0)
    page.set("motion-seed", 4)
    page.shows(frame(stage, 0.4, found=1, motion_seed=4))
    assert not page.get("own-motion").is_selected()
    page.press("own-motion")
    page.set("psi", 0.5)
    page.shows(frame(stage, 0.4, found=1, motion_seed=None, psi=0.5))
    page.press("show-command")
    page.until(lambda: "styleganv project" in page.get("command").text)
    assert "'my clip.mp4' --start 0 --seconds 1 --num-steps 600 --out projection-1" in page.get("command").text
    card("compare").click()
    page.until(lambda: page.get("comparison").get_property("currentTime") > 0.2)
    page.browser.find_element(By.CSS_SELECTOR, "#comparison-dialog button").click()
    page.set("seed", 5)  # a seed's content again
    page.shows(frame(stage, 0.4, seed=5, motion_seed=4, psi=0.5))
    assert page.get("grid-group").is_displayed()
    page.set("text", "")
    page.press("by-text")
    page.until(lambda: "The text has 0 letters" in page.get("message").text)
    if words:
        page.get("text").send_keys("a red bar", Keys.ENTER)
        page.until(lambda: page.card(2)("cancel").is_displayed())
        page.card(2)("cancel").click()
        page.until(lambda: not page.get("job-2").is_displayed())


def test_what_goes_wrong_is_said(browser: Any, models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    with serving(models[:1]) as (process, address):
        browser.get(address)
        page = Page(browser)
        page.until(lambda: page.shown() is not None)
        page.get("clip").send_keys(str(tmp_path / "broken.mp4"))
        page.press("in-clip")
        page.until(lambda: "broken.mp4 as a video" in page.get("jobs").text, 60)
        assert page.browser.find_elements(By.CSS_SELECTOR, "#job-1 .job-told.error")
        page.press("by-text")
        page.until(lambda: "The text has 0 letters" in page.get("message").text)
        time.sleep(1)  # while pictures come
        assert "The text has 0 letters" in page.get("message").text
        page.set("time", 1e9)  # beyond what a model can tell apart
        page.until(lambda: "cannot start at" in page.get("message").text)
        page.set("time", 0)
        page.until(lambda: not page.get("message").text)
        process.terminate()
        page.until(lambda: "The studio cannot be reached" in page.get("message").text)


def test_every_control_has_a_name_and_nothing_comes_from_outside(page: Page) -> None:
    nameless = page.browser.execute_script(
        "return [...document.querySelectorAll('input, select, button, canvas, video, progress, a')].filter((one) => "
        "!(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.id)"
    )
    assert nameless == []
    loaded = page.browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert loaded and all(name.startswith(page.browser.address) for name in loaded), loaded
    assert [line for line in page.browser.get_log("browser") if line["level"] == "SEVERE"] == []


def test_a_run_shows_its_training_beside_real_videos(
    browser: Any, faces: Path, tiny: RunConfig, tmp_path: Path
) -> None:
    train(faces, tmp_path / "run", tiny)
    with running([tmp_path / "run"]) as address:
        browser.get(address)
        page = Page(browser)
        page.until(lambda: "16 clips" in page.get("training").text)
        page.press("play")
        page.set("time", 0)
        Select(page.get("beside")).select_by_visible_text(f"real: {faces.name}")
        page.set("seed", 3)
        page.shows(VideoDataset(faces).read(3, [0])[0].transpose(1, 2, 0), "beside-screen")
        page.press("show-training")
        for picture in ("curves", "snapshot-picture"):
            page.until(lambda one=picture: page.get(one).get_property("naturalWidth") > 100)
        assert page.get("training-dialog").is_displayed()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_of_a_phone_or_a_screen(page: Page, width: int) -> None:
    page.browser.set_window_size(width, 900)
    time.sleep(0.2)
    wide = page.browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    page.browser.set_window_size(1280, 1100)


@contextmanager
def slowed(process: "subprocess.Popen[str]") -> Iterator[None]:
    """A process that is stopped ten elevenths of the time."""
    ends = threading.Event()

    def slow() -> None:
        while not ends.is_set():
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.2)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.02)

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def test_too_slow_a_model_shows_fewer_pictures_but_evenly(models: list[Path], browser: Any) -> None:
    with serving(models[:1]) as (process, address):
        browser.get(address)
        page = Page(browser)
        page.until(lambda: page.shown() is not None)
        browser.execute_script(
            "const screen = document.getElementById('screen');"
            "window.times = [];"
            "new MutationObserver(() => window.times.push(Number(screen.dataset.time)))"
            ".observe(screen, { attributeFilter: ['data-time'] });"
        )

        def step(least: float, most: float) -> float | None:
            """Seconds of the video between the latest pictures, if those are evenly apart, and within the bounds."""
            steps = np.diff(browser.execute_script("return window.times.slice(-13)"))
            even = len(steps) == 12 and np.ptp(steps) < 1e-6 and least < steps[0] < most
            return float(steps[0]) if even else None

        with slowed(process):
            slow = page.until(lambda: step(0.045, 1), 40)  # 25 a second are 0.04 apart
        page.until(lambda: step(0, slow - 0.005), 40)
