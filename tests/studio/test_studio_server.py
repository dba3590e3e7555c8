"""The studio without a browser: scenes, what is refused, who may look, and viewers who share a model."""

import json
import shlex
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from serving import running, serving

from styleganv.cli import main
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset, decode_frame
from styleganv.editing.latents import latents_of, play
from styleganv.errors import StyleganvError
from styleganv.runs import resume, train
from styleganv.studio.scene import Scene, Take
from styleganv.studio.server import is_loopback, studio
from styleganv.studio.stage import Footage, Stage, Viewer, stages_of

websockets = pytest.importorskip("websockets")
from websockets.sync.client import connect  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("models") / "one", num_classes=3)


@pytest.fixture(scope="module")
def stage(model: Path) -> Stage:
    return Stage(model)


@pytest.fixture(scope="module")
def address(model: Path) -> Any:
    with running([model]) as address:
        yield address


@pytest.fixture
def tiny_run(request: pytest.FixtureRequest) -> RunConfig:
    config: RunConfig = request.getfixturevalue("tiny")
    return config


# Scenes


@pytest.mark.parametrize(
    "values, told",
    [
        ({"seed": -1}, "-1 is no whole number from 0"),
        ({"seed": 1.5}, "1.5 is no whole number"),
        ({"seed": True}, "True is no whole number"),
        ({"seed": "../x"}, "is no whole number"),
        ({"psi": 1e9}, "no number from -4 to 4"),
        ({"psi": float("nan")}, "no number"),
        ({"mix": {"seed": 1}}, "cannot be shown"),
        ({"moved": [1]}, "cannot be shown"),
        ({"grid": [9, 9]}, "a grid of 9 × 9"),
    ],
)
def test_scenes_that_cannot_be(values: dict[str, Any], told: str) -> None:
    with pytest.raises(StyleganvError, match=told):
        Scene.of(values)


def test_what_a_model_cannot_show_is_refused(stage: Stage) -> None:
    for scene, told in (
        (Scene(label=7), "Class 7 is not known"),
        (Scene(mix=(1, 0, 99, 1.0)), "no style layer"),
        (Scene(moved=(("content 99", 1.0),)), "no direction content 99"),
    ):
        with pytest.raises(StyleganvError, match=told):
            stage.frames(scene, start=0, fps=25)


def test_a_viewer_goes_on_where_it_stopped(stage: Stage) -> None:
    viewer, scene = Viewer(stage), Scene(seed=3)
    shown = [*viewer.next(scene, start=1, fps=25, count=3), *viewer.next(scene, start=1 + 3 / 25, fps=25, count=5)]
    frames = stage.frames(scene, start=1, fps=25)
    for frame in shown:
        np.testing.assert_array_equal(frame, next(frames))
    np.testing.assert_array_equal(viewer.next(scene, start=1, fps=25, count=1)[0], shown[0])


def test_a_recurrent_model_ends(tmp_path: Path) -> None:
    stage = Stage(tiny.save(tmp_path / "lstm", motion="lstm"))
    end = stage.described()["seconds"]
    assert end == 20_000 / 25 and stage.described()["anyRate"]
    assert len(list(stage.frames(Scene(), start=end - 0.2, fps=25))) == 5


def test_the_command_makes_the_video_that_is_seen(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scene = Scene(
        seed=5, motion_seed=2, psi=0.8, label=1, mix=(4, 1, 2, 0.5), moved=(("motion 1", 2.0), ("content 2", -1.5))
    )
    take = Take(start=2, seconds=0.4, fps=20, speed=0.5, format="webp")
    for line in stage.command(scene, take).splitlines():
        main(shlex.split(line)[1:])
    stage.write(scene, take, tmp_path / "seen.webp")
    from PIL import Image

    with Image.open("video.webp") as one, Image.open("seen.webp") as two:
        assert one.n_frames == two.n_frames == 8  # type: ignore[attr-defined]
        for i in range(8):
            one.seek(i), two.seek(i)
            a, b = (np.asarray(picture.convert("RGB"), float) for picture in (one, two))
            assert np.abs(a - b).mean() < 2


def test_a_run_is_followed_and_its_videos_play_beside_it(faces: Path, tiny_run: RunConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(faces, run, tiny_run)
    stage, footage = stages_of([run])
    assert isinstance(stage, Stage) and isinstance(footage, Footage)
    assert stage.described()["training"] and len(stage.snapshots()) == 1
    real = VideoDataset(faces).read(3, [5, 6]).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(list(islice(footage.frames(Scene(seed=3), start=5 / 25, fps=25), 2)), real)
    viewer = Viewer(stage)
    (before,) = viewer.next(Scene(), start=1, fps=25, count=1)
    resume(run, config=replace(tiny_run, training=replace(tiny_run.training, total_clips=64)))
    stage._looked -= 10
    (after,) = viewer.next(Scene(), start=1 + 1 / 25, fps=25, count=1)
    fresh = next(Stage(run).frames(Scene(), start=1 + 1 / 25, fps=25))
    np.testing.assert_array_equal(after, fresh)
    assert (before != after).any()
    with running([run]) as address:
        told = json.loads(get(address, "api/models/0/training")[1])
        assert told["snapshots"] == 2 and told["last"]["clips_seen"] == 64
        assert (
            get(address, "api/models/0/curves")[1][:4] == get(address, "api/models/0/snapshots/1")[1][:4] == b"\x89PNG"
        )
        assert get(address, "api/models/0/snapshots/2")[0] == get(address, "api/models/0/snapshots/-1")[0] == 404
        assert get(address, "api/models/1/training")[0] == 400


def test_a_far_time_and_another_class_come_into_the_command(stage: Stage, tmp_path: Path) -> None:
    take = Take(start=1_000_000.25, seconds=4, fps=25, speed=1, format="mp4")
    assert " --start 1000000.25 --seconds 4 " in stage.command(Scene(), take)
    # A second content is of its own class where none is asked for, as in `edit`.
    first, second = (next(seed for seed in range(99) if stage.model.class_of(seed) == kind) for kind in (0, 1))
    every = stage.model.generator.synthesis.num_styles - 1  # type: ignore[attr-defined]
    mixed = next(stage.frames(Scene(seed=first, mix=(second, 0, every, 1.0)), start=0, fps=25))
    latents = replace(latents_of(stage.model, second), motion=latents_of(stage.model, first, motion_seed=0).motion)  # type: ignore[arg-type]
    np.testing.assert_array_equal(mixed, next(play(stage.model, latents)))  # type: ignore[arg-type]


# Who may look


def get(address: str, path: str = "", **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_names_of_other_sites_do_not_reach_it(address: str) -> None:
    assert get(address)[0] == 200
    assert get(address, Host="evil.example")[0] == 403
    with pytest.raises(websockets.InvalidStatus):
        connect(address.replace("http", "ws") + "frames", origin="http://evil.example")
    with pytest.raises(websockets.InvalidStatus):
        connect(address.replace("http", "ws") + "frames")


@pytest.mark.parametrize(
    "path", ["page.py", "page.%2e%2e%2fscene.py", "../scene.py", "scene.py", "api/models/7/directions"]
)
def test_nothing_else_is_served(address: str, path: str) -> None:
    status, content = get(address, path)
    assert status in (400, 404) and b"import" not in content


def test_a_token_opens_it_and_nothing_else_does(model: Path) -> None:
    with running([model], "--host", "0.0.0.0", "--token", "secret") as told:
        assert told.endswith("?token=secret")
        address = told.removesuffix("?token=secret").replace("0.0.0.0", "127.0.0.1")
        assert get(address)[0] == get(address, "?token=wrong")[0] == get(address, "api/models")[0] == 403
        assert get(address, "?token=secret")[0] == 200
        assert get(address, "api/models", Cookie="styleganv-token=secret")[0] == 200
        assert get(address, "?token=secret", Cookie="styleganv-token=of-before")[0] == 200
        place = address.replace("http", "ws") + "frames"
        with pytest.raises(websockets.InvalidStatus):
            connect(place, origin=address.rstrip("/"))
        with connect(
            place, origin=address.rstrip("/"), additional_headers={"Cookie": "styleganv-token=secret"}
        ) as socket:
            assert len(ask(socket)[1]) == 2


def test_other_addresses_get_a_token_by_themselves(model: Path) -> None:
    with running([model], "--host", "0.0.0.0") as told:
        assert len(told.partition("?token=")[2]) > 15
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("0.0.0.0") and not is_loopback("example.org")


def test_a_port_that_is_taken_and_no_model(model: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    port = int(address.rstrip("/").rpartition(":")[2])
    with pytest.raises(StyleganvError, match=f"Port {port} of 127.0.0.1 cannot be had"):
        studio([model], port=port, open_page=False)
    with pytest.raises(SystemExit):
        main(["studio", str(model.parent / "none")])
    assert "none" in capsys.readouterr().err


# Frames


def ask(socket: Any, **values: Any) -> tuple[dict[str, Any], list[bytes]]:
    question = {"id": 1, "model": 0, "scene": {"seed": 3}, "start": 0, "fps": 25, "count": 2} | values
    socket.send(json.dumps(question))
    answer = socket.recv()
    (length,) = struct.unpack("<I", answer[:4])
    about, at, pictures = json.loads(answer[4 : 4 + length]), 4 + length, []
    for size in about["sizes"]:
        pictures.append(answer[at : at + size])
        at += size
    assert at == len(answer)
    return about, pictures


def opened(address: str) -> Any:
    return connect(address.replace("http", "ws") + "frames", origin=address.rstrip("/"))


def test_frames_come_as_asked(address: str, stage: Stage) -> None:
    with opened(address) as socket:
        about, pictures = ask(socket, start=2, fps=50, count=5)
        assert about["start"] == 2 and about["fps"] == 50 and len(pictures) == 5
        for picture, frame in zip(pictures, stage.frames(Scene(seed=3), start=2, fps=50), strict=False):
            assert np.abs(decode_frame(picture).astype(float) - frame).mean() < 3
        assert len(ask(socket, count=10**6)[1]) == 32


@pytest.mark.parametrize(
    "values, told",
    [
        ({"model": 5}, "no such model"),
        ({"scene": {"seed": "x"}}, "no whole number"),
        ({"start": -1}, "cannot start at -1"),
        ({"start": "x"}, "could not convert"),
        ({"fps": 0}, "cannot have 0 frames a second"),
    ],
)
def test_bad_questions_get_an_answer_and_the_next_is_answered_too(
    values: dict[str, Any], told: str, address: str
) -> None:
    with opened(address) as socket:
        about, pictures = ask(socket, **values)
        assert told in about["error"] and not pictures
        assert len(ask(socket)[1]) == 2


@pytest.mark.parametrize("text", ["no JSON", "[1]", "null"])
def test_what_no_page_sends_ends_the_connection(text: str, address: str) -> None:
    with opened(address) as socket:
        socket.send(text)
        with pytest.raises(websockets.ConnectionClosed):
            socket.recv(timeout=10)
    assert get(address)[0] == 200


def test_viewers_take_turns(address: str) -> None:
    """One that asks for much does not keep others waiting for more than its own question."""
    counts, together = [0, 0], threading.Barrier(2, timeout=60)

    def look(i: int) -> None:
        with opened(address) as socket:
            together.wait()
            while max(counts) < 20:
                ask(socket, scene={"seed": i}, start=counts[i] / 25, count=2)
                counts[i] += 1

    viewers = [threading.Thread(target=look, args=(i,)) for i in range(2)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    assert min(counts) > 0.6 * max(counts)


def test_of_many_questions_the_last_is_answered(address: str) -> None:
    with opened(address) as socket:
        for i in range(200):
            socket.send(json.dumps({"id": i, "model": 0, "scene": {"seed": i}, "start": 0, "fps": 25, "count": 2}))
        answers = []
        while not answers or answers[-1] != 199:
            answer = socket.recv(timeout=20)
            answers.append(json.loads(answer[4 : 4 + struct.unpack("<I", answer[:4])[0]])["id"])
        assert len(answers) < 150 and answers == sorted(answers)


def post(address: str, path: str, values: Any) -> tuple[int, bytes]:
    body = values if isinstance(values, bytes) else json.dumps(values).encode()
    request = urllib.request.Request(address + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_video_is_saved(address: str, tmp_path: Path) -> None:
    import av

    wanted = {"model": 0, "scene": {"seed": 2}, "start": 1, "seconds": 1, "rate": 10, "speed": 0.25, "format": "mp4"}
    status, content = post(address, "api/export", wanted)
    (tmp_path / "video.mp4").write_bytes(content)
    with av.open(str(tmp_path / "video.mp4")) as file:
        assert status == 200 and len(list(file.decode(video=0))) == 10
    status, content = post(address, "api/export", wanted | {"seconds": 1e9})
    assert status == 400 and "choose up to 60 seconds" in json.loads(content)["error"]
    assert post(address, "api/export", wanted | {"format": "../x"})[0] == 400
    assert post(address, "api/export", b"x" * 100_000)[0] == 413


def test_a_video_that_nobody_waits_for_is_not_made(model: Path) -> None:
    wanted = {
        "model": 0,
        "scene": {"grid": [4, 6]},
        "start": 0,
        "seconds": 60,
        "rate": 120,
        "speed": 1,
        "format": "mp4",
    }
    body = json.dumps(wanted).encode()
    with serving([model]) as (process, address):
        place = urllib.parse.urlsplit(address)
        head = f"POST /api/export HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"

        def busy() -> int:
            """Hundredths of a second of work in one second."""
            counts = []
            for _ in range(2):
                fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                counts.append(int(fields[11]) + int(fields[12]))
                time.sleep(1)
            return counts[1] - counts[0]

        with socket.create_connection((place.hostname, place.port)) as page:
            page.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(1)
            assert busy() > 30
        deadline = time.monotonic() + 15  # of more than a minute that it would take
        while busy() > 10:
            assert time.monotonic() < deadline


def test_it_ends_at_once_when_told(model: Path) -> None:
    command = [sys.executable, "-m", "styleganv.cli", "studio", str(model), "--port", "0", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and "Studio: http" in process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=10) is not None
