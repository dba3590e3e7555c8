"""The studio's server: access control, frames over a WebSocket, runs and exports."""

import asyncio
import json
import struct
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from serving import serving

from styleganv.cli import main
from styleganv.data.frames import decode_frame
from styleganv.errors import StyleganvError
from styleganv.studio import server
from styleganv.studio.access import is_loopback
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.studio_options import StudioOptions
from styleganv.studio.video_source import SourceMetadata, VideoSource
from styleganv.timeline.notation import Term, VideoParams

websockets = pytest.importorskip("websockets")
from websockets.sync.client import connect  # noqa: E402

EXPORT = {
    "source": "one",
    "params": {"content": 2},
    "start": 1,
    "seconds": 1,
    "fps": 10,
    "speed": 0.25,
    "format": "mp4",
}


def send(url: str, path: str = "", values: Any = None, **headers: str) -> tuple[int, bytes]:
    """Return the status and body of a GET request, or of a POST request with JSON or bytes."""
    body = values if values is None or isinstance(values, bytes) else json.dumps(values).encode()
    request = urllib.request.Request(url + path, body, {"Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def open_socket(url: str) -> Any:
    return connect(url.replace("http", "ws") + "frames", origin=url.rstrip("/"))


def request_frames(socket: Any, **values: Any) -> tuple[dict[str, Any], list[bytes]]:
    """Return the header and the JPEG images of a response."""
    request = {"id": 1, "source": "one", "params": {"content": 3}, "start": 0, "fps": 25, "num_frames": 2}
    socket.send(json.dumps(request | values))
    message = socket.recv()
    (length,) = struct.unpack("<I", message[:4])
    header, offset, images = json.loads(message[4 : 4 + length]), 4 + length, []
    for size in header["sizes"]:
        images.append(message[offset : offset + size])
        offset += size
    assert offset == len(message)
    return header, images


# Access


def test_other_sites_are_refused(url: str) -> None:
    assert send(url)[0] == 200
    assert send(url, Host="evil.example")[0] == 403
    for origin in ("http://evil.example", None):
        with pytest.raises(websockets.InvalidStatus):
            connect(url.replace("http", "ws") + "frames", origin=origin)


@pytest.mark.parametrize(
    "path",
    ["page/../jobs.py", "page/%2e%2e%2fjobs.py", "page/jobs.py", "page/", "jobs.py", "api/models"],
)
def test_only_the_files_of_the_page_are_served(url: str, path: str) -> None:
    status, content = send(url, path)
    assert status in (400, 404) and b"import" not in content


def test_page_allows_only_its_own_scripts(url: str) -> None:
    with urllib.request.urlopen(url + "page/main.js") as response:
        assert response.headers["Content-Type"].startswith("text/javascript")
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.slow
def test_other_hosts_get_a_token_that_every_request_requires(models: list[Path]) -> None:
    with serving(models[:1], "--host", "0.0.0.0") as (_, printed):
        address, _, token = printed.replace("0.0.0.0", "127.0.0.1").partition("?token=")
        assert len(token) > 15
        assert send(address)[0] == send(address, "?token=wrong")[0] == send(address, "api/sources")[0] == 403
        assert send(address, f"?token={token}")[0] == 200
        cookie = f"styleganv-token={token}"
        assert send(address, "api/sources", Cookie=cookie)[0] == 200
        assert send(address, f"?token={token}", Cookie="styleganv-token=old")[0] == 200
        socket, origin = address.replace("http", "ws") + "frames", address.rstrip("/")
        with pytest.raises(websockets.InvalidStatus):
            connect(socket, origin=origin)
        with connect(socket, origin=origin, additional_headers={"Cookie": cookie}) as client:
            assert len(request_frames(client)[1]) == 2
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("0.0.0.0") and not is_loopback("example.org")


@pytest.mark.slow
def test_given_token_is_required_and_sigterm_stops_the_server(models: list[Path]) -> None:
    with serving(models[:1], "--token", "secret", start=subprocess.Popen) as (process, url):
        assert url.endswith("/?token=secret")
        assert send(url)[0] == 200 and send(url.removesuffix("?token=secret"))[0] == 403
        process.terminate()
        assert process.wait(timeout=10) is not None


def test_taken_ports_and_missing_models_are_errors(models: list[Path], url: str, capsys: Any) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])
    with pytest.raises(StyleganvError, match=f"Cannot listen on 127.0.0.1:{port}"):
        server.run_studio(models, StudioOptions(port=port), open_page=False)
    with pytest.raises(SystemExit):
        main(["studio", str(models[0].parent / "none")])
    assert "none" in capsys.readouterr().err


# Frames


def test_frames_are_those_of_the_request(url: str, studio_model: StudioModel) -> None:
    with open_socket(url) as socket:
        header, images = request_frames(socket, start=2, fps=50, num_frames=5)
        assert header["start"] == 2 and header["fps"] == 50 and len(images) == 5
        for image, frame in zip(images, studio_model.frames(VideoParams((Term(3),)), start=2, fps=50), strict=False):
            np.testing.assert_array_equal(decode_frame(image), frame)  # lossless
        assert len(request_frames(socket, num_frames=10**6)[1]) == 32


@pytest.mark.parametrize(
    "values, message",
    [
        ({"source": 5}, "5 is not open in this studio"),
        ({"params": {"content": "../x"}}, "Unknown content or motion ../x"),
        ({"source": "0"}, "0 is not open in this studio"),
        ({"params": []}, "must be a mapping"),
        ({"start": -1}, "expected a number from 0 to 1e+12, got -1"),
        ({"start": "x"}, "expected a number from 0 to 1e+12, got 'x'"),
        ({"start": float("nan")}, "got nan"),
        ({"fps": 0}, "got 0"),
        ({"num_frames": float("inf")}, "got inf"),
    ],
)
def test_invalid_request_gets_an_error_and_the_next_is_served(values: dict[str, Any], message: str, url: str) -> None:
    with open_socket(url) as socket:
        header, images = request_frames(socket, **values)
        assert message in header["error"] and not images
        assert len(request_frames(socket)[1]) == 2


@pytest.mark.parametrize("text", ["no JSON", "[1]", "null", b"{}", "[" * 60_000])
def test_connection_ends_at_what_is_no_json_object(text: str | bytes, url: str) -> None:
    with open_socket(url) as socket:
        socket.send(text)
        with pytest.raises(websockets.ConnectionClosed):
            socket.recv(timeout=10)
    assert send(url)[0] == 200


def test_clients_take_turns(url: str) -> None:
    counts, barrier = [0, 0], threading.Barrier(2, timeout=60)

    def play(i: int) -> None:
        with open_socket(url) as socket:
            barrier.wait()
            while max(counts) < 20:
                request_frames(socket, params={"content": i}, start=counts[i] / 25)
                counts[i] += 1

    clients = [threading.Thread(target=play, args=(i,)) for i in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert min(counts) > 0.6 * max(counts)


def test_latest_request_cancels_earlier_ones(url: str) -> None:
    with open_socket(url) as socket:
        for i in range(200):
            request = {"id": i, "source": "one", "params": {"content": i}, "start": 0, "fps": 25, "num_frames": 2}
            socket.send(json.dumps(request))
        ids: list[int] = []
        while not ids or ids[-1] != 199:
            message = socket.recv(timeout=20)
            ids.append(json.loads(message[4 : 4 + struct.unpack("<I", message[:4])[0]])["id"])
        assert len(ids) < 150 and ids == sorted(ids)


# Exports


def test_exported_video_has_the_requested_length(url: str, tmp_path: Path) -> None:
    status, content = send(url, "api/export", EXPORT)
    (tmp_path / "video.mp4").write_bytes(content)
    with av.open(str(tmp_path / "video.mp4")) as file:
        assert status == 200 and len(list(file.decode(video=0))) == 10
    status, content = send(url, "api/export", EXPORT | {"seconds": 1e9})
    assert status == 400 and "choose up to 60 seconds" in json.loads(content)["error"]
    assert send(url, "api/export", EXPORT | {"format": "../x"})[0] == 400
    assert send(url, "api/export", b"x" * 100_000)[0] == 413


class EndlessSource(VideoSource):
    """Black frames, counted. `has_started` is set at the third."""

    path = "endless"

    def __init__(self) -> None:
        self.num_frames, self.has_started, self.is_released = 0, threading.Event(), threading.Event()

    def metadata(self) -> SourceMetadata:
        return SourceMetadata("endless", "model", "test", 16, 16, 25.0)

    def frames(self, params: VideoParams, *, start: float, fps: float) -> Iterator[np.ndarray]:
        while True:
            self.num_frames += 1
            if self.num_frames == 3:
                self.has_started.set()
                self.is_released.wait(20)
            yield np.zeros((16, 16, 3), np.uint8)


def test_export_ends_when_its_client_disconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    source = EndlessSource()
    monkeypatch.setattr(server, "open_sources", lambda *_, **__: [source])
    app, body = server.create_app([]), json.dumps(EXPORT | {"source": "endless", "seconds": 60, "fps": 120}).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    headers = {"host": "localhost", "content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/export",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        """Send the body, then disconnect while the export is running."""
        if messages:
            return messages.pop()
        await asyncio.to_thread(source.has_started.wait, 20)
        asyncio.get_running_loop().call_later(0.2, source.is_released.set)
        return {"type": "http.disconnect"}

    async def ignore(_: Any) -> None:
        pass

    asyncio.run(app(scope, receive, ignore))
    app.state.manager.close()
    assert 3 <= source.num_frames < 60 * 120 / 2
