"""The studio's server: access control, frames over a WebSocket, runs and exports."""

import json
import struct
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

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
from styleganv.timeline.notation import Term, VideoParams
from styleganv.timeline.timeline import Timeline

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
    [
        "page/../jobs.py",
        "page/%2e%2e%2fjobs.py",
        "page/jobs.py",
        "page/",
        "page/0/",
        "page/0/jobs.py",
        "page/0/../../jobs.py",
        "jobs.py",
        "api/models",
    ],
)
def test_only_the_files_of_the_page_are_served(url: str, path: str) -> None:
    status, content = send(url, path)
    assert status in (400, 404) and b"import" not in content


def test_page_allows_only_its_own_scripts(url: str) -> None:
    with urllib.request.urlopen(url + "page/0/main.js") as response:
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


# Commands and projects


def test_command_and_project_of_a_video(url: str, studio_model: StudioModel) -> None:
    status, content = send(url, "api/command", EXPORT)
    answer = json.loads(content)
    assert status == 200 and answer["command"].startswith("styleganv edit one --out video.mp4 --seed 2")
    status, content = send(url, "api/project", {"project": answer["project"], "source": "wide"})
    opened = json.loads(content)
    assert status == 200 and (opened["source"], opened["model"]) == ("one", "one")
    assert opened["timeline"] == Timeline.from_json(opened["timeline"]).to_json()
    assert opened["timeline"]["keyframes"] == [{"time": 0.0, "content": 2, "speed": 0.25}]
    for values, message in (
        ({"seconds": 1e9}, "change its duration or frame rate"),
        ({"format": "../x"}, "Unknown format ../x"),
    ):
        status, content = send(url, "api/command", EXPORT | values)
        assert status == 400 and message in json.loads(content)["error"]
    assert send(url, "api/command", b"x" * 100_000)[0] == 413
    assert json.loads(send(url, "api/formats")[1])["webm"] == "WebM (VP9)"


def test_names_in_a_project_become_those_of_the_studio(url: str) -> None:
    video = {"seconds": 2, "keyframes": [{"directions": {"content 1": 1.5}}, {"time": 1, "content": "3,4@0.5"}]}
    commands = json.loads(send(url, "api/command", {"source": "one", "timeline": video, "format": "frames"})[1])
    assert "content.safetensors:1: 1.5" in commands["project"] and " --out video" in commands["command"]
    opened = json.loads(send(url, "api/project", {"project": commands["project"]})[1])
    assert Timeline.from_json(opened["timeline"]) == Timeline.from_json(video)


@pytest.mark.parametrize(
    "project, message",
    [
        ("keyframes: [{content: 3}, {time: 1, pis: 2}]", "Keyframe 2: Unknown key 'pis': did you mean psi?"),
        ("keyframes: [{content: mine.safetensors}]", "Keyframe 1: content: Unknown content or motion mine.safetensors"),
        ("keyframes: [{label: 7}]", "Keyframe 1: label: Unknown class 7"),
        ("[1]", "The project is no YAML mapping"),
        ("keyframes: [{content: ../x}]", "names a file in another folder (../x)"),
        (None, "The project is no text of a project"),
    ],
)
def test_invalid_project_is_refused_in_one_sentence(project: Any, message: str, url: str) -> None:
    status, content = send(url, "api/project", {"project": project, "source": "one"})
    assert status == 400 and message in json.loads(content)["error"]
