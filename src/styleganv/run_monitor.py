"""A run as one watches it: how far it is, what goes wrong, and its log and snapshots as they grow; stop and resume.

Each look reads only what is new since the last one. Nothing here needs torch.
"""

import math
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from styleganv.config import RunConfig, load_settings
from styleganv.errors import StyleganvError
from styleganv.inventory import State, run_state
from styleganv.record import RECORD, DatasetFacts, RunRecord, read_record
from styleganv.training.control import OUTPUT_FILE, request_stop, start_resume
from styleganv.training.health import Facts, Finding, find_problems
from styleganv.training.log_file import LogFollower, is_number, to_columns

#: Bytes of the log that are sent as they are; who missed more gets the thinned log.
MAX_NEW_BYTES = 2**18
#: Most lines and bytes of the end of a file.
TAIL_LINES, TAIL_BYTES = 20, 2**14
#: Names of the snapshots: clips seen, and the kind of file.
SNAPSHOT = re.compile(r"([0-9]{9,})\.png")


@dataclass(frozen=True)
class RunStatus:
    """How a run is doing; what is not known is None.

    Attributes:
        fraction: part of the training that is done, 0 to 1.
        seconds_left: until its end, if it is in training.
        scalars: the latest value of each number in the log.
        findings: what goes wrong, the worst first.
        snapshots: clips seen at each, in order.
        log_end, log_version: there is more to read if they change; see `RunMonitor.log`.
        failure: why the last resume by `RunMonitor.resume` ended.
    """

    name: str
    state: State
    method: str | None
    clips: int
    total_clips: int | None
    fraction: float | None
    seconds_left: float | None
    scalars: dict[str, float]
    findings: tuple[Finding, ...]
    snapshots: tuple[int, ...]
    log_end: int
    log_version: str
    failure: str

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return asdict(self)


class RunMonitor:
    """Follows one run; threads take turns.

    Attributes:
        name: how clients call it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._log = LogFollower(folder / "log.jsonl")
        self._lock = threading.Lock()
        self._resuming: subprocess.Popen[bytes] | None = None
        self._files: dict[str, tuple[int, Any]] = {}

    def status(self) -> RunStatus:
        """Return how the run is doing now."""
        with self._lock:
            self._log.update()
            state, failure = self._state()
            config: RunConfig | None = self._read("settings.yaml", load_settings)
            record: RunRecord | None = self._read(RECORD, lambda _: read_record(self.folder))
            scalars = _latest(self._log.records)
            clips = int(scalars.get("clips_seen", 0))
            limits = _limits(config, self._log.start)
            fraction, seconds_left = None, None
            if limits is not None:
                started = self._log.start.get("time")
                elapsed = time.time() - started if state == "running" and is_number(started) else 0.0
                fraction, seconds_left = _progress(clips, elapsed, scalars.get("clips_per_second"), *limits)
            return RunStatus(
                name=self.name,
                state=state,
                method=config.model.method if config else None,
                clips=clips,
                total_clips=limits[0] if limits else None,
                fraction=1.0 if state == "finished" else fraction,
                seconds_left=seconds_left if state == "running" else None,
                scalars=scalars,
                findings=self._findings(state, config, record.dataset if record else None),
                snapshots=tuple(self.snapshots()),
                log_end=self._log.end,
                log_version=self._log.version,
                failure=failure,
            )

    def log(self, after: int = 0, version: str = "") -> dict[str, Any]:
        """Return what a client has not seen of the log.

        Args:
            after, version: `end` and `version` of the previous answer.

        Returns:
            `columns`: values of each scalar, None where it is missing or not finite; `is_new`: whether they replace
            what the client has, since it has nothing, missed much, or records were dropped; `end` and `version`.
        """
        with self._lock:
            self._log.update()
            end = self._log.end
            is_new = version != self._log.version or not 0 < after <= end or end - after > MAX_NEW_BYTES
            records = self._log.records if is_new else self._log.records_after(after)
            return {"columns": to_columns(records), "is_new": is_new, "end": end, "version": self._log.version}

    def snapshot(self, clips_seen: int, suffix: str) -> Path:
        """Return the path of the image (.png) or the video (.mp4) of a snapshot."""
        return self.folder / "snapshots" / f"{clips_seen:09d}{suffix}"

    def settings(self) -> dict[str, str]:
        """Return all settings as texts by their dotted names, e.g. training.lr; none if they cannot be read."""
        with self._lock:
            config: RunConfig | None = self._read("settings.yaml", load_settings)
            record: RunRecord | None = self._read(RECORD, lambda _: read_record(self.folder))
        # A resume can change those of settings.yaml.
        return dict(_flatten((asdict(config) if config else {}) | (record.settings if record else {})))

    def tail(self) -> dict[str, list[str]]:
        """Return the last lines of the log (`log`), and of what a resumed training has printed (`output`)."""
        return {"log": _last_lines(self.folder / "log.jsonl"), "output": _last_lines(self.folder / OUTPUT_FILE)}

    def stop(self) -> None:
        """Ask the training to save and exit. Raises StyleganvError if there is none."""
        request_stop(self.folder)

    def resume(self) -> None:
        """Resume the training in a process that outlives this one. Raises StyleganvError if it cannot be."""
        with self._lock:
            self._log.update()
            state, _ = self._state()
            if state == "running":
                raise StyleganvError(f"{self.name} is in training already: there is nothing to resume.")
            record: RunRecord | None = self._read(RECORD, lambda _: read_record(self.folder))
            num_processes = record.sessions[-1].num_processes if record and record.sessions else 1
            if num_processes > 1:
                raise StyleganvError(
                    f"{self.name} was trained by {num_processes} processes: resume it with torchrun on the command "
                    "line."
                )
            self._resuming = start_resume(self.folder)

    def _state(self) -> tuple[State, str]:
        """Return the state, and why a resume failed. A resume that has just started counts as running."""
        state, failure = run_state(self.folder, self._log.event), ""
        if self._resuming is not None and (status := self._resuming.poll()) is None:
            state = "running"
        elif self._resuming is not None and status:
            failure = (_last_lines(self.folder / OUTPUT_FILE) or ["The training ended at once."])[-1]
        return state, failure

    def _findings(self, state: State, config: RunConfig | None, dataset: DatasetFacts | None) -> tuple[Finding, ...]:
        times = [record["time"] for record in self._log.records[-1:] if is_number(record.get("time"))]
        silent = time.time() - times[0] if times and state == "running" else None
        return tuple(find_problems(Facts(self._log.records, self._log.event, config, dataset, silent)))

    def snapshots(self) -> list[int]:
        """Return the clips seen at each snapshot, in order."""
        names = (SNAPSHOT.fullmatch(path.name) for path in (self.folder / "snapshots").glob("*.png"))
        return sorted(int(name[1]) for name in names if name)

    def _read(self, name: str, read: Callable[[Path], Any]) -> Any:
        """Return what `read` makes of a file, anew once it was changed; None if it is missing or damaged."""
        path = self.folder / name
        try:
            changed = path.stat().st_mtime_ns
            if self._files.get(name, (0, None))[0] != changed:
                self._files[name] = (changed, read(path))
        except (OSError, StyleganvError):
            return None
        return self._files[name][1]


def _latest(records: list[dict[str, Any]]) -> dict[str, float]:
    latest: dict[str, float] = {}
    for record in records:
        latest |= {name: value for name, value in record.items() if is_number(value) and math.isfinite(value)}
    return latest


def _limits(config: RunConfig | None, start: dict[str, Any]) -> tuple[int, float | None] | None:
    """Return the clips and the minutes after which a session ends; a resume can change those of settings.yaml."""
    if is_number(total := start.get("total_clips")) and total > 0:
        return int(total), minutes if is_number(minutes := start.get("minutes")) else None
    return None if config is None else (config.training.total_clips, config.training.minutes)


def _progress(
    clips: int, elapsed: float, speed: float | None, total_clips: int, minutes: float | None
) -> tuple[float, float | None]:
    """Return the part that is done, and the seconds left by the limit that is reached first."""
    fraction, left = clips / total_clips, (total_clips - clips) / speed if speed else None
    if minutes:
        fraction, by_time = max(fraction, elapsed / (60 * minutes)), 60 * minutes - elapsed
        left = by_time if left is None else min(left, by_time)
    return min(1.0, fraction), None if left is None else max(0.0, left)


def _last_lines(path: Path) -> list[str]:
    """Return the last lines of a text file, at most `TAIL_LINES`; none if it cannot be read."""
    try:
        with open(path, "rb") as file:
            start = max(0, path.stat().st_size - TAIL_BYTES)
            file.seek(start)
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return []
    return lines[1 if start and len(lines) > 1 else 0 :][-TAIL_LINES:]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, "" if value is None else str(value)
