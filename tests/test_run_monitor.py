"""A run as one watches it: its state, progress, log and findings; stop and resume."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from styleganv import inventory, run_monitor
from styleganv.config import RunConfig, TrainingConfig, save_settings
from styleganv.errors import StyleganvError
from styleganv.run_monitor import RunMonitor
from styleganv.runs import resume, train
from styleganv.training.control import STOP_FILE, request_stop
from styleganv.training.loop import InterruptedTraining

SETTINGS = RunConfig(training=TrainingConfig(total_clips=1000))


def write_log(run: Path, *records: dict[str, object], config: RunConfig = SETTINGS) -> None:
    run.mkdir(exist_ok=True)
    save_settings(config, run / "settings.yaml")
    with open(run / "log.jsonl", "a") as file:
        file.writelines(f"{json.dumps(record)}\n" for record in records)


def test_a_finished_run(finished_run: Path) -> None:
    status = RunMonitor(finished_run, "mine").status()
    assert (status.name, status.state, status.method) == ("mine", "finished", "stylegan-v")
    assert (status.clips, status.total_clips, status.fraction, status.seconds_left) == (16, 16, 1.0, None)
    assert status.snapshots == (16,) and status.scalars["loss_g"] > 0 and status.findings == ()
    assert status.scalars["snapshot_diversity"] > 0
    json.dumps(status.to_dict(), allow_nan=False)
    assert RunMonitor(finished_run, "mine").snapshot(16, ".png").is_file()


def test_progress_and_the_time_left(tmp_path: Path) -> None:
    run, now = tmp_path / "run", time.time()
    start = {"event": "start", "clips_seen": 0, "time": now - 90}
    write_log(run, start, {"clips_seen": 250, "loss_g": float("nan"), "clips_per_second": 2.5, "time": now})
    monitor = RunMonitor(run, "run")
    with FileLock(run / ".lock"):
        status = monitor.status()
        assert (status.state, status.fraction, status.seconds_left) == ("running", 0.25, 300.0)
        assert "loss_g" not in status.scalars and [found.name for found in status.findings] == ["divergence"]
        write_log(run, config=replace(SETTINGS, training=replace(SETTINGS.training, minutes=3.0)))
        status = monitor.status()  # the time is up before the clips are
        assert status.fraction == pytest.approx(0.5, abs=0.02) and status.seconds_left == pytest.approx(90, abs=4)
        write_log(run, start | {"clips_seen": 250, "total_clips": 2000, "minutes": 6.0})  # resumed with other limits
        status = monitor.status()
        assert status.total_clips == 2000 and status.fraction == pytest.approx(0.25, abs=0.01)
    status = monitor.status()
    assert (status.state, status.fraction, status.seconds_left) == ("crashed", 0.125, None)


def test_clients_get_what_is_new_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    write_log(run, {"clips_seen": 8, "loss_g": 1.0})
    monitor = RunMonitor(run, "run")
    first = monitor.log()
    assert first["is_new"] and first["columns"] == {"clips_seen": [8], "loss_g": [1.0]}
    write_log(run, {"clips_seen": 16, "loss_g": 2.0}, {"event": "interrupted", "clips_seen": 16})
    second = monitor.log(first["end"], first["version"])
    assert not second["is_new"] and second["columns"] == {"clips_seen": [16], "loss_g": [2.0]}
    third = monitor.log(second["end"], second["version"])
    assert not third["is_new"] and third["columns"] == {}
    for after, version in ((10**9, third["version"]), (-5, third["version"]), (third["end"], "other")):
        assert monitor.log(after, version)["columns"]["clips_seen"] == [8, 16]
    write_log(run, {"event": "start", "clips_seen": 8}, {"clips_seen": 16, "loss_g": 3.0})
    fourth = monitor.log(third["end"], third["version"])  # a record that the client has was dropped
    assert fourth["is_new"] and fourth["columns"]["loss_g"] == [1.0, 3.0]
    monkeypatch.setattr(run_monitor, "MAX_NEW_BYTES", 10)
    assert monitor.log(first["end"], fourth["version"])["is_new"]


def test_a_damaged_run_is_described_as_far_as_possible(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_log(
        run, {"event": "start", "clips_seen": 0, "time": "noon"}, {"clips_seen": 8, "loss_g": "x", "time": "noon"}
    )
    (run / "settings.yaml").write_text("training: [")
    (run / "record.json").write_text("{")
    status = RunMonitor(run, "run").status()
    assert (status.method, status.total_clips, status.fraction, status.clips) == (None, None, None, 8)


@pytest.mark.usefixtures("no_run_images")
def test_a_request_stops_a_training_that_then_resumes(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    run, requests = tmp_path / "run", []

    def request(*_: object) -> None:
        if not requests:
            requests.append(request_stop(run))

    with pytest.raises(InterruptedTraining) as stopped:
        train(faces, run, tiny, progress=request)
    assert stopped.value.status == 0 and not (run / STOP_FILE).exists()
    status = RunMonitor(run, "run").status()
    assert status.state == "interrupted" and status.clips < 16
    (run / STOP_FILE).touch()  # of a client that was too late
    resume(run)
    assert RunMonitor(run, "run").status().state == "finished" and not (run / STOP_FILE).exists()


def test_what_does_not_train_is_not_stopped(finished_run: Path) -> None:
    with pytest.raises(StyleganvError, match="is not in training: there is nothing to stop"):
        RunMonitor(finished_run, "mine").stop()
    assert not (finished_run / STOP_FILE).exists()


def test_what_trains_or_needs_torchrun_is_not_resumed(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    with FileLock(run / ".lock"), pytest.raises(StyleganvError, match="mine is in training already"):
        RunMonitor(run, "mine").resume()
    text = (run / "record.json").read_text()
    (run / "record.json").write_text(text.replace('"num_processes": 1', '"num_processes": 8'))
    with pytest.raises(StyleganvError, match="mine was trained by 8 processes: resume it with torchrun"):
        RunMonitor(run, "mine").resume()
    assert not (run / "output.log").exists()


def test_the_table_names_what_goes_wrong(tmp_path: Path) -> None:
    write_log(tmp_path / "run", {"clips_seen": 8, "loss_g": 1e9}, {"event": "end", "clips_seen": 8})
    lines = inventory.format_runs(inventory.list_runs(tmp_path)).splitlines()
    assert len(lines) == 3 and lines[2].startswith("run: The losses exploded: loss_g reached 1e+09.")
    assert "exploded" in inventory.describe_path(tmp_path / "run").facts["Findings"]
