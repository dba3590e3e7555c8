"""The log of a run: damage, repeated parts, and outputs that cannot be written."""

import json
import logging
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from styleganv.config import RunConfig
from styleganv.runs import resume, train
from styleganv.training.run_log import RunLog, read_log
from styleganv.video_model import VideoModel


def line(clips_seen: int, **values: object) -> str:
    return json.dumps({"clips_seen": clips_seen, **values}) + "\n"


def test_damaged_lines_are_skipped_and_dropped_by_a_resume(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    good = line(0, event="start") + line(8, loss_g=1.0) + line(16, loss_g=2.0)
    bad = b"\xff\x00\n[1]\n7\n{}\n" + line(24, loss_g=3.0).encode()[:-9]
    path.write_bytes(good.encode() + bad)
    assert [record["clips_seen"] for record in read_log(path)] == [8, 16]
    with RunLog(tmp_path, clips_seen=16) as log:
        log.write_scalars(24, 72, {"loss_g": 4.0})
    records = [json.loads(text) for text in path.read_text().splitlines()]
    assert [(record["clips_seen"], record.get("event")) for record in records] == [
        (0, "start"),
        (8, None),
        (16, None),
        (16, "start"),
        (24, None),
    ]


def test_records_after_the_checkpoint_are_written_again(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(line(0, event="start") + "".join(line(n, loss_g=1.0) for n in (8, 16, 24)))
    with RunLog(tmp_path, clips_seen=16) as log:
        log.write_scalars(24, 72, {"loss_g": 2.0})
    assert [(record["clips_seen"], record["loss_g"]) for record in read_log(tmp_path / "log.jsonl")] == [
        (8, 1.0),
        (16, 1.0),
        (24, 2.0),
    ]


def test_what_could_not_be_written_to_the_log_is_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log.jsonl").mkdir()
    with RunLog(tmp_path, clips_seen=0) as log, caplog.at_level(logging.WARNING, "styleganv"):
        log.write_scalars(8, 24, {"loss_g": 1.0})
        log.write_scalars(16, 48, {"loss_g": 2.0})
        (tmp_path / "log.jsonl").rmdir()
        log.write_scalars(24, 72, {"loss_g": 3.0})
    assert [record["loss_g"] for record in read_log(tmp_path / "log.jsonl")] == [1.0, 2.0, 3.0]


def test_tensorboard_on_a_full_disk_is_one_warning_without_a_traceback(
    small_disk: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)
    with RunLog(small_disk, clips_seen=0) as log, caplog.at_level(logging.WARNING, "styleganv"):
        with suppress(OSError), open(small_disk / "filler", "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        for clips in range(8, 80, 8):
            log.write_scalars(clips, clips, {f"loss_{i}": 1.0 for i in range(50)})
            log.flush()
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    assert sum("TensorBoard" in record.getMessage() for record in caplog.records) == 1
    assert [args.exc_type for args in printed] == [ZeroDivisionError]  # other threads are still heard
    assert threading.excepthook == printed.append


def test_the_last_evaluation_is_in_the_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plotted: list[list[dict[str, float]]] = []
    monkeypatch.setattr("styleganv.training.curves.plot_curves", lambda _, records: plotted.append(records))
    with RunLog(tmp_path, clips_seen=0) as log:
        log.write_scalars(8, 16, {"loss_g": 1.0})
        log.write_curves()
        log.write_evaluation(8, {"frechet": 5.0})
        log.finish(8, "end")  # plots nothing, as nothing is new
    assert len(plotted) == 2 and plotted[-1][-1]["frechet"] == 5.0


@pytest.mark.parametrize("name", [pytest.param("a:b", marks=pytest.mark.slow), "run"])
def test_reports_that_cannot_be_written_end_no_training(
    name: str, faces: Path, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    out, failing = Path(name), replace(tiny, logging=replace(tiny.logging, snapshot_every=8, eval_every=8))
    if name == "run":
        (out / "curves.png").mkdir(parents=True)
        (out / "log.jsonl").mkdir()
        (out / "snapshots").touch()
        (out / "tensorboard").touch()

    def fail(videos: VideoModel, *_: object) -> dict[str, float]:
        raise MemoryError("no room for an evaluation")

    monkeypatch.setattr("styleganv.runs.distance", fail)
    if name == "run":
        monkeypatch.setattr("styleganv.training.loop.write_record", fail)
    with caplog.at_level(logging.WARNING, "styleganv"):
        train(faces, out, failing)
    assert json.loads((out / "model" / "config.json").read_text())["training"]["clips_seen"] == 16
    kinds = (
        ["evaluation", "log", "record", "TensorBoard data", "snapshots", "curves"] if name == "run" else ["evaluation"]
    )
    for kind in kinds:
        assert caplog.text.count(f"Skipping the {kind} of {name}, training continues: ") == 1, caplog.text


@pytest.mark.slow
def test_a_resumed_run_repeats_no_report_and_writes_a_missing_one(
    faces: Path, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def distance(videos: VideoModel, *_: object) -> dict[str, float]:
        measured.append(videos)
        return {"distance": float(len(measured))}

    monkeypatch.setattr("styleganv.runs.distance", distance)
    config = replace(tiny, logging=replace(tiny.logging, snapshot_every=16, eval_every=16))
    train(faces, tmp_path / "run", config)
    picture = tmp_path / "run" / "snapshots" / "000000016.png"
    written = picture.stat().st_mtime_ns
    for _ in range(2):
        resume(tmp_path / "run")
    assert len(measured) == 1 and picture.stat().st_mtime_ns == written
    picture.unlink()
    log = tmp_path / "run" / "log.jsonl"
    log.write_text("".join(text for text in log.read_text().splitlines(keepends=True) if "distance" not in text))
    for event_file in (tmp_path / "run" / "tensorboard").iterdir():
        event_file.write_bytes(event_file.read_bytes()[:-7] + b"damaged")
    resume(tmp_path / "run")
    assert len(measured) == 2 and picture.exists()
    assert [record.get("distance") for record in read_log(log)] == [None, 2.0]
