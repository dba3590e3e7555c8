"""What StyleGAN-V's two networks are built from; a model folder's `config.json` stores these fields."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

MotionKind = Literal["conv", "lstm", "none"]
Condition = Literal["modulate+project", "project", "none"]


@dataclass(frozen=True)
class GeneratorConfig:
    """Architecture of a `Generator`."""

    height: int
    """Frame height in pixels; `resolutions` says which are possible."""
    width: int
    """Frame width in pixels."""
    _: KW_ONLY
    num_classes: int = 0
    """Classes K of the dataset; 0 for an unconditional model."""
    z_dim: int = 512
    """Width of the content noise z."""
    w_dim: int = 512
    """Width of the content style w."""
    mapping_layers: int = 2
    """Layers from z to w."""
    channel_base: int = 16384
    """Channels at resolution r are `min(channel_base / r, channel_max)`."""
    channel_max: int = 512
    """Maximum number of channels of any layer."""
    motion: MotionKind = "conv"
    """conv (acyclic encoding, any time ≥ 0), lstm (ablation), none (images, T = 1)."""
    motion_noise_dim: int = 512
    """Width of a slot's motion noise."""
    motion_code_dim: int = 512
    """Width of the motion code u."""
    num_frequencies: int = 256
    """Sinusoids of the time encoding; v is twice as wide."""
    motion_kernel: int = 11
    """Kernel size, in slots, of the two motion convolutions."""
    slot_distance: float = 16
    """Frames between two motion noise vectors; it must match the speed of the dataset."""
    longest_period: float = 1024
    """Longest period of the time encoding, in frames."""
    amplitude: bool = True
    """Learn the amplitudes of the sinusoids (the paper) instead of fixing them at 1 (the released code)."""


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Architecture of a `Discriminator`."""

    height: int
    """Frame height in pixels; `resolutions` says which are possible."""
    width: int
    """Frame width in pixels."""
    _: KW_ONLY
    num_frames: int = 3
    """Frames per clip T; 2 or 3 are enough, 1 makes a discriminator of images."""
    num_classes: int = 0
    """Classes K of the dataset; 0 for an unconditional discriminator."""
    in_channels: int = 3
    """Channels of a frame; more than 3 where a frame carries more than color."""
    channel_base: int = 16384
    """Channels at resolution r are `min(channel_base / r, channel_max)`."""
    channel_max: int = 512
    """Maximum number of channels of any layer."""
    condition: Condition = "modulate+project"
    """How gaps and class enter: modulating every block and projected at the end (the paper), projected only (the
    released code), or not at all (ablation)."""
    condition_dim: int = 512
    """Width of the condition e."""
    max_gap: int = 1024
    """Largest distance between neighboring frames that is distinguished, in frames."""
    minibatch_stddev: bool = True
    """Append the standard deviation over the clips of a batch, which counters a lack of variety."""
