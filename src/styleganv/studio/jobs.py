"""Searches that take minutes: text edits and projections, each in its own process.

    params, text ──▶ styleganv edit --text ──┐
    uploaded clip ──▶ styleganv project ─────┴──▶ folder/result ──▶ SearchResult, a content source of the page

A job runs a command of the command line. So it stops as one does, decodes uploads outside the server process, and its
`SearchResult` holds the command lines that repeat it. Jobs have low priority, and one runs at a time.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, Literal

from styleganv.editing.latents import load_latents, save_latents
from styleganv.errors import StyleganvError
from styleganv.media.sources import SUFFIX_LIST, VIDEO_SUFFIXES
from styleganv.progress import FORMAT_VARIABLE
from styleganv.studio.commands import edit_options
from styleganv.studio.studio_model import SearchResult, StudioModel
from styleganv.studio.upload import MAX_SECONDS
from styleganv.studio.video_params import parse_object
from styleganv.timeline.notation import VideoParams

logger = logging.getLogger(__name__)

MAX_TEXT_LENGTH = 200
MAX_CLIP_SECONDS, MAX_STEPS = 10.0, 2000
#: Duration of the video that compares a text edit with its original.
COMPARISON_SECONDS = 2.0
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
#: How long a search may take until it reports its first step; decoding an upload comes before it.
MAX_READING_SECONDS = 300.0
#: The stage that a projection can stop early, as `styleganv.editing.project` names it.
STOPPABLE_STAGE = "projecting"
#: The stage before the process reports one.
FIRST_STAGE = "starting"
#: Added to the nice value of the process.
NICENESS = 10


@dataclass(frozen=True)
class ClipParams:
    """Part of an uploaded video to project, and steps of the search. Raises StyleganvError for a value out of range."""

    start: float = 0.0
    seconds: float = 2.0
    num_steps: int = 300

    def __post_init__(self) -> None:
        if not 0 <= self.start <= MAX_SECONDS:
            raise StyleganvError(
                f"The start of a clip must be 0 s to {MAX_SECONDS:g} s, got {self.start:g} s: change it."
            )
        if not 0 < self.seconds <= MAX_CLIP_SECONDS:
            raise StyleganvError(
                f"The duration of a clip must be at most {MAX_CLIP_SECONDS:g} s, got {self.seconds:g} s: change it."
            )
        _check_steps(self.num_steps)


class Job:
    """A search process and its progress.

    Attributes:
        number: of the job and of its `SearchResult`.
        kind: "text" edits a video to match a text, "clip" projects an uploaded clip.
        name: the text, or the file name of the clip.
        folder: its own; `result` in it holds `latents.safetensors` and `comparison.mp4` once the job is done.
        state: a failed job has an `error`.
        fraction: of the stage that is done, 0 to 1.
        remaining_seconds: estimate for the stage; 0 if unknown.
    """

    def __init__(self, number: int, kind: Literal["text", "clip"], name: str, model: StudioModel, folder: Path) -> None:
        self.number, self.kind, self.name, self.model, self.folder = number, kind, name, model, folder
        self.state: Literal["running", "done", "failed", "canceled"] = "running"
        self.stage, self.fraction, self.remaining_seconds, self.error = FIRST_STAGE, 0.0, 0.0, ""
        self._stage_start = time.monotonic()
        self._is_stopping, self._lock = False, threading.Lock()

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows."""
        names = ("number", "kind", "name", "state", "stage", "fraction", "remaining_seconds", "error", "can_stop")
        return {name: getattr(self, name) for name in names}

    @property
    def can_stop(self) -> bool:
        """Whether the search can end early with the best result so far."""
        return self.state == "running" and self.stage == STOPPABLE_STAGE

    def start(self, argv: Sequence[str], file: str, commands: Sequence[str]) -> None:
        """Run `styleganv` with these arguments. `file` and `commands` are those of the `SearchResult`."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=os.environ | {FORMAT_VARIABLE: "json"},
            start_new_session=True,  # Ctrl-C in the studio's terminal must not reach it.
        )
        if hasattr(os, "setpriority"):
            with suppress(OSError):  # The process may have ended.
                os.setpriority(os.PRIO_PROCESS, self.process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        if self.kind == "clip":
            self._limit = threading.Timer(MAX_READING_SECONDS, self._give_up)
            self._limit.daemon = True
            self._limit.start()
        threading.Thread(target=self._watch, args=(file, tuple(commands)), daemon=True).start()

    def _give_up(self) -> None:
        """End a search that still reads its video."""
        with self._lock:
            if self.stage == FIRST_STAGE and self.state == "running":
                self.state = "failed"
                self.error = (
                    f"Reading {self.name} took more than {MAX_READING_SECONDS:g} s: upload a shorter or smaller video."
                )
                self.process.kill()

    def _watch(self, file: str, commands: tuple[str, ...]) -> None:
        """Follow the progress until the process ends, then load the result."""
        assert self.process.stderr is not None
        message = ""
        with self.process.stderr:
            for line in self.process.stderr:
                if progress := parse_progress(line):
                    if not self._is_stopping:
                        self._set_progress(**progress)
                elif line.strip():
                    message = line.strip()
        status = self.process.wait()
        with self._lock:
            self._load_result(status, message, file, commands)
        with suppress(FileNotFoundError):  # the folder of a canceled job is gone
            for upload in self.folder.glob("clip.*"):
                upload.unlink(missing_ok=True)

    def _load_result(self, status: int, message: str, file: str, commands: tuple[str, ...]) -> None:
        if self.state == "running":
            try:
                if status:
                    raise StyleganvError(
                        self._user_message(message) or f"The search failed with exit status {status}: start it again."
                    )
                latents = load_latents(self.model.generator, self.folder / "result")
                self.model.search_results[self.number] = SearchResult(self.name, latents, file, commands)
                self.state = "done"
            except StyleganvError as error:
                self.state, self.error = "failed", str(error)
            except Exception:  # Otherwise the job would stay in the running state.
                logger.exception("Cannot load the result of a search:")
                self.state, self.error = "failed", "The search failed: see the studio's log."

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
            message = message.replace(str(upload), self.name)
        return message

    def stop(self) -> None:
        """End a projection early with the best result so far."""
        with self._lock:
            # Another stage, or a second signal, would lose the result.
            if self.state == "running" and self.can_stop and not self._is_stopping:
                self._is_stopping = True
                self._set_progress(1, 1, "saving the best result")
                self.process.send_signal(signal.SIGINT)

    def cancel(self) -> None:
        """End the process and delete its files."""
        with self._lock:
            if self.state != "running":
                return
            self.state = "canceled"
            self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def parse_progress(line: str) -> dict[str, Any] | None:
    """Return the arguments of a report that a process wrote as JSON, or None for any other line."""
    progress = parse_object(line)
    return progress if progress is not None and "stage" in progress else None


class JobManager:
    """The jobs of a studio, in a temporary folder.

    Args:
        clip_model: CLIP for text edits: a folder or a name on the Hugging Face Hub. Default: each model's own, else
            OpenAI's.
        device: of all jobs. Default: cuda if available.
    """

    def __init__(self, *, clip_model: Path | str | None = None, device: str | None = None) -> None:
        self.jobs: dict[int, Job] = {}
        self._clip_model, self._device = clip_model, device
        self._folder = Path(mkdtemp(prefix="styleganv-studio-"))
        self._lock, self._is_receiving = threading.Lock(), False

    def edit_by_text(self, model: StudioModel, params: VideoParams, text: str, num_steps: Any) -> Job:
        """Edit a video to match a text. Raises StyleganvError for invalid arguments, or if another job is running."""
        text = text.strip().lstrip("-")  # A leading hyphen would start an option.
        if not (0 < len(text) <= MAX_TEXT_LENGTH and text.isprintable()):
            raise StyleganvError(
                f"The text must be one line of 1 to {MAX_TEXT_LENGTH} characters, got {len(text)}: change it."
            )
        if params.grid != (1, 1):
            raise StyleganvError("A text edit requires a single video, got a grid: set columns and rows to 1.")
        _check_steps(num_steps)
        (commands, options), latents = edit_options(model, params), model.latents(params)
        search = ["--text", text, "--text-steps", str(num_steps)]
        search += ["--side-by-side", "--seconds", f"{COMPARISON_SECONDS:g}"]
        search += [] if self._clip_model is None else ["--clip-model", str(self._clip_model)]
        with self._lock:
            job = self._create("text", text, model)
            start, result = job.folder / "start.safetensors", job.folder / "result"
            save_latents(start, latents)
            argv = ["--latents", str(start), *search, "--precision", model.model.precision]
            argv += ["--out", str(result / "comparison.mp4"), "--save-latents", str(result / "latents.safetensors")]
            file = f"edit-{job.number}.safetensors"
            repeat = [*options, *search, "--out", f"edit-{job.number}.mp4", "--save-latents", file]
            command = shlex.join(["styleganv", "edit", model.name, *repeat])
            return self._start(job, ["edit", model.path, *argv], file, [*commands, command])

    def project(self, model: StudioModel, upload: Path, name: str, clip: ClipParams) -> Job:
        """Search for the latents of an uploaded clip.

        Args:
            upload: path from `receive_upload`; the file is moved.
            name: of the file on the user's machine.

        Raises:
            StyleganvError: if the model cannot be projected to, or another job is running.
        """
        self._check_projection(model)
        options = ["--start", f"{clip.start:.12g}", "--seconds", f"{clip.seconds:.12g}"]
        options += ["--num-steps", str(clip.num_steps)]
        with self._lock:
            job = self._create("clip", name, model)
            source = upload.rename(job.folder / upload.name)
            file = f"projection-{job.number}"
            command = shlex.join(["styleganv", "project", model.name, name, *options, "--out", file])
            argv = ["project", model.path, str(source), *options, "--out", str(job.folder / "result")]
            return self._start(job, argv, file, [command])

    @contextmanager
    def receive_upload(self, model: StudioModel, name: str) -> Iterator[Path]:
        """Yield a new path for an uploaded file, which is deleted afterwards unless `project` has moved it.

        Raises:
            StyleganvError: for an unknown video format, during another upload, and where `project` raises it.
        """
        suffix = video_suffix(name)
        self._check_projection(model)
        self._check_idle()
        if self._is_receiving:
            raise StyleganvError("Another video is being uploaded: wait for it.")
        self._is_receiving = True
        try:
            with TemporaryDirectory(prefix="upload-", dir=self._folder) as folder:
                yield Path(folder) / f"clip{suffix}"
        finally:
            self._is_receiving = False

    def _create(self, kind: Literal["text", "clip"], name: str, model: StudioModel) -> Job:
        self._check_idle()
        number = len(self.jobs) + 1
        job = Job(number, kind, name, model, self._folder / str(number))
        job.folder.mkdir(exist_ok=True)
        return job

    def _start(self, job: Job, argv: Sequence[str], file: str, commands: Sequence[str]) -> Job:
        job.start([*argv, *([] if self._device is None else ["--device", self._device])], file, commands)
        self.jobs[job.number] = job
        return job

    def _check_projection(self, model: StudioModel) -> None:
        if model.generator.is_image_model:
            raise StyleganvError("Projection requires a video model, got an image model: select another model.")

    def _check_idle(self) -> None:
        if any(job.state == "running" for job in list(self.jobs.values())):
            raise StyleganvError("Another search is running: wait for it or cancel it.")

    def close(self) -> None:
        """Cancel all jobs and delete their files."""
        for job in list(self.jobs.values()):
            job.cancel()
        shutil.rmtree(self._folder, ignore_errors=True)


def _check_steps(num_steps: Any) -> None:
    if not isinstance(num_steps, int) or not 1 <= num_steps <= MAX_STEPS:
        raise StyleganvError(f"The number of steps must be 1 to {MAX_STEPS}, got {num_steps}: change it.")


def video_suffix(name: str) -> str:
    """Return the suffix of a file, all of its name that enters a path. Raises StyleganvError unless it is a video's."""
    suffix = Path(name).suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise StyleganvError(f"Unknown video format of {name}: use one of {SUFFIX_LIST}.")
    return suffix
