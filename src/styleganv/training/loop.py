"""Training loop, with everything that a run does between steps."""

import contextlib
import json
import logging
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from styleganv import distributed
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.model_folder import save_model
from styleganv.progress import Progress
from styleganv.record import RunRecord, write_record
from styleganv.training.backends import step_backends
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.checkpoint import has_checkpoint, is_disk_full, save_checkpoint, tensors
from styleganv.training.control import has_stop_request, remove_stop_request
from styleganv.training.run_log import RunLog, peak_memory_gib
from styleganv.training.trainer import Trainer
from styleganv.video_model import VideoModel

logger = logging.getLogger(__name__)

#: Minutes until the first snapshot, and until the first evaluation of a run with a target.
FIRST_SNAPSHOT = 0.5
#: Evaluations of a run with a target may take this fraction of the time.
EVALUATION_TIME = 0.1
#: Seconds between looks for a request to stop.
REQUEST_SECONDS = 0.5
#: Early snapshots follow each other at this fraction of the clips seen, and may take this fraction of the time.
SNAPSHOT_SPACING, SNAPSHOT_TIME = 0.5, 0.05

Evaluate = Callable[[VideoModel], dict[str, float]]
"""Function from a sampler to scores; the first one (lower is better) selects the best model."""


class InterruptedTraining(KeyboardInterrupt):
    """Interruption by Ctrl-C, SIGTERM, SIGHUP or a request to stop, after everything was saved.

    Attributes:
        status: exit status; 0 after a request, so that torchrun does not restart the training.
    """

    def __init__(self, run: Path, clips_seen: int, status: int) -> None:
        super().__init__(f"Saved at {clips_seen:,} clips. To resume: styleganv train --resume {run}")
        self.status = status


def run(
    trainer: Trainer,
    clips: ClipDataset,
    out: Path,
    *,
    record: RunRecord,
    evaluate: Evaluate | None = None,
    progress: Progress | None = None,
) -> None:
    """Train until the end, an interruption or a divergence; the run folder stays consistent in each case.

    Args:
        record: record of the run, whose last session begins now.
        progress: called after each step in thousandths of the run. An exception that it raises ends the training;
            the last checkpoint stays.

    Raises:
        StyleganvError: if a gradient is not finite.
        InterruptedTraining: after Ctrl-C, SIGTERM, SIGHUP or a request to stop.
    """
    with contextlib.ExitStack() as stack:
        log = None
        if distributed.rank() == 0:
            log = RunLog(out, clips_seen=trainer.clips_seen, config=trainer.config, run_id=record.id)
            stack.enter_context(log)
        _Loop(trainer, clips.data, out, log, record, evaluate, progress).run(clips)


class _Loop:
    """State of one run: its trainer, its folder, and the actions between steps."""

    def __init__(
        self,
        trainer: Trainer,
        data: VideoDataset,
        out: Path,
        log: RunLog | None,
        record: RunRecord,
        evaluate: Evaluate | None,
        progress: Progress | None,
    ) -> None:
        self.trainer, self.data, self.out, self.log, self.progress = trainer, data, out, log, progress
        self.record = record
        training = trainer.config.training
        self.every = trainer.config.logging
        self.target = training.target_distance
        self.evaluate = evaluate if self.every.eval_every or self.target else None
        self.has_reached_target = False
        self.total_clips = training.total_clips
        self.session_start = time.monotonic()
        self.start = self.session_start - 60 * trainer.minutes
        self.max_minutes = None if training.minutes is None else trainer.minutes + training.minutes
        self.clips_resumed = self.clips_saved = trainer.clips_seen
        self.last_snapshot = log.last_snapshot(trainer.clips_seen) if log else 0
        self.next_snapshot = self.next_evaluation = self.start + 60 * FIRST_SNAPSHOT
        self.next_request = 0.0

    def run(self, clips: ClipDataset) -> None:
        trainer, training = self.trainer, self.trainer.config.training
        if trainer.step == 0:
            self.save()
        batches = iterate_batches(
            clips,
            first=trainer.clips_seen,
            batch_size=training.batch_size,
            num_workers=_num_workers(training.num_workers),
            device=trainer.device,
        )
        with _signals() as received:
            while True:
                self.update_progress()
                interrupted = distributed.any_process(bool(received) or self.is_asked_to_stop())
                ends = interrupted or self.is_target_reached() or trainer.progress >= 1
                self.write_due(ends=ends, interrupted=interrupted)
                if ends:
                    break
                if self.is_target_reached():  # save the model that reached it, not the next one
                    continue
                real = next(batches)
                with step_backends(trainer.device, tf32=training.tf32):
                    trainer.train_step(clips, real)
        if self.log:
            self.log.finish(trainer.clips_seen, "interrupted" if interrupted else "end")
        distributed.barrier()
        if interrupted:
            requested = distributed.any_process(self.log is not None and has_stop_request(self.out))
            distributed.run_on_first(partial(remove_stop_request, self.out))
            status = 0 if requested else 128 + (received[0] if received else signal.SIGTERM)
            raise InterruptedTraining(self.out, trainer.clips_seen, status)

    def is_asked_to_stop(self) -> bool:
        """Return whether the first process has just found a request to stop."""
        if self.log is None or time.monotonic() < self.next_request:
            return False
        self.next_request = time.monotonic() + REQUEST_SECONDS
        return has_stop_request(self.out)

    def update_progress(self) -> None:
        """Set the trainer's progress to the larger of the fractions of clips and minutes, the same on every process."""
        trainer = self.trainer
        trainer.minutes = (time.monotonic() - self.start) / 60
        trainer.progress = trainer.clips_seen / self.total_clips
        if self.max_minutes is not None:
            fraction = trainer.minutes / max(self.max_minutes, 1e-9)
            trainer.progress = max(trainer.progress, distributed.all_reduce_max(fraction))
        if self.progress and self.log:
            note = ", ".join(["training", f"{trainer.clips_seen:,} clips", *self.log.notes])
            self.progress(min(1000, round(1000 * trainer.progress)), 1000, note)

    def write_due(self, *, ends: bool, interrupted: bool) -> None:
        """Write the log lines, checkpoints, snapshots and evaluations that are due.

        A log line is written before the checkpoint at the same clips, so that a run that resumes there has it. The rest
        follows the checkpoint, because it takes long; a run that resumes writes what is missing.
        """
        trainer, clips_seen, log = self.trainer, self.trainer.clips_seen, self.log
        if ends or self.is_due(self.every.log_every):
            self.assert_finite()
            scalars = trainer.pop_scalars()
            if scalars and log:
                log.write_scalars(clips_seen, clips_seen * trainer.config.training.num_frames, scalars)
        if ends or self.is_due(self.every.save_every):
            self.save()
        resumed = clips_seen == self.clips_resumed
        is_due = (ends and not interrupted) or self.is_snapshot_due()
        if log and is_due and not (resumed and log.has_snapshot(clips_seen)):
            self.write_snapshot(log)
        if self.evaluate and not interrupted and self.is_evaluation_due(ends):
            before = time.monotonic()
            if log and not (resumed and log.has_evaluation):
                with log.reporting("evaluation"), distributed.single_process():
                    self.run_evaluation(self.evaluate, log)
            distributed.barrier()
            self.next_evaluation = time.monotonic() + (time.monotonic() - before) / EVALUATION_TIME

    def is_target_reached(self) -> bool:
        """Return whether the first process has evaluated a model that reaches the target, the same on every process."""
        return self.target is not None and distributed.any_process(self.has_reached_target)

    def is_evaluation_due(self, ends: bool) -> bool:
        """Return whether `eval_every` clips were crossed or, with a target, the last evaluation is long enough ago."""
        if self.target is not None:
            is_due = ends or time.monotonic() >= self.next_evaluation
            return not self.has_reached_target and self.trainer.clips_seen > 0 and distributed.any_process(is_due)
        if not (every := self.every.eval_every):
            return False
        return (ends and self.trainer.clips_seen >= every) or self.is_due(every)

    def is_due(self, interval: int) -> bool:
        """Return whether the last step crossed a multiple of `interval` clips."""
        seen, batch_size = self.trainer.clips_seen, self.trainer.config.training.batch_size
        return seen > 0 and seen // interval > (seen - batch_size) // interval

    def is_snapshot_due(self) -> bool:
        """Return whether a multiple of `snapshot_every` clips was crossed, or an early snapshot is due.

        The first comes after half a minute, others at growing intervals; they take no more than 5 % of the time.
        """
        since = self.trainer.clips_seen - self.last_snapshot
        is_early = time.monotonic() >= self.next_snapshot and since > SNAPSHOT_SPACING * self.last_snapshot
        return self.is_due(self.every.snapshot_every) or (is_early and self.trainer.clips_seen > 0)

    def write_snapshot(self, log: RunLog) -> None:
        """Write a snapshot, and set the earliest time of the next one."""
        before = time.monotonic()
        log.write_snapshot(self.trainer.clips_seen, self.trainer.video_model(self.data))
        self.last_snapshot = self.trainer.clips_seen
        self.next_snapshot = time.monotonic() + (time.monotonic() - before) / SNAPSHOT_TIME

    def assert_finite(self) -> None:
        """Raise if training diverged. Called before every save, so a checkpoint never holds a diverged network."""
        if not bool(self.trainer.finite):
            if self.log:
                self.log.finish(self.trainer.clips_seen, "diverged")
            raise StyleganvError(
                f"Training diverged before {self.trainer.clips_seen:,} clips (non-finite gradient); the last good "
                f"checkpoint is {self.out / 'checkpoint.pt'}, at {self.clips_saved:,} clips: start from "
                f"{self.out / 'model'} with --finetune and a lower --lr or a higher --r1-gamma."
            )

    def save(self) -> None:
        """Save the model, then the checkpoint: if the disk fills up, the previous checkpoint stays intact."""
        self.assert_finite()
        distributed.run_on_first(self.write_state)
        self.clips_saved = self.trainer.clips_seen

    def write_state(self) -> None:
        if self.log:
            self.log.flush()
        try:
            self.save_model(self.out / "model")
            self.write_record(self.out)
            if self.trainer.clips_seen != self.clips_saved or not has_checkpoint(self.out):
                save_checkpoint(self.out / "checkpoint.pt", self.trainer.state_dict())
        except StyleganvError as error:
            if is_disk_full(error):
                raise self.disk_full() from error
            raise

    def disk_full(self) -> StyleganvError:
        """Return the error for a full disk."""
        size = sum(tensor.nbytes for tensor in tensors(self.trainer.state_dict()))  # a model takes less
        needed = max(1, (size - shutil.disk_usage(self.out).free) / 2**20)
        kept = f"the checkpoint at {self.clips_saved:,} clips is kept"
        resume = f"resume with --resume {self.out}"
        if not has_checkpoint(self.out):
            kept, resume = "nothing was trained yet", "start again"
        return StyleganvError(
            f"Cannot save the run in {self.out}, the disk is full ({kept}): free at least {needed:,.0f} MiB "
            f"and {resume}."
        )

    def save_model(self, folder: Path, **scores: float) -> None:
        trainer = self.trainer
        frames_seen = trainer.clips_seen * trainer.config.training.num_frames
        save_model(
            folder,
            trainer.inference_network(),
            method=trainer.method,
            data={"fps": self.data.fps, **trainer.video_model(self.data).labels.to_dict()},
            training={"clips_seen": trainer.clips_seen, "frames_seen": frames_seen, **scores},
            overwrite=True,
        )
        self.write_record(folder)

    def write_record(self, folder: Path) -> None:
        """Write the record with the clips, hours and memory of this session so far; a failure is one warning."""
        if not self.log:
            return
        with self.log.reporting("record"):
            hours = (time.monotonic() - self.session_start) / 3600 * self.record.sessions[-1].num_processes
            memory = peak_memory_gib(self.trainer.device)
            record = self.record.progressed(
                clips_seen=self.trainer.clips_seen,
                device_hours=hours,
                peak_memory_gib=memory if math.isfinite(memory) else None,
            )
            write_record(folder, record)

    def run_evaluation(self, evaluate: Evaluate, log: RunLog) -> None:
        """Evaluate in this process alone, log the scores, and keep the model if it is the best so far.

        An error in one of several processes that evaluate together would leave the others waiting.
        """
        scores = evaluate(self.trainer.video_model(self.data))
        self.has_reached_target = self.target is not None and next(iter(scores.values())) <= self.target
        try:
            if is_best(self.out / "best", scores, self.trainer.clips_seen):
                self.save_model(self.out / "best", **scores)
        finally:
            log.write_evaluation(self.trainer.clips_seen, scores)


def is_best(folder: Path, scores: dict[str, float], clips_seen: int) -> bool:
    """Return whether the first score beats the model saved in `folder` (one left from later in training is ignored)."""
    key = next(iter(scores))
    try:
        best = json.loads((folder / "config.json").read_text())["training"]
        return clips_seen <= best["clips_seen"] or scores[key] < best[key]
    except (OSError, KeyError, ValueError):
        return True


def _num_workers(num_workers: int | None) -> int:
    """Return the number of data-loading processes. With few cores, reading in the training process is faster."""
    cores = os.cpu_count() or 1
    return num_workers if num_workers is not None else (0 if cores <= 4 else min(4, cores // 4))


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect Ctrl-C, SIGTERM and SIGHUP, so that a step is finished first; a second signal exits immediately.

    Signals within a second count as one: torchrun repeats those that a terminal sends to all processes.
    """
    received: list[int] = []
    first = 0.0

    def handle(number: int, _frame: object) -> None:
        nonlocal first
        if not received:
            received.append(number)
            first = time.monotonic()
            logger.info("Finishing the step and saving …")
        elif time.monotonic() - first > 1:
            sys.exit(128 + number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        numbers.append(signal.SIGHUP)
    try:
        before = {s: signal.signal(s, handle) for s in numbers}
    except ValueError:  # not the main thread, whose owner handles signals
        yield received
        return
    try:
        yield received
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
