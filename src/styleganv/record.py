"""The record of a run, `record.json`: what it was trained on, and with which commands, versions and machines.

It is written with every model, to the run folder and to the model folder. Nothing needs it: a run without one, or with
a damaged one, can be resumed, and a model without one can be loaded. It holds no environment variables.
"""

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from styleganv import __version__
from styleganv.errors import StyleganvError, describe
from styleganv.files import readable, write_json
from styleganv.validation import check, read_fields

if TYPE_CHECKING:
    import torch

    from styleganv.data.dataset import VideoDataset

T = TypeVar("T")

RECORD = "record.json"
#: Root of a checkout of this repository, if the package lies in one.
CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Session:
    """One start of a run: the training itself, or a resume.

    Attributes:
        started: time in UTC, ISO 8601.
        command: command line; None if Python code started it.
        revision: git revision of the code, with "-dirty" if files were changed; None without a checkout.
        cuda: CUDA version of PyTorch; None without one.
        device: name of the GPU or CPU of the first process.
        clips_before, clips_seen: clips of the run at its start and when it last saved.
        device_hours: hours until then, summed over all processes, with snapshots and evaluations.
        peak_memory_gib: of the first process: memory of its GPU, or its own.
    """

    started: str
    styleganv: str
    python: str
    torch: str
    device: str
    num_processes: int
    clips_before: int
    command: str | None = None
    revision: str | None = None
    cuda: str | None = None
    clips_seen: int = 0
    device_hours: float = 0.0
    peak_memory_gib: float | None = None


@dataclass(frozen=True)
class DatasetFacts:
    """What a record holds about a dataset.

    Attributes:
        name: name of its file, without the path.
        sha256: `VideoDataset.content_hash`.
        frames: frames of all videos.
        height, width: frame size in pixels.
        fps: frames per second.
        license: license of the videos; None if `prepare --license` did not state it.
    """

    name: str
    sha256: str
    videos: int
    frames: int
    height: int
    width: int
    fps: float
    classes: int = 0
    license: str | None = None

    def __str__(self) -> str:
        videos = f"{self.videos} video{'' if self.videos == 1 else 's'}"
        size = f"{self.height}x{self.width} (height x width)"
        classes = f", {self.classes} classes" if self.classes else ""
        return f"{self.name}: {videos}, {self.frames} frames of {size}, {self.fps:g} fps{classes}"


@dataclass(frozen=True)
class RunRecord:
    """The record of a run.

    Attributes:
        id: random name of the run, the same after each resume.
        preset: preset that its settings started from, if known.
        finetune: model that its weights started from, if any.
        dataset: what it was trained on.
        settings: all settings, by group, e.g. the seed.
        sessions: its start and each resume, in order.
    """

    id: str
    preset: str | None = None
    finetune: str | None = None
    dataset: DatasetFacts | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    sessions: tuple[Session, ...] = ()

    @property
    def device_hours(self) -> float:
        """Hours of all sessions and processes."""
        return sum(session.device_hours for session in self.sessions)

    @property
    def peak_memory_gib(self) -> float | None:
        """Largest peak memory of the sessions."""
        return max((s.peak_memory_gib for s in self.sessions if s.peak_memory_gib is not None), default=None)

    def resumed(self, session: Session) -> "RunRecord":
        """Return the record with one more session."""
        return replace(self, sessions=(*self.sessions, session))

    def progressed(self, **changes: Any) -> "RunRecord":
        """Return the record with other numbers in the last session."""
        return replace(self, sessions=(*self.sessions[:-1], replace(self.sessions[-1], **changes)))


def new_id() -> str:
    """Return the ID of a new run."""
    return uuid.uuid4().hex[:12]


def new_session(device: "torch.device", *, num_processes: int, clips_seen: int, command: str | None) -> Session:
    """Return the session that starts now, on this machine."""
    import torch

    return Session(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        styleganv=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=torch.version.cuda if device.type == "cuda" else None,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        num_processes=num_processes,
        command=command,
        revision=_git_revision(),
        clips_before=clips_seen,
        clips_seen=clips_seen,
    )


def describe_dataset(data: "VideoDataset") -> DatasetFacts:
    """Return the facts about a dataset that a record holds."""
    return DatasetFacts(
        name=data.path.name,
        sha256=data.content_hash,
        videos=len(data),
        frames=sum(video.num_frames for video in data.videos),
        height=data.height,
        width=data.width,
        fps=data.fps,
        classes=len(data.class_names),
        license=str(data.extra["license"]) if "license" in data.extra else None,
    )


def write_record(folder: Path, record: RunRecord) -> None:
    """Write `record.json` to a run or model folder."""
    write_json(folder / RECORD, asdict(record), overwrite=True)


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of a run or model folder; None without one. Fields of later versions are ignored.

    Raises:
        StyleganvError: if it is damaged.
    """
    path = folder / RECORD
    try:
        values = check(str(path), json.loads(path.read_bytes()), dict)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise StyleganvError(f"Cannot read {path} ({describe(error)}): restore the file, or delete it.") from error
    sessions = check(f"{path}: sessions", values.get("sessions", []), list[dict])
    parts: dict[str, Any] = {"sessions": tuple(_read_known(Session, each, path, "sessions") for each in sessions)}
    if (dataset := check(f"{path}: dataset", values.get("dataset"), dict | None)) is not None:
        parts["dataset"] = _read_known(DatasetFacts, dataset, path, "dataset")
    return _read_known(RunRecord, values | parts, path)


def _read_known(config: type[T], values: dict[str, Any], path: Path, group: str = "") -> T:
    """Return a part of a record; fields that this version does not know are left out."""
    names = {each.name for each in fields(config)}  # type: ignore[arg-type]
    return read_fields(config, {name: value for name, value in values.items() if name in names}, path, group)


def summarize(record: RunRecord) -> dict[str, str]:
    """Return the record as texts by title, for `styleganv info` and the model card; what is not known is missing."""
    data, sessions, memory = record.dataset, record.sessions, record.peak_memory_gib
    training, gpus = record.settings.get("training"), any(session.cuda for session in sessions)
    summary = {
        "Dataset": data,
        "Dataset hash": data and data.sha256,
        "License of the dataset": data and (data.license or "not stated"),
        "Preset": record.preset,
        "Fine-tuned from": record.finetune,
        "Seed": training.get("seed") if isinstance(training, dict) else None,
        "Software": _distinct(map(_software, sessions)),
        "Device": _distinct(f"{s.num_processes} x {s.device}" if s.num_processes > 1 else s.device for s in sessions),
        "GPU hours" if gpus else "CPU hours": f"{record.device_hours:.3g}" if sessions else None,
        "Peak memory": f"{memory:.3g} GiB" if memory is not None else None,
    }
    commands = dict.fromkeys(session.command for session in sessions if session.command)
    summary |= {f"Command {i}" if len(commands) > 1 else "Command": text for i, text in enumerate(commands, 1)}
    return {title: readable(str(text)) for title, text in summary.items() if text not in (None, "")}


def _software(session: Session) -> str:
    revision = f" (git {session.revision})" if session.revision else ""
    cuda = f", CUDA {session.cuda}" if session.cuda else ""
    return f"styleganv {session.styleganv}{revision}, Python {session.python}, PyTorch {session.torch}{cuda}"


def _distinct(texts: Iterable[str | None]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))


def without_paths(record: RunRecord) -> RunRecord:
    """Return the record for publication: of each path in it, only the last name remains."""
    sessions = tuple(
        replace(session, command=session.command and shlex.join(map(_last_name, shlex.split(session.command))))
        for session in record.sessions
    )
    return replace(record, finetune=record.finetune and _last_name(record.finetune), sessions=sessions)


def _last_name(text: str) -> str:
    """Return a word of a command line with the last name of the path that it is or, after an equals sign, contains."""
    option, equals, value = text.partition("=") if text.startswith("-") else ("", "", text)
    return option + equals + (re.split(r"[/\\]", value.rstrip("/\\"))[-1] if re.search(r"[/\\]", value) else value)


def _git_revision() -> str | None:
    """Return the revision of the checkout that this package runs from; None if it is installed, or without git."""
    if not (CHECKOUT / ".git").exists():
        return None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    words = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stdout.strip() or None


def _cpu_name() -> str:
    """Return the name of the CPU, where the system tells it."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        try:
            found = re.search(r"^model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
            name = found[1].strip() if found else name
        except (OSError, ValueError):
            pass
    return f"{re.sub(r'[(](R|TM)[)]', '', name)} ({os.cpu_count()} cores)"
