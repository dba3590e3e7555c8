"""The whole motion report: planted faults are reported by name, sound videos have none."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from motion_faults import FPS, looped, network, pan, ping_pong

from styleganv import cli
from styleganv.data.dataset_writer import write_dataset
from styleganv.errors import StyleganvError
from styleganv.model_folder import save_model
from styleganv.motion_report.diagnose import diagnose, mean_and_error, training_data
from styleganv.motion_report.diagnostics import DIAGNOSTICS, LOOPS
from styleganv.motion_report.measurements import ClipMeasurements, draw_clips, measure_clips
from styleganv.motion_report.page import write_page
from styleganv.motion_report.report import MotionReport
from styleganv.motion_report.specs import DiagnosticSpec, LikeData, Range
from styleganv.videos import Videos, open_videos

COUNT = 4


def dataset(path: Path, change: Callable[[np.ndarray], np.ndarray], count: int = COUNT, first: int = 0) -> Videos:
    """Write a lossless dataset of `count` pans of 96 frames, each modified by `change`."""
    videos = [
        (f"v{seed}", list(change(pan(seed)).transpose(0, 2, 3, 1)), None, {}) for seed in range(first, first + count)
    ]
    side = videos[0][1][0].shape[0]
    write_dataset(path, videos, height=side, width=side, fps=FPS, jpeg_quality=None)
    return open_videos(path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    return dataset(tmp_path_factory.mktemp("sound") / "data.zip", lambda video: video)


@pytest.fixture(scope="module", autouse=True)
def sound_measured_once(sound: Videos) -> Iterator[None]:
    """Measure all clips of `sound` once for each set of diagnostics, as most tests compare with them."""
    measured: dict[object, ClipMeasurements] = {}

    def measure(videos: Videos, measures: Mapping[str, object], *, num_videos: int, **options: Any) -> ClipMeasurements:
        if videos is not sound or num_videos != COUNT:
            return measure_clips(videos, measures, num_videos=num_videos, **options)
        key = (tuple(measures.items()), tuple(options.items()))
        if key not in measured:
            measured[key] = measure_clips(videos, measures, num_videos=num_videos, **options)
        return replace(measured[key], values=dict(measured[key].values))  # which `diagnose` adds to

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("styleganv.motion_report.diagnose.measure_clips", measure)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "model"
    save_model(folder, network(height=16, width=16), data={"fps": FPS, "class_names": []}, training={})
    return folder


def differing(report: MotionReport) -> set[str]:
    return {one.name for one in report.diagnostics if one.fine is False}


def noisy(video: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(int(video[0, 0, 0, 0])).normal(0, 6, (len(video), 1, 1, 1))
    return (video + noise).clip(0, 255).round().astype(np.uint8)


def tinted(video: np.ndarray) -> np.ndarray:
    """Fade the colors to red from the first frame to the last."""
    red = np.linspace(0, 0.9, len(video))[:, None, None, None]
    return (video * (1 - red) + red * np.array([200, 20, 20]).reshape(3, 1, 1)).round().astype(np.uint8)


def stuck(video: np.ndarray) -> np.ndarray:
    grain = np.random.default_rng(0).normal(0, 20, video.shape[2:])
    return (video + grain).clip(0, 255).round().astype(np.uint8)


FAULTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], dict[str, str]]] = {
    "loops": (lambda video: looped(video, 12), {"loop": "keep or regain", "period": "repeat themselves more"}),
    "ping-pong": (lambda video: ping_pong(video, 20), {"turns": "oscillates"}),
    "slow": (lambda video: video[np.arange(96) // 2], {"speed": "slower", "speed_spread": "not distributed"}),
    "fading": (tinted, {"drift": "changes more"}),
    "noisy": (noisy, {"flicker": "flicker more"}),
    "stuck": (stuck, {"sticking": "sticks"}),
}

#: The first is enough while working.
OTHERS = [name for name in FAULTS if name != "loops"]


@pytest.mark.parametrize("fault", ["loops", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_planted_faults_are_reported(fault: str, sound: Videos, tmp_path: Path) -> None:
    change, verdicts = FAULTS[fault]
    report = diagnose(dataset(tmp_path / "data.zip", change), sound, num_videos=COUNT).report
    for name, verdict in verdicts.items():
        assert report[name].fine is False and verdict in report[name].verdict, str(report)
        assert report[name].data is not None


@pytest.mark.slow
def test_other_videos_of_the_same_kind_have_no_fault(sound: Videos, tmp_path: Path) -> None:
    report = diagnose(dataset(tmp_path / "data.zip", lambda video: video, first=COUNT), sound, num_videos=COUNT).report
    assert not differing(report), str(report)
    assert {one.verdict for one in report.diagnostics} == {"Matches the dataset."}
    assert [one.name for one in report.diagnostics] == [s.name for s in DIAGNOSTICS.values() if not s.probe_model]


def test_a_dataset_alone_is_measured_but_not_rated(sound: Videos) -> None:
    report = diagnose(sound, num_videos=COUNT).report
    assert report.data_name is None and report.data_identity is None
    assert all(one.fine is None and one.data is None for one in report.diagnostics)
    assert report["turns"].value == 0 and "No dataset" in report["turns"].verdict
    assert "speed_spread" not in {one.name for one in report.diagnostics}


def test_a_model_is_probed(model: Path, faces: Path, tmp_path: Path) -> None:
    report = diagnose(open_videos(model, device="cpu"), open_videos(faces), num_videos=4, max_frames=24).report
    assert [one.name for one in report.diagnostics] == list(DIAGNOSTICS)
    assert report.num_frames == 24 and report.num_videos == report.data_num_videos == 4
    for name in ("diversity", "transfer", "hold", "same_frames", "between", "even", "slot_jump"):
        assert report[name].ideal is not None and report[name].data is None and report[name].fine is not None
    assert report["same_frames"].value == 0 and report["drift_hour"].fine
    assert report["drift_hour"].ideal == report["hold"].value

    report.write_json(tmp_path / "report.json")
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["identity"]["kind"] == "model" and len(stored["identity"]["sha256"]) == 64
    assert [one["value"] for one in stored["diagnostics"]] == [one.value for one in report.diagnostics]


@pytest.mark.slow
def test_a_new_diagnostic_needs_one_spec(sound: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec in the table is measured, rated, and shown in the text, the JSON and the page with a plot."""
    spec = DiagnosticSpec(
        name="brightness",
        title="Mean brightness",
        unit="gray levels",
        description="Mean of all pixels.",
        section=LOOPS,
        measure_clip=lambda clip: float(clip.frames.mean()),
        expected=LikeData(0.0, 1.0),
        too_low="Videos are darker than the dataset.",
    )
    monkeypatch.setitem(DIAGNOSTICS, spec.name, spec)
    dark = dataset(tmp_path / "dark.zip", lambda video: video // 4)
    analysis = diagnose(dark, sound, num_videos=COUNT, max_frames=16)
    diagnostic = analysis.report["brightness"]
    expected = np.mean([clip.mean() for clip in draw_clips(dark, COUNT, 16, seed=0)])
    assert diagnostic.value == pytest.approx(expected) and diagnostic.data is not None
    assert diagnostic.fine is False and diagnostic.verdict == "Videos are darker than the dataset."
    assert "Mean brightness" in str(analysis.report)
    analysis.report.write_json(tmp_path / "report.json")
    stored = json.loads((tmp_path / "report.json").read_text())["diagnostics"][-1]
    assert stored["name"] == "brightness" and stored["value"] == diagnostic.value
    write_page(tmp_path / "report.html", analysis)
    page = (tmp_path / "report.html").read_text()
    assert f"{diagnostic.value:.3g}" in page and "Videos are darker" in page
    assert "<title>Mean brightness: one dot per video" in page


@pytest.mark.slow
def test_a_clip_diagnostic_may_expect_a_fixed_range(sound: Videos, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"name": "pulse", "title": "Brightness pulse", "unit": "gray levels", "description": "", "section": LOOPS}
    spec = DiagnosticSpec(
        **texts,
        measure_clip=lambda clip: float(clip.frames.mean(axis=(1, 2, 3)).std()),
        expected=Range(0.0, high=30.0),
    )
    monkeypatch.setitem(DIAGNOSTICS, "pulse", spec)
    assert diagnose(sound, num_videos=COUNT, max_frames=16).report["pulse"].fine
    monkeypatch.setitem(DIAGNOSTICS, "pulse", replace(spec, expected=Range(-2.0, high=-1.0)))
    report = diagnose(sound, sound, num_videos=COUNT, max_frames=16).report
    assert report["pulse"].fine is False and report["pulse"].verdict == "Higher than expected."
    assert report["speed_spread"].value == 0 and report["speed_spread"].fine  # a distance cannot be too small


def test_specs_are_validated() -> None:
    texts = {"name": "x", "title": "X", "unit": "", "description": "", "section": LOOPS}
    with pytest.raises(ValueError, match="exactly one"):
        DiagnosticSpec(**texts, expected=LikeData())
    with pytest.raises(ValueError, match="measures clips, so `expected` must be LikeData or a Range"):
        DiagnosticSpec(**texts, expected=lambda means: Range(1.0), measure_clip=lambda clip: 0.0)
    with pytest.raises(ValueError, match="probes a model, so `expected` must be a Range or a function"):
        DiagnosticSpec(**texts, expected=LikeData(), probe_model=lambda probe: np.zeros(2))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_report(sound: Videos) -> None:
    first, again, other = (diagnose(sound, num_videos=2, max_frames=32, seed=seed).report for seed in (1, 1, 2))
    assert first == again and first.diagnostics != other.diagnostics


def test_clips_come_from_different_videos_and_random_times(sound: Videos) -> None:
    clips = list(draw_clips(sound, 3, 32, seed=0))
    assert len(clips) == 3 and all(clip.shape == (32, 3, 48, 48) for clip in clips)
    videos = [sound.read(index, range(96)) for index in range(COUNT)]
    origins = [
        [(index, t) for index, video in enumerate(videos) for t in range(65) if (video[t : t + 32] == clip).all()]
        for clip in clips
    ]
    assert all(len(origin) == 1 for origin in origins)
    assert len({origin[0][0] for origin in origins}) == 3 and len({origin[0][1] for origin in origins}) > 1
    assert len(list(draw_clips(sound, 99, 96, seed=0))) == COUNT


@pytest.mark.slow
@pytest.mark.parametrize("motion", ["lstm", "none"])
def test_models_that_cannot_be_probed_in_every_way(motion: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(folder, network(height=16, width=16, motion=motion), data={"fps": FPS, "class_names": []}, training={})
    report = diagnose(open_videos(folder, device="cpu"), num_videos=2, max_frames=16).report
    if motion == "lstm":
        assert report["drift_hour"].value is None and "800 seconds" in report["drift_hour"].verdict
        assert report["drift_1000"].value is not None
    else:
        assert report["speed"].value == 0 and report["diversity"].value is None
        assert "no motion seed" in report["diversity"].verdict and "no motion slots" in report["slot_jump"].verdict


def test_a_single_video(tmp_path: Path) -> None:
    report = diagnose(dataset(tmp_path / "one.zip", lambda video: video, count=1), max_frames=32).report
    assert report["speed"].value and report["speed"].error is None
    assert report["drift"].value is None and "too few videos" in report["drift"].verdict
    assert "128" not in str(report) and "1 clip of 32 frames" in str(report)


def test_mean_and_error() -> None:
    assert mean_and_error(np.array([1.0, 3.0, math.nan])) == (2.0, pytest.approx(1.0))
    assert mean_and_error(np.array([5.0])) == (5.0, None)
    assert mean_and_error(np.array([math.nan])) == (None, None)


def test_errors_name_the_remedy(sound: Videos, faces: Path, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match="--resolution 48x48"):
        diagnose(sound, open_videos(faces))
    with pytest.raises(StyleganvError, match="--num-videos must be an integer of at least 2, got 1"):
        diagnose(sound, num_videos=1)
    with pytest.raises(StyleganvError, match="--max-frames must be an integer of at least 16, got 15"):
        diagnose(sound, max_frames=15)
    short = dataset(tmp_path / "short.zip", lambda video: video[:12])
    with pytest.raises(StyleganvError, match=r"short.zip have at most 12 frames"):
        diagnose(short)


def test_the_dataset_of_a_run_is_found(tmp_path: Path, faces: Path) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    assert training_data(run) is None
    (run / "data.txt").write_text(f"{faces}\nhash\n")
    assert training_data(run) == training_data(run / "model") == faces
    (run / "data.txt").write_text(f"{tmp_path / 'moved.zip'}\nhash\n")
    assert training_data(run) is None


@pytest.mark.slow
def test_the_command(model: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model.parent / "data.txt").write_text(f"{faces}\nhash\n")
    argv = f"diagnose {model.parent} --out {tmp_path}/r.html --json {tmp_path}/r.json --num-videos 2 --max-frames 16"
    cli.main(argv.split())
    shown = capsys.readouterr().out
    assert "Motion reversal" in shown and f"Report: {tmp_path}/r.html" in shown
    stored = json.loads((tmp_path / "r.json").read_text())
    assert stored["data_name"] == str(faces) and stored["num_videos"] == 2
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    "argv, name", [("{p}/nothing", "nothing"), ("{p}/data.zip --data {p}/nothing.zip", "nothing.zip")]
)
def test_the_command_reports_errors(argv: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset(tmp_path / "data.zip", lambda video: video[:20], count=2)
    with pytest.raises(SystemExit) as end:
        cli.main(["diagnose", *argv.format(p=tmp_path).split(), "--out", str(tmp_path / "r.html")])
    assert end.value.code == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("styleganv: ") and name in message and not (tmp_path / "r.html").exists()
