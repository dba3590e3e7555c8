"""What every method is described by: one record per method, in the `__init__.py` of its folder.

A record is cheap to import: what needs torch is imported when `implementation` is called.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from styleganv.errors import StyleganvError
from styleganv.recipes import Settings

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
    build_trainer: "Callable[[Settings, VideoDataset, torch.device], Trainer]"
    estimate_memory: "Callable[..., float] | None" = None


@dataclass(frozen=True)
class Ablation:
    """A method without one of its parts, or with more of something: its title and what it changes in the settings."""

    title: str
    adapt: Callable[[Settings], Settings]


def unchanged(settings: Settings) -> Settings:
    return settings


def accept(settings: Settings) -> None:
    """Every loss will do."""


def check_loss(settings: Settings) -> None:
    """Of methods that have a loss of their own."""
    if settings.training.loss != "logistic":
        raise StyleganvError(
            f"--loss {settings.training.loss} requires StyleGAN-V or StyleGAN2: leave it out for {settings.model.kind}."
        )


def check_consecutive(settings: Settings) -> None:
    """Of methods whose clips are consecutive frames."""
    training = settings.training
    if training.max_span != training.frames - 1:
        raise StyleganvError(
            f"--model {settings.model.kind} learns from consecutive frames: set --max-span {training.frames - 1} for "
            f"--frames {training.frames}."
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
    adapt: Callable[[Settings], Settings] = unchanged
    check: Callable[[Settings], None] = check_loss
    ablations: Mapping[str, Ablation] = field(default_factory=dict)
    published: tuple[str, str, str] | None = None
