"""The files of the page: how they are served, their size, and their types."""

import gzip
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from serving import serving_here

import styleganv.studio
from styleganv.studio import routes
from styleganv.studio.routes import _accepts_gzip

PAGE = Path(styleganv.studio.__file__).parent / "page"
FILES = sorted(path for path in PAGE.rglob("*") if path.suffix in (".html", ".css", ".js"))
MAX_BYTES, MAX_LINES = 150_000, 200


def versioned(url: str) -> str:
    """Return the URL of the files that the page names."""
    with urllib.request.urlopen(url) as response:
        assert response.headers["Cache-Control"] == "no-store"
        found = re.findall(r'"(page/\w+/)main.js"', response.read().decode())
    return url + found[0]


@pytest.mark.parametrize("name", ["core/state.js", "widgets.css"])
def test_text_is_compressed_for_browsers_that_accept_it(url: str, name: str) -> None:
    content = (PAGE / name).read_bytes()
    kind = {"js": "text/javascript", "css": "text/css"}.get(name.split(".")[-1], "text/html")
    for accepted, encoding in (("gzip, br", "gzip"), ("identity", None), ("gzip;q=0", None)):
        request = urllib.request.Request(versioned(url) + name, headers={"Accept-Encoding": accepted})
        with urllib.request.urlopen(request) as response:
            body = response.read()
            assert response.headers["Content-Encoding"] == encoding
            assert response.headers["Vary"] == "Accept-Encoding"
            assert response.headers["Content-Type"].startswith(kind)
            assert int(response.headers["Content-Length"]) == len(body)
            assert (gzip.decompress(body) if encoding else body) == content


def test_browsers_keep_files_until_one_changes(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PAGE, tmp_path / "page")
    monkeypatch.setattr(routes, "files", lambda _: tmp_path)
    with serving_here(models) as url:
        files = versioned(url)
        assert files == versioned(url)
        with urllib.request.urlopen(files + "core/clock.js") as response:
            assert "immutable" in response.headers["Cache-Control"]
        (tmp_path / "page" / "core" / "clock.js").write_text("// changed")
        assert versioned(url) != files
        with urllib.request.urlopen(versioned(url) + "core/clock.js") as response:
            assert response.read() == b"// changed"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(files + "none.js")
    assert caught.value.code == 404 and "immutable" not in caught.value.headers["Cache-Control"]


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
