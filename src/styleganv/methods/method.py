"""What every method is described by: one record per method, in the `__init__.py` of its folder.

A record is cheap to import: what needs torch is imported when `implementation` is called.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from styleganv.config import RunConfig
from styleganv.errors import StyleganvError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from styleganv.data.dataset import VideoDataset
    from styleganv.training.trainer import Trainer
    from styleganv.video_model import VideoModel


@dataclass(frozen=True)
class Implementation:
    """The code of a method.

    Attributes:
        config: frozen dataclass that `network` is built from; `config.json` stores its fields.
        network: `network(config)` builds the network that makes videos.
        sampler: `sampler(network, fps=…, …)` samples videos from it.
        build_trainer: a freshly initialized trainer; the same seed gives the same weights.
        estimate_memory: estimates the peak memory of a step in GiB without running it, where a method can.
    """

    config: "Callable[..., Any]"
    network: "Callable[[Any], nn.Module]"
    sampler: "Callable[..., VideoModel]"
    build_trainer: "Callable[[RunConfig, VideoDataset, torch.device], Trainer]"
    estimate_memory: "Callable[..., float] | None" = None


@dataclass(frozen=True)
class Ablation:
    """A method without one of its parts, or with more of something: its title and what it changes in the settings."""

    title: str
    adapt: Callable[[RunConfig], RunConfig]


def unchanged(config: RunConfig) -> RunConfig:
    return config


def accept(config: RunConfig) -> None:
    """Every loss will do."""


def check_loss(config: RunConfig) -> None:
    """Of methods that have a loss of their own."""
    if config.training.loss != "logistic":
        raise StyleganvError(
            f"--loss {config.training.loss} requires --method stylegan-v or stylegan2, got {config.model.method}."
        )


def check_consecutive(config: RunConfig) -> None:
    """Of methods whose clips are consecutive frames."""
    training = config.training
    if training.max_span != training.num_frames - 1:
        raise StyleganvError(
            f"--method {config.model.method} requires consecutive frames: set --max-span {training.num_frames - 1} "
            f"for --num-frames {training.num_frames}."
        )


@dataclass(frozen=True)
class Method:
    """Architecture, losses and sampler, under the name that `--model` takes.

    Attributes:
        title: for tables.
        implementation: imports and returns the code.
        adapt: changes a preset's settings to what the method's paper says.
        check: raises a `StyleganvError` that names the first setting that cannot work with this method.
        ablations: by the name that `--ablation` takes.
        published: FVD over 16 frames and over 128 ("–": none) on FaceForensics, SkyTimelapse and UCF101 at 256², as the
            StyleGAN-V paper and those after it print them.
    """

    name: str
    title: str
    implementation: Callable[[], Implementation]
    adapt: Callable[[RunConfig], RunConfig] = unchanged
    check: Callable[[RunConfig], None] = check_loss
    ablations: Mapping[str, Ablation] = field(default_factory=dict)
    published: tuple[str, str, str] | None = None
