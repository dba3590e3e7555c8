"""The training loop: the only `while`, with everything a run does between its steps."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from styleganv import distributed
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.model_folder import save_model
from styleganv.training.checkpoint import save_checkpoint
from styleganv.training.feed import RealClips, real_batches
from styleganv.training.preflight import out_of_memory
from styleganv.training.report import Report, say
from styleganv.training.trainer import Trainer
from styleganv.video_model import VideoModel


class InterruptedTraining(KeyboardInterrupt):
    """Ctrl-C or SIGTERM arrived; everything is saved."""

    def __init__(self, run: Path, clips_seen: int, number: int) -> None:
        super().__init__(f"Saved after {clips_seen:,} clips. Continue with: styleganv train --resume {run}")
        self.number = number


def run(
    trainer: Trainer,
    clips: RealClips,
    data: VideoDataset,
    out: Path,
    config: RunConfig,
    evaluate: Callable[[VideoModel], dict[str, float]] | None,
) -> None:
    """Train until the end, an interruption or a divergence; the folder is consistent after each.

    Args:
        evaluate: measures how far the trainer's videos are from real ones, the value that counts first.
    """
    training = config.training
    with memory_errors(), contextlib.ExitStack() as stack:
        if trainer.step == 0:
            _save(trainer, data, out)
        report = None
        if distributed.rank() == 0:
            report = Report(
                out, clips_seen=trainer.clips_seen, total_clips=training.total_clips, minutes=training.minutes
            )
            stack.enter_context(report)
        _loop(trainer, clips, data, out, config, report, evaluate)


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Turn the errors of a full memory into one sentence."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise out_of_memory("the machine ran out of it") from error
    except RuntimeError as error:
        if "memory" in str(error).lower() and "alloc" in str(error).lower():
            raise out_of_memory("the machine ran out of it") from error
        raise


def _loop(
    trainer: Trainer,
    clips: RealClips,
    data: VideoDataset,
    out: Path,
    config: RunConfig,
    report: Report | None,
    evaluate: Callable[[VideoModel], dict[str, float]] | None,
) -> None:
    training, every = config.training, config.logging
    batches = real_batches(
        clips,
        first=trainer.clips_seen,
        batch=training.batch_size,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
        workers=_num_workers(training.num_workers),
        device=trainer.device,
    )
    started = time.monotonic() - 60 * trainer.minutes
    most = None if training.minutes is None else trainer.minutes + training.minutes
    saved = trainer.clips_seen
    evaluated = every.eval_every if evaluate else None
    with _signals() as received:
        while True:
            trainer.minutes = (time.monotonic() - started) / 60
            trainer.progress = _progress(trainer, training.total_clips, most)
            interrupted = distributed.any_process(bool(received))
            done = trainer.progress >= 1
            ending = interrupted or done
            if ending or _crossed(trainer.clips_seen, training.batch_size, every.log_every):
                _assert_finite(trainer, out, saved)
                values = trainer.read_statistics()
                if values and report:
                    report.statistics(trainer.clips_seen, trainer.clips_seen * training.num_frames, values)
            if ending or _crossed(trainer.clips_seen, training.batch_size, every.save_every):
                _save(trainer, data, out)
                saved = trainer.clips_seen
            if report and (done or _crossed(trainer.clips_seen, training.batch_size, every.snapshot_every)):
                report.snapshot(trainer.clips_seen, trainer.videos(data))
            if evaluate and evaluated and not interrupted:
                last = done and trainer.clips_seen >= evaluated
                if last or _crossed(trainer.clips_seen, training.batch_size, evaluated):
                    _evaluate(trainer, data, out, report, evaluate)
            if ending:
                break
            trainer.train_step(clips, next(batches))
            if report:
                report.progress(training.batch_size)
    if report:
        report.finish(trainer.clips_seen, "interrupted" if interrupted else "end")
    distributed.barrier()
    if interrupted:
        raise InterruptedTraining(out, trainer.clips_seen, received[0] if received else signal.SIGTERM)


def _progress(trainer: Trainer, clips: int, minutes: float | None) -> float:
    """How much of the clips or, if more, of the minutes is done; the same on every process. From 1 on, the run ends."""
    done = trainer.clips_seen / clips
    return done if minutes is None else max(done, distributed.largest(trainer.minutes / max(minutes, 1e-9)))


def _crossed(clips_seen: int, batch: int, interval: int) -> bool:
    """Whether the last step crossed a multiple of `interval`."""
    return clips_seen > 0 and clips_seen // interval > (clips_seen - batch) // interval


def _assert_finite(trainer: Trainer, out: Path, saved: int) -> None:
    """Checked before every save, so a checkpoint never holds a diverged network."""
    if not bool(trainer.finite):
        raise StyleganvError(
            f"Training diverged (a gradient is not finite) before {trainer.clips_seen:,} clips; "
            f"{out / 'checkpoint.pt'} is good, from {saved:,} clips: "
            f"start from {out / 'model'} with --finetune and a lower --lr or a higher --r1-gamma."
        )


def _save(trainer: Trainer, data: VideoDataset, out: Path) -> None:
    """The model first: if the disk fills up, the checkpoint of before still matches its settings."""
    if distributed.rank() == 0:
        _save_model(out / "model", trainer, data)
        save_checkpoint(out / "checkpoint.pt", trainer.state_dict())
    distributed.barrier()


def _save_model(folder: Path, trainer: Trainer, data: VideoDataset, **values: float) -> None:
    frames = trainer.config.training.num_frames
    save_model(
        folder,
        trainer.saved(),
        kind=trainer.kind,
        data={"fps": data.fps, "class_names": trainer.videos(data).class_names},
        training={"clips_seen": trainer.clips_seen, "frames_seen": trainer.clips_seen * frames, **values},
    )


def _evaluate(
    trainer: Trainer,
    data: VideoDataset,
    out: Path,
    report: Report | None,
    evaluate: Callable[[VideoModel], dict[str, float]],
) -> None:
    """All processes share the work; the first one notes the outcome and keeps the model if it is the best so far."""
    values = evaluate(trainer.videos(data))
    if report:
        if is_best(out / "best", values, trainer.clips_seen):
            _save_model(out / "best", trainer, data, **values)
        report.evaluation(trainer.clips_seen, values)
    distributed.barrier()


def is_best(folder: Path, values: dict[str, float], clips_seen: int) -> bool:
    """Whether the first of these values is smaller than that of the model in `folder`, if it is of before."""
    key = next(iter(values))
    try:
        kept = json.loads((folder / "config.json").read_text())["training"]
        return clips_seen <= kept["clips_seen"] or values[key] < kept[key]
    except (OSError, KeyError, ValueError):
        return True


def _num_workers(workers: int | None) -> int:
    """Reading in the training process is faster than sharing a few cores with a reader."""
    cores = os.cpu_count() or 1
    return workers if workers is not None else (0 if cores <= 4 else min(4, cores // 4))


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Note Ctrl-C and SIGTERM instead of dying in the middle of a step; a second one dies."""
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        if received:
            sys.exit(128 + number)
        received.append(number)
        say("Finishing the step and saving …")

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs us handles signals
        yield received
        return
    try:
        yield received
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
