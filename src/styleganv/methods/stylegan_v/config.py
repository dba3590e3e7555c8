"""Configs of StyleGAN-V's generator and discriminator."""

from dataclasses import dataclass
from typing import Annotated, Literal

from styleganv.methods.network_config import FrameConfig, StyleConfig
from styleganv.methods.stylegan_v.encoding import MotionPath
from styleganv.validation import ChannelBase, Frames, Interval, Size

SynthesisKind = Literal["skip", "alias-free", "attention"]
MotionKind = Literal["conv", "lstm", "none"]
MotionLayers = Literal["first", "all"]
MotionNoise = Literal["white", "multiscale"]
Condition = Literal["modulate+project", "project", "none"]


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(StyleConfig):
    """Architecture of a `Generator`."""

    synthesis: SynthesisKind = "skip"
    """skip (StyleGAN2's, as in the paper), alias-free (StyleGAN3-T's) or attention (several objects)."""
    num_objects: Size = 3
    """Objects of attention synthesis, besides the background; ignored by the others."""
    motion: MotionKind = "conv"
    """conv (acyclic encoding, any time ≥ 0), lstm (ablation), none (images, T = 1)."""
    motion_noise: MotionNoise = "white"
    """Noise that motion codes are computed from: white (the paper), or multiscale, low-pass filtered per channel."""
    motion_noise_dim: Size = 512
    """Width of a slot's motion noise."""
    motion_code_dim: Size = 512
    """Width of the motion code u."""
    num_frequencies: Size = 256
    """Sinusoids of the time encoding; v is twice as wide."""
    motion_kernel: Annotated[int, Interval(1, 1024)] = 11
    """Kernel size, in slots, of the two motion convolutions."""
    motion_path: MotionPath = "linear"
    """Path between the codes of slots: linear (the paper, with kinks at slots) or a cubic B-spline (smooth)."""
    motion_layers: MotionLayers = "first"
    """Layers that the motion code enters: the first (the paper), or all, as motion styles (MoStGAN-V)."""
    slot_distance: Frames = 16
    """Frames between two motion noise vectors; it must match the speed of the dataset."""
    shortest_period: Frames | None = None
    """Shortest period of the time encoding, in frames; None for as long as its sinusoids last: the slot distance, with
    the B-spline four times that."""
    longest_period: Frames = 1024
    """Longest period of the time encoding, in frames."""
    amplitude: bool = True
    """Learn the amplitudes of the sinusoids (the paper) instead of fixing them at 1 (the released code)."""


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig(FrameConfig):
    """Architecture of a `Discriminator`."""

    num_frames: Size = 3
    """Frames per clip T; 2 or 3 are enough, 1 gives an image discriminator."""
    in_channels: Size = 3
    """Channels of a frame; more than 3 if a frame carries more than color."""
    channel_base: ChannelBase = 16384
    """Channels at resolution r are `min(channel_base / r, channel_max)`."""
    channel_max: Size = 512
    """Maximum number of channels of any layer."""
    condition: Condition = "modulate+project"
    """How time distances and class enter: modulating every block and projected at the end (the paper), projected only
    (the released code), or not at all (ablation)."""
    condition_dim: Size = 512
    """Width of the condition e."""
    max_gap: Size = 1024
    """Largest distinguishable distance between neighboring frames, in frames."""
    grow_from: Size | None = None
    """Lowest resolution of progressive growing, by the longer side; None without growing."""
    minibatch_stddev: bool = True
    """Append the standard deviation over the clips of a batch, which counteracts mode collapse."""
    temporal_shift: bool = False
    """Let the frames of a clip exchange channels in the blocks before they are joined (StyleSV)."""
