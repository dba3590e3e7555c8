"""The files of the page: how they are served, their size, and their types."""

import gzip
import re
import urllib.request
from pathlib import Path

import pytest

import styleganv.studio
from styleganv.studio.routes import _accepts_gzip

PAGE = Path(styleganv.studio.__file__).parent / "page"
FILES = sorted(path for path in PAGE.rglob("*") if path.suffix in (".html", ".css", ".js"))
MAX_BYTES, MAX_LINES = 150_000, 200


@pytest.mark.parametrize("name", ["page/core/state.js", "page/widgets.css", ""])
def test_text_is_compressed_for_browsers_that_accept_it(url: str, name: str) -> None:
    content = (PAGE / (name.removeprefix("page/") or "index.html")).read_bytes()
    kind = {"js": "text/javascript", "css": "text/css"}.get(name.split(".")[-1], "text/html")
    for accepted, encoding in (("gzip, br", "gzip"), ("identity", None), ("gzip;q=0", None)):
        request = urllib.request.Request(url + name, headers={"Accept-Encoding": accepted})
        with urllib.request.urlopen(request) as response:
            body = response.read()
            assert response.headers["Content-Encoding"] == encoding
            assert response.headers["Vary"] == "Accept-Encoding"
            assert response.headers["Content-Type"].startswith(kind)
            assert int(response.headers["Content-Length"]) == len(body)
            assert (gzip.decompress(body) if encoding else body) == content


def test_accept_encoding_is_read_with_its_weights() -> None:
    for header in ("gzip", "br, GZIP;q=0.5", "*", "deflate;q=0, gzip;q=1.0"):
        assert _accepts_gzip(header)
    for header in ("", "br", "gzip;q=0", "gzip; q=0.000", "*;q=0", "xgzip"):
        assert not _accepts_gzip(header)


def test_page_is_small_and_its_files_are_short() -> None:
    assert len(FILES) > 30
    charts = [PAGE / "vendor" / "uplot.js", PAGE / "widgets" / "chart.js"]  # loaded when curves are first shown
    assert sum(len(gzip.compress(path.read_bytes())) for path in FILES if path not in charts) < MAX_BYTES
    texts = {path: path.read_text() for path in FILES if path not in charts}
    assert not [path for path, text in texts.items() if re.search(r'from "[^"]*(uplot|chart)\.js"', text)]
    own = [path for path in FILES if path.parent.name != "vendor"]
    assert {path.name: n for path in own if (n := len(path.read_text().splitlines())) > MAX_LINES} == {}


def test_every_vendored_package_has_its_license() -> None:
    for path in [*PAGE.glob("vendor/*.js"), *Path(__file__).parent.glob("vendor/*.js")]:
        name = "preact" if path.stem == "hooks" else path.name.split(".")[0]
        assert (path.parent / f"{name}.LICENSE").stat().st_size > 1000
