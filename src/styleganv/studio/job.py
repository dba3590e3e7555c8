"""A job: its task, the process that does it with low priority, and its progress.

A job runs a command of the command line. So it stops as one does, decodes uploads outside the server process, and shows
the command lines that repeat it.
"""

import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from styleganv.editing.preview import PREVIEW_VARIABLE
from styleganv.errors import StyleganvError
from styleganv.progress import FORMAT_VARIABLE
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import parse_object

logger = logging.getLogger(__name__)

Kind = Literal["text", "clip", "directions", "export"]
State = Literal["waiting", "running", "done", "failed", "canceled"]

MAX_NAME_LENGTH, MAX_ADDRESS_LENGTH = 60, 2**17
#: Disk space of all jobs, in bytes: old exports are dropped beyond it, and one that grows beyond it ends.
MAX_DISK_BYTES = 4 * 2**30
#: Interval between measurements of the disk space of a running job.
MEASURE_SECONDS = 5.0
#: `styleganv` with Ctrl-C's signal enabled, even if the studio was started where it is ignored (`nohup … &`).
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.argv[1] == "project":
    from styleganv.studio.upload import check_upload
    check_upload(sys.argv[3])
from styleganv.cli import main
main()
"""
#: How long a projection may take until it reports its first step; decoding an upload comes before it.
MAX_READING_SECONDS = 300.0
#: The stage that a projection can stop early, as `styleganv.editing.project` names it.
STOPPABLE_STAGE = "projecting"
#: The stage before the process reports one.
FIRST_STAGE = "starting"
#: Picture of the best result so far, in the folder of a job.
PREVIEW = "preview.webp"
#: Added to the nice value of the process.
NICENESS = 10
#: Windows has no such signal, and ends a process by any.
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
#: How long a process may take to end before it is killed.
END_SECONDS = 10.0


@dataclass(frozen=True)
class Task:
    """What a job does.

    Attributes:
        name: what the page shows, e.g. a text or a file name.
        argv: arguments of `styleganv`.
        commands: command lines that repeat it.
        files: results to download: their names, and their paths.
        finish: called after success; what it raises fails the job.
        forget: called when the job is dropped.
        address: query of the page's address from which the job was started.
    """

    kind: Kind
    name: str
    model: StudioModel
    argv: tuple[str, ...]
    commands: tuple[str, ...]
    files: Mapping[str, Path] = field(default_factory=dict)
    finish: Callable[[], None] = lambda: None
    forget: Callable[[], object] = lambda: None
    address: str = ""


class Job:
    """A task, its process and its progress.

    Attributes:
        folder: its own; its files are in it.
        state: a failed job has an `error`.
        fraction: of the stage that is done, 0 to 1.
        remaining_seconds: estimate for the stage; 0 if unknown.
    """

    def __init__(self, number: int, folder: Path, task: Task) -> None:
        self.number, self.folder, self.task = number, folder, task
        self.state: State = "waiting"
        self.stage, self.fraction, self.remaining_seconds, self.error = "waiting", 0.0, 0.0, ""
        self._stage_start = time.monotonic()
        self._is_stopping, self._lock = False, threading.Lock()
        self.process: subprocess.Popen[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows."""
        names = ("number", "state", "stage", "fraction", "remaining_seconds", "error", "can_stop")
        task = self.task
        files = {name: size_of(path) for name, path in task.files.items()} if self.state == "done" else {}
        preview = self.folder / PREVIEW
        with suppress(OSError):  # it may be dropped meanwhile
            files |= {PREVIEW: preview.stat().st_mtime_ns} if preview.exists() else {}
        shown = {name: getattr(self, name) for name in names}
        shown |= {"kind": task.kind, "name": task.name, "source": task.model.name, "address": task.address}
        return shown | {"command": "\n".join(task.commands), "files": files}

    @property
    def is_finished(self) -> bool:
        return self.state not in ("waiting", "running")

    @property
    def can_stop(self) -> bool:
        """Whether the search can end early with the best result so far."""
        return self.state == "running" and self.stage == STOPPABLE_STAGE

    def run(self) -> None:
        """Run the process until it ends, unless the job was canceled."""
        with self._lock:
            if self.state != "waiting":
                return
            self.state, self.stage = "running", FIRST_STAGE
            self.process = _start(self.task.argv, self.folder)
        limit = threading.Timer(MAX_READING_SECONDS, self._give_up)
        limit.daemon = True
        if self.task.kind == "clip":
            limit.start()
        message = self._follow(self.process)
        status = self.process.wait()
        limit.cancel()
        with self._lock:
            if self.state == "running":
                self._finish(status, message)
        with suppress(FileNotFoundError):  # the folder of a canceled job is gone
            for upload in self.folder.glob("clip.*"):
                upload.unlink(missing_ok=True)

    def _follow(self, process: "subprocess.Popen[str]") -> str:
        """Take the reports of the process until it closes its stream; return its last other line."""
        assert process.stderr is not None
        message, measured = "", time.monotonic()
        with process.stderr:
            for line in process.stderr:
                if progress := parse_progress(line):
                    if not self._is_stopping:
                        self._set_progress(**progress)
                elif line.strip():
                    message = line.strip()
                if time.monotonic() - measured > MEASURE_SECONDS:
                    measured = time.monotonic()
                    if size_of(self.folder) > MAX_DISK_BYTES:
                        size = f"{MAX_DISK_BYTES / 2**30:g} GiB"
                        self._fail(f"The result needs more than {size}, the limit of the studio: run its command.")
        return message

    def _fail(self, error: str) -> None:
        """End the process."""
        with self._lock:
            if self.state == "running" and self.process is not None:
                self.state, self.error = "failed", error
                _signal(self.process, KILL)

    def _give_up(self) -> None:
        """End a search that still reads its video."""
        if self.stage == FIRST_STAGE:
            self._fail(
                f"Reading {self.task.name} took more than {MAX_READING_SECONDS:g} s: upload a shorter or smaller video."
            )

    def _finish(self, status: int, message: str) -> None:
        try:
            if status:
                raise StyleganvError(
                    self._user_message(message) or f"The job failed with exit status {status}: start it again."
                )
            self.task.finish()
            self.state = "done"
        except StyleganvError as error:
            self.state, self.error = "failed", str(error)
        except Exception:  # Otherwise the job would stay in the running state.
            logger.exception("Cannot load the result of a job:")
            self.state, self.error = "failed", "The job failed: see the studio's log."

    def _set_progress(self, done: int, total: int, stage: str) -> None:
        now = time.monotonic()
        if done == 0:
            self._stage_start = now
        self.stage, _, _ = stage.partition(", ")  # A note follows the name.
        self.fraction = done / total if total else 0.0
        self.remaining_seconds = (now - self._stage_start) * (total - done) / done if done else 0.0

    def _user_message(self, message: str) -> str:
        """Return an error without the program's name and with the user's name of the uploaded file."""
        message = message.removeprefix("styleganv: ")
        for upload in self.folder.glob("clip.*"):
            message = message.replace(str(upload), self.task.name)
        return message.replace(f"{self.folder}{os.sep}", "")

    def stop(self) -> None:
        """End a projection early with the best result so far."""
        with self._lock:
            # Another stage, or a second signal, would lose the result.
            if self.can_stop and not self._is_stopping and self.process is not None:
                self._is_stopping = True
                self._set_progress(1, 1, "saving the best result")
                self.process.send_signal(signal.SIGINT)

    def cancel(self) -> None:
        """End the process, or take the job from the queue, and delete its files."""
        with self._lock:
            if self.is_finished:
                return
            self.state = "canceled"
            if self.process is not None:
                _signal(self.process, signal.SIGTERM)
        if self.process is not None:
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                _signal(self.process, KILL)
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _start(argv: tuple[str, ...], folder: Path) -> "subprocess.Popen[str]":
    """Start `styleganv` with these arguments."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | {FORMAT_VARIABLE: "json", PREVIEW_VARIABLE: str(folder / PREVIEW)},
        start_new_session=True,  # Ctrl-C in the studio's terminal must not reach it.
    )
    if hasattr(os, "setpriority"):
        with suppress(OSError):  # The process may have ended.
            os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
    return process


def _signal(process: "subprocess.Popen[str]", number: int) -> None:
    """Send a signal to a process and those it has started, which would keep its stream open."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def parse_progress(line: str) -> dict[str, Any] | None:
    """Return the arguments of a report that a process wrote as JSON, or None for any other line."""
    progress = parse_object(line)
    return progress if progress is not None and "stage" in progress else None


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 if it is missing."""
    total = 0
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with suppress(OSError):  # removed meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total


def check_text(what: str, text: str, max_length: int) -> None:
    """Raise StyleganvError unless a text is one line of this length."""
    if not (0 < len(text) <= max_length and text.isprintable()):
        raise StyleganvError(
            f"The {what} must be one line of 1 to {max_length} characters, got {len(text)}: change it."
        )


def check_address(value: Any) -> str:
    """Return the query of a page's address; the page makes it a link, so it must not be of another kind."""
    text = value if isinstance(value, str) else ""
    return text if text.startswith("?") and len(text) <= MAX_ADDRESS_LENGTH and text.isprintable() else ""


def command_line(*argv: str) -> str:
    """Return a command line of `styleganv`."""
    return shlex.join(["styleganv", *argv])
