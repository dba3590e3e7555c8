"""The record of a method, one in the `__init__.py` of each method's folder.

A record is cheap to import: code that needs torch is imported when `implementation` is called.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.label_space import LabelKind

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
        network: `network(config)` builds the network that generates videos. Its attributes are `config` (the dataclass
            it was built from), `height`, `width` and `num_classes`.
        sampler: `sampler(network, fps=…, …)` samples videos from it.
        build_trainer: builds a freshly initialized trainer; the same seed gives the same weights (`noise.seeded`).
        estimate_memory: estimates the peak memory of a step in GiB without running it; None if not supported.
    """

    config: "type[Any]"
    network: "Callable[[Any], nn.Module]"
    sampler: "Callable[..., VideoModel]"
    build_trainer: "Callable[[RunConfig, VideoDataset, torch.device], Trainer]"
    estimate_memory: "Callable[..., float] | None" = None


@dataclass(frozen=True)
class Ablation:
    """A variant of a method.

    Attributes:
        title: title in tables.
        adapt: changes the settings accordingly.
        is_published: whether the method's paper compares it; others only take part in a study if they are named.
    """

    title: str
    adapt: Callable[[RunConfig], RunConfig]
    is_published: bool = True


def keep_settings(config: RunConfig) -> RunConfig:
    """Return the settings unchanged."""
    return config


def check_loss(config: RunConfig) -> None:
    """Check the losses, what decays and the variants of StyleGAN-V, for methods that have their own losses.

    Raises:
        StyleganvError: for any value other than the default.
    """
    losses = (
        ("--loss", config.training.loss, "logistic"),
        ("--second-discriminator", config.training.second_discriminator, "none"),
        ("--lr-decay-clips", config.training.lr_decay_clips, None),
        ("--r1-decay-clips", config.training.r1_decay_clips, None),
        ("--grow-from", config.training.grow_from, None),
        ("--grow-clips", config.training.grow_clips, None),
        ("--synthesis", config.model.synthesis, "skip"),
    )
    variants = (
        ("--span-growth-clips", config.training.span_growth_clips, None),
        ("--motion-layers", config.model.motion_layers, "first"),
        ("--motion-noise", config.model.motion_noise, "white"),
        ("--temporal-shift", config.model.temporal_shift, False),
    )
    for methods, settings in (("stylegan-v or stylegan2", losses), ("stylegan-v", variants)):
        for option, value, default in settings:
            if value != default:
                given = option if value is True else f"{option} {value}"
                raise StyleganvError(f"{given} requires --method {methods}, got {config.model.method}: omit it.")


def check_no_augmentation(config: RunConfig) -> None:
    """Check that augmentation is off, for methods that do not support it.

    Raises:
        StyleganvError: if it is on.
    """
    if config.augment.augment != "none":
        raise StyleganvError(f"--method {config.model.method} does not support augmentation: set --augment none.")


def check_consecutive(config: RunConfig) -> None:
    """Check that the frames of clips are consecutive.

    Raises:
        StyleganvError: if `max_span` allows gaps.
    """
    training = config.training
    if training.max_span != training.num_frames - 1:
        raise StyleganvError(
            f"--method {config.model.method} requires consecutive frames: set --max-span {training.num_frames - 1} "
            f"for --num-frames {training.num_frames}."
        )


@dataclass(frozen=True)
class Method:
    """Architecture, losses and sampler, under the name that `--method` takes.

    Attributes:
        title: name in tables.
        implementation: imports and returns the code.
        adapt: adapts a preset's settings to the method's paper.
        check: raises a `StyleganvError` that names the first setting that does not work with this method.
        has_own_losses: whether the losses that a preset chooses are left out.
        label_kinds: kinds of labels that it learns, see `LabelSpace`.
        ablations: variants by the name that `--ablation` takes.
        published: FVD over 16 and over 128 frames ("–": none) on FaceForensics, SkyTimelapse and UCF101 at 256², from
            the StyleGAN-V paper and its successors.
    """

    name: str
    title: str
    implementation: Callable[[], Implementation]
    adapt: Callable[[RunConfig], RunConfig] = keep_settings
    check: Callable[[RunConfig], None] = check_loss
    has_own_losses: bool = True
    label_kinds: tuple[LabelKind, ...] = ("class", "classes", "vector")
    ablations: Mapping[str, Ablation] = field(default_factory=dict)
    published: tuple[str, str, str] | None = None
