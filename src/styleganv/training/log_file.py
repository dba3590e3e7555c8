"""Reading `log.jsonl`, the log of a run: one JSON record per line, damaged lines are skipped."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeGuard

#: Scores of the evaluations in the log → their titles; the first one selects the best model.
SCORES = {"frechet_efficientnet": "distance to real videos", "frechet_efficientnet_floor": "noise floor"}
#: Measure of a snapshot: standard deviation over its content seeds, in gray levels, as a mean over pixels.
DIVERSITY = "snapshot_diversity"
#: Records that a follower keeps; of a longer log, means.
MAX_RECORDS = 1000
#: Values of which the last one counts, not the mean.
LAST = frozenset({"clips_seen", "frames_seen", "time"})


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log without damaged lines, and without those that the run repeated after a crash."""
    records: list[dict[str, Any]] = []
    for record in _parse(path.read_bytes()):
        if record.get("event") == "start":
            records = [earlier for earlier in records if earlier["clips_seen"] <= record["clips_seen"]]
        records.append(record)
    return records


def _parse(text: bytes) -> Iterator[dict[str, Any]]:
    """Yield the records of some lines without damaged ones."""
    for line in text.split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and isinstance(record.get("clips_seen"), int):
            yield record


def merge_records(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those with scalars or scores in the order of clips, one for each number of clips."""
    merged: dict[int, dict[str, Any]] = {}
    for record in records:
        if "event" not in record:
            merged[record["clips_seen"]] = merged.get(record["clips_seen"], {}) | record
    return [merged[clips] for clips in sorted(merged)]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log with scalars or scores in the order of clips, one for each number of clips."""
    return merge_records(read_records(path))


class _Mean(NamedTuple):
    """The mean of `size` consecutive records; its clips and times are the last ones."""

    record: dict[str, Any]
    size: int

    def add(self, other: "_Mean") -> "_Mean":
        size = self.size + other.size
        mean = self.record | other.record
        for name in (self.record.keys() & other.record.keys()) - LAST:
            if is_number(self.record[name]) and is_number(other.record[name]):
                mean[name] = (self.record[name] * self.size + other.record[name] * other.size) / size
        return _Mean(mean, size)


class LogFollower:
    """Follows a log that grows: each update reads only what is new. Its memory is constant.

    Attributes:
        records: those of `read_log`; of a long log, means of consecutive ones.
        event, start: the last event, and the record of the last start, with its time in seconds since 1970 and the
            limits of the session.
        end: number of bytes read, up to the end of a line.
        version: changes when the log was written anew or records were dropped, so that `records` are not only longer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reset(0)

    def _reset(self, inode: int) -> None:
        self._inode, self._num_drops, self._stride, self.end = inode, 0, 1, 0
        self._means: list[_Mean] = []
        self.event = ""
        self.start: dict[str, Any] = {}

    @property
    def records(self) -> list[dict[str, Any]]:
        return [mean.record for mean in self._means]

    @property
    def version(self) -> str:
        return f"{self._inode}-{self._num_drops}"

    def update(self) -> None:
        """Read the lines that were completed since the last update; without a file, there are none."""
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self.end:  # a resumed run writes it anew
                    self._reset(status.st_ino)
                file.seek(self.end)
                for text in _complete_lines(file):
                    self.end += len(text)
                    for record in _parse(text):
                        self._add(record)
        except OSError:
            self._reset(0)

    def records_after(self, position: int) -> list[dict[str, Any]]:
        """Return the records between a position, which was an `end` of this version, and the present end."""
        with open(self.path, "rb") as file:
            file.seek(position)
            return [record for record in _parse(file.read(self.end - position)) if "event" not in record]

    def _add(self, record: dict[str, Any]) -> None:
        clips = record["clips_seen"]
        if "event" in record:
            self.event = str(record["event"])
            if self.event == "start":
                self.start = record
                kept = [mean for mean in self._means if mean.record["clips_seen"] <= clips]
                self._num_drops += len(kept) < len(self._means)
                self._means = kept
            return
        if self._means and self._means[-1].record["clips_seen"] == clips:  # e.g. an evaluation
            self._means[-1] = self._means[-1]._replace(record=self._means[-1].record | record)
        elif self._means and self._means[-1].size < self._stride:
            self._means[-1] = self._means[-1].add(_Mean(record, 1))
        else:
            self._means.append(_Mean(record, 1))
        if len(self._means) > MAX_RECORDS:
            self._stride *= 2
            pairs = zip_longest(self._means[::2], self._means[1::2])
            self._means = [first.add(second) if second else first for first, second in pairs]


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value of a record is a number, which may be infinite or NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def to_columns(records: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """Return the numbers of records by name, to six digits; None where a record has none or it is not finite."""
    names = dict.fromkeys(name for record in records for name, value in record.items() if is_number(value))
    return {name: [_short(record.get(name)) for record in records] for name in names}


def _short(value: Any) -> float | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return float(f"{value:.6g}") if isinstance(value, float) and math.isfinite(value) else None


def _complete_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file in blocks of whole lines; a line that is not complete yet is left out."""
    rest = b""
    while block := file.read(2**20):
        lines, newline, rest = (rest + block).rpartition(b"\n")
        if newline:
            yield lines + newline
