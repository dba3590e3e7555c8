"""The study: real trainings of a few seconds in separate processes: interrupted, resumed, failed, compared."""

import json
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import warm
from PIL import Image

from styleganv.cli import main
from styleganv.config import PRESETS, get_preset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.methods import METHODS, ablation_names, apply_ablation, apply_method
from styleganv.options import LaunchOptions, StudyOptions
from styleganv.study.comparison import write_comparison
from styleganv.study.study import study
from styleganv.study.trial import Trial, variants
from styleganv.training.preflight import check_settings
from styleganv.training.run_log import read_log

#: Trains for 1.2 seconds.
SHORT = StudyOptions(minutes=0.02, num_clips=4)
#: Program of a step of a trial; frames of 224×224 would take most of its time.
TRIAL = """
from styleganv.metrics import features
from styleganv.study.trial import main
features.EFFICIENTNET_SIZE = (64, 64)
main()
"""
STUDIED = ("stylegan2", "videogpt")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEGANV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "small.zip"
    make_faces(path, num_videos=8, num_frames=20, resolution=(16, 16))
    return path


@pytest.mark.parametrize("method", variants())
@pytest.mark.parametrize("preset_name", PRESETS)
def test_settings_of_every_trial_are_valid(method: str, preset_name: str) -> None:
    config = Trial("data.zip", method, seed=7, preset=preset_name, minutes=5, num_clips=4).config(3)
    check_settings(config)
    METHODS[config.model.method].check(config)
    assert config.training.minutes == 3 and config.training.seed == 7
    assert config.model.method == variants()[method][0]


def test_a_study_has_all_methods_and_ablations() -> None:
    assert {method for method, _ in variants().values()} == set(METHODS)
    assert {ablation for _, ablation in variants().values()} - {None} == set(ablation_names())


def test_ablations_require_stylegan_v() -> None:
    config = get_preset("64")
    assert apply_ablation(config, "lstm").model.motion == "lstm"
    assert apply_ablation(config, "unconditioned").model.condition == "none"
    assert apply_ablation(config, "more-frames").training.num_frames == 8
    with pytest.raises(StyleganvError, match="ablation 'gru': choose one of lstm, "):
        apply_ablation(config, "gru")
    with pytest.raises(StyleganvError, match="not available for --method digan"):
        apply_ablation(apply_method(config, "digan"), "lstm")


def start_trial(command: list[str], **options: Any) -> warm.Popen:
    """Start a step of a trial with small frames for EfficientNet."""
    python, *module, step, folder = command
    assert module == ["-m", "styleganv.study.trial"]
    return warm.Popen([python, "-c", TRIAL, step, folder], **options)


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Start trials as forks of a process that has loaded PyTorch already; show two videos of each."""
    patch.setattr("styleganv.study.study.subprocess", SimpleNamespace(Popen=start_trial))
    patch.setattr("styleganv.study.comparison.NUM_SHOWN", 2)


@pytest.fixture
def quick_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture(scope="module")
def completed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a study of two methods. Copy it before changing it."""
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        out = tmp_path_factory.mktemp("study") / "out"
        return study([data], out, methods=STUDIED, options=SHORT, launch=LaunchOptions(jobs=2)).parent


@pytest.mark.slow
@pytest.mark.usefixtures("quick_trials")
def test_a_study_compares_and_repeats_nothing(
    data: Path, completed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = shutil.copytree(completed, tmp_path / "out")
    page = out / "comparison.md"
    text = page.read_text()
    assert "## small" in text and "8 videos of 16×16 pixels" in text and "| StyleGAN2 (images) |" in text
    rows = [row for row in text.splitlines() if row.startswith("| VideoGPT | ")]
    assert "frechet_efficientnet4_16f" in text and sum("more than 16 frames" in row for row in rows) == 1
    assert re.search(r"Measuring \(4 clips of 16 frames\) took [0-9.e+]+ to [0-9.e+]+ % of the training time", text)
    assert "Above 10 %: " in text  # trainings of a second
    lines = [line.split(",") for line in (out / "comparison.csv").read_text().splitlines()]
    assert ["quality", "small", "VideoGPT", "clips seen"] in [line[:4] for line in lines]
    assert "StyleGAN2 (images) & " in (out / "comparison.tex").read_text()
    with Image.open(out / "comparison" / "small.webp") as video:
        assert video.n_frames == 48  # type: ignore[attr-defined]
    measures = json.loads((out / "small/videogpt/0/measures.json").read_text())
    assert measures["frames_per_second"]["16"] > 1 and "must end within" in measures["frames_per_second"]["128"]
    assert measures["motion_frames"] == 16 and measures["motion"]["speed"]["value"] is not None
    assert all(quality["floor"] > 0 for quality in measures["quality"].values())
    trained = json.loads((out / "small/videogpt/0/training.json").read_text())
    assert trained["stopped_by"] == "minutes" and measures["seconds"].keys() == {
        "sampling",
        "distances",
        "motion report",
    }
    assert trained["minutes"] >= 0.02 and trained["frames_seen"] == 16 * trained["clips_seen"] > 0

    times = {path: path.stat().st_mtime_ns for path in out.glob("*/*/*/*") if path.is_file()}
    reports: list[tuple[int, int]] = []
    study(
        [data], out, methods=STUDIED, options=SHORT, progress=lambda done, total, stage: reports.append((done, total))
    )
    assert {path: path.stat().st_mtime_ns for path in times} == times and reports == [(0, 0)]
    assert page.read_text() == text
    with pytest.raises(StyleganvError, match=r"was started with minutes 0\.02: pass the same values"):
        study([data], out, methods=STUDIED, options=StudyOptions(minutes=3, num_clips=4))
    _check_uninstalled_methods_are_reported(out, caplog)


def _check_uninstalled_methods_are_reported(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = out / "small" / "other" / "0"
    shutil.copytree(out / "small" / "stylegan2" / "0", folder)
    trial = json.loads((folder / "trial.json").read_text())
    (folder / "trial.json").write_text(json.dumps(trial | {"method": "other"}))
    text = write_comparison(out).read_text()
    assert text.startswith("Omitted because these methods are not installed: other.\n")
    assert "not installed: other. Install" in caplog.text and "| VideoGPT | " in text


@pytest.mark.long
@pytest.mark.usefixtures("quick_trials")
def test_an_interrupted_study_resumes(data: Path, completed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = ["study", str(data), "--out", str(out), "--methods", "stylegan2", "--minutes", "0.06", "--num-clips", "4"]
    run = out / "small" / "stylegan2" / "0" / "run"
    process = warm.Popen([sys.executable, "-m", "styleganv.cli", *argv], stderr=warm.PIPE)
    deadline = time.monotonic() + 90
    while not (run / "log.jsonl").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130 and "rerun the command to continue" in message
    assert not (run.parent / "training.json").exists()
    before = read_log(run / "log.jsonl")[-1]["clips_seen"]
    # Measuring would take most of the time.
    shutil.copy(completed / "small/stylegan2/0/measures.json", run.parent)
    main(argv)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    starts = [line["clips_seen"] for line in log if line.get("event") == "start"]
    assert starts == [0, before] and before > 0
    trained = json.loads((run.parent / "training.json").read_text())
    assert 0.06 <= trained["minutes"] < 0.4 and trained["clips_seen"] > before


@pytest.mark.slow
def test_failed_trials_are_reported_at_the_end(tmp_path: Path) -> None:
    make_faces(tmp_path / "odd.zip", num_videos=4, num_frames=16, resolution=(18, 32))
    with pytest.raises(StyleganvError, match=r"1 of 1 trials failed .*videogpt.*18x32.*rerun"):
        study([tmp_path / "odd.zip"], tmp_path / "out", methods=("videogpt",), options=SHORT)
    assert (tmp_path / "out" / "comparison.md").exists()


def test_bad_input(data: Path, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match=r"Unknown methods gan: .*choose from stylegan-v, lstm,"):
        study([data], tmp_path, methods=("gan",))
    with pytest.raises(StyleganvError, match="--minutes must be a finite number greater than 0, got 0"):
        study([data], tmp_path, options=StudyOptions(minutes=0))
    with pytest.raises(StyleganvError, match="--repeats must be an integer from 1 to 10000, got 0"):
        study([data], tmp_path, num_repeats=0)
    for wrong, message in (
        ({"minutes": 1, "clips": 5}, "--minutes and --clips exclude each other"),
        ({"clips": 5, "distance": 9}, "--clips and --distance exclude each other"),
        ({"distance": 0}, "--distance must be a finite number greater than 0, got 0"),
        ({"clips": 0}, "--clips must be an integer of at least 1, got 0"),
    ):
        with pytest.raises(StyleganvError, match=message):
            study([data], tmp_path, options=StudyOptions(**wrong))  # type: ignore[arg-type]
    with pytest.raises(StyleganvError, match="--launch nosuch is not a program"):
        study([data], tmp_path, launch=LaunchOptions(launch="nosuch --gpus=1"))
    with pytest.raises(StyleganvError, match="close its quotes"):
        study([data], tmp_path, launch=LaunchOptions(launch="srun '--gpus"))
    with pytest.raises(StyleganvError, match="--jobs must be an integer from 1 to 1024, got 0"):
        study([data], tmp_path, launch=LaunchOptions(jobs=0))
    with pytest.raises(StyleganvError, match="the same name"):
        study([data, data], tmp_path)
    with pytest.raises(StyleganvError, match="preset 'big'"):
        study([data], tmp_path, options=StudyOptions(preset="big"))
    with pytest.raises(StyleganvError, match="fvd"):
        study([data], tmp_path, protocols=("fvd",))
    assert not list(tmp_path.iterdir())
