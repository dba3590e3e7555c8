"""Trackers get what a run reports, and no failure of theirs ends it; Weights & Biases and MLflow for real, offline."""

import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from styleganv.config import LoggingConfig, RunConfig
from styleganv.errors import StyleganvError
from styleganv.media.writing import write_image, write_video
from styleganv.training import trackers
from styleganv.training.run_log import RunLog
from styleganv.training.trackers import TrackedRun, check_trackers, parse_trackers


def tracked_by(names: str) -> RunConfig:
    return RunConfig(logging=LoggingConfig(trackers=names))


def report(out: Path, names: str, *, clips: int, event: str) -> None:
    """Let a run of 8 clips from a checkpoint report everything; its snapshot is a file of one color."""
    out.mkdir(exist_ok=True)
    frame = np.full((16, 16, 3), 99, np.uint8)

    def write_snapshot(log: RunLog, *_: object) -> tuple[Path, Path]:
        write_image(out / "a.png", frame, overwrite=True)
        write_video(out / "a.mp4", [frame] * 4, 25, overwrite=True)
        return out / "a.png", out / "a.mp4"

    with (
        pytest.MonkeyPatch.context() as patch,
        RunLog(out, clips_seen=clips, config=tracked_by(names), run_id="0123abcd") as log,
    ):
        patch.setattr(RunLog, "_write_snapshot", write_snapshot)
        patch.setattr(RunLog, "write_curves", lambda *_: None)
        log.write_scalars(clips + 8, 24, {"loss_g": 0.5})
        log.write_snapshot(clips + 8, None)  # type: ignore[arg-type]
        log.write_evaluation(clips + 8, {"frechet_efficientnet": 3.5})
        if event:
            log.finish(clips + 8, event)


class Recorder:
    """A tracker that keeps its calls, and then raises if its class `fails`."""

    title = "Recorder"
    calls: list[Any] = []  # noqa: RUF012
    fails = False

    def __init__(self, run: TrackedRun) -> None:
        self.note("start", run)

    def note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.fails:
            raise ConnectionError("the network is down")

    def log_scalars(self, clips_seen: int, scalars: Mapping[str, float]) -> None:
        self.note(clips_seen, sorted(scalars))

    def log_snapshot(self, clips_seen: int, image: Path, video: Path) -> None:
        self.note(clips_seen, image.name, video.name)

    def flush(self) -> None:
        pass

    def finish(self, state: str) -> None:
        self.note(state)


@pytest.mark.parametrize("event, state", [("end", "finished"), ("diverged", "diverged"), ("", "failed")])
def test_a_tracker_gets_everything_in_order(
    event: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(trackers.TRACKERS, "mlflow", Recorder)
    monkeypatch.setattr(Recorder, "calls", [])
    report(tmp_path, "mlflow", clips=16, event=event)
    (_, run), *calls = Recorder.calls
    assert (run.folder, run.id, run.clips_seen) == (tmp_path, "0123abcd", 16)
    assert run.settings["logging"]["trackers"] == "mlflow" and run.settings["training"]["seed"] == 0
    assert calls == [
        (24, ["clips_per_second", "loss_g"]),
        (24, "a.png", "a.mp4"),
        (24, ["frechet_efficientnet"]),
        (state,),
    ]
    assert not (tmp_path / "tensorboard").exists()


@pytest.mark.parametrize("when", ["start", "later"])
def test_a_failing_tracker_is_one_warning_and_the_others_go_on(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    working = type("Working", (Recorder,), {"calls": []})
    failing = type("Failing", (Recorder,), {"calls": [], "title": "Failing", "fails": True})
    if when == "later":
        monkeypatch.setattr(failing, "__init__", lambda *_: None)
    monkeypatch.setitem(trackers.TRACKERS, "wandb", failing)
    monkeypatch.setitem(trackers.TRACKERS, "mlflow", working)
    with caplog.at_level(logging.WARNING, "styleganv"):
        report(tmp_path, "wandb, mlflow", clips=0, event="end")
    (warning,) = caplog.messages
    assert warning == f"Skipping the Failing data of {tmp_path}, training continues: the network is down"
    assert len(working.calls) == 5


def test_names_of_trackers() -> None:
    assert list(parse_trackers("tensorboard")) == ["tensorboard"]
    assert list(parse_trackers(" wandb,tensorboard,")) == ["wandb", "tensorboard"]
    assert parse_trackers("none") == parse_trackers("") == {}
    with pytest.raises(StyleganvError, match="--trackers must list some of tensorboard, wandb, mlflow, or none, got"):
        check_trackers("tensorboard,comet")


def test_a_tracker_that_is_not_installed_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of wandb's files, in a working directory on the path, is not the package."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(StyleganvError, match=r"requires the package wandb: run pip install 'styleganv\[wandb\]'"):
        check_trackers("wandb")


@pytest.mark.slow
def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    report(tmp_path / "mine", "wandb", clips=0, event="end")
    (file,) = (tmp_path / "mine" / "wandb").glob("offline-run-*-0123abcd/run-0123abcd.wandb")
    names = (b"loss_g", b"clips_seen", b"frechet_efficientnet", b"styleganv", b"slot_distance")
    deadline = time.monotonic() + 30
    while missing := [name for name in names if name not in file.read_bytes()]:  # another process writes it
        assert time.monotonic() < deadline, missing
        time.sleep(0.05)
    media = {path.suffix for path in file.parent.rglob("media/**/*") if path.is_file()}
    assert media == {".png", ".mp4"}


@pytest.mark.slow
def test_mlflow_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run continues its curves."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "")  # restored afterwards
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out = tmp_path / "a run"
    report(out, "mlflow", clips=0, event="interrupted")
    from mlflow import MlflowClient

    client = MlflowClient((out / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("styleganv")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("a run", "KILLED")
    assert run.data.params["training.lr"] == "0.0025" and run.data.params["model.shortest_period"] == "None"
    report(out, "mlflow", clips=8, event="end")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "loss_g")
    assert [(point.step, point.value) for point in points] == [(8, 0.5), (16, 0.5)]
    assert run.data.metrics["frechet_efficientnet"] == 3.5
    files = client.list_artifacts(run.info.run_id, "snapshots")
    assert {Path(file.path).name for file in files} == {"a.png", "a.mp4"}


def test_a_training_checks_its_trackers_first(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    from styleganv.runs import train

    with pytest.raises(StyleganvError, match="--trackers must list some of"):
        train(faces, tmp_path / "run", replace(tiny, logging=replace(tiny.logging, trackers="tensorbord")))
    assert not (tmp_path / "run").exists()
