"""The web player in Chromium: it shows the frames of the model, and controls and address say which."""

import base64
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import CHROMIUM, DRIVER, MISSING, open_browser
from numpy.typing import NDArray
from PIL import Image
from tiny import save

from styleganv import noise
from styleganv.errors import StyleganvError
from styleganv.interop import web_player
from styleganv.interop.export import export
from styleganv.label_space import LabelSpace
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator

pytest.importorskip("selenium", reason="pip install styleganv[dev]")
pytestmark = [pytest.mark.long, pytest.mark.browser]
if "CI" not in os.environ:
    pytestmark.append(pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING))
#: Largest difference of a frame from the model's.
MAX_LEVELS = 2
NAMES = ["red", "green", "blue"]
CONDITIONAL = {"num_classes": 3, "height": 8, "width": 12, "slot_distance": 12.3, "motion_kernel": 3}


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with three classes, and its player."""
    folder = tmp_path_factory.mktemp("web")
    save(folder / "mine", NAMES, **CONDITIONAL)
    (folder / "mine" / "README.md").write_text("# mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web_player, "GZIP_LEVEL", 1)
        files = export(folder / "mine", folder / "player", format="web")
    assert [file.path.relative_to(folder / "player").name for file in files] == [
        "mapping.onnx",
        "motion.onnx",
        "synthesis.onnx",
    ]
    assert all(file.path.is_file() for file in files)
    return folder


@pytest.fixture(scope="module")
def video(folder: Path) -> VideoGenerator:
    return load_video_generator(folder / "mine", device="cpu")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """The player at a static web server that knows nothing of it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder / "player"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = open_browser("--window-size=1280,800", loggingPrefs={"browser": "ALL", "performance": "ALL"})
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


class Player:
    """The page in a browser, once it shows a frame."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser = browser
        browser.get(url)
        self.until(lambda: self.time() is not None)
        # In the size of its frames, the screen shows them unchanged.
        self.run("document.getElementById('stage').style = 'flex: none; min-height: 0; width: 12px; height: 8px'")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def time(self) -> float | None:
        time = self.run("return document.getElementById('screen').dataset.time")
        return None if time is None else float(time)

    def query(self) -> str:
        query: str = self.run("return decodeURIComponent(location.search)")
        return query

    def set(self, name: str, value: object) -> None:
        self.run(
            "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
            "for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind));",
            name,
            str(value),
        )

    def click(self, name: str) -> None:
        self.browser.find_element("id", name).click()

    def message(self) -> str:
        text: str = self.browser.find_element("id", "message").text
        return text

    def pixels(self) -> NDArray[np.uint8]:
        url = self.run("return document.getElementById('screen').toDataURL('image/png')")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))

    def until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, (self.message(), self.browser.get_log("browser"))
            time.sleep(0.02)

    def until_shows(self, expected: NDArray[np.uint8]) -> None:
        def is_same() -> bool:
            pixels = self.pixels()
            return pixels.shape == expected.shape and np.abs(pixels.astype(int) - expected).max() <= MAX_LEVELS

        self.until(is_same)


def frame(video: VideoGenerator, seconds: float, **sample: Any) -> NDArray[np.uint8]:
    return video.sample(start=seconds, seconds=0.01, **sample)[0]


#: Frames of the worker at several times, for several views.
WORKER = """
const [views, times] = arguments, done = arguments[arguments.length - 1], answers = [];
const worker = new Worker("worker.js?device=cpu", { type: "module" });
worker.onmessage = ({ data }) => {
  if (data.error ?? data.fatal) done(data.error ?? data.fatal);
  if (!data.pixels) return;
  answers.push([...data.pixels]);
  if (answers.length === views.length) done(answers);
};
for (const view of views) worker.postMessage({ epoch: 1, view, times });
"""


def test_frames_are_those_of_the_model(url: str, browser: Any, video: VideoGenerator) -> None:
    browser.get(url + "card.txt")
    seconds = [0.0, 0.3, 7.77, 1_000_000.0, 1_000_000.5]
    seeds = [(0, 0, 1.0, None), (3, 7, 0.7, "blue"), (2**62 + 1, 5, 0.7, "1"), (4, 4, -0.5, None)]
    views = [
        {"content": str(content), "motion": None if motion == content else str(motion), "psi": psi, "label": label}
        for content, motion, psi, label in seeds
    ]
    for times in (seconds[:3], seconds[3:]):
        answers = browser.execute_async_script(WORKER, views, [t * video.fps for t in times])
        assert isinstance(answers, list), answers
        for (content, motion, psi, label), answer in zip(seeds, answers, strict=True):
            frames = np.array(answer).reshape(len(times), 8, 12, 4)
            sample = {"seed": content, "motion_seed": motion, "psi": psi, "label": label}
            expected = np.stack([frame(video, t, **sample) for t in times])
            assert np.abs(frames[..., :3] - expected.astype(int)).max() <= MAX_LEVELS
            assert (frames[..., 3] == 255).all() and np.ptp(expected) > 50


def test_the_address_says_what_is_shown(url: str, browser: Any, video: VideoGenerator) -> None:
    player = Player(browser, url + "?seed=3&motion=7&psi=0.7&label=blue&t=2.5&play=0")
    player.until_shows(frame(video, 2.5, seed=3, motion_seed=7, psi=0.7, label="blue"))
    player.set("content", 8)
    player.until_shows(frame(video, 2.5, seed=8, motion_seed=7, psi=0.7, label="blue"))
    assert player.query() == "?content=8&motion=7&psi=0.7&label=blue&t=2.5&play=0"
    player.set("motion", "")
    player.set("label", "")
    player.set("psi", 0.4)
    player.set("t", 1_000_000)
    player.until_shows(frame(video, 1_000_000, seed=8, psi=0.4))
    browser.back()
    player.until_shows(frame(video, 2.5, seed=8, psi=0.4))
    player.set("label", "purple")
    player.until(lambda: player.message() == "Unknown class purple: choose red, green, blue.")
    player.set("label", "2")
    player.until_shows(frame(video, 2.5, seed=8, psi=0.4, label=2))
    assert player.message() == ""
    player.set("content", "-1")
    assert "must be a whole number from 0" in player.message() and "content=8" in player.query()


def test_it_plays_and_asks_no_one_else(url: str, browser: Any, video: VideoGenerator) -> None:
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # discard those of earlier tests
    player = Player(browser, url + "?content=5&t=3")
    player.until(lambda: (player.time() or 0) > 3.5)
    browser.find_element("tag name", "body").send_keys(" ")
    player.until(lambda: "play=0" in player.query())
    time.sleep(0.2)
    paused = player.time()
    assert paused is not None
    player.until_shows(frame(video, paused, seed=5))
    assert player.time() == paused
    player.click("new-motion")
    player.until(lambda: "motion=" in player.query())
    requests = [
        text for log in browser.get_log("performance") if '"Network.requestWillBeSent"' in (text := log["message"])
    ]
    assert any("worker.js" in text for text in requests)
    assert all(f'"url":"{url}' in text or '"url":"data:' in text for text in requests)
    assert [log for log in browser.get_log("browser") if log["level"] == "SEVERE"] == []


#: 300 refreshes of a 60 Hz display, with a worker that takes 12 ms per frame, and is busy elsewhere in between.
CLOCK = """
const done = arguments[arguments.length - 1], shown = [];
let refresh, answer, now = 0;
const original = window.requestAnimationFrame;
window.requestAnimationFrame = (callback) => (refresh = callback);
import("/player.js").then(({ Player }) => {
  const requests = [], worker = {
    addEventListener: (_, listener) => (answer = (data) => listener({ data })),
    postMessage: (request) => requests.push(request),
  };
  const player = new Player(worker, 25, (pixels, seconds) => shown.push([now, seconds]), () => {});
  player.start({ t: 100, speed: 2, play: true }, false);
  for (let i = 0, free = 0; i < 300; i++) {
    now += 1000 / 60;
    if (i > 50 && i < 60) free = now; // less than half a second
    while (requests.length && free <= now) {
      const { epoch, times, refreshes } = requests.shift();
      free = Math.max(free, now - 1000 / 60) + 12 * times.length;
      answer({ epoch, times, refreshes, milliseconds: 12, pixels: new Uint8ClampedArray(4 * times.length) });
    }
    refresh(now);
  }
  window.requestAnimationFrame = original;
  done(shown);
});
"""


def test_frames_are_shown_at_an_even_rate(url: str, browser: Any) -> None:
    browser.get(url + "card.txt")
    shown = np.array(browser.execute_async_script(CLOCK))
    late = shown[shown[:, 0] > 1000]  # until then, the rate is being measured
    assert len(late) > 100
    np.testing.assert_allclose(np.diff(late[:, 0]), 1000 / 30, atol=1e-6)
    np.testing.assert_allclose(np.diff(late[:, 1]), 2 / 30, atol=1e-9)


def test_numbers_rates_and_labels_of_the_scripts(url: str, browser: Any) -> None:
    browser.get(url + "card.txt")
    seeds = [(0, 1, 0, 4), (1, 2, 10**7, 3), (2**63 - 1, 2, 12345678901, 127), (7, 1, 0, 512)]
    normals, classes, rates = browser.execute_async_script(
        """
        const [seeds, costs] = arguments, done = arguments[arguments.length - 1];
        Promise.all([import("/noise.js"), import("/player.js")]).then(([noise, player]) => done([
          seeds.map(([seed, ...rest]) => [...noise.normal(BigInt(seed), ...rest)]),
          [0, 1, 2, 3, 4, 5].map((seed) => noise.uniformInteger(BigInt(seed), noise.CLASS, 101)),
          costs.map(([cost, rate]) => rate / player.refreshesPerFrame(cost, 1000 / rate)),
        ]));
        """,
        [(str(seed), *rest) for seed, *rest in seeds],
        [(1, 60), (1, 144), (12, 60), (25, 60), (40, 60), (1000, 60)],
    )
    for arguments, numbers in zip(seeds, normals, strict=True):
        np.testing.assert_allclose(np.float32(numbers), noise.normal(*arguments), rtol=3e-7, atol=1e-7)
    assert classes == [23, 3, 4, 77, 61, 97]
    assert rates[:2] == [60, 72] and rates[2:5] == [30, 20, 20] and rates[5] == pytest.approx(60 / 71)
    spaces = [
        (LabelSpace(("smile", "glasses"), "classes", ((1.0, 0.0), (1.0, 1.0))), ["smile,glasses", "", " glasses"]),
        (LabelSpace(("x", "y"), "vector", ((0.5, 1.0), (-2.0, 0.25))), ["0.1,-7", "3,1e2"]),
        (LabelSpace(("10", "20")), ["20"]),
    ]
    for space, texts in spaces:
        known = {
            "kind": space.kind,
            "names": space.names,
            "examples": [space.format(label) for label in space.examples],
        }
        vectors, drawn = browser.execute_async_script(
            """
            const [space, texts] = arguments, done = arguments[arguments.length - 1];
            import("/labels.js").then(({ parseLabel, labelFromSeed }) => done([
              texts.map((text) => [...parseLabel(text, space)]),
              [0, 1, 2, 3].map((seed) => labelFromSeed(BigInt(seed), space)),
            ]));
            """,
            known,
            texts,
        )
        for text, vector in zip(texts, vectors, strict=True):
            np.testing.assert_array_equal(np.float32(vector), space.to_vector(space.parse(text)))
        labels = space.all()
        expected = [labels[noise.uniform_integer(seed, noise.CLASS, len(labels))] for seed in range(4)]
        assert drawn == [space.format(label) for label in expected]


def test_opened_as_a_file_it_says_what_to_do(folder: Path, browser: Any) -> None:
    browser.get((folder / "player" / "index.html").as_uri())
    assert f'python3 -m http.server -d "{folder / "player"}"' in browser.find_element("id", "message").text
    assert not browser.find_element("id", "controls").is_displayed()


def test_destinations_and_refusals(folder: Path, tmp_path: Path) -> None:
    player = tmp_path / "player"
    with pytest.raises(StyleganvError, match=r"LSTM .* conv or none"):
        export(save(tmp_path / "lstm", motion="lstm"), player, format="web")
    player.mkdir()
    (player / "index.html").write_text("of an earlier export")
    with pytest.raises(StyleganvError, match=r"already exists.*--overwrite"):
        export(folder / "mine", player, format="web")
    (player / "thesis.txt").write_text("mine")
    with pytest.raises(StyleganvError, match=r"contains other files \(thesis\.txt\)"):
        export(folder / "mine", player, format="web", overwrite=True)
    assert sorted(path.name for path in player.iterdir()) == ["index.html", "thesis.txt"]


@pytest.mark.long
def test_the_pretrained_faces(tmp_path: Path, browser: Any) -> None:
    """A trained model, at its real size, on the page itself."""
    export("faces-64", tmp_path / "player", format="web")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "player"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    video = load_video_generator("faces-64", device="cpu")
    player = Player(browser, f"http://127.0.0.1:{server.server_address[1]}/?content=3&t=1000000&psi=0.7&play=0")
    player.run("document.getElementById('stage').style = 'flex: none; min-height: 0; width: 64px; height: 64px'")
    player.until_shows(frame(video, 1_000_000, seed=3, psi=0.7))
    player.set("t", 2.5)
    player.set("motion", 11)
    player.until_shows(frame(video, 2.5, seed=3, motion_seed=11, psi=0.7))
    server.shutdown()
    server.server_close()
