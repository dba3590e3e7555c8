"""Options shared by Python functions, the command line and the studio, each documented and validated once."""

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


def _preset(label: str) -> str:
    return "" if label == "None" else f"(preset: {label})"


#: Type of an option that is None by default. The help omits the None; its text states the default.
Unset = Annotated[T | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint=_default)]

#: Types of options that a preset or a run may set; None resets them to the default in the help.
OptionalInt = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint=_preset)]
OptionalFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint=_preset)]

#: Type of the option that all commands that write have.
Overwrite = Annotated[bool, tyro.conf.arg(help="Replace existing output; a folder with other files is refused.")]

Precision = Literal["float32", "bfloat16"]


#: Default CLIP of text edits, on the Hugging Face Hub.
DEFAULT_CLIP_MODEL = "openai/clip-vit-base-patch32"


def check_seconds(seconds: float) -> None:
    """Raise StyleganvError unless the duration is positive and finite."""
    if not 0 < seconds < math.inf:
        raise StyleganvError(f"Duration must be positive and finite, got {seconds:g} seconds: choose more than 0.")


def check_fps(fps: float) -> None:
    """Raise StyleganvError unless the frame rate is positive and finite."""
    if not 0 < fps < math.inf:
        raise StyleganvError(f"Frame rate must be positive and finite, got {fps:g} fps: choose more than 0.")


def check_precision(precision: str) -> None:
    """Raise StyleganvError for an unknown precision."""
    if precision not in get_args(Precision):
        raise StyleganvError(f"Unknown precision {precision}: choose {' or '.join(get_args(Precision))}.")


@dataclass(frozen=True)
class SampleOptions:
    """Which part of the endless video to generate.

    Raises:
        StyleganvError: for a value that no model can generate.
    """

    seconds: Unset[float] = None
    """Duration in seconds. Default: 5, or less if the model's maximum is shorter."""
    fps: Unset[float] = None
    """Output frame rate in frames per second. Default: the dataset's."""
    start: float = 0.0
    """Start time in the endless video, in seconds."""
    psi: float = 1.0
    """Truncation psi: 1 = full variety, 0 = mean w."""
    label: Annotated[str | int | None, tyro.conf.arg(metavar="STR", help_behavior_hint=_default)] = None
    """Class name or number, for a class-conditional model. Default: chosen by the seed."""

    def __post_init__(self) -> None:
        if self.seconds is not None:
            check_seconds(self.seconds)
        if self.fps is not None:
            check_fps(self.fps)


@dataclass(frozen=True)
class ComputeOptions:
    """Device and precision of a computation.

    Raises:
        StyleganvError: for an unknown precision.
    """

    device: Unset[str] = None
    """Torch device, e.g. cpu or cuda. Default: cuda if available."""
    precision: Precision = "float32"
    """Precision of convolutions; float32 gives the same video on every machine."""

    def __post_init__(self) -> None:
        check_precision(self.precision)


@dataclass(frozen=True)
class OutputOptions:
    """Size and quality of written frames, and whether they may replace files.

    Raises:
        StyleganvError: for a value out of range.
    """

    scale: int = 1
    """Integer factor by which to enlarge frames."""
    crf: int = 18
    """CRF of H.264 and WebP: 0 = lossless, 18 = visually lossless, 51 = worst."""
    overwrite: Overwrite = False

    def __post_init__(self) -> None:
        if self.scale < 1:
            raise StyleganvError(f"--scale must be at least 1, got {self.scale}: choose 1 or more.")
        if not 0 <= self.crf <= 51:
            raise StyleganvError(f"--crf must be 0 to 51, got {self.crf}: choose 0 (lossless) to 51 (worst).")


@dataclass(frozen=True)
class LatentsOptions:
    """Which video to edit: content and motion, each from a seed or from a latents file.

    Raises:
        StyleganvError: if both a seed and a file choose the content, or the motion.
    """

    seed: Unset[int] = None
    """Content seed. Default: 0."""
    latents: Unset[Path] = None
    """Latents file or output folder of `styleganv project`, instead of --seed."""
    motion_seed: Unset[int] = None
    """Motion seed. Default: same as --seed, or the motion of --latents."""
    motion_latents: Unset[Path] = None
    """Latents file or folder of which to use only the motion, instead of --motion-seed."""

    def __post_init__(self) -> None:
        for prefix, seed, path in (("", self.seed, self.latents), ("motion-", self.motion_seed, self.motion_latents)):
            if seed is not None and path is not None:
                raise StyleganvError(
                    f"--{prefix}seed and --{prefix}latents exclude each other, got {seed} and {path}: pass one of them."
                )


@dataclass(frozen=True)
class StyleMix:
    """Content seed or latents file to mix in at some style layers; `amount` 1 replaces, 0.5 averages."""

    content: int | Path
    layers: Sequence[int]
    amount: float = 1.0


@dataclass(frozen=True)
class DirectionStep:
    """A step along a direction of a directions file, in standard deviations; None as `layers` means all layers."""

    file: str | Path
    name: str
    strength: float
    layers: Sequence[int] | None = None


@dataclass(frozen=True)
class EditOptions:
    """Changes to a video, made in the order of the fields.

    Attributes:
        mixes: seeds or latents files to mix in at some layers.
        directions: directions to move along.
        text: text to edit toward; see `editing.text.edit_by_text`.
        clip_model: folder of a CLIP, or its name on the Hugging Face Hub.
        text_steps: optimization steps for `text`.
        interpolate_to: content seeds or latents files to interpolate to over the video, in order.
        speed: speed of the motion; 0.25 is slow motion.
        time_map: points (video time, motion time) in seconds, instead of `speed`.

    Raises:
        StyleganvError: if both `speed` and `time_map` are given.
    """

    mixes: Sequence[StyleMix] = ()
    directions: Sequence[DirectionStep] = ()
    text: str | None = None
    clip_model: str | Path = DEFAULT_CLIP_MODEL
    text_steps: int = 100
    interpolate_to: Sequence[int | Path] = ()
    speed: float = 1.0
    time_map: Sequence[tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        if self.speed != 1 and self.time_map is not None:
            raise StyleganvError("--speed and --time-map exclude each other: pass one of them.")


@dataclass(frozen=True)
class TextEditOptions:
    """How `editing.text.edit_by_text` optimizes the content code.

    Attributes:
        num_steps: steps of Adam.
        num_frames: frames at random times that each step uses.
        num_starts: other content codes tried as starting points, in case CLIP has no gradient near the original.
        learning_rate: peak learning rate of Adam, in standard deviations of w.
        distance_weight: weight of the squared distance from the original, in standard deviations of w.
        identity_weight: weight of the perceptual distance from the original frames.
        layers: style layers to change, 0 the coarsest; None for all.
        seed: random seed of the times, and first seed of the other content codes.

    Raises:
        StyleganvError: for no steps or no frames.
    """

    num_steps: int = 100
    num_frames: int = 4
    num_starts: int = 64
    learning_rate: float = 0.1
    distance_weight: float = 0.03
    identity_weight: float = 0.3
    layers: Sequence[int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.num_frames < 1:
            raise StyleganvError(
                f"Editing by text requires at least 1 step of 1 frame, got {self.num_steps} of {self.num_frames}: "
                "choose 1 or more."
            )


Space = Literal["content", "motion"]


@dataclass(frozen=True)
class DirectionOptions:
    """Which directions to find; with no score, annotations or text, those of largest variance.

    Raises:
        StyleganvError: for a value out of range, or options that exclude each other.
    """

    space: Space = "content"
    """What the directions change: content or motion."""
    num_directions: int = 10
    """Number of directions of largest variance."""
    num_samples: Unset[int] = None
    """Number of seeds to sample. Default: 2000; 200 with --score or --text."""
    first_seed: int = 0
    """First of the consecutive seeds to sample."""
    score: Unset[str] = None
    """Score to increase: brightness, contrast, saturation, red, green, blue, motion."""
    annotations: Unset[Path] = None
    """CSV file of seed,label lines; labels are numbers or class names."""
    text: Unset[str] = None
    """Text to move toward, e.g. "a green face"; requires styleganv[clip]."""
    source_text: Unset[str] = None
    """Text to move away from, in addition to --text."""
    clip_model: str = DEFAULT_CLIP_MODEL
    """CLIP for --text: a folder, or a name on the Hugging Face Hub."""

    def __post_init__(self) -> None:
        if self.space not in get_args(Space):
            raise StyleganvError(f"Unknown space {self.space!r}: choose {' or '.join(get_args(Space))}.")
        if self.num_directions < 1:
            raise StyleganvError(f"--num-directions must be at least 1, got {self.num_directions}: choose 1 or more.")
        if self.num_samples is not None and self.num_samples < 3:
            raise StyleganvError(f"--num-samples must be at least 3, got {self.num_samples}: choose 3 or more.")
        given = {"--score": self.score, "--annotations": self.annotations, "--text": self.text}
        sources = [name for name, value in given.items() if value is not None]
        if len(sources) > 1:
            raise StyleganvError(f"{' and '.join(sources)} exclude each other: pass one of them.")
        if self.text is not None and self.space != "content":
            raise StyleganvError("--text requires --space content, got motion: omit --space.")
        if self.source_text is not None and self.text is None:
            raise StyleganvError("--source-text requires --text: pass the text to move toward.")

    @property
    def seeds(self) -> range:
        """Seeds to sample."""
        default = 2000 if self.score is None and self.text is None else 200
        return range(self.first_seed, self.first_seed + (self.num_samples or default))


Fit = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class PrepareOptions:
    """How to turn videos into a dataset.

    Raises:
        StyleganvError: for a value out of range.
    """

    fps: Unset[float] = None
    """Frame rate to resample to, in frames per second. Default: keep every frame."""
    source_fps: float = 25.0
    """Frame rate of folders of frames, in frames per second."""
    fit: Fit = "crop"
    """Center crop, pad with black, or stretch to the new aspect ratio."""
    min_frames: int = 3
    """Minimum number of frames; shorter videos are skipped."""
    split_every: Unset[int] = None
    """Maximum number of frames; longer videos are split. Default: no limit."""
    jpeg_quality: int = 95
    """Quality of the stored JPEG frames, 1 to 100 (best)."""
    lossless: bool = False
    """Store frames as PNG instead of JPEG."""
    classes: str = "auto"
    """Class labels: auto, folders, none, or a file: .csv (name,label) or .json ({name: label})."""
    background: str = "white"
    """Color behind transparent pixels, e.g. skyblue or '#cfe8ff' (in quotes)."""

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
                raise StyleganvError(f"{message}: change it.")

    @property
    def stored_quality(self) -> int | None:
        """JPEG quality of the stored frames; None for PNG."""
        return None if self.lossless else self.jpeg_quality


@dataclass(frozen=True)
class ProjectOptions:
    """How to optimize the latents of a clip.

    Raises:
        StyleganvError: for an unknown space or a negative number of steps.
    """

    space: Literal["w", "w+"] = "w+"
    """w+: one w per layer, closer match; w: one w for all layers, easier to edit."""
    num_steps: int = 600
    """Optimization steps."""
    finetune_steps: int = 0
    """Steps of fine-tuning a copy of the model on the clip, for a closer match."""
    seed: int = 0
    """Random seed, also the motion seed after the end of the clip."""
    first_frame: bool = False
    """Fit only the first frame; the motion follows --seed (baseline)."""
    label: Annotated[str | int | None, tyro.conf.arg(metavar="STR", help_behavior_hint=_default)] = None
    """Class name or number, for a class-conditional model. Default: the best match."""

    def __post_init__(self) -> None:
        if self.space not in ("w", "w+"):
            raise StyleganvError(f"Unknown space {self.space!r}: choose w or w+.")
        for option, value in (("--num-steps", self.num_steps), ("--finetune-steps", self.finetune_steps)):
            if value < 0:
                raise StyleganvError(f"{option} must be at least 0, got {value}: choose 0 or more.")


@dataclass(frozen=True)
class StudyOptions:
    """How a study trains and evaluates; equal for all its trials."""

    minutes: float = 5.0
    """Training time per trial, in minutes."""
    preset: str = "tiny-cpu"
    """Preset that all methods start from."""
    num_clips: int = 256
    """Number of real and generated clips (each) per evaluation."""
    weights: Unset[str] = None
    """Folder, file or URL of the weights that --protocols requires."""
