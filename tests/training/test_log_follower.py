"""A log that is followed while it grows gives what reading it as a whole gives."""

import json
import math
import random
from pathlib import Path

import pytest

from styleganv.training import log_file
from styleganv.training.log_file import LogFollower, read_log, to_columns


def line(clips_seen: int, **values: object) -> str:
    return json.dumps({"clips_seen": clips_seen, **values}) + "\n"


def test_a_log_that_grows_by_any_parts(tmp_path: Path) -> None:
    path, chance = tmp_path / "log.jsonl", random.Random(1)
    text = line(0, event="start", time=5.0)
    for clips in range(8, 800, 8):
        text += line(clips, loss_g=chance.random(), note="text")
        text += line(clips, frechet_efficientnet=2.0) * (clips % 40 == 0)
        text += "{damaged\n" * (clips == 80)
        text += line(clips - 24, event="start", time=float(clips)) * (clips in (160, 400))
    follower = LogFollower(path)
    follower.update()
    assert follower.records == [] and follower.end == 0
    position, data = 0, text.encode()
    path.touch()
    while position < len(data):
        size = chance.randrange(1, 300)
        with open(path, "ab") as file:
            file.write(data[position : position + size])
        position += size
        follower.update()
        assert follower.records == read_log(path) or not path.read_bytes().endswith(b"\n")
    assert follower.records == read_log(path) and len(follower.records) > 80
    assert (follower.event, follower.start["time"], follower.end) == ("start", 400.0, len(data))


def test_a_log_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(line(8, loss_g=1.0) + line(16, loss_g=2.0))
    follower = LogFollower(path)
    follower.update()
    version, end = follower.version, follower.end
    other = tmp_path / "other"
    other.write_text(line(8, loss_g=1.0) + line(8, event="start") + line(16, loss_g=3.0) + line(24, loss_g=4.0))
    other.replace(path)
    follower.update()
    assert [record["loss_g"] for record in follower.records] == [1.0, 3.0, 4.0]
    assert follower.version != version and follower.end > end
    path.unlink()
    follower.update()
    assert follower.records == []


def test_a_long_log_becomes_means_in_constant_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "MAX_RECORDS", 10)
    path = tmp_path / "log.jsonl"
    follower = LogFollower(path)
    with open(path, "w") as file:
        for i in range(1, 641):
            file.write(line(i, loss_g=float(i), time=float(i)))
            if i % 50 == 0:
                file.flush()
                follower.update()
                assert len(follower.records) <= 10
    follower.update()
    assert 5 <= len(follower.records) <= 10
    clips = [record["clips_seen"] for record in follower.records]
    assert clips[-1] == 640 == follower.records[-1]["time"] and clips == sorted(clips)
    sizes = [last - first for first, last in zip([0, *clips], clips, strict=False)]
    mean = sum(size * record["loss_g"] for size, record in zip(sizes, follower.records, strict=True)) / 640
    assert mean == pytest.approx(320.5)
    for first, record in zip([0, *clips], follower.records, strict=False):
        assert record["loss_g"] == (first + 1 + record["clips_seen"]) / 2


def test_a_nan_stays_visible_in_a_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "MAX_RECORDS", 2)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(line(i, loss_g=math.nan if i == 2 else 1.0) for i in range(1, 9)))
    follower = LogFollower(path)
    follower.update()
    assert sum(math.isnan(record["loss_g"]) for record in follower.records) == 1


def test_columns_have_none_where_there_is_no_finite_number() -> None:
    records = [
        {"clips_seen": 8, "loss_g": 1.23456789, "name": "x", "flag": True},
        {"clips_seen": 16, "loss_g": math.inf, "loss_d": 2.0},
    ]
    columns = to_columns(records)
    assert columns == {"clips_seen": [8, 16], "loss_g": [1.23457, None], "loss_d": [None, 2.0]}
    json.dumps(columns, allow_nan=False)
