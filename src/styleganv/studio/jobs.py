"""What takes minutes: a content for a text, or the content and motion of a clip, found in a process of its own.

    scene, text ──▶ styleganv edit --text ─┐
    uploaded file ──▶ styleganv project ───┴──▶ folder/found ──▶ Find, which scenes can have as their content

A job is a verb of the command line: so it is stopped like one, decodes what was uploaded apart from the server, and is
done again by the line that its find carries. It gives way to play, and one runs at a time.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

from styleganv.editing.latents import open_latents, save_latents
from styleganv.errors import StyleganvError
from styleganv.media.sources import SUFFIX_LIST, VIDEO_SUFFIXES
from styleganv.options import DEFAULT_CLIP
from styleganv.studio.scene import Scene
from styleganv.studio.stage import Find, Stage

LONGEST_TEXT = 200
LONGEST_CLIP, MOST_STEPS = 10.0, 2000  # seconds; of a search
#: Seconds of the video that compares what a text changed.
COMPARED = 2.0
#: `styleganv`, which Ctrl-C's signal reaches even if the studio was started where it is ignored (`nohup … &`).
RUN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import styleganv.cli as c; c.main()"
#: Added to the nice value of its process.
GIVES_WAY = 10


class Job:
    """A process, and what is known of it.

    Attributes:
        number: of the job, and of its find among those of the stage.
        kind: "text" or "clip".
        name: the text, or the name of the clip's file.
        folder: its own; once it is done, `found` in it holds `latents.safetensors` and `comparison.mp4`.
        state: "failed" has an `error`, in one sentence.
        doing: what its progress bar says; `share` of it is done, 0..1, and the rest takes `left`, such as "00:21".
    """

    def __init__(self, number: int, kind: Literal["text", "clip"], name: str, stage: Stage, folder: Path) -> None:
        self.number, self.kind, self.name, self.stage, self.folder = number, kind, name, stage, folder
        self.state: Literal["running", "done", "failed", "cancelled"] = "running"
        self.doing, self.share, self.left, self.error = "starting", 0.0, "", ""
        self._stopping, self._settling = False, threading.Lock()

    def start(self, words: Sequence[str], file: str, lines: Sequence[str]) -> None:
        """Run `styleganv` with these words; `file` and `lines` are of the `Find`."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C in the studio's terminal is not for it
        )
        if hasattr(os, "setpriority"):
            with suppress(OSError):  # it has ended already
                os.setpriority(os.PRIO_PROCESS, self.process.pid, os.getpriority(os.PRIO_PROCESS, 0) + GIVES_WAY)
        threading.Thread(target=self._watch, args=(file, tuple(lines)), daemon=True).start()

    def _watch(self, file: str, lines: tuple[str, ...]) -> None:
        """Read what it says until it ends; then take what it found."""
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:  # a progress bar's carriage return ends a line, too
            if (bar := progress(line)) and not self._stopping:
                self.doing, self.share, self.left = bar
            elif line.strip():
                said = line.strip()
        status = self.process.wait()
        with self._settling:
            if self.state != "running":
                return
            try:
                if status:
                    raise StyleganvError(self._as_known(said) or f"The search ended with status {status}.")
                latents = open_latents(self.stage.editable_model(), self.folder / "found")
                self.stage.finds[self.number] = Find(self.name, latents, file, lines)
                self.state = "done"
            except Exception as error:  # else it would be running for ever
                self.state, self.error = "failed", str(error)
        for upload in self.folder.glob("clip.*"):
            upload.unlink()

    def _as_known(self, said: str) -> str:
        """An error without the program's name, and with the file's name as the person knows it."""
        return re.sub(
            rf"{re.escape(str(self.folder))}/clip\.\w+", lambda _: self.name, said.removeprefix("styleganv: ")
        )

    def end(self, *, keep: bool) -> None:
        """Stop it. With `keep`, a search in a clip takes the best so far; else nothing stays."""
        with self._settling:
            if self.state != "running":
                return
            if keep:
                if not self._stopping:  # a second signal would end it while it writes
                    self._stopping, self.doing, self.share, self.left = True, "keeping the best so far", 1.0, ""
                    self.process.send_signal(signal.SIGINT)
                return
            self.state = "cancelled"
            self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def progress(line: str) -> tuple[str, float, str] | None:
    """What a progress bar says that is being done, the share of it, and the time left; None of another line."""
    found = re.match(r"([^:|]+):\s+(\d+)%\|[^|]*\|[^\[]*(?:\[[^<\]]*<([\d:]+))?", line.strip())
    return None if found is None else (found[1], int(found[2]) / 100, found[3] or "")


class Jobs:
    """Those of a studio, in a folder that goes with it.

    Args:
        clip: the CLIP that judges texts, as `load_clip` takes it.
        device: for all of them; the best there is where None.
    """

    def __init__(self, *, clip: Path | str = DEFAULT_CLIP, device: str | None = None) -> None:
        self.all: dict[int, Job] = {}
        self._clip, self._device = str(clip), device
        self._folder = Path(mkdtemp(prefix="styleganv-studio-"))
        self._beginning = threading.Lock()

    def by_text(self, stage: Stage, scene: Scene, text: str, steps: Any) -> Job:
        """Change a scene's content to what a text says.

        Raises:
            StyleganvError: for a text, a scene or steps that cannot be, or if another job is running.
        """
        text = text.strip().lstrip("-")  # which would begin an option
        if not (0 < len(text) <= LONGEST_TEXT and text.isprintable()):
            raise StyleganvError(f"The text has {len(text)} letters: say it in 1 to {LONGEST_TEXT}, in one line.")
        if scene.grid != (1, 1):
            raise StyleganvError("A text changes one video: show one instead of a grid.")
        (lines, video), latents = stage.edited(scene), stage.latents(scene)
        searched = ["--text", text, "--text-steps", str(_steps(steps)), "--side-by-side", "--seconds", f"{COMPARED:g}"]
        searched += [] if self._clip == DEFAULT_CLIP else ["--clip-model", self._clip]
        with self._beginning:
            job = self._next("text", text, stage)
            start, found = job.folder / "start.safetensors", job.folder / "found"
            save_latents(start, latents)
            words = ["--seed", str(start), *searched, "--precision", stage.model.precision]
            words += ["--out", str(found / "comparison.mp4"), "--save-latents", str(found / "latents.safetensors")]
            file = f"edit-{job.number}.safetensors"
            again = [*video, *searched, "--out", f"edit-{job.number}.mp4", "--save-latents", file]
            line = shlex.join(["styleganv", "edit", stage.place, *again])
            return self._started(job, ["edit", stage.place, *words], file, [*lines, line])

    def in_clip(self, stage: Stage, upload: Path, name: str, *, start: float, seconds: float, steps: int) -> Job:
        """Find the clip of an uploaded file, which is taken over.

        Args:
            name: of the file where it comes from.
            start, seconds: of the clip in it.

        Raises:
            StyleganvError: for a time, steps or a model that cannot be, or if another job is running.
        """
        self._check_clip(stage, start, seconds, steps)
        searched = ["--start", f"{start:.12g}", "--seconds", f"{seconds:.12g}", "--num-steps", str(steps)]
        with self._beginning:
            job = self._next("clip", name, stage)
            source = upload.rename(job.folder / upload.name)
            file = f"projection-{job.number}"
            line = shlex.join(["styleganv", "project", stage.place, name, *searched, "--out", file])
            words = ["project", stage.place, str(source), *searched, "--out", str(job.folder / "found")]
            return self._started(job, words, file, [line])

    def _next(self, kind: Literal["text", "clip"], name: str, stage: Stage) -> Job:
        self._check_free()
        number = len(self.all) + 1
        job = Job(number, kind, name, stage, self._folder / str(number))
        job.folder.mkdir(exist_ok=True)
        return job

    def _started(self, job: Job, words: Sequence[str], file: str, lines: Sequence[str]) -> Job:
        job.start([*words, *([] if self._device is None else ["--device", self._device])], file, lines)
        self.all[job.number] = job
        return job

    def upload(self, stage: Stage, name: str, *, start: float, seconds: float, steps: int) -> Path:
        """Where to write an uploaded file. Raises StyleganvError where `in_clip` would."""
        suffix = video_suffix(name)
        self._check_clip(stage, start, seconds, steps)
        self._check_free()
        return Path(mkdtemp(prefix="upload-", dir=self._folder)) / f"clip{suffix}"

    def _check_clip(self, stage: Stage, start: float, seconds: float, steps: int) -> None:
        if not (0 <= start < 1e6 and 0 < seconds <= LONGEST_CLIP):
            raise StyleganvError(f"A clip of {seconds:g} s cannot be searched: choose up to {LONGEST_CLIP:g} s.")
        if stage.editable_model().still:
            raise StyleganvError("This model makes images and knows no motion: choose a model of videos.")
        _steps(steps)

    def _check_free(self) -> None:
        if any(job.state == "running" for job in list(self.all.values())):
            raise StyleganvError("Another search is running: wait for it, or cancel it.")

    def close(self) -> None:
        for job in list(self.all.values()):
            job.end(keep=False)
        shutil.rmtree(self._folder, ignore_errors=True)


def _steps(steps: Any) -> int:
    if not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise StyleganvError(f"A search cannot take {steps} steps: choose 1 to {MOST_STEPS}.")
    return steps


def video_suffix(name: str) -> str:
    """One of those known: nothing else of a name that a browser sends comes near a path. Raises StyleganvError."""
    suffix = Path(name).suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise StyleganvError(f"{name} is no video this program knows: give one of {SUFFIX_LIST}.")
    return suffix
