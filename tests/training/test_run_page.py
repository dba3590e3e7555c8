"""The page of a run: what it shows, and when snapshots are written."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from styleganv.config import RunConfig
from styleganv.record import RunRecord
from styleganv.runs import train
from styleganv.training import loop
from styleganv.training.run_page import MAX_EARLIER, write_run_page


def write_files(run: Path, snapshots: list[int]) -> str:
    """Write a page of a run with these snapshots; return its text."""
    (run / "snapshots").mkdir(exist_ok=True)
    for number in snapshots:
        (run / "snapshots" / f"{number:09d}.mp4").touch()
    (run / "settings.yaml").write_text("training:\n  lr: 0.1  # <b>\n")
    records = [{"clips_seen": 8}, {"clips_seen": 4000, "frechet_efficientnet": 12.34, "frechet_efficientnet_floor": 1}]
    write_run_page(run, records, finished=False)
    return (run / "index.html").read_text()


def test_a_page_shows_snapshots_distances_and_settings(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    for name in ("000000008 (copy).mp4", "favorite.mp4", "00000000a.mp4"):  # of someone else
        (tmp_path / "snapshots" / name).touch()
    text = write_files(tmp_path, [100, 4000])
    assert "4,000 clips seen" in text and "After 4,000 clips" in text and "After 100 clips" in text
    assert text.count("<video") == 2 and text.count("autoplay") == 1
    assert "12.3" in text and "lr: 0.1  # &lt;b&gt;" in text
    assert "curves.png" not in text  # not written yet
    assert 'http-equiv="refresh"' in text
    write_run_page(tmp_path, [{"clips_seen": 8}], finished=True)
    assert 'http-equiv="refresh"' not in (tmp_path / "index.html").read_text()


def test_a_resumed_run_does_not_begin_again_with_early_snapshots() -> None:
    training = SimpleNamespace(batch_size=10, total_clips=10_000, minutes=None, target_distance=None)
    config = SimpleNamespace(training=training, logging=SimpleNamespace(snapshot_every=2000, eval_every=None))
    trainer: Any = SimpleNamespace(config=config, minutes=10.0, clips_seen=1000)
    for last, due in ((900, False), (600, True), (0, True)):
        log: Any = SimpleNamespace(last_snapshot=lambda _, last=last: last)
        assert loop._Loop(trainer, None, Path(), log, RunRecord("a"), None, None).is_snapshot_due() is due  # type: ignore[arg-type]


def test_the_page_of_a_run_that_fails_promises_nothing(tiny: RunConfig, faces: Path, tmp_path: Path) -> None:
    def fail(done: int, *_: object) -> None:
        if done == 1000:
            assert "Training is in progress" in (tmp_path / "run" / "index.html").read_text()
            raise RuntimeError

    config = replace(tiny, logging=replace(tiny.logging, snapshot_every=8))
    with pytest.raises(RuntimeError):
        train(faces, tmp_path / "run", config, progress=fail)
    text = (tmp_path / "run" / "index.html").read_text()
    assert "Training has ended" in text and "http-equiv" not in text


def test_many_snapshots_are_thinned_out(tmp_path: Path) -> None:
    text = write_files(tmp_path, list(range(100, 10_000, 100)))
    assert text.count("<video") == MAX_EARLIER + 1
    assert "After 100 clips" in text and "After 9,800 clips" in text and "After 9,900 clips" in text


def test_snapshots_come_early_and_then_at_growing_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock of our own: a step of 10 clips takes a second, a snapshot two."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock.now))
    training = SimpleNamespace(batch_size=10, total_clips=10_000, minutes=None, target_distance=None)
    config = SimpleNamespace(training=training, logging=SimpleNamespace(snapshot_every=2000, eval_every=None))
    trainer: Any = SimpleNamespace(config=config, minutes=0.0, clips_seen=0, video_model=lambda _: None)

    def write_snapshot(clips_seen: int, _: object) -> None:
        clock.now += 2
        written.append((clips_seen, clock.now))

    log: Any = SimpleNamespace(last_snapshot=lambda _: 0, write_snapshot=write_snapshot)
    running = loop._Loop(trainer, None, Path(), log, RunRecord("a"), None, None)  # type: ignore[arg-type]
    written: list[tuple[int, float]] = []
    for _ in range(800):
        if running.is_snapshot_due():
            running.write_snapshot(log)
        trainer.clips_seen += 10
        clock.now += 1
    clips = [number for number, _ in written]
    assert clips[0] == 300  # after half a minute
    for (_, earlier), (number, time) in pairwise(written):
        assert time - earlier >= 40 or number % 2000 == 0  # a twentieth of the time
    assert {2000, 4000, 6000} <= set(clips) and len(clips) < 20
    gaps = [b - a for a, b in pairwise(clips)]
    assert max(gaps) <= 2000 and gaps[0] < 1000
