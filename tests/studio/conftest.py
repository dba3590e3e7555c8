"""Models, one server and one browser, shared by all tests of the studio."""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import open_browser, serving
from studio_page import Page
from tiny import save
from trained_models import trained_clip

from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.media import writing
from styleganv.studio.jobs import JobManager
from styleganv.studio.studio_model import StudioModel


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two random models: 32×32 with three classes, and 16×32."""
    folder = tmp_path_factory.mktemp("models")
    return [save(folder / "one", height=32, width=32, num_classes=3), save(folder / "wide", width=32)]


@pytest.fixture(scope="session")
def studio_model(models: list[Path]) -> StudioModel:
    return StudioModel(models[0])


@pytest.fixture(scope="session")
def clip_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained CLIP."""
    return trained_clip(tmp_path_factory.mktemp("clip") / "clip", 1)


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of a drawn face, in a file whose name has a space."""
    path = tmp_path_factory.mktemp("video") / "my holiday.mp4"
    frames = draw_video(sample_face(np.random.default_rng(5)), 5, num_frames=25, height=48, width=64)
    writing.write_video(path, iter(frames), 25)
    return path


@pytest.fixture(scope="session")
def url(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of one studio of both models."""
    with serving(models, "--favorites", str(tmp_path_factory.mktemp("saved") / "favorites")) as (_, url):
        yield url


@pytest.fixture(scope="session")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV of 4 s with a click of 10 ms every half second, the first one at 0.25 s."""
    time = np.arange(4 * 48_000) / 48_000
    sound = np.where((time - 0.25) % 0.5 < 0.01, 0.8 * np.sin(2 * np.pi * 1000 * time), 0)
    path = tmp_path_factory.mktemp("sound") / "clicks.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, len(sound), "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="session")
def browser(clicks: Path) -> Iterator[Any]:
    """Chromium, whose microphone hears clicks."""
    microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    microphone.append(f"--use-file-for-fake-audio-capture={clicks}")
    # Animations take a quarter of the computing time, and are tested where a page asks for them.
    flags = ["--window-size=1280,1100", "--force-prefers-reduced-motion"]
    driver = open_browser(*flags, *microphone, loggingPrefs={"browser": "ALL"})
    yield driver
    driver.quit()


@pytest.fixture(autouse=True)
def browser_is_clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """The console of the browser has no errors after a test, except of requests that failed on purpose.

    The page is closed, which would otherwise take computing time from other tests, and nothing it stored remains.
    """
    yield
    if "browser" in request.fixturenames:
        browser = request.getfixturevalue("browser")
        if browser.current_url.startswith("http"):
            # A test may have blocked the storage.
            browser.execute_script("try { sessionStorage.clear(); localStorage.clear(); } catch {}")
        lines = browser.get_log("browser")
        browser.get("about:blank")
        errors = [line["message"] for line in lines if line["level"] == "SEVERE" and line["source"] != "network"]
        assert [text for text in errors if "WebSocket connection to" not in text] == []


@pytest.fixture
def page(browser: Any, url: str) -> Page:
    """The page with the first model, paused at its start, in the tab without thumbnails."""
    page = Page(browser, url, "?tab=create")
    page.click("play")
    page.set("time", 0)
    return page


@pytest.fixture
def manager(clip_model: Path) -> Iterator[JobManager]:
    manager = JobManager(clip_model=clip_model)
    yield manager
    manager.close()
