"""Options that Python functions, the command line and the studio share: documented and validated once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from styleganv.errors import StyleganvError

T = TypeVar("T")

#: An option that is None unless the user gives it. The help shows neither: its text says what happens by default.
Unset = Annotated[T | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint="")]

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class SampleOptions:
    """Which part of an endless video to generate.

    Raises:
        StyleganvError: for a value that no model can generate.
    """

    seconds: Unset[float] = None
    """Duration in seconds. Default: 5, or less if the model's maximum length is reached."""
    fps: Unset[float] = None
    """Output frame rate in frames per second. Default: the dataset's."""
    start: float = 0.0
    """Start time in the endless video, in seconds."""
    psi: float = 1.0
    """Truncation psi: 1 = full variety, 0 = mean content."""
    label: Unset[str] = None
    """Class name or number, for a class-conditional model. Default: chosen by the seed."""

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise StyleganvError(f"A video cannot last {self.seconds:g} seconds: choose more than 0.")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise StyleganvError(f"A video cannot have {self.fps:g} frames a second: choose more than 0.")


@dataclass(frozen=True)
class ComputeOptions:
    """Where and how to compute.

    Raises:
        StyleganvError: for an unknown precision.
    """

    device: Unset[str] = None
    """Torch device, e.g. cpu or cuda. Default: cuda if available."""
    precision: Precision = "float32"
    """Precision of convolutions. float32 gives the same video on every machine."""

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "bfloat16"):
            raise StyleganvError(f"Precision {self.precision} is not known: choose float32 or bfloat16.")


@dataclass(frozen=True)
class OutputOptions:
    """How to write frames.

    Raises:
        StyleganvError: for a value out of range.
    """

    scale: int = 1
    """Enlarge every pixel to a square of this many pixels per side."""
    crf: int = 18
    """H.264 CRF (also of webp): 0 = lossless, 18 = visually lossless, 51 = worst."""

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise StyleganvError(f"Scale cannot be {self.scale}: choose 1 or more.")
        if not 0 <= self.crf <= 51:
            raise StyleganvError(f"A CRF of {self.crf} is not known: choose 0 (lossless) to 51 (worst).")


@dataclass(frozen=True)
class StyleMix:
    """The content of another seed or latents file at some style layers; `amount` 1 is all of it, 0.5 half."""

    content: str | int | Path
    layers: Sequence[int]
    amount: float = 1.0


@dataclass(frozen=True)
class DirectionStep:
    """A step along a direction in a file of `styleganv directions`, in standard deviations; at all layers if None."""

    file: str | Path
    name: str
    strength: float
    layers: Sequence[int] | None = None


@dataclass(frozen=True)
class EditOptions:
    """What to change in a video; edits are made in the order of the fields.

    Attributes:
        text: what the video should show, as CLIP understands it; see `editing.text.edit_by_text`.
        clip_model: a folder that holds a CLIP, or its name on the Hugging Face Hub.
        text_steps: steps of the search for `text`.
        interpolate_to: content seeds or latents files to interpolate to over the video, in order.
        speed: of the motion; 0.25 is slow motion.
        time_map: points (seconds of the video, seconds of the motion), instead of `speed`.

    Raises:
        StyleganvError: if both `speed` and `time_map` are given.
    """

    mixes: Sequence[StyleMix] = ()
    directions: Sequence[DirectionStep] = ()
    text: str | None = None
    clip_model: str | Path = "openai/clip-vit-base-patch32"
    text_steps: int = 100
    interpolate_to: Sequence[str | int | Path] = ()
    speed: float = 1.0
    time_map: Sequence[tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        if self.speed != 1 and self.time_map is not None:
            raise StyleganvError("--speed and --time-map both say when the motion is where: give one of them.")
