"""The page of a run: what it shows, and when snapshots are written."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from styleganv.training import loop
from styleganv.training.run_page import MAX_EARLIER, write_run_page


def write_files(run: Path, snapshots: list[int]) -> str:
    """Write a page of a run with these snapshots; return its text."""
    (run / "snapshots").mkdir()
    for number in snapshots:
        (run / "snapshots" / f"{number:09d}.mp4").touch()
    (run / "settings.yaml").write_text("training:\n  lr: 0.1  # <b>\n")
    records = [{"clips_seen": 8}, {"clips_seen": 4000, "frechet_efficientnet": 12.34, "frechet_efficientnet_floor": 1}]
    write_run_page(run, records, finished=False)
    return (run / "index.html").read_text()


def test_a_page_shows_snapshots_distances_and_settings(tmp_path: Path) -> None:
    text = write_files(tmp_path, [100, 4000])
    assert "4,000 clips seen" in text and "After 4,000 clips" in text and "After 100 clips" in text
    assert text.count("<video") == 2 and text.count("autoplay") == 1
    assert "12.3" in text and "lr: 0.1  # &lt;b&gt;" in text
    assert "curves.png" not in text  # not written yet
    assert 'http-equiv="refresh"' in text
    write_run_page(tmp_path, [{"clips_seen": 8}], finished=True)
    assert 'http-equiv="refresh"' not in (tmp_path / "index.html").read_text()


def test_many_snapshots_are_thinned_out(tmp_path: Path) -> None:
    text = write_files(tmp_path, list(range(100, 10_000, 100)))
    assert text.count("<video") == MAX_EARLIER + 1
    assert "After 100 clips" in text and "After 9,800 clips" in text and "After 9,900 clips" in text


def test_snapshots_come_early_and_then_at_growing_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock of our own: a step of 10 clips takes a second, a snapshot two."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock.now))
    training = SimpleNamespace(batch_size=10, total_clips=10_000, minutes=None)
    config = SimpleNamespace(training=training, logging=SimpleNamespace(snapshot_every=2000, eval_every=None))
    trainer: Any = SimpleNamespace(config=config, minutes=0.0, clips_seen=0, video_model=lambda _: None)

    def write_snapshot(clips_seen: int, _: object) -> None:
        clock.now += 2
        written.append((clips_seen, clock.now))

    log: Any = SimpleNamespace(last_snapshot=lambda _: 0, write_snapshot=write_snapshot)
    running = loop._Loop(trainer, None, Path(), log, None, None)  # type: ignore[arg-type]
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
