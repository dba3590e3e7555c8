"""Checks before training: whether dataset, settings and memory fit together, and an estimate of the time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from styleganv import distributed
from styleganv.config import STDDEV_GROUP, RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.sampling import FIRST_SPAN
from styleganv.errors import StyleganvError
from styleganv.nn.layers import resolutions
from styleganv.training.backends import step_backends
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.fitting import USABLE, ample_memory_gib, free_memory_gib, out_of_memory, smaller_steps
from styleganv.training.run_log import peak_memory_gib
from styleganv.training.trackers import check_trackers
from styleganv.training.trainer import PEAK_PROGRESS, Trainer


@dataclass(frozen=True)
class StepCost:
    """Time and peak memory of a training step."""

    seconds: float
    memory_gib: float


def check_settings(config: RunConfig) -> None:
    """Raise a `StyleganvError` for the first settings that exclude each other; types check each on its own."""
    training, model = config.training, config.model
    if training.max_span < training.num_frames - 1:
        raise StyleganvError(
            f"--max-span {training.max_span} is too short for --num-frames {training.num_frames}: raise it to at least "
            f"{training.num_frames - 1}."
        )
    if model.motion_dim % 2:
        raise StyleganvError(f"--motion-dim must be even (sines and cosines), got {model.motion_dim}: correct it.")
    if (model.motion == "none") != (training.num_frames == 1):
        raise StyleganvError(
            "--motion none and --num-frames 1 (an image model) require each other: set both or neither."
        )
    _check_variants(config)
    _check_batch(config)
    check_trackers(config.logging.trackers)


def _check_variants(config: RunConfig) -> None:
    model, num_frames = config.model, config.training.num_frames
    if config.training.grow_clips is not None and config.training.grow_from is None:
        raise StyleganvError("--grow-clips requires --grow-from, e.g. --grow-from 16: add it, or omit --grow-clips.")
    if config.training.span_growth_clips is not None and config.training.max_span <= FIRST_SPAN:
        raise StyleganvError(
            f"--span-growth-clips requires a --max-span above {FIRST_SPAN}, got {config.training.max_span}: raise it."
        )
    if model.motion_noise != "white" and model.motion != "conv":
        raise StyleganvError(
            f"--motion-noise {model.motion_noise} requires --motion conv, got {model.motion}: omit one of them."
        )
    if model.motion_layers == "all" and model.motion == "none":
        raise StyleganvError("--motion-layers all requires motion, got --motion none (an image model): omit it.")
    if model.temporal_shift and num_frames == 1:
        raise StyleganvError("--temporal-shift requires clips of 2 or more frames, got --num-frames 1: omit it.")


def _check_batch(config: RunConfig) -> None:
    training, world = config.training, distributed.world_size()
    if training.batch_size % world:
        raise StyleganvError(
            f"--batch-size {training.batch_size} is not divisible by {world} processes: choose a multiple of {world}."
        )
    local = training.batch_size // world
    micro = training.micro_batch_size or local
    if local % micro:
        raise StyleganvError(
            f"--micro-batch-size {micro} does not divide the {local} clips per process: choose a divisor of {local}."
        )


def check_data(config: RunConfig, data: VideoDataset) -> list[str]:
    """Return warnings about a dataset with these settings.

    Raises:
        StyleganvError: if no video is long enough for a clip, only some have a class, or too many blocks are frozen.
    """
    blocks = len(resolutions(data.height, data.width)) - 1
    if config.training.freeze_d > blocks:
        raise StyleganvError(
            f"--freeze-d {config.training.freeze_d} exceeds the {blocks} discriminator blocks at "
            f"{data.height}x{data.width}: lower it to at most {blocks}."
        )
    without = sum(video.label is None for video in data.videos)
    what = "label" if data.labels.kind == "vector" else "class"
    if config.training.conditional and data.num_classes and without:
        raise StyleganvError(
            f"{without} of {len(data)} videos of {data.path} have no {what}: label them and prepare the dataset "
            "again, or pass --no-conditional."
        )
    frames, span = config.training.num_frames, config.training.max_span
    lengths = [video.num_frames for video in data.videos]
    short = sum(length < frames for length in lengths)
    if short == len(lengths):
        raise StyleganvError(
            f"All {len(lengths)} videos of {data.path} have fewer frames than a clip ({frames}): lower --num-frames or "
            "prepare longer videos."
        )
    warnings = []
    if short:
        warnings.append(f"Skipping {short} of {len(lengths)} videos with fewer than {frames} frames.")
    below = sum(frames <= length <= span for length in lengths)
    if below:
        warnings.append(f"Videos shorter than --max-span {span}: {below}. Their clips span less.")
    if len(lengths) < 100 and config.augment.augment == "none":
        warnings.append(f"Only {len(lengths)} videos and no augmentation: expect overfitting.")
    local = config.training.batch_size // distributed.world_size()
    if config.model.minibatch_stddev and 1 < local < STDDEV_GROUP:
        warnings.append(
            f"Only {local} clips per process: the minibatch standard deviation compares {local} clips instead of "
            f"{STDDEV_GROUP}. Raise --batch-size, or use fewer processes."
        )
    return warnings


def dry_run(
    config: RunConfig,
    clips: ClipDataset,
    build: Callable[[], Trainer],
    estimate_memory: Callable[..., float] | None,
    device: torch.device,
    is_supported: Callable[[RunConfig], bool] = lambda _: True,
) -> StepCost:
    """Run three steps on throwaway networks, to detect a lack of memory early; return the time and memory per step.

    Args:
        build: builds a trainer with such networks.
        estimate_memory: estimates the GiB per step without running it, if the method can.
        is_supported: whether the method supports other settings of micro-batches and gradient checkpointing.

    Raises:
        StyleganvError: if there is not enough memory.
    """
    free = free_memory_gib(device)
    if estimate_memory and ample_memory_gib(config, clips.data) > free:  # a better estimate takes seconds
        need = estimate_memory(config, clips, device)
        if need > free:
            smaller = smaller_steps(config, is_supported)
            fitting = next((each for each in smaller if estimate_memory(each, clips, device) <= USABLE * free), None)
            raise out_of_memory(f"about {need:.1f} GiB needed, {free:.1f} GiB free", config, fitting)
    trainer, training = build(), config.training
    real = next(iterate_batches(clips, first=0, batch_size=training.batch_size, num_workers=0, device=device))
    seconds = []
    for trainer.progress in (0.0, 0.25, 1.0):  # the first, with R1, also warms up; together they reach every stage
        started = time.monotonic()
        with step_backends(device, tf32=training.tf32):
            trainer.train_step(clips, real)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.monotonic() - started)
    step = seconds[-1] * (1 + 0.5 / training.r1_interval)
    if training.grow_from is not None:
        trainer = build()  # a network that has grown does not shrink again
        trainer.progress = PEAK_PROGRESS
        with step_backends(device, tf32=training.tf32):
            trainer.train_step(clips, real)
    memory = peak_memory_gib(device)
    if device.type == "cuda":
        del trainer
        torch.cuda.empty_cache()
    return StepCost(step, memory)


def run_summary(trainer: Trainer, data: VideoDataset, preset: str | None, cost: StepCost | None) -> str:
    """Return what a run is about to do, in aligned lines.

    Args:
        preset: name of the preset that the settings started from; None if unknown.
        cost: from `dry_run`; None for a resumed run, whose steps so far give the estimate.
    """
    training, device = trainer.config.training, str(trainer.device)
    left, per_step = training.total_clips - trainer.clips_seen, ""
    if cost is None:
        hours = trainer.minutes / 60 * left / max(1, trainer.clips_seen)
    else:
        hours = left / training.batch_size * cost.seconds / 3600
        per_step = f" (per step of {training.batch_size}: {1000 * cost.seconds:.0f} ms, {cost.memory_gib:.1f} GiB)"
    limit = "" if training.minutes is None else f", at most {training.minutes:g} min"
    if trainer.device.type == "cpu":
        threads = torch.get_num_threads()
        device += f", {threads} thread{'s' * (threads > 1)}"
    lines = {
        "Device": device,
        "Preset": preset,
        "Resolution": f"{data.height}x{data.width}",
        "Precision": str(trainer.dtype).removeprefix("torch."),
        "Estimated time": f"{_format_hours(hours)} for {left:,} clips{limit}{per_step}",
    }
    return "\n".join(f"{name + ':':<16}{value}" for name, value in lines.items() if value)


def _format_hours(hours: float) -> str:
    if hours < 1 / 30:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:,.1f} h"
