"""Where and how long the trials of a study run: launchers, several machines, sample sizes, and what ends a training."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from styleganv.cli import main
from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.options import LaunchOptions, StudyOptions
from styleganv.runs import train
from styleganv.study import study as study_module
from styleganv.study.sizes import CLIP_SIZES, MOTION_SIZES, Sizes, fitting_sizes
from styleganv.study.study import create_trials, study, trial_command, trial_commands
from styleganv.study.trial import DONE, Trial, read_trial, stopped_by
from styleganv.training import loop
from styleganv.training.run_log import read_log

OPTIONS = StudyOptions(minutes=1, num_clips=4)
#: Stands in for Python: writes the file of the step, whose name and folder are the last arguments.
PYTHON = """#!/bin/sh
echo "$@" >> "$4/started"
case "$3" in train) echo {} > "$4/training.json";; *) echo {} > "$4/measures.json";; esac
"""
LAUNCHER = """#!/bin/sh
echo "$1" >> "$(dirname "$0")/launched"
shift
exec "$@"
"""


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a launcher that records its first argument and runs the rest, where trials take no time."""
    for name, text in (("launcher", LAUNCHER), ("python", PYTHON)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(study_module, "sys", SimpleNamespace(executable=str(tmp_path / "python")))
    monkeypatch.setattr(study_module, "write_comparison", lambda out, show_real: out / "comparison.md")
    return tmp_path / "launcher"


def test_trials_start_through_a_launcher(faces: Path, launcher: Path, tmp_path: Path) -> None:
    launch = LaunchOptions(jobs=2, launch=f"{shlex.quote(str(launcher))} --gpus=1")
    study([faces], tmp_path / "out", methods=["stylegan2", "digan"], options=OPTIONS, launch=launch)
    assert (tmp_path / "launched").read_text().splitlines() == ["--gpus=1"] * 4
    for method in ("stylegan2", "digan"):
        folder = tmp_path / "out" / "faces" / method / "0"
        steps = [line.split()[2] for line in (folder / "started").read_text().splitlines()]
        assert steps == ["train", "measure"] and all((folder / name).exists() for name in DONE.values())


def test_a_trial_that_runs_elsewhere_is_skipped(
    faces: Path, launcher: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    out = tmp_path / "out"
    first, second = create_trials([faces], out, methods=["stylegan2", "digan"], options=OPTIONS)
    with FileLock(first / ".lock"):
        study([faces], out, methods=["stylegan2", "digan"], options=OPTIONS)
    assert not (first / "started").exists() and (second / "started").exists()
    assert f"Skipped {first}, which another study runs." in caplog.text
    study([faces], out, methods=["stylegan2", "digan"], options=OPTIONS)
    assert (first / "started").exists() and len((second / "started").read_text().splitlines()) == 2


def test_torchrun_starts_modules_and_only_trains(tmp_path: Path) -> None:
    words = ["srun", "/bin/torchrun", "--nproc-per-node", "4"]
    module = ["-m", "styleganv.study.trial"]
    assert trial_command(tmp_path, "train", words) == [*words, *module, "train", str(tmp_path)]
    assert trial_command(tmp_path, "measure", words) == ["srun", sys.executable, *module, "measure", str(tmp_path)]
    assert trial_command(tmp_path, "measure", words[1:]) == [sys.executable, *module, "measure", str(tmp_path)]
    assert trial_command(tmp_path, "train", ["srun"]) == ["srun", sys.executable, *module, "train", str(tmp_path)]


def test_printed_commands_run_in_a_shell(
    faces: Path, launcher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line is one trial, also where folders have spaces; complete trials are omitted."""
    monkeypatch.chdir(tmp_path)
    argv = ["study", str(faces), "--out", "my $study", "--methods", "stylegan2,digan", "--num-clips", "4"]
    main([*argv, "--print-commands"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and not list((tmp_path / "my $study").glob("*/*/*/started"))
    subprocess.run(["sh", "-c", lines[0]], check=True, cwd="/")
    folders = create_trials(
        [faces], tmp_path / "my $study", methods=["stylegan2", "digan"], options=replace(OPTIONS, minutes=5)
    )
    assert [line.split()[2] for line in (folders[0] / "started").read_text().splitlines()] == ["train", "measure"]
    assert trial_commands(folders) == lines[1:]


@pytest.mark.parametrize("seconds_per_frame", [0.04, 0.014, 1e-4])
@pytest.mark.parametrize("minutes", [0.1, 5, 60, 6000])
def test_measuring_takes_a_tenth_of_the_time_or_the_minimum(minutes: float, seconds_per_frame: float) -> None:
    sizes = fitting_sizes(minutes, seconds_per_frame)
    clips, motion = sizes.num_clips * sizes.num_frames, dict((size[:2], size[2]) for size in MOTION_SIZES)
    cost = clips + motion[sizes.motion_videos, sizes.motion_frames]
    fits = cost * seconds_per_frame <= 0.75 * 0.1 * 60 * minutes
    assert fits or (sizes.num_clips, sizes.num_frames) == CLIP_SIZES[-1] or sizes.motion_videos == MOTION_SIZES[-1][0]
    assert fits or minutes < 5


def test_sizes_are_kept_for_the_whole_study(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of another speed, or a later call, uses those of the first."""
    speeds = iter([1e-4])
    monkeypatch.setattr(study_module, "seconds_per_frame", lambda: next(speeds))
    options = StudyOptions(minutes=5)
    for methods in (["stylegan2"], ["stylegan2", "digan"]):
        folders = create_trials([faces], tmp_path, methods=methods, options=options)
    assert {read_trial(folder).sizes for folder in folders} == {Sizes(256, 16, 16, 64)}
    with pytest.raises(StyleganvError, match="was started with num_clips 256"):
        create_trials([faces], tmp_path, methods=["digan"], options=replace(options, num_clips=32))


def test_trials_of_a_number_of_clips_or_a_distance() -> None:
    trial = Trial("data.zip", "stylegan-v", seed=0, preset="tiny-cpu", minutes=60, num_clips=64)
    clips = replace(trial, clips=1000).config(60)
    assert clips.training.total_clips == 1000 and clips.training.minutes == 60 and clips.logging.snapshot_every > 1000
    assert clips.training.target_distance is None and clips.logging.eval_every is None
    target = replace(trial, distance=150.0).config(30)
    assert target.training.target_distance == 150 and target.logging.eval_clips == 64 and target.training.minutes == 30
    assert "1,000 clips of training each (at most 60 minutes)" in replace(trial, clips=1000).length
    assert "until a distance of 150 in evaluations of 64 clips" in replace(trial, distance=150.0).length
    assert StudyOptions().training_minutes == 5 and StudyOptions(clips=7, max_minutes=9).training_minutes == 9


@pytest.mark.usefixtures("no_run_images")
@pytest.mark.parametrize("target, clips_seen, stopped", [(150.0, 16, "distance"), (50.0, 32, "minutes")])
def test_training_stops_at_a_distance(
    target: float,
    clips_seen: int,
    stopped: str,
    faces: Path,
    tiny: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Distances fall by 100 per evaluation, from 200; then the model and the checkpoint are saved as at any end."""
    distances = iter([200.0, 100.0, 100.0, 100.0, 100.0])
    monkeypatch.setattr("styleganv.runs.distance", lambda *_: {"frechet_efficientnet": next(distances)})
    monkeypatch.setattr(loop, "FIRST_SNAPSHOT", 0.0)
    monkeypatch.setattr(loop, "EVALUATION_TIME", 1e9)  # an evaluation after every step
    training = replace(tiny.training, target_distance=target, total_clips=32)
    config = replace(tiny, training=training, logging=replace(tiny.logging, eval_every=None))
    train(faces, tmp_path / "run", config)
    model = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert model["training"]["clips_seen"] == clips_seen
    found = [
        record["frechet_efficientnet"]
        for record in read_log(tmp_path / "run" / "log.jsonl")
        if "frechet_efficientnet" in record
    ]
    assert found == [200.0, 100.0, 100.0, 100.0][: clips_seen // 8]
    trial = Trial("data.zip", "stylegan-v", seed=0, preset="tiny-cpu", minutes=1, num_clips=4, distance=target)
    assert stopped_by(trial, tmp_path / "run", clips_seen) == stopped
    assert stopped_by(replace(trial, distance=None, clips=clips_seen), tmp_path / "run", clips_seen) == "clips"
