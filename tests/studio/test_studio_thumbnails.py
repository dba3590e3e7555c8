"""Thumbnails: sprites of the frames that the model generates, cached by version, and limited."""

import io
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from serving import serving_here

pytest.importorskip("uvicorn", reason="pip install styleganv[studio]")

from styleganv.errors import StyleganvError
from styleganv.studio import server, source_routes
from styleganv.studio.address import params_from_query
from styleganv.studio.images import encode_sprite, reduce_frame
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.thumbnails import ThumbnailParams
from styleganv.studio.work_queue import Priority
from styleganv.timeline.notation import Mix, Term, VideoParams


def get(url: str, *, tag: str = "", **query: Any) -> tuple[int, bytes, Any]:
    """Return status, body and headers of a thumbnail."""
    address = f"{url}api/thumbnail?{urllib.parse.urlencode({'source': 'one'} | query)}"
    request = urllib.request.Request(address, headers={"If-None-Match": tag} if tag else {})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def test_notation_of_addresses() -> None:
    for query, params in (
        ("", VideoParams()),
        ("content=3", VideoParams((Term(3),))),
        ("content=3&motion=7&psi=0.8&label=1", VideoParams((Term(3),), (Term(7),), 0.8, "1")),
        ("label=smile,glasses", VideoParams(label="smile,glasses")),
        ("mix=5:0-3@0.5&grid=2x3", VideoParams(mix=(Mix(5, (0, 1, 2, 3), 0.5),), grid=(2, 3))),
        ("mix=5:2-3", VideoParams(mix=(Mix(5, (2, 3)),))),
        ("dir=content 1:1.5;motion 2:-1", VideoParams(directions=(("content 1", 1.5), ("motion 2", -1.0)))),
        ("content=result-2", VideoParams((Term("result-2"),))),
        ("content=result-2&motion=7", VideoParams((Term("result-2"),), (Term(7),))),
    ):
        assert params_from_query(dict(urllib.parse.parse_qsl(query))) == params
    for query in ("content=,", "content=-1", "psi=nan", "mix=5", "mix=5:3-1", "dir=1", "grid=2"):
        with pytest.raises(StyleganvError):
            params_from_query(dict(urllib.parse.parse_qsl(query)))


def test_sprite_shows_the_frames_of_the_model(url: str, studio_model: StudioModel) -> None:
    query = {"content": 3, "motion": 5, "psi": 0.7, "label": 2, "mix": "4:2-5@0.5", "grid": "2x2", "t": 1.5}
    status, body, headers = get(url, **query, size=16, frames=4, step=0.5)
    assert status == 200 and headers["Content-Type"] == "image/webp"
    with Image.open(io.BytesIO(body)) as image:
        assert image.format == "WEBP" and image.size == (64, 16)
    params = VideoParams((Term(3),), (Term(5),), 0.7, "2", (Mix(4, (2, 3, 4, 5), 0.5),))
    frames = [next(studio_model.frames(params, start=1.5 + i / 2, fps=25)) for i in range(4)]
    assert body == encode_sprite([reduce_frame(frame, 16) for frame in frames])
    with Image.open(io.BytesIO(get(url, source="wide", frames=1)[1])) as image:
        assert image.size == (32, 16)  # never enlarged


def test_browsers_cache_thumbnails_by_version(url: str) -> None:
    with urllib.request.urlopen(f"{url}api/sources") as response:
        version = json.load(response)[0]["version"]
    _, _, headers = get(url, content=3, frames=1, version=version)
    assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
    status, rest, again = get(url, content=3, frames=1, version=version, tag=headers["ETag"])
    assert status == 304 and not rest and again["ETag"] == headers["ETag"]
    for changed in ({"content": 4}, {"t": 1}, {"step": 1}, {"size": 32}):
        assert get(url, **({"content": 3, "frames": 1} | changed), tag=headers["ETag"])[0] == 200
    assert get(url, content=3, frames=1, version="before")[2]["Cache-Control"] == "private, no-cache"
    with urllib.request.urlopen(f"{url}api/sources") as response:
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "query, message",
    [
        ({"source": "none"}, "none is not open in this studio"),
        ({"size": 10**6}, "expected a number from 8 to 512, got 1000000"),
        ({"frames": 17}, "from 1 to 16, got 17"),
        ({"step": "nan"}, "got nan"),
        ({"t": -1}, "got -1"),
        ({"size": "x"}, "Invalid thumbnail"),
        ({"mix": "9:0-63"}, "Unknown style layer 8"),
        ({"label": 7}, "Unknown class 7"),
    ],
)
def test_invalid_thumbnails_are_refused(query: dict[str, Any], message: str, url: str) -> None:
    status, body, headers = get(url, **({"frames": 1} | query))
    assert status == 400 and message in json.loads(body)["error"] and "immutable" not in headers["Cache-Control"]
    assert ThumbnailParams.from_query({"grid": "2x2"}).params.grid == (1, 1)


def test_thumbnails_of_all_sources(url: str, finished_run: Path) -> None:
    with serving_here([finished_run]) as here, urllib.request.urlopen(f"{here}api/sources") as response:
        run, real = json.load(response)
        assert (run["kind"], real["kind"]) == ("run", "real") and run["ready"] and run["version"] != real["version"]
        for source in (run, real):
            with Image.open(io.BytesIO(get(here, source=source["name"], t=1, frames=3)[1])) as image:
                assert image.size == (48, 16)


def test_a_client_that_requests_too_many_is_refused(studio_model: StudioModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_routes, "MAX_WAITING", 3)
    model = StudioModel(studio_model.path)
    monkeypatch.setattr(server, "open_sources", lambda *_, **__: [model])
    is_released, statuses = threading.Event(), []
    with serving_here([]) as url:
        is_running = threading.Event()

        def block(_: Any) -> None:
            is_running.set()
            is_released.wait(20)

        model.queue.submit(Priority.FRAMES, "viewer", block)
        assert is_running.wait(20)

        def request(seed: int) -> None:
            statuses.append(get(url, content=seed, frames=1)[0])
            if statuses.count(429) == 2:
                is_released.set()

        threads = [threading.Thread(target=request, args=(seed,)) for seed in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(statuses) == [200, 200, 200, 429, 429]
        assert get(url, content=9, frames=1)[0] == 200
