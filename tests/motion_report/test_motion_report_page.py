"""The page: self-contained, accessible without its images, and complete in a real browser."""

import itertools
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from motion_faults import FPS, network

from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.motion_report.diagnose import diagnose
from styleganv.motion_report.page import write_page
from styleganv.motion_report.report import MotionAnalysis
from styleganv.videos import ModelVideos, open_videos

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def analysis(faces: Path) -> MotionAnalysis:
    model = ModelVideos(VideoGenerator(network(height=16, width=16), fps=FPS, device="cpu"), name="a <model> & more")
    return diagnose(model, open_videos(faces), num_videos=4, max_frames=24)


@pytest.fixture(scope="module")
def page(analysis: MotionAnalysis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, analysis)
    return path


class Reader(HTMLParser):
    """Elements with their attributes, and the text of a page whose tags are closed in order."""

    EMPTY = ("meta", "img", "link", "br", "path", "use", "rect", "circle")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def read(page: Path) -> Reader:
    return Reader(page.read_text())


def test_there_are_no_external_resources(page: Path, read: Reader) -> None:
    assert not read.open
    for attributes in read.all("img", "video", "script", "link", "a", "use"):
        for name in ("src", "href"):
            if name in attributes:
                assert re.match(r"data:(image|video)/|#", attributes[name] or ""), attributes[name]
    without_data = re.sub(r"data:[a-z]+/[a-z0-9]+;base64,[\w+/=]+", "", page.read_text())
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", without_data)
    assert not read.all("link", "iframe", "object", "embed")


def test_the_page_is_accessible(read: Reader) -> None:
    assert read.all("html")[0]["lang"] == "en" and read.all("title")
    assert all(attributes.get("alt") for attributes in read.all("img"))
    assert all(attributes.get("aria-label") for attributes in read.all("video"))
    drawings = read.all("svg")
    assert len(drawings) >= 7 and all(attributes.get("role") == "img" for attributes in drawings)
    assert len(read.all("title")) == len(drawings) + 1
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_names_are_escaped(page: Path, read: Reader) -> None:
    assert "a <model> & more" in read.text and "<model>" not in page.read_text()


def test_links_resolve_and_ids_are_unique(read: Reader) -> None:
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    targets = {str(attributes["href"])[1:] for attributes in read.all("a", "use") if "href" in attributes}
    assert targets <= set(ids)
    sections = [attributes["id"] for attributes in read.all("section")]
    assert len(sections) == len(set(sections)) == 11


def test_every_number_is_shown_with_its_reference(analysis: MotionAnalysis, read: Reader) -> None:
    for one in analysis.report.diagnostics:
        assert one.title in read.text and one.description in read.text
        assert one.verdict in read.text or one.fine is None
        for number in (one.value, one.data, one.ideal, *(one.expected or ())):
            if number is not None:
                assert f"{number:.3g}" in read.text


@pytest.mark.slow
def test_a_dataset_alone_has_a_page_without_ratings(faces: Path, tmp_path: Path) -> None:
    write_page(tmp_path / "r.html", diagnose(open_videos(faces), num_videos=4, max_frames=24))
    read = Reader((tmp_path / "r.html").read_text())
    assert "no number is rated" in read.text and "Slot boundaries" not in read.text
    assert "differs" not in read.text.split("±")[0] and "Compared with" not in read.text
    assert len(read.all("video")) == 1


@pytest.mark.slow
def test_the_same_report_is_the_same_page(page: Path, analysis: MotionAnalysis, tmp_path: Path) -> None:
    """Videos are exempt: their multithreaded encoder may give other bytes for the same frames."""
    write_page(tmp_path / "again.html", analysis)
    first, again = (re.sub('data:video/[^"]*', "", path.read_text()) for path in (page, tmp_path / "again.html"))
    assert first == again and len(first) > 50_000


PROBE = """<script>addEventListener('load', () => setTimeout(() => {
  const all = (tag) => [...document.querySelectorAll(tag)];
  const seen = [
    document.documentElement.scrollWidth - innerWidth,
    all('img').filter(i => !i.complete || !i.naturalWidth).length,
    all('video').filter(v => !v.videoWidth).length,
    performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length,
    getComputedStyle(document.body).backgroundColor,
  ];
  document.title = 'seen ' + seen.join(' | ');
}, 500));</script>"""


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="requires Chromium")
@pytest.mark.parametrize("width", [500, 1280])
def test_a_real_browser_shows_everything_without_overflow(page: Path, width: int, tmp_path: Path) -> None:
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=5000",
        f"--window-size={width},900",
    ]
    done = subprocess.run(
        [str(BROWSER), *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", probed.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r"<title>seen ([^<]*)</title>", done.stdout)
    assert found, done.stderr[-2000:]
    beyond, broken_images, broken_videos, outside, paper = found[1].split(" | ")
    assert int(beyond) <= 0 and (broken_images, broken_videos, outside) == ("0", "0", "0")
    assert paper == "rgb(250, 249, 246)"
