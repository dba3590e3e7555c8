"""Options that Python functions, the command line and the studio share: documented and validated once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import tyro

from styleganv.errors import StyleganvError

T = TypeVar("T")


def _default(label: str) -> str:
    return "" if label == "None" else f"(default: {label})"


#: An option that is None unless the user gives it. The help shows no None: its text says what happens by default.
Unset = Annotated[T | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint=_default)]

#: The same, where a preset or a run may have set it and None takes that back.
OptionalInt = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint=_default)]
OptionalFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint=_default)]

Precision = Literal["float32", "bfloat16"]


DEFAULT_CLIP = "openai/clip-vit-base-patch32"


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
    label: Annotated[str | int | None, tyro.conf.arg(metavar="STR", help_behavior_hint=_default)] = None
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
    clip_model: str | Path = DEFAULT_CLIP
    text_steps: int = 100
    interpolate_to: Sequence[str | int | Path] = ()
    speed: float = 1.0
    time_map: Sequence[tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        if self.speed != 1 and self.time_map is not None:
            raise StyleganvError("--speed and --time-map both say when the motion is where: give one of them.")


Fit = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class PrepareOptions:
    """How footage becomes a dataset.

    Raises:
        StyleganvError: for settings that no video could meet.
    """

    fps: Unset[float] = None
    """Resample all videos to this rate, in frames per second. Default: keep every frame."""
    source_fps: float = 25.0
    """Frame rate of folders of frames, which do not state one."""
    fit: Fit = "crop"
    """Crop to the center, pad with black, or stretch."""
    min_frames: int = 3
    """Skip videos with fewer frames."""
    split_every: Unset[int] = None
    """Cut long videos into pieces of this many frames. Default: no cuts."""
    jpeg_quality: int = 95
    """Quality of the stored JPEG frames, 1 to 100 (best)."""
    lossless: bool = False
    """Store PNG frames instead."""
    classes: str = "auto"
    """auto (folders that hold videos), folders, none, or a .csv (name,label) or .json ({name: label}) file."""
    background: str = "white"
    """Color seen through transparent pixels, e.g. '#cfe8ff' (in quotes) or skyblue."""

    def __post_init__(self) -> None:
        for fits, message in (
            (self.fps is None or 0 < self.fps < 1000, f"--fps must be between 0 and 1000, got {self.fps}"),
            (0 < self.source_fps < 1000, f"--source-fps must be between 0 and 1000, got {self.source_fps}"),
            (self.fit in get_args(Fit), f"--fit must be one of {', '.join(get_args(Fit))}, got {self.fit!r}"),
            (self.min_frames >= 1, f"--min-frames must be at least 1, got {self.min_frames}"),
            (
                self.split_every is None or self.split_every >= self.min_frames,
                f"--split-every must be at least --min-frames ({self.min_frames}), got {self.split_every}",
            ),
            (
                self.lossless or 1 <= self.jpeg_quality <= 100,
                f"--jpeg-quality must be between 1 and 100, got {self.jpeg_quality}",
            ),
        ):
            if not fits:
                raise StyleganvError(f"{message}: change that option.")

    @property
    def stored_quality(self) -> int | None:
        """Of the JPEGs; None stores PNGs."""
        return None if self.lossless else self.jpeg_quality


@dataclass(frozen=True)
class ProjectOptions:
    """How to search for a clip's latents."""

    space: Literal["w", "w+"] = "w+"
    """w+: every layer has a style of its own. w: less similar, closer to the model's own videos."""
    num_steps: int = 600
    """Steps of the search."""
    finetune_steps: int = 0
    """Steps of fine-tuning a copy of the model to the clip, for a closer match; the copy is written to OUT/model."""
    seed: int = 0
    """Random seed of the search, and motion seed beyond the clip."""
    first_frame: bool = False
    """Fit the first frame only and leave the motion to chance, as a baseline."""


@dataclass(frozen=True)
class StudyOptions:
    """How a study trains and evaluates; equal for all its trials."""

    minutes: float = 5.0
    """Training time per trial, in minutes."""
    preset: str = "tiny-cpu"
    """Preset that the settings of all methods start from."""
    num_clips: int = 256
    """Real and generated clips per evaluation."""
    weights: Unset[str] = None
    """Folder, file or URL of the weights that --protocols need."""
