"""`Clip`: the frames, times and label that flow through the package.

Shapes: B clips, T frames per clip, C channels, H height, W width, K classes.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """A batch of clips.

    Attributes:
        frames: `[B, T, 3, H, W]`, float in −1..1, or uint8 in 0..255 on the way to a network.
        times: `[B, T]` in frames at the dataset's frame rate, increasing along T; float64 if fractional.
        label: `[B, K]`, e.g. one-hot classes, or None for an unconditional model.

    Raises:
        ValueError: if the shapes do not match.
    """

    frames: Tensor
    times: Tensor
    label: Tensor | None = None

    def __post_init__(self) -> None:
        if self.frames.ndim != 5 or self.frames.shape[2] != 3:
            raise ValueError(f"frames must be [B, T, 3, H, W], got {list(self.frames.shape)}")
        if self.times.shape != self.frames.shape[:2]:
            raise ValueError(f"times must be [B, T] = {list(self.frames.shape[:2])}, got {list(self.times.shape)}")
        if self.label is not None and (self.label.ndim != 2 or len(self.label) != len(self.frames)):
            raise ValueError(f"label must be [B = {len(self.frames)}, K], got {list(self.label.shape)}")

    def __repr__(self) -> str:
        label = "none" if self.label is None else list(self.label.shape)
        frames = f"{list(self.frames.shape)} {self.frames.dtype}"
        return f"Clip(frames {frames}, times {list(self.times.shape)}, label {label})"
