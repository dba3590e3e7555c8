"""Every setting of a training, as one frozen tree, and presets: functions that return it.

A run saves its resolved settings as plain YAML (`settings.yaml`); the command line overrides any of them.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro
import yaml

from styleganv.errors import StyleganvError
from styleganv.files import written_whole
from styleganv.options import Unsettable


@dataclass(frozen=True)
class ModelSettings:
    """The networks."""

    kind: Annotated[str, tyro.conf.arg(name="model")] = "stylegan-v"
    """Method to train: stylegan-v, stylegan2, mocogan, mocogan-stylegan2, digan, videogpt, or an installed one."""
    channel_base: int = 16384
    """Channels at resolution r are channel_base / r, up to channel_max."""
    channel_max: int = 512
    """Most channels of any layer."""
    z_dim: int = 512
    """Width of the content noise z."""
    w_dim: int = 512
    """Width of the content style w, and of the discriminator's condition."""
    mapping_layers: int = 2
    """Layers from z to w."""
    motion: Literal["conv", "lstm", "none"] = "conv"
    """Motion codes: conv (acyclic, any time), lstm (ablation), none (images; needs --frames 1)."""
    motion_dim: int = 512
    """Width of motion noise, motion codes and time encoding (even)."""
    slot_distance: float = 16.0
    """Frames between two motion noise vectors; match it to the data's speed (`styleganv inspect` suggests)."""
    longest_period: float = 1024.0
    """Longest wave of the time encoding, in frames."""
    amplitude: bool = True
    """Learn the amplitudes of the time encoding (the paper); off: all 1 (the released code)."""
    condition: Literal["modulate+project", "project", "none"] = "modulate+project"
    """How the time between frames enters the discriminator."""
    minibatch_stddev: bool = True
    """Show the discriminator how much the clips of a batch differ."""


@dataclass(frozen=True)
class TrainingSettings:
    """The optimisation. Amounts are counted in clips."""

    clips: int = 5_000_000
    """Real clips to show the discriminator before the training ends."""
    minutes: Unsettable[float] = None
    """Stop after this many minutes if that comes before --clips. Default: no limit."""
    batch: int = 16
    """Clips per step, over all processes."""
    micro_batch: Unsettable[int] = None
    """Micro-batch size per process (gradient accumulation); a multiple of 4. Default: the whole batch."""
    checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, slower steps."""
    frames: int = 3
    """Frames per clip, T; 2 or 3."""
    max_span: int = 32
    """Longest distance from the first to the last frame of a clip, in frames."""
    loss: Literal["logistic", "relativistic"] = "logistic"
    """logistic: the paper's, with R1. relativistic: logits of real and generated clips in pairs, with R1 and R2."""
    lr: float = 0.0025
    """Learning rate of both networks (Adam, betas 0 and 0.99)."""
    r1_gamma: Unsettable[float] = None
    """Weight of the gradient penalty R1 (and R2, relativistic loss). Default: r1_scale · height · width / batch."""
    r1_scale: float = 0.0002
    """See r1_gamma, which overrides it."""
    r1_interval: int = 16
    """Steps per R1 penalty."""
    ema_half_life: Unsettable[float] = None
    """Half-life of the averaged generator in clips. Default: 312 · batch."""
    ema_rampup: float | None = 0.05
    """While training from scratch, a half-life of at most this share of the clips seen; None: no ramp-up."""
    freeze_d: int = 0
    """With --finetune: keep this many of the discriminator's blocks, from the full resolution on, as they are."""
    conditional: bool = True
    """Use the classes of the data set, where it has two or more."""
    mirror: bool = False
    """Show mirrored clips too. It destroys the direction of motion (`styleganv inspect` advises)."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of convolutions; auto uses bfloat16 where the hardware accelerates it. R1 is always float32."""
    seed: int = 0
    """Random seed."""
    workers: Unsettable[int] = None
    """Processes that read data; 0 reads in the training process. Default: by the number of cores."""
    threads: Unsettable[int] = None
    """CPU threads per step. Default: one per core."""


@dataclass(frozen=True)
class AugmentSettings:
    """Augmentation of what the discriminator sees: one transform for all frames of a clip."""

    augment: Literal["ada", "fixed", "none"] = "ada"
    """Adaptive strength (ADA), a fixed one, or none."""
    augment_target: float = 0.6
    """ADA raises the strength while the share of real clips judged real, minus those judged fake, is above."""
    augment_p: float = 0.0
    """Probability of each transform at the start (ada) or throughout (fixed)."""
    augment_max_p: float = 0.8
    """ADA's cap; higher ones leak into the generated videos."""
    augment_clips: int = 500_000
    """Clips in which ADA can move the probability from 0 to 1."""
    augment_rotation: bool = False
    """Also rotate. Known to leak rotated videos."""
    augment_mirror: bool = False
    """Also mirror. Known to leak mirrored motion."""


@dataclass(frozen=True)
class ReportSettings:
    """What a run writes, and how often."""

    report_every: int = 1000
    """Clips between two lines of the log (and their TensorBoard points)."""
    snapshot_every: int = 100_000
    """Clips between two snapshots (grid picture and video)."""
    save_every: int = 50_000
    """Clips between two checkpoints."""
    evaluate_every: int | None = 200_000
    """Clips between two evaluations (`styleganv evaluate`, offline); the best model is kept. None: never."""
    evaluate_clips: int = 256
    """Clips of each side in an evaluation."""


@dataclass(frozen=True)
class Settings:
    """All settings of a run."""

    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    report: ReportSettings = field(default_factory=ReportSettings)


def tiny_cpu() -> Settings:
    """Small networks and steps for 32² to 64² in minutes on a processor without a GPU.

    What a short training needs: a narrow w, which leaves motion to the motion code; twice the learning rate, as
    Adam moves a layer in proportion to the root of its inputs; a strong R1 against a discriminator that wins; an
    average over a fiftieth of the training, since the networks still change fast; and one thread, since layers so small
    take no longer than threads need to wake each other.
    """
    return Settings(
        model=ModelSettings(channel_base=1024, channel_max=64, z_dim=32, w_dim=32, motion_dim=128),
        training=TrainingSettings(
            clips=200_000, batch=8, frames=2, lr=0.005, r1_scale=0.04, ema_rampup=0.02, threads=1
        ),
        report=ReportSettings(report_every=320, snapshot_every=16_000, save_every=4_000, evaluate_every=None),
    )


def resolution_64() -> Settings:
    """Full networks at 64²."""
    return Settings(training=TrainingSettings(batch=32))


def resolution_128() -> Settings:
    """Full networks at 128²."""
    return Settings(training=TrainingSettings(batch=32))


def faces_256() -> Settings:
    """The paper's FaceForensics: 256², fast motion."""
    return Settings(training=TrainingSettings(clips=8_000_000, batch=64))


def sky_256() -> Settings:
    """The paper's SkyTimelapse: 256², slow motion."""
    return replace(faces_256(), model=ModelSettings(slot_distance=256))


def resolution_512() -> Settings:
    """512² with twice the channels at each resolution."""
    return Settings(
        model=ModelSettings(channel_base=32768),
        training=TrainingSettings(clips=8_000_000, batch=32, micro_batch=8),
    )


def resolution_1024() -> Settings:
    """1024² from two frames a clip."""
    return Settings(
        model=ModelSettings(channel_base=32768),
        training=TrainingSettings(clips=8_000_000, batch=32, micro_batch=4, frames=2, lr=0.002),
    )


PRESETS: dict[str, Callable[[], Settings]] = {
    "tiny-cpu": tiny_cpu,
    "64": resolution_64,
    "128": resolution_128,
    "256-faces": faces_256,
    "256-sky": sky_256,
    "512": resolution_512,
    "1024": resolution_1024,
}


def preset(name: str) -> Settings:
    """The preset of that name; `StyleganvError` lists the names if there is none."""
    if name not in PRESETS:
        raise StyleganvError(f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]()


def save_settings(settings: Settings, path: Path) -> None:
    with written_whole(path) as part:
        part.write_text(yaml.safe_dump(dataclasses.asdict(settings), sort_keys=False))


def load_settings(path: Path) -> Settings:
    """Settings as `save_settings` wrote them; missing ones take their defaults, unknown ones are refused."""
    try:
        tree = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise StyleganvError(f"The settings {path} cannot be read ({error}): restore the file.") from error
    groups = get_type_hints(Settings)
    if not isinstance(tree, dict) or any(not isinstance(tree[g], dict) for g in groups if g in tree):
        raise StyleganvError(f"{path} does not hold settings under {', '.join(groups)}: restore the file.")
    parts: dict[str, Any] = {}
    for group, values in tree.items():
        known = {f.name for f in dataclasses.fields(groups[group])} if group in groups else set()
        unknown = [f"{group}.{name}" for name in values if name not in known] if known else [group]
        if unknown:
            raise StyleganvError(f"{path} has unknown settings ({', '.join(unknown)}): remove them.")
        kinds = get_type_hints(groups[group])
        for name, value in values.items():
            if not _is_of(value, kinds[name]):
                # YAML takes 2e-3 for text; 0.002 and 2.0e-3 are numbers.
                raise StyleganvError(
                    f"{path} has {group}.{name}: {value!r}, which is not {_told(kinds[name])}: mend it."
                )
        parts[group] = groups[group](**values)
    return Settings(**parts)


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value read from YAML is of a setting's type; whole numbers pass for floats."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_args(kind):
        return any(_is_of(value, one) for one in get_args(kind))
    return type(value) is kind or (kind is float and type(value) is int)


def _told(kind: Any) -> str:
    """A type for people."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_args(kind):
        return " or ".join(_told(one) for one in get_args(kind))
    return {int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}.get(kind, "text")
