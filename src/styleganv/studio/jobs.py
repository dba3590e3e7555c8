"""The queue of jobs: one runs at a time, in the order in which they were submitted.

request of the page ──searches, exports──▶ Task ──submit──▶ queue ──Job.run──▶ styleganv … ──▶ files, Task.finish
"""

import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from styleganv.errors import StyleganvError
from styleganv.studio.job import MAX_DISK_BYTES, Job, Task, size_of

logger = logging.getLogger(__name__)

#: Jobs that may wait, and finished ones that are kept.
MAX_WAITING, MAX_FINISHED = 20, 100


class JobManager:
    """The jobs of a studio, in a temporary folder. One runs at a time, in the order in which they were submitted.

    Args:
        clip_model: CLIP for text edits: a folder or a name on the Hugging Face Hub. Default: each model's own, else
            OpenAI's.
        device: of all jobs. Default: cuda if available.

    Attributes:
        receiving: held during an upload.
    """

    def __init__(self, *, clip_model: Path | str | None = None, device: str | None = None) -> None:
        self.jobs: dict[int, Job] = {}
        self.clip_model, self._device = clip_model, device
        self._folder = Path(mkdtemp(prefix="styleganv-studio-"))
        self._changed, self.receiving = threading.Condition(), threading.Lock()
        self._num_jobs, self._is_closing, self._worker = 0, False, threading.Thread(target=self._work, daemon=True)

    def submit(self, make_task: Callable[[int, Path], Task]) -> Job:
        """Append a job to the queue.

        Args:
            make_task: returns the task of a job with this number and folder.

        Raises:
            StyleganvError: if too many jobs wait, and where `make_task` raises it.
        """
        self.check_free()
        with self._changed:
            self._num_jobs += 1
            number = self._num_jobs
        folder = self._folder / str(number)
        folder.mkdir()
        try:
            task = make_task(number, folder)
            device = () if self._device is None else ("--device", self._device)
            with self._changed:
                self.check_free()
                job = Job(number, folder, replace(task, argv=(*task.argv, *device)))
                self.jobs[number] = job
                if self._worker.ident is None:
                    self._worker.start()
                self._changed.notify()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return job

    def check_free(self) -> None:
        """Raise StyleganvError if too many jobs wait."""
        if sum(job.state == "waiting" for job in list(self.jobs.values())) >= MAX_WAITING:
            raise StyleganvError(f"{MAX_WAITING} jobs are waiting already: wait for them, or cancel some.")

    def new_folder(self) -> "TemporaryDirectory[str]":
        """Return a temporary folder on the same disk as the jobs, e.g. for an upload."""
        return TemporaryDirectory(prefix="upload-", dir=self._folder)

    def _work(self) -> None:
        """Run the waiting jobs, one after the other."""
        while True:
            with self._changed:
                while not (self._is_closing or self._next()):
                    self._changed.wait()
                job = self._next()
                if self._is_closing or job is None:
                    return
            try:
                job.run()
            except Exception:  # e.g. no memory for another process; others may succeed
                logger.exception("Cannot run a job:")
                job.state, job.error = "failed", "The job could not start: see the studio's log."
            self.drop_old()

    def _next(self) -> Job | None:
        return next((job for job in list(self.jobs.values()) if job.state == "waiting"), None)

    def drop_old(self) -> None:
        """Drop the oldest finished jobs beyond their number, and the oldest exports beyond the disk space."""
        finished = [job for job in list(self.jobs.values()) if job.is_finished]
        for job in finished[: max(0, len(finished) - MAX_FINISHED)]:
            self._drop(job)
        exports = [job for job in finished if job.task.kind == "export" and job.number in self.jobs]
        for job in exports[:-1]:  # The last one has not been seen yet.
            if size_of(self._folder) <= MAX_DISK_BYTES:
                break
            self._drop(job)

    def _drop(self, job: Job) -> None:
        self.jobs.pop(job.number, None)
        job.task.forget()
        shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Cancel all jobs and delete their files."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        for job in list(self.jobs.values()):
            job.cancel()
        shutil.rmtree(self._folder, ignore_errors=True)
