"""What a path holds (a run, a model or a dataset), and a table of the runs in a folder. Nothing here needs torch."""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from styleganv.config import load_settings, read_settings
from styleganv.data.dataset import VideoDataset, is_dataset
from styleganv.errors import StyleganvError, describe
from styleganv.files import is_locked, readable
from styleganv.pretrained import pretrained_folder, pretrained_names
from styleganv.record import RunRecord, describe_dataset, read_record, summarize
from styleganv.training.health import Facts, Finding, find_problems
from styleganv.training.log_file import SCORES, merge_records, read_records

#: Score of the evaluations during training that the table shows.
DISTANCE = next(iter(SCORES))
State = Literal["running", "finished", "interrupted", "diverged", "crashed", "unreadable"]
#: Last event of a log → state of the run; without one of them, the process was killed or failed.
STATES: dict[str, State] = {"end": "finished", "interrupted": "interrupted", "diverged": "diverged"}
#: Entries of the training in `config.json` → their titles.
TITLES = {"clips_seen": "Clips", "frames_seen": "Frames"}
#: Kinds of labels other than classes → their title.
LABELS = {"vector": "Numbers per video"}
#: Columns of the table → how their values are shown.
COLUMNS: dict[str, Callable[[Any], str]] = {
    "name": str,
    "method": str,
    "preset": str,
    "clips": "{:,}".format,
    "hours": "{:.2f}".format,
    "device": str,
    "best": "{:.4g}".format,
    "last": "{:.4g}".format,
    "state": str,
}
#: Columns of numbers, and those that are sorted with the largest first.
NUMBERS, DESCENDING = ("clips", "hours", "best", "last"), ("clips", "hours")


@dataclass(frozen=True)
class Contents:
    """What is at a path.

    Attributes:
        kind: what it is.
        facts: texts by title, for the user.
        data: the same in numbers, and more, for JSON.
    """

    path: str
    kind: Literal["run", "model", "dataset"]
    facts: dict[str, str]
    data: dict[str, Any]

    def __str__(self) -> str:
        width = max(map(len, self.facts), default=0) + 2
        lines = [f"{self.path}: {self.kind}", *(f"{title:<{width}}{text}" for title, text in self.facts.items())]
        return "\n".join(map(readable, lines))

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {"path": self.path, "kind": self.kind, **self.data}


@dataclass(frozen=True)
class Run:
    """A run in a table; what is not known is None.

    Attributes:
        name: path below the folder of the table.
        clips: clips seen.
        hours: device hours of all its sessions and processes.
        device: device of its last session.
        best, last: distance to real videos in the best and the last evaluation; lower is better.
        findings: what goes wrong, the worst first.
    """

    name: str
    state: State
    method: str | None = None
    preset: str | None = None
    clips: int | None = None
    hours: float | None = None
    device: str | None = None
    best: float | None = None
    last: float | None = None
    findings: tuple[Finding, ...] = ()


def describe_path(path: Path | str) -> Contents:
    """Return what is known about a run, a model folder, a pretrained model (by name) or a dataset.

    Raises:
        StyleganvError: if there is none of them, or it is damaged.
    """
    path = Path(path)
    if is_run(path):
        return _describe_run(path)
    pretrained = None if path.exists() else pretrained_folder(path)
    if (folder := pretrained or path).is_dir() and (folder / "config.json").exists():
        facts, data = _describe_model(folder)
        record = read_record(folder)
        return Contents(str(path), "model", facts | _record_facts(record), data | _record_data(record))
    if path.exists() and is_dataset(path):
        summary = describe_dataset(dataset := VideoDataset(path))
        labels = dataset.labels
        facts = {"Dataset": str(summary), LABELS.get(labels.kind, "Classes"): ", ".join(labels.names) or "none"}
        facts |= {"Encoding": " ".join(map(str, dataset.encoding.values())), "Hash": summary.sha256}
        return Contents(str(path), "dataset", facts | {"License": summary.license or "not stated"}, asdict(summary))
    raise StyleganvError(
        f"{path} is neither a run, a model nor a dataset: pass a run, a model folder, a prepared dataset, or one of "
        f"{', '.join(pretrained_names())}."
    )


def list_runs(folder: Path | str) -> list[Run]:
    """Return the runs in a folder and the folders below it, by name. Links are not followed.

    Raises:
        StyleganvError: if there are none.
    """
    folder = Path(folder)
    runs = [
        _read_run(run, run.resolve().name if run == folder else os.path.relpath(run, folder))
        for run in find_runs(folder)
    ]
    if not runs:
        raise StyleganvError(f"No runs found in {folder}: pass a folder that contains those given to --out.")
    return sorted(runs, key=lambda run: run.name)


def sort_runs(runs: Sequence[Run], column: str) -> list[Run]:
    """Return the runs sorted by a column, those without a value last; most clips and hours first."""
    known = [run for run in runs if getattr(run, column) is not None]
    unknown = [run for run in runs if getattr(run, column) is None]
    return sorted(known, key=lambda run: getattr(run, column), reverse=column in DESCENDING) + unknown


def format_runs(runs: Sequence[Run]) -> str:
    """Return a table with one row per run, and below it one line per finding."""
    rows = [list(COLUMNS)]
    for run in runs:
        values = {name: getattr(run, name) for name in COLUMNS}
        rows.append(["–" if value is None else readable(COLUMNS[name](value)) for name, value in values.items()])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligns = [">" if name in NUMBERS else "<" for name in COLUMNS]
    layout = "  ".join(f"{{:{align}{width}}}" for align, width in zip(aligns, widths, strict=True))
    lines = [layout.format(*row).rstrip() for row in rows]
    return "\n".join([*lines, *(readable(f"{run.name}: {found.text}") for run in runs for found in run.findings)])


def is_run(path: Path) -> bool:
    """Return whether a path is a run."""
    return (path / "settings.yaml").is_file()


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the runs in a folder and the folders below it. Links are not followed."""
    for root, folders, _ in os.walk(folder):
        if is_run(Path(root)):
            folders.clear()
            yield Path(root)
        folders[:] = [name for name in folders if not name.startswith(".")]


def _read_run(run: Path, name: str) -> Run:
    try:
        log, config, record = _read_log(run), load_settings(run / "settings.yaml"), read_record(run)
    except StyleganvError:
        return Run(name, "unreadable")
    records = merge_records(log)
    scores = [entry.get(DISTANCE) for entry in records]
    distances = [score for score in scores if isinstance(score, float) and math.isfinite(score)]
    event = next((str(entry["event"]) for entry in reversed(log) if "event" in entry), "")
    return Run(
        name=name,
        state=run_state(run, event),
        method=config.model.method,
        preset=read_settings(run / "settings.yaml").preset,
        clips=max((entry["clips_seen"] for entry in log), default=0),
        hours=record.device_hours if record else None,
        device=record.sessions[-1].device if record and record.sessions else None,
        best=min(distances, default=None),
        last=distances[-1] if distances else None,
        findings=tuple(find_problems(Facts(records, event, config, record.dataset if record else None))),
    )


def _read_log(run: Path) -> list[dict[str, Any]]:
    try:
        return read_records(run / "log.jsonl")
    except OSError:
        return []


def run_state(run: Path, event: str) -> State:
    """Return the state of a run whose log ends with this event."""
    return "running" if is_locked(run / ".lock") else STATES.get(event, "crashed")


def _describe_run(path: Path) -> Contents:
    config, record = load_settings(path / "settings.yaml"), read_record(path)
    run = _read_run(path, str(path))
    facts, counts = {"State": str(run.state)}, {"Method": config.model.method, "Clips": f"{run.clips or 0:,}"}
    if run.best is not None:
        counts["Distance"] = f"best {run.best:.4g}, last {run.last:.4g}"
    if run.findings:
        counts["Findings"] = " ".join(found.text for found in run.findings)
    data: dict[str, Any] = {"run": asdict(run), "settings": asdict(config)}
    if (path / "model" / "config.json").exists():
        model_facts, model_data = _describe_model(path / "model")
        facts, data = facts | model_facts, data | model_data
    return Contents(str(path), "run", facts | counts | _record_facts(record), data | _record_data(record))


def _describe_model(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the facts in `config.json`, as texts and as they are."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        network, data, training = (dict(config[name]) for name in ("generator", "data", "training"))
        metadata = dict(config.get("metadata", {}))
        facts: dict[str, Any] = {
            "Title": metadata.get("title"),
            "Method": config.get("model", "stylegan-v"),
            "Frame size": f"{network['height']}x{network['width']} (height x width)",
            "Frame rate": f"{data['fps']:g} fps",
            LABELS.get(data.get("label_kind", "class"), "Classes"): ", ".join(data["class_names"]),
            **{TITLES.get(str(name), str(name)): _number(value) for name, value in training.items()},
            "Size of the weights": f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB",
            "Trained on": metadata.get("data"),
            "License": metadata.get("license"),
        }
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise StyleganvError(
            f"The model in {folder} is damaged ({describe(error)}): copy or train it again."
        ) from error
    return {title: str(text) for title, text in facts.items() if text}, {"model": config}


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _record_facts(record: RunRecord | None) -> dict[str, str]:
    return {"Record": "none"} if record is None else summarize(record)


def _record_data(record: RunRecord | None) -> dict[str, Any]:
    return {"record": None if record is None else asdict(record)}
