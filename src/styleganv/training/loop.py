"""The training loop: the only `while`, with everything a run does between its steps."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from styleganv import distributed
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.models.folder import save_model
from styleganv.openmp import working_threads
from styleganv.recipes import Settings, load_settings, save_settings
from styleganv.training.build import build_trainer
from styleganv.training.checkpoint import load_checkpoint, save_checkpoint
from styleganv.training.evaluation import can_evaluate, distance, is_best
from styleganv.training.feed import RealClips, real_batches
from styleganv.training.gan import GanTrainer, build_networks
from styleganv.training.preflight import check_data, check_settings, out_of_memory, rehearse
from styleganv.training.report import Report, say
from styleganv.training.start import as_trained, open_source, start_from
from styleganv.training.trainer import Trainer


def train(
    data: Path | str,
    out: Path | str,
    settings: Settings,
    *,
    finetune: Path | str | None = None,
    or_resume: bool = False,
) -> Path:
    """Train on a prepared data set into a new run folder.

    Args:
        data: a data set that `styleganv prepare` wrote.
        out: the run folder; it must not hold a run already.
        finetune: a model folder or run to start from: what fits of its generator and, if it has one, discriminator.
        or_resume: if `out` holds a run already, continue it from its last checkpoint: one command for jobs that
            are started again after a process or a machine died.

    Returns:
        The model folder, `out/model`.

    Raises:
        StyleganvError: if data, settings or memory do not fit, or if training diverges.
        InterruptedTraining: after Ctrl-C or SIGTERM, when everything is saved.
    """
    out = Path(out)
    if or_resume and (out / "checkpoint.pt").exists():
        return resume(out, data=data, settings=settings if finetune is None else None)
    with distributed.processes() as device:
        dataset = VideoDataset(data)
        if (out / "checkpoint.pt").exists():
            raise StyleganvError(
                f"{out} already holds a run: continue it with --resume {out}, or choose another --out."
            )
        if finetune is not None and settings.model.kind not in ("stylegan-v", "stylegan2"):
            raise StyleganvError(f"--finetune is for StyleGAN-V and StyleGAN2: leave it out for {settings.model.kind}.")
        source = None if finetune is None else open_source(finetune)
        if source is not None:
            settings = as_trained(settings, source)
        elif settings.training.freeze_d:
            raise StyleganvError("--freeze-d keeps what a discriminator has learned: give --finetune too.")
        check_settings(settings)
        remarks: list[str] = []
        if source is None:
            trainer = build_trainer(settings, dataset, device)
        else:
            networks = build_networks(settings, dataset, device)
            remarks = start_from(source, settings, *networks)
            trainer = GanTrainer(settings, *networks)
        if distributed.rank() == 0:
            for remark in remarks:
                say(remark)
            out.mkdir(parents=True, exist_ok=True)
            save_settings(settings, out / "settings.yaml")
            (out / "data.txt").write_text(f"{dataset.path.resolve()}\n{dataset.content_hash}\n")
        return _run(trainer, dataset, out, settings)


def resume(run: Path | str, *, data: Path | str | None = None, settings: Settings | None = None) -> Path:
    """Continue a run exactly where its last checkpoint is: weights, optimisers, strength and data order.

    Args:
        data: the data set's new place, if it was moved.
        settings: the run's own with changes to what does not touch the mathematics: `clips`, `minutes`,
            `workers`, `threads` (which round differently) and the `report` group.
    """
    run = Path(run)
    with distributed.processes() as device:
        state = load_checkpoint(run / "checkpoint.pt")
        saved = load_settings(run / "settings.yaml")
        settings = settings or saved
        free = {name: getattr(settings.training, name) for name in ("clips", "minutes", "workers", "threads")}
        if settings != replace(saved, report=settings.report, training=replace(saved.training, **free)):
            raise StyleganvError(
                "A resumed run keeps its settings; of training only --clips, --minutes, --workers and --threads may "
                f"change: start a new run with --finetune {run / 'model'} instead."
            )
        check_settings(settings)
        place, content_hash = (run / "data.txt").read_text().splitlines()
        if data is None and not Path(place).exists():
            raise StyleganvError(
                f"The data set of {run} is no longer at {place}: give its new place, train DATA --resume {run}."
            )
        dataset = VideoDataset(data or place)
        if dataset.content_hash != content_hash:
            raise StyleganvError(
                f"{dataset.path} is not the data set {run} was trained on: give that one with --data, "
                f"or start a new run with --finetune {run / 'model'}."
            )
        trainer = build_trainer(settings, dataset, device)
        try:
            trainer.load_state_dict(state)
        except (KeyError, ValueError, RuntimeError) as error:
            raise StyleganvError(
                f"{run / 'checkpoint.pt'} does not belong to {run / 'settings.yaml'}: restore that file."
            ) from error
        return _run(trainer, dataset, run, settings)


class InterruptedTraining(KeyboardInterrupt):
    """Ctrl-C or SIGTERM arrived; everything is saved."""

    def __init__(self, run: Path, clips_seen: int, number: int) -> None:
        super().__init__(f"Saved after {clips_seen:,} clips. Continue with: styleganv train --resume {run}")
        self.number = number


def _run(trainer: Trainer, data: VideoDataset, out: Path, settings: Settings) -> Path:
    """Check, then train until the end, an interruption or a divergence; the folder is consistent after each."""
    training = settings.training
    clips = RealClips(
        data,
        num_frames=training.frames,
        max_span=training.max_span,
        seed=training.seed,
        mirror=training.mirror,
        conditional=training.conditional,
        draw=trainer.draw,
    )
    first = distributed.rank() == 0
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(working_threads(training.threads))
            remarks = check_data(settings, data)
            if trainer.step == 0:
                remarks.append(rehearse(settings, data, clips, trainer.device))
            if first:
                for remark in remarks:
                    say(remark)
            if trainer.step == 0:
                _save(trainer, data, out)
            report = None
            if first:
                report = Report(
                    out, clips_seen=trainer.clips_seen, total_clips=training.clips, minutes=training.minutes
                )
                stack.enter_context(report)
            _loop(trainer, clips, data, out, settings, report)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise out_of_memory("the machine ran out of it") from error
    except RuntimeError as error:
        if "memory" in str(error).lower() and "alloc" in str(error).lower():
            raise out_of_memory("the machine ran out of it") from error
        raise
    return out / "model"


def _loop(
    trainer: Trainer,
    clips: RealClips,
    data: VideoDataset,
    out: Path,
    settings: Settings,
    report: Report | None,
) -> None:
    training, every = settings.training, settings.report
    batches = real_batches(
        clips,
        first=trainer.clips_seen,
        batch=training.batch,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
        workers=_num_workers(training.workers),
        device=trainer.device,
    )
    started = time.monotonic() - 60 * trainer.minutes
    most = None if training.minutes is None else trainer.minutes + training.minutes
    saved = trainer.clips_seen
    evaluated = every.evaluate_every if can_evaluate(data) else None
    with _signals() as received:
        while True:
            trainer.minutes = (time.monotonic() - started) / 60
            trainer.progress = _progress(trainer, training.clips, most)
            interrupted = distributed.any_process(bool(received))
            done = trainer.progress >= 1
            ending = interrupted or done
            if ending or _crossed(trainer.clips_seen, training.batch, every.report_every):
                _assert_finite(trainer, out, saved)
                values = trainer.read_statistics()
                if values and report:
                    report.statistics(trainer.clips_seen, trainer.clips_seen * training.frames, values)
            if ending or _crossed(trainer.clips_seen, training.batch, every.save_every):
                _save(trainer, data, out)
                saved = trainer.clips_seen
            if report and (done or _crossed(trainer.clips_seen, training.batch, every.snapshot_every)):
                report.snapshot(trainer.clips_seen, trainer.videos(data))
            last = done and evaluated is not None and trainer.clips_seen >= evaluated
            if evaluated and (last or _crossed(trainer.clips_seen, training.batch, evaluated)) and not interrupted:
                _evaluate(trainer, data, out, report)
            if ending:
                break
            trainer.train_step(clips, next(batches))
            if report:
                report.progress(training.batch)
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
    frames = trainer.settings.training.frames
    save_model(
        folder,
        trainer.saved(),
        kind=trainer.kind,
        data={"fps": data.fps, "class_names": trainer.videos(data).class_names},
        training={"clips_seen": trainer.clips_seen, "frames_seen": trainer.clips_seen * frames, **values},
    )


def _evaluate(trainer: Trainer, data: VideoDataset, out: Path, report: Report | None) -> None:
    """All processes share the work; the first one notes the outcome and keeps the model if it is the best so far."""
    values = distance(trainer.videos(data), data, trainer.settings)
    if report:
        if is_best(out / "best", values, trainer.clips_seen):
            _save_model(out / "best", trainer, data, **values)
        report.evaluation(trainer.clips_seen, values)
    distributed.barrier()


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
