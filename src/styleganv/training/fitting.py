"""Memory settings that fit a GPU: smaller micro-batches, then gradient checkpointing. Neither changes the result."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from styleganv import distributed
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.training.batches import ClipDataset

#: Fraction of the free memory that a step may need by its estimate, which is not exact.
USABLE = 0.9
#: Micro-batches are multiples of this, so that the minibatch standard deviation has the same groups.
MIN_MICRO_BATCH = 4


def free_memory_gib(device: torch.device) -> float:
    """Return the minimum of `available_memory_gib` over the processes."""
    return -distributed.all_reduce_max(-available_memory_gib(device))


def available_memory_gib(device: torch.device) -> float:
    """Return the free memory of a device in GiB; infinity if the system does not report it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 2**30
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (AttributeError, ValueError, OSError):
        return float("inf")


def ample_memory_gib(config: RunConfig, data: VideoDataset) -> float:
    """Return an upper bound of a step's memory in GiB.

    R1 keeps 24 to 32 full-resolution float32 maps per frame; this is twice as many, plus 2 GiB for networks, optimizers
    and the program itself.
    """
    training, model = config.training, config.model
    channels = min(model.channel_base // max(data.height, data.width), model.channel_max)
    clips = training.micro_batch_size or training.batch_size // distributed.world_size()
    return 2 + 64 * clips * training.num_frames * channels * data.height * data.width * 4 / 2**30


def smaller_steps(config: RunConfig, is_supported: Callable[[RunConfig], bool]) -> Iterator[RunConfig]:
    """Return settings that need ever less memory and train the same: smaller micro-batches, then checkpointing too.

    Args:
        is_supported: whether the method supports the settings.
    """
    training = config.training
    local = training.batch_size // distributed.world_size()
    micro = min(training.micro_batch_size or local, local)
    while (micro := micro // 2) >= MIN_MICRO_BATCH:
        if local % micro == 0 and micro % MIN_MICRO_BATCH == 0:
            smaller = replace(config, training=replace(config.training, micro_batch_size=micro))
            if is_supported(smaller):
                config = smaller
                yield config
    if not training.gradient_checkpointing:
        config = replace(config, training=replace(config.training, gradient_checkpointing=True))
        if is_supported(config):
            yield config


def fit_memory(
    config: RunConfig, estimate: Callable[[RunConfig], float], is_supported: Callable[[RunConfig], bool], free: float
) -> RunConfig | None:
    """Return the first settings that fit: `config`, else one of `smaller_steps`; None if all are too large.

    Args:
        estimate: returns the GiB that a step needs.
        free: free memory in GiB.
    """
    if estimate(config) <= USABLE * free:
        return config
    return next((each for each in smaller_steps(config, is_supported) if estimate(each) <= USABLE * free), None)


def memory_options(config: RunConfig, than: RunConfig) -> str:
    """Return the options that make the memory settings of `config` from those of `than`, e.g. in a message."""
    new, old, options = config.training, than.training, []
    if new.micro_batch_size != old.micro_batch_size:
        options.append(f"--micro-batch-size {new.micro_batch_size}")
    if new.gradient_checkpointing and not old.gradient_checkpointing:
        options.append("--gradient-checkpointing")
    return " ".join(options)


def suggest(config: RunConfig, fitting: RunConfig | None) -> str:
    """Return the end of the message for too little memory: the one change of `config` that helps.

    Args:
        fitting: settings that need less memory; None if no other memory settings help.
    """
    options = "" if fitting is None else memory_options(fitting, config)
    return f"add {options}" if options else "lower --channel-base or --batch-size"


def choose_memory(
    config: RunConfig,
    clips: ClipDataset,
    estimate_memory: Callable[..., float] | None,
    device: torch.device,
    is_supported: Callable[[RunConfig], bool],
) -> RunConfig:
    """Return the settings with micro-batches and gradient checkpointing as the GPUs require, if the user set neither.

    On CPUs, without an estimate, or if nothing fits, the settings stay the same.
    """
    training = config.training
    if device.type != "cuda" or estimate_memory is None or training.micro_batch_size or training.gradient_checkpointing:
        return config
    free = free_memory_gib(device)
    if ample_memory_gib(config, clips.data) <= USABLE * free:
        return config
    fitting = fit_memory(config, lambda each: estimate_memory(each, clips, device), is_supported, free)
    return fitting or config


def out_of_memory(reason: str, config: RunConfig, fitting: RunConfig | None) -> StyleganvError:
    """Return the error for insufficient memory; `fitting` are settings that need less."""
    return StyleganvError(f"Not enough memory for these settings ({reason}): {suggest(config, fitting)}.")


@contextmanager
def memory_errors(config: RunConfig, is_supported: Callable[[RunConfig], bool]) -> Iterator[None]:
    """Turn out-of-memory errors into one sentence, which names the next smaller settings."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        is_certain = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not is_certain and not ("memory" in text and "alloc" in text):
            raise
        smaller = next(smaller_steps(config, is_supported), None)
        raise out_of_memory("the machine ran out of it", config, smaller) from error
