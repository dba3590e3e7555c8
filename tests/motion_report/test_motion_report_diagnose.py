"""The whole motion report: faults are named beside the data, and nothing is said where there is none."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from motion_faults import FPS, looped, network, pan, ping_pong

from styleganv import cli
from styleganv.data.dataset import write_dataset
from styleganv.errors import StyleganvError
from styleganv.metrics.videos import Videos, open_videos
from styleganv.model_folder import save_model
from styleganv.motion_report.diagnose import MotionReport, diagnose, mean_and_error, training_data
from styleganv.motion_report.kinds import KINDS
from styleganv.motion_report.observe import draw_clips

COUNT = 4


def data_set(path: Path, change: Callable[[np.ndarray], np.ndarray], count: int = COUNT, first: int = 0) -> Videos:
    """`count` pans of 96 frames, each changed, without loss."""
    videos = [
        (f"v{seed}", list(change(pan(seed)).transpose(0, 2, 3, 1)), None, {}) for seed in range(first, first + count)
    ]
    side = videos[0][1][0].shape[0]
    write_dataset(path, videos, height=side, width=side, fps=FPS, quality=None)
    return open_videos(path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    return data_set(tmp_path_factory.mktemp("sound") / "data.zip", lambda video: video)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "model"
    save_model(folder, network(height=16, width=16), data={"fps": FPS, "class_names": []}, training={})
    return folder


def off(report: MotionReport) -> set[str]:
    return {found.key for found in report.diagnostics if found.fine is False}


def noisy(video: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(int(video[0, 0, 0, 0])).normal(0, 6, (len(video), 1, 1, 1))
    return (video + noise).clip(0, 255).round().astype(np.uint8)


def tinted(video: np.ndarray) -> np.ndarray:
    """Colours that fade into red from the first frame to the last."""
    red = np.linspace(0, 0.9, len(video))[:, None, None, None]
    return (video * (1 - red) + red * np.array([200, 20, 20]).reshape(3, 1, 1)).round().astype(np.uint8)


def stuck(video: np.ndarray) -> np.ndarray:
    grain = np.random.default_rng(0).normal(0, 20, video.shape[2:])
    return (video + grain).clip(0, 255).round().astype(np.uint8)


FAULTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], dict[str, str]]] = {
    "loops": (lambda video: looped(video, 12), {"loop": "keep or regain", "period": "repeat themselves more"}),
    "ping-pong": (lambda video: ping_pong(video, 20), {"turns": "to and fro"}),
    "slow": (lambda video: video[np.arange(96) // 2], {"speed": "slower", "speed_spread": "not distributed"}),
    "fading": (tinted, {"drift": "change more"}),
    "noisy": (noisy, {"flicker": "flicker more"}),
    "stuck": (stuck, {"sticking": "sticks"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(fault: str, sound: Videos, tmp_path: Path) -> None:
    change, told = FAULTS[fault]
    report = diagnose(data_set(tmp_path / "data.zip", change), sound, count=COUNT).report
    for key, words in told.items():
        assert report[key].fine is False and words in report[key].verdict, str(report)
        assert report[key].data is not None


def test_other_videos_of_the_same_kind_have_no_fault(sound: Videos, tmp_path: Path) -> None:
    report = diagnose(data_set(tmp_path / "data.zip", lambda video: video, first=COUNT), sound, count=COUNT).report
    assert not off(report), str(report)
    assert {found.verdict for found in report.diagnostics} == {"As in the data."}
    assert {found.key for found in report.diagnostics} == {kind.key for kind in KINDS if kind.ideal is None}


def test_data_alone_has_its_numbers_and_no_verdict(sound: Videos) -> None:
    report = diagnose(sound, count=COUNT).report
    assert report.data_name is None and report.data_identity is None
    assert all(found.fine is None and found.data is None for found in report.diagnostics)
    assert report["turns"].value == 0 and "no data" in report["turns"].verdict


def test_a_model_is_asked_what_only_a_model_knows(model: Path, faces: Path, tmp_path: Path) -> None:
    report = diagnose(open_videos(model, device="cpu"), open_videos(faces), count=4, frames=24).report
    assert [found.key for found in report.diagnostics] == [kind.key for kind in KINDS]
    assert report.frames == 24 and report.videos == report.data_videos == 4
    for key in ("diversity", "transfer", "hold", "same_frames", "between", "even", "slot_jump"):
        assert report[key].ideal is not None and report[key].data is None and report[key].fine is not None
    assert report["same_frames"].value == 0 and report["drift_hour"].fine
    assert report["drift_hour"].ideal == report["hold"].value

    report.write_json(tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["identity"]["kind"] == "model" and len(told["identity"]["sha256"]) == 64
    assert [found["value"] for found in told["diagnostics"]] == [found.value for found in report.diagnostics]


def test_the_same_seed_gives_the_same_report(sound: Videos) -> None:
    one, again, other = (diagnose(sound, count=2, frames=32, seed=seed).report for seed in (1, 1, 2))
    assert one == again and one.diagnostics != other.diagnostics


def test_clips_of_one_video_each_from_any_moment(sound: Videos) -> None:
    clips = list(draw_clips(sound, 3, 32, seed=0))
    assert len(clips) == 3 and all(clip.shape == (32, 3, 48, 48) for clip in clips)
    beginnings = [sound.read(index, range(96)) for index in range(COUNT)]
    places = [
        [(index, t) for index, video in enumerate(beginnings) for t in range(65) if (video[t : t + 32] == clip).all()]
        for clip in clips
    ]
    assert all(len(place) == 1 for place in places)
    assert len({place[0][0] for place in places}) == 3 and len({place[0][1] for place in places}) > 1
    assert len(list(draw_clips(sound, 99, 96, seed=0))) == COUNT


@pytest.mark.parametrize("motion", ["lstm", "none"])
def test_models_that_cannot_answer_everything(motion: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(folder, network(height=16, width=16, motion=motion), data={"fps": FPS, "class_names": []}, training={})
    report = diagnose(open_videos(folder, device="cpu"), count=2, frames=16).report
    if motion == "lstm":
        assert report["drift_hour"].value is None and "800 seconds" in report["drift_hour"].verdict
        assert report["drift_1000"].value is not None
    else:
        assert report["speed"].value == 0 and report["diversity"].value is None
        assert (
            "no motion apart from content" in report["diversity"].verdict
            and "no motion slots" in report["slot_jump"].verdict
        )


def test_one_video_alone(tmp_path: Path) -> None:
    report = diagnose(data_set(tmp_path / "one.zip", lambda video: video, count=1), frames=32).report
    assert report["speed"].value and report["speed"].error is None
    assert report["drift"].value is None and "too few videos" in report["drift"].verdict
    assert "128" not in str(report) and "32 frames of each of 1 videos" in str(report)


def test_mean_and_error() -> None:
    assert mean_and_error(np.array([1.0, 3.0, math.nan])) == (2.0, pytest.approx(1.0))
    assert mean_and_error(np.array([5.0])) == (5.0, None)
    assert mean_and_error(np.array([math.nan])) == (None, None)


def test_mistakes_are_named(sound: Videos, faces: Path, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match="--resolution 48x48"):
        diagnose(sound, open_videos(faces))
    with pytest.raises(StyleganvError, match="--videos 2 or more"):
        diagnose(sound, count=1)
    with pytest.raises(StyleganvError, match="--frames 16 or more"):
        diagnose(sound, frames=15)
    short = data_set(tmp_path / "short.zip", lambda video: video[:12])
    with pytest.raises(StyleganvError, match=r"short.zip have at most 12 frames"):
        diagnose(short)


def test_the_data_of_a_run_is_found(tmp_path: Path, faces: Path) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    assert training_data(run) is None
    (run / "data.txt").write_text(f"{faces}\nhash\n")
    assert training_data(run) == training_data(run / "model") == faces
    (run / "data.txt").write_text(f"{tmp_path / 'moved.zip'}\nhash\n")
    assert training_data(run) is None


def test_the_command(model: Path, faces: Path, tmp_path: Path) -> None:
    (model.parent / "data.txt").write_text(f"{faces}\nhash\n")
    words = f"diagnose {model.parent} --out {tmp_path}/r.html --json {tmp_path}/r.json --videos 2 --frames 16"
    job = subprocess.run([sys.executable, "-m", "styleganv.cli", *words.split()], capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    assert "Turning back" in job.stdout and f"Report: {tmp_path}/r.html" in job.stdout
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["data_name"] == str(faces) and told["videos"] == 2
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    "words, told", [("{p}/nothing", "nothing"), ("{p}/data.zip --data {p}/nothing.zip", "nothing.zip")]
)
def test_the_command_names_mistakes(words: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data_set(tmp_path / "data.zip", lambda video: video[:20], count=2)
    with pytest.raises(SystemExit) as end:
        cli.main(["diagnose", *words.format(p=tmp_path).split(), "--out", str(tmp_path / "r.html")])
    assert end.value.code == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("styleganv: ") and told in message and not (tmp_path / "r.html").exists()
