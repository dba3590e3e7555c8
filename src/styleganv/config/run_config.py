"""Settings of a run. Each field is an option of `styleganv train` and a line of the run's `settings.yaml`."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from styleganv.options import MIN_EVAL_CLIPS, OptionalFloat, OptionalInt
from styleganv.validation import (
    ChannelBase,
    Count,
    Fraction,
    Frames,
    Interval,
    Layers,
    NonNegative,
    Positive,
    Seed,
    Size,
    Validated,
)

#: Clips per group of the minibatch standard deviation.
STDDEV_GROUP = 4


@dataclass(frozen=True)
class ModelConfig(Validated):
    """Networks."""

    method: Annotated[str, tyro.conf.Suppress] = "stylegan-v"
    """Method to train: stylegan-v, stylegan2, mocogan, mocogan-stylegan2, digan, videogpt, or an installed one."""
    channel_base: ChannelBase = 16384
    """Number of channels at resolution r: --channel-base / r, at most --channel-max."""
    channel_max: Size = 512
    """Maximum number of channels of any layer."""
    z_dim: Size = 512
    """Dimension of the content noise z."""
    w_dim: Size = 512
    """Dimension of the content code w and of the discriminator's condition."""
    mapping_layers: Layers = 2
    """Number of layers of the mapping network from z to w."""
    synthesis: Literal["skip", "alias-free", "attention"] = "skip"
    """Synthesis: skip (the paper), alias-free (StyleGAN3-T), or attention (several objects with codes of their own)."""
    num_objects: Annotated[int, Interval(1, 64)] = 3
    """Number of objects besides the background, for attention synthesis."""
    motion: Literal["conv", "lstm", "none"] = "conv"
    """Motion codes: conv (acyclic, any time), lstm (ablation), none (images, --num-frames 1)."""
    motion_dim: Annotated[int, Interval(2, 65_536)] = 512
    """Dimension of motion noise, motion codes and time encoding; even."""
    motion_noise: Literal["white", "multiscale"] = "white"
    """Motion noise: white (the paper) or multiscale, low-pass filtered for events that last up to 128 slots."""
    motion_path: Literal["linear", "bspline"] = "linear"
    """Path from one motion code to the next: linear (the paper) or a smooth B-spline."""
    motion_layers: Literal["first", "all"] = "first"
    """Layers that motion enters: the first (the paper) or all, so that it can change textures and colors too."""
    slot_distance: Frames | Literal["auto"] = "auto"
    """Distance of motion noise vectors in frames; auto: estimated from the dataset, as by `styleganv inspect`."""
    shortest_period: OptionalFloat[Frames] = None
    """Shortest period of the time encoding, in frames. Default: the slot distance, with bspline four times that."""
    longest_period: Frames = 1024.0
    """Longest period of the time encoding, in frames."""
    amplitude: bool = True
    """Learn the time encoding's amplitudes as in the paper; else 1, as in the released code."""
    condition: Literal["modulate+project", "project", "none"] = "modulate+project"
    """How the time between frames enters the discriminator."""
    minibatch_stddev: bool = True
    """Append the standard deviation over a batch to the discriminator's features."""
    temporal_shift: bool = False
    """Let neighboring frames exchange an eighth of their channels in the discriminator: it sees faster motion."""


@dataclass(frozen=True)
class TrainingConfig(Validated):
    """Optimization. Amounts are in clips."""

    minutes: OptionalFloat[NonNegative] = None
    """Maximum training time in minutes, in addition to --total-clips. Default: no limit."""
    target_distance: OptionalFloat[Positive] = None
    """Stop once an evaluation's distance is at most this; evaluations then take a tenth of the time. Default: none."""
    total_clips: Count = 5_000_000
    """Training length: number of real clips to train on."""
    batch_size: Annotated[int, Interval(1, 2**24)] = 16
    """Clips per step, summed over all processes."""
    num_frames: Size = 3
    """Frames per clip; the paper uses 2 or 3."""
    max_span: Size = 32
    """Maximum distance from the first to the last frame of a clip, in frames."""
    span_growth_clips: OptionalInt[Count] = None
    """Clips during which that maximum grows from 32 frames to --max-span, e.g. 128. Default: it is constant."""
    mirror: bool = False
    """Also train on mirrored clips; this loses the direction of motion."""
    conditional: bool = True
    """Use the labels of the dataset: two or more classes, or vectors."""
    seed: Seed = 0
    """Random seed."""
    micro_batch_size: OptionalInt[Count] = None
    """Clips per accumulation step and process, a multiple of 4. Default: the full batch."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, slower steps."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of convolutions; auto: bfloat16 if accelerated. R1 always uses float32."""
    tf32: bool = False
    """Round float32 to TF32 on GPUs, in R1 too: faster, with about three digits."""
    compile: bool = True
    """Compile StyleGAN2's layers on GPUs (torch.compile), where it works: faster steps, minutes to start."""
    num_workers: OptionalInt[Annotated[int, Interval(0, 1024)]] = None
    """Data-loading processes; 0: the training process. Default: by number of cores."""
    num_threads: OptionalInt[Annotated[int, Interval(1, 1024)]] = None
    """CPU threads per step. Default: one per core."""
    grow_from: OptionalInt[Size] = None
    """Longer side in pixels at which training starts, e.g. 16 (progressive growing). Default: full size."""
    grow_clips: OptionalInt[Count] = None
    """Maximum clips at each lower resolution, e.g. 3000. Default: equal parts of the first half of the run."""
    loss: Literal["logistic", "relativistic"] = "logistic"
    """logistic (the paper; R1) or relativistic (pairs of real and fake logits; R1 and R2)."""
    second_discriminator: Literal["none", "projected"] = "none"
    """none (the paper) or projected (a second discriminator of clips, on ImageNet features)."""
    lr: Positive = 0.0025
    """Learning rate of Adam (betas 0, 0.99) before its corrections for --g-interval and --r1-interval."""
    lr_decay_clips: OptionalFloat[Positive] = None
    """Clips after which the learning rate decays as 1/√clips. Default: constant."""
    r1_gamma: OptionalFloat[NonNegative] = None
    """Weight of R1 and R2 (second discriminator: a hundredth). Default: --r1-scale · height · width / --batch-size."""
    r1_scale: NonNegative = 0.0002
    """Weight of R1 relative to the frame size; ignored with --r1-gamma."""
    r1_decay_clips: OptionalFloat[Positive] = None
    """Clips after which the weight of R1 and R2 decays as 1/√clips. Default: constant."""
    r1_interval: Count = 16
    """Steps between R1 penalties."""
    g_interval: OptionalInt[Count] = 4
    """Interval in steps that the generator's Adam is corrected for; None (tiny-cpu): no correction."""
    ema_half_life: OptionalFloat[Positive] = None
    """Half-life of the EMA generator, in clips. Default: 312.5 · --batch-size."""
    ema_rampup: OptionalFloat[NonNegative] = 0.05
    """Maximum EMA half-life as a fraction of the clips seen; None: no limit."""
    freeze_d: Annotated[int, Interval(0)] = 0
    """Discriminator blocks to freeze with --finetune, from the highest resolution down."""


@dataclass(frozen=True)
class AugmentConfig(Validated):
    """Augmentation of the discriminator's input: one transform for all frames of a clip."""

    augment: Literal["ada", "fixed", "none"] = "ada"
    """Adaptive probability (ada), fixed probability, or no augmentation."""
    augment_target: Annotated[float, Interval(-1, 1)] = 0.6
    """ADA target: mean sign of the discriminator logits on real clips, −1 to 1."""
    augment_p: Fraction = 0.0
    """Probability of each transform, initial (ada) or constant (fixed), 0 to 1."""
    augment_max_p: Fraction = 0.8
    """Maximum probability of ADA, 0 to 1; high values leak into the generated videos."""
    ada_clips: Count = 500_000
    """Clips that ADA needs to raise the probability from 0 to 1."""
    augment_rotation: bool = False
    """Also rotate; rotations are known to leak into the generated videos."""
    augment_mirror: bool = False
    """Also mirror; mirrored motion is known to leak into the generated videos."""


@dataclass(frozen=True)
class LoggingConfig(Validated):
    """What a run writes, and how often. Intervals are in clips."""

    log_every: Count = 1000
    """Clips between lines of the log and points of the trackers, e.g. TensorBoard."""
    snapshot_every: Count = 100_000
    """Maximum clips between snapshots (a grid and a video); early ones are closer together."""
    save_every: Count = 50_000
    """Clips between checkpoints."""
    eval_every: OptionalInt[Annotated[int, Interval(0)]] = 200_000
    """Clips between evaluations, which keep the best model; None (tiny-cpu): never."""
    eval_clips: Annotated[int, Interval(MIN_EVAL_CLIPS)] = 256
    """Number of real and generated clips (each) per evaluation."""
    trackers: str = "tensorboard"
    """Experiment trackers, comma-separated: tensorboard, wandb, mlflow; or none."""


@dataclass(frozen=True)
class RunConfig(Validated):
    """All settings of a run."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
