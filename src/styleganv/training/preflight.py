"""Before training: do data, settings and machine fit together, and how long will it take?"""

import os
import time
from collections.abc import Callable

import torch

from styleganv import distributed
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.nn.layers import resolution_levels
from styleganv.training.feed import RealClips, real_batches
from styleganv.training.report import peak_memory_gib
from styleganv.training.trainer import Trainer

#: Of an evaluation: two halves, each with a covariance.
FEWEST_VIDEOS = 4


def check_settings(config: RunConfig) -> None:
    """Raise a `StyleganvError` that names the first setting that cannot work."""
    training, model = config.training, config.model
    positive = {
        "--total-clips": training.total_clips,
        "--batch-size": training.batch_size,
        "--num-frames": training.num_frames,
        "--max-span": training.max_span,
        "--lr": training.lr,
        "--r1-interval": training.r1_interval,
        "--slot-distance": model.slot_distance,
        "--channel-base": model.channel_base,
        "--channel-max": model.channel_max,
        "--num-threads": 1 if training.num_threads is None else training.num_threads,
        "--log-every": config.logging.log_every,
        "--snapshot-every": config.logging.snapshot_every,
        "--save-every": config.logging.save_every,
        "--eval-every": config.logging.eval_every or 1,
    }
    for name, value in positive.items():
        if not value > 0:
            raise StyleganvError(f"{name} is {value}: give a number above 0.")
    if config.logging.eval_clips < FEWEST_VIDEOS:
        raise StyleganvError(
            f"--eval-clips {config.logging.eval_clips} is too few to measure a distance and its floor: "
            f"give at least {FEWEST_VIDEOS}."
        )
    if training.freeze_d < 0:
        raise StyleganvError(f"--freeze-d is {training.freeze_d}: give a number of blocks, or 0 for none.")
    if training.max_span < training.num_frames - 1:
        raise StyleganvError(
            f"--max-span {training.max_span} is too short for --num-frames {training.num_frames}: give at least "
            f"{training.num_frames - 1}."
        )
    if model.motion_dim % 2:
        raise StyleganvError(f"--motion-dim {model.motion_dim} is odd: give an even number (sines and cosines).")
    if (model.motion == "none") != (training.num_frames == 1):
        raise StyleganvError(
            "--motion none and --num-frames 1 (an image model) require each other: set both or neither."
        )
    world = distributed.world_size()
    if training.batch_size % world:
        raise StyleganvError(
            f"--batch-size {training.batch_size} cannot be shared by {world} processes: choose a multiple of {world}."
        )
    local = training.batch_size // world
    micro = training.micro_batch_size or local
    if micro < 1 or local % micro:
        raise StyleganvError(
            f"--micro-batch-size {micro} does not divide the {local} clips of a process: choose a divisor of {local}."
        )


def check_data(config: RunConfig, data: VideoDataset) -> list[str]:
    """Remarks worth a line to the person.

    Raises:
        StyleganvError: if no video is long enough for a clip, or if the discriminator has fewer blocks than are frozen.
    """
    blocks = len(resolution_levels(data.height, data.width)) - 1
    if config.training.freeze_d > blocks:
        raise StyleganvError(
            f"--freeze-d {config.training.freeze_d} is more than the {blocks} blocks of a discriminator of "
            f"{data.height}x{data.width}: give at most {blocks}."
        )
    frames, span = config.training.num_frames, config.training.max_span
    lengths = [video.num_frames for video in data.videos]
    short = sum(length < frames for length in lengths)
    if short == len(lengths):
        raise StyleganvError(
            f"All {len(lengths)} videos of {data.path} have fewer than the {frames} frames of a clip: "
            "lower --num-frames or prepare longer videos."
        )
    remarks = []
    if short:
        remarks.append(f"{short} of {len(lengths)} videos have fewer than {frames} frames and are left out.")
    below = sum(frames <= length <= span for length in lengths)
    if below:
        remarks.append(f"{below} videos are shorter than --max-span {span}; their clips span what fits.")
    if len(lengths) < 100 and config.augment.augment == "none":
        remarks.append(f"Only {len(lengths)} videos and no augmentation: expect overfitting (--augment ada).")
    return remarks


def available_memory_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 2**30
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):
        return float("inf")


def ample_memory_gib(config: RunConfig, data: VideoDataset) -> float:
    """More than a step ever takes: twice the full-resolution float32 maps that R1 was seen to keep (24 to 32 a frame),
    and 2 GiB for networks, optimisers and the program."""
    training, model = config.training, config.model
    channels = min(model.channel_base // max(data.height, data.width), model.channel_max)
    clips = training.micro_batch_size or training.batch_size // distributed.world_size()
    return 2 + 64 * clips * training.num_frames * channels * data.height * data.width * 4 / 2**30


def rehearse(
    config: RunConfig,
    data: VideoDataset,
    clips: RealClips,
    build: Callable[[], Trainer],
    estimate_memory: Callable[..., float] | None,
    device: torch.device,
) -> str:
    """Three steps on throw-away networks: finds shortages before the run does, and measures its time and memory.

    Args:
        build: makes the trainer of such networks.
        estimate_memory: estimates the GiB that a step takes without running it, if the method can.

    Returns a sentence with the estimate.

    Raises:
        StyleganvError: if the memory does not suffice.
    """
    free = available_memory_gib(device)
    if estimate_memory and ample_memory_gib(config, data) > free:  # to know better takes seconds
        need = estimate_memory(config, clips, device)
        if need > free:
            raise out_of_memory(f"about {need:.1f} GiB are needed, {free:.1f} are free")
    trainer = build()
    world, rank, batch = distributed.world_size(), distributed.rank(), config.training.batch_size
    real = next(real_batches(clips, first=0, batch=batch, rank=rank, world_size=world, workers=0, device=device))
    seconds = []
    for trainer.progress in (0.0, 0.25, 1.0):  # the first, with R1, also sets the machine up; all stages are tried
        started = time.monotonic()
        trainer.train_step(clips, real)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.monotonic() - started)
    step = min(seconds[1:]) * (1 + 0.5 / config.training.r1_interval)
    hours = config.training.total_clips / batch * step / 3600
    if config.training.minutes is not None:
        hours = min(hours, config.training.minutes / 60)
    memory = peak_memory_gib(device)
    if device.type == "cuda":
        del trainer
        torch.cuda.empty_cache()
    total = config.training.total_clips
    return (
        f"A step of {batch} clips takes {step:.2f} s and {memory:.1f} GiB. Estimated time: "
        f"{_duration(total / batch * step / 3600)} for {total:,} clips; this run stops after at most {_duration(hours)}."
    )


def out_of_memory(reason: str) -> StyleganvError:
    return StyleganvError(
        f"The memory does not suffice for these settings ({reason}): lower --micro-batch-size (for example to 4), "
        "add --gradient-checkpointing, or lower --batch-size or --channel-base."
    )


def _duration(hours: float) -> str:
    if hours < 1 / 30:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:,.1f} h"
