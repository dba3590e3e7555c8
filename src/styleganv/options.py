"""Options shared by Python functions, the command line and the studio, each documented and validated once.

Creating them raises a StyleganvError for a value out of range, and for options that exclude each other.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from styleganv.errors import StyleganvError
from styleganv.validation import (
    Amount,
    Count,
    FrameRate,
    Interval,
    NonNegative,
    Positive,
    Psi,
    Seed,
    Validated,
    short_repr,
)

T = TypeVar("T")


def _hint(origin: str, label: str) -> str:
    return "" if label == "None" else f"({origin}: {label})"


_default, _preset = partial(_hint, "default"), partial(_hint, "preset")


#: Type of an option that is None by default. The help omits the None; its text states the default.
Unset = Annotated[T | None, tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint=_default)]

#: Types of options that a preset or a run may set; None resets them to the default in the help.
OptionalInt = Annotated[T | None, tyro.conf.arg(metavar="INT", help_behavior_hint=_preset)]
OptionalFloat = Annotated[T | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint=_preset)]

#: Type of the option that all commands that write have.
Overwrite = Annotated[bool, tyro.conf.arg(help="Replace existing output, but not a folder that contains other files.")]

#: Type of the option of commands that compute.
Device = Annotated[Unset[str], tyro.conf.arg(help="Torch device, e.g. cpu or cuda. Default: cuda if available.")]

Precision = Literal["float32", "bfloat16"]

#: Videos that one command generates.
MAX_SEEDS = 1_000_000


def check_count(name: str, num_seeds: int) -> None:
    """Raise StyleganvError for a list of more seeds than one command may generate; `name` is its option."""
    if num_seeds > MAX_SEEDS:
        raise StyleganvError(f"{name} must list at most {MAX_SEEDS:,} numbers, got {num_seeds:,}: split the list.")


#: Clips of an evaluation: two halves, each with a covariance.
MIN_EVAL_CLIPS = 4
#: Points (video time, motion time) in seconds.
TimePoints = Annotated[Sequence[tuple[NonNegative, NonNegative]], tyro.conf.arg(name="time-map")]
#: Repetitions of a measurement or training, for a standard error.
Repeats = Annotated[int, Interval(1, 10_000), tyro.conf.arg(name="repeats")]
#: CLIP of text edits for models without one of their own, on the Hugging Face Hub.
DEFAULT_CLIP_MODEL = "openai/clip-vit-base-patch32"


@dataclass(frozen=True)
class SampleOptions(Validated):
    """Which part of the endless video to generate."""

    seconds: Unset[Positive] = None
    """Duration in seconds. Default: 5, or less if the model's maximum is shorter."""
    fps: Unset[FrameRate] = None
    """Output frame rate in frames per second. Default: the dataset's."""
    start: NonNegative = 0.0
    """Start time in the endless video, in seconds."""
    psi: Psi = 1.0
    """Truncation psi: 1 = full variety, 0 = mean w (of the label)."""
    label: Annotated[str | int | None, tyro.conf.arg(metavar="STR", help_behavior_hint=_default)] = None
    """Class name or number; several classes as smile,glasses; vectors as 0.1,0.7. Default: chosen by the seed."""
    loop: bool = False
    """Close the motion to a seamless loop of --seconds; its speed changes slightly."""


@dataclass(frozen=True)
class ComputeOptions(Validated):
    """Device and precision of a computation."""

    device: Device = None
    precision: Precision = "float32"
    """Precision of convolutions; bfloat16 is faster on hardware that supports it, but less exact."""


@dataclass(frozen=True)
class OutputOptions(Validated):
    """Size and quality of written frames, and whether they may replace files."""

    scale: Unset[Annotated[int, Interval(1, 64)]] = None
    """Integer enlargement factor, 1 to 64 (bicubic). Default: to at least 256 pixels (grid: 128)."""
    crf: Annotated[int, Interval(0, 51)] = 18
    """CRF of mp4, webm and webp: 0 = lossless, 18 = visually lossless, 51 = worst."""
    overwrite: Overwrite = False


@dataclass(frozen=True)
class LatentsOptions(Validated):
    """Which video to edit: content and motion, each from a seed or from a latents file."""

    seed: Unset[Seed] = None
    """Content seed. Default: 0."""
    latents: Unset[Path] = None
    """Latents file or output folder of `styleganv project`, instead of --seed."""
    motion_seed: Unset[Seed] = None
    """Motion seed. Default: same as --seed, or the motion of --latents."""
    motion_latents: Unset[Path] = None
    """Latents file or folder of which to use only the motion, instead of --motion-seed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for prefix, seed, path in (("", self.seed, self.latents), ("motion-", self.motion_seed, self.motion_latents)):
            if seed is not None and path is not None:
                raise StyleganvError(
                    f"--{prefix}seed and --{prefix}latents exclude each other, got {seed} and {path}: pass one of them."
                )


@dataclass(frozen=True)
class StyleMix(Validated):
    """Content seed or latents file to mix in at some style layers; `amount` 1 replaces, 0.5 averages."""

    content: Annotated[Seed | Path, tyro.conf.arg(name="mix")]
    layers: Sequence[int]
    amount: Annotated[Amount, tyro.conf.arg(name="mix")] = 1.0


@dataclass(frozen=True)
class DirectionStep(Validated):
    """A step along a direction of a directions file, in standard deviations; None as `layers` means all layers."""

    file: str | Path
    name: str
    strength: Annotated[Amount, tyro.conf.arg(name="direction")]
    layers: Sequence[int] | None = None


@dataclass(frozen=True)
class EditOptions(Validated):
    """Changes to a video, made in the order of the fields.

    Attributes:
        mixes: seeds or latents files to mix in at some layers.
        text: text to edit toward; see `editing.text.edit_by_text`.
        clip_model: folder of a CLIP, or its name on the Hugging Face Hub; None for the model's own, else OpenAI's.
        text_steps: optimization steps for `text`; the model's own CLIP takes none.
        interpolate_to: content seeds or latents files to interpolate to over the video, in order.
        speed: speed of the motion; 0.25 is slow motion.
        time_map: points (video time, motion time) in seconds, instead of `speed`.
    """

    mixes: Sequence[StyleMix] = ()
    directions: Sequence[DirectionStep] = ()
    text: str | None = None
    clip_model: str | Path | None = None
    text_steps: Count = 100
    interpolate_to: Sequence[Seed | Path] = ()
    speed: NonNegative = 1.0
    time_map: TimePoints | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.speed != 1 and self.time_map is not None:
            raise StyleganvError("--speed and --time-map exclude each other: pass one of them.")


Space = Literal["content", "motion"]


@dataclass(frozen=True)
class DirectionOptions(Validated):
    """Which directions to find; with no score, annotations or text, those of largest variance."""

    space: Space = "content"
    """What the directions change: content or motion."""
    num_directions: Count = 10
    """Number of directions of largest variance."""
    num_samples: Unset[Annotated[int, Interval(3, 1_000_000)]] = None
    """Number of seeds to sample. Default: 2000; 200 with --score or --text."""
    first_seed: Seed = 0
    """First of the consecutive seeds to sample."""
    score: Unset[str] = None
    """Score to increase: brightness, contrast, saturation, red, green, blue, motion."""
    annotations: Unset[Path] = None
    """CSV file of seed,label lines; labels are numbers or class names."""
    text: Unset[str] = None
    """Text to move toward, e.g. "a green face"; requires styleganv[clip]."""
    source_text: Unset[str] = None
    """Text to move away from, in addition to --text."""
    clip_model: Unset[str] = None
    """CLIP for --text: a folder, or a Hugging Face Hub name. Default: the model's own, else OpenAI's."""

    def __post_init__(self) -> None:
        super().__post_init__()
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
#: Start and stop in seconds, if negative from the end of each video; None for the start and the end themselves.
Trim = tuple[float | None, float | None]
#: Left, top, width and height in pixels of the decoded, upright frames.
Crop = tuple[Annotated[int, Interval(0)], Annotated[int, Interval(0)], Count, Count]
Damaged = Literal["skip", "keep"]
#: Published datasets with a rule in `data/rules`.
DatasetName = Literal["faceforensics", "sky-timelapse", "ucf101", "rainbow-jelly", "mead"]


@dataclass(frozen=True)
class PrepareOptions(Validated):
    """How to turn videos into a dataset."""

    dataset: Unset[DatasetName] = None
    """Dataset of the paper, prepared by its rules; `styleganv datasets` describes them."""
    fps: Unset[FrameRate] = None
    """Frame rate to resample to, in frames per second. Default: the most common one."""
    source_fps: FrameRate = 25.0
    """Frame rate of folders of frames, in frames per second; not for a prepared dataset."""
    fit: Fit = "crop"
    """Center crop, pad with black, or stretch to the new aspect ratio."""
    min_frames: Count = 3
    """Minimum number of frames; shorter videos are skipped."""
    split_every: Unset[Count] = None
    """Maximum number of frames; longer videos are split. Default: no limit."""
    split_scenes: bool = False
    """Split videos at cuts, into one video per scene; requires styleganv[scenes]."""
    min_sharpness: NonNegative = 0.0
    """Minimum sharpness; blurred videos are skipped. The report states the range."""
    jpeg_quality: Annotated[int, Interval(1, 100)] = 95
    """Quality of the stored JPEG frames, 1 to 100 (best)."""
    lossless: bool = False
    """Store frames as PNG instead of JPEG."""
    classes: str = "auto"
    """Labels: auto (dataset.json or folders), folders, none, or a .csv or .json file."""
    background: str = "black"
    """Color behind transparent pixels, e.g. skyblue or '#cfe8ff' (in quotes)."""
    damaged: Damaged = "skip"
    """Skip damaged videos, or keep their frames before the damage."""
    trim: tyro.conf.Suppress[Trim | None] = None
    """Part of each video to use."""
    crop: tyro.conf.Suppress[Crop | None] = None
    """Part of each frame to use, before `fit`."""
    license: Unset[str] = None
    """License of the videos, for the records of runs and models, e.g. cc-by-4.0. Default: not stated."""

    def __post_init__(self) -> None:
        super().__post_init__()
        start, stop = self.trim or (None, None)
        if stop is not None and ((start or 0) >= 0) == (stop >= 0) and stop <= (start or 0):
            raise StyleganvError(f"--trim must stop after it starts, got {start or 0:g} to {stop:g}: change it.")
        if self.split_every is not None and self.split_every < self.min_frames:
            raise StyleganvError(
                f"--split-every must be at least --min-frames ({self.min_frames}), got {self.split_every}: change it."
            )

    @property
    def stored_quality(self) -> int | None:
        """JPEG quality of the stored frames; None for PNG."""
        return None if self.lossless else self.jpeg_quality


@dataclass(frozen=True)
class ProjectOptions(Validated):
    """How to optimize the latents of a clip."""

    space: Literal["w", "w+"] = "w+"
    """w+: one w per layer, closer match; w: one w for all layers, easier to edit."""
    num_steps: Annotated[int, Interval(0)] = 600
    """Optimization steps."""
    finetune_steps: Annotated[int, Interval(0)] = 0
    """Steps of fine-tuning a copy of the model on the clip, for a closer match."""
    seed: Annotated[int, Interval(0, 2**48)] = 0
    """Random seed, also the motion seed after the end of the clip."""
    first_frame: bool = False
    """Fit only the first frame; the motion follows --seed (baseline)."""
    label: Annotated[str | int | None, tyro.conf.arg(metavar="STR", help_behavior_hint=_default)] = None
    """Class name or number; several classes as smile,glasses; vectors as 0.1,0.7. Default: the best match."""


@dataclass(frozen=True)
class EvaluateOptions(Validated):
    """What to evaluate, on how many clips, and with which weights."""

    num_clips: Unset[Annotated[int, Interval(2)]] = None
    """Number of real and generated clips (each), 2 or more. Default: the protocol's."""
    num_repeats: Repeats = 1
    """Number of random draws of clips; 2 or more give a standard error."""
    num_resamples: Annotated[int, Interval(0, 10_000)] = 40
    """Number of half samples of the videos, for a 95% interval of each value; 0 or 1: none."""
    store_as: Unset[str] = None
    """Compress the frames of both sets in memory, e.g. jpeg95 (quality 95). Default: as they are."""
    num_frames: Unset[Count] = None
    """Frames per clip, e.g. 4 for short videos. Default: the protocol's."""
    per_class: bool = False
    """Also evaluate each class that both sets contain."""
    factors: bool = False
    """Also compare the ground-truth factors of the built-in faces."""
    split: Unset[str] = None
    """Dataset split of the real videos, e.g. train; only stated in the report."""
    psi: Psi = 1.0
    """Truncation psi of a model: 1 = full variety, 0 = mean w (of the label)."""
    weights: Annotated[
        str | Path | None, tyro.conf.DisallowNone, tyro.conf.arg(metavar="PATH", help_behavior_hint="")
    ] = None
    """Weights of the published feature extractors: folder, file or URL."""
    sha256: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[HASH ...]", help_behavior_hint="")] = ()
    """Accepted SHA-256 hashes of the weights. Default: any."""
    cache: Unset[Path] = None
    """Folder for computed statistics. Default: ~/.cache/styleganv/statistics."""

    def __post_init__(self) -> None:
        super().__post_init__()
        quality = self.jpeg_quality
        if self.store_as is not None and (quality is None or not 1 <= quality <= 100):
            raise StyleganvError(f"--store-as must be jpeg1 to jpeg100, got {short_repr(self.store_as)}: pass jpeg95.")

    @property
    def jpeg_quality(self) -> int | None:
        """JPEG quality of `store_as`, 1 to 100; None for frames as they are."""
        match = re.fullmatch("jpeg([0-9]{1,3})", self.store_as or "")
        return int(match[1]) if match else None


@dataclass(frozen=True)
class StudyOptions(Validated):
    """How a study trains and evaluates; equal for all its trials."""

    minutes: Unset[Positive] = None
    """Training time per trial, in minutes. Default: 5, unless --clips or --distance is set."""
    clips: Unset[Count] = None
    """Training length per trial in clips, instead of --minutes."""
    distance: Unset[Positive] = None
    """Train until evaluations reach this frechet_efficientnet, instead of --minutes."""
    max_minutes: Positive = 60.0
    """Maximum training time per trial with --clips or --distance, in minutes."""
    preset: str = "tiny-cpu"
    """Preset that all methods start from."""
    num_clips: Unset[Annotated[int, Interval(MIN_EVAL_CLIPS)]] = None
    """Number of real and generated clips (each) per evaluation. Default: 32 to 256, as time permits."""
    weights: Unset[str] = None
    """Folder, file or URL of the weights that --protocols requires."""

    def __post_init__(self) -> None:
        super().__post_init__()
        limits = {"--minutes": self.minutes, "--clips": self.clips, "--distance": self.distance}
        given = [name for name, value in limits.items() if value is not None]
        if len(given) > 1:
            raise StyleganvError(f"{' and '.join(given)} exclude each other: pass one of them.")

    @property
    def training_minutes(self) -> float:
        """Training time per trial, or its maximum, in minutes."""
        return self.max_minutes if self.clips or self.distance else self.minutes or 5.0


@dataclass(frozen=True)
class LaunchOptions(Validated):
    """Where the trials of a study run."""

    jobs: Annotated[int, Interval(1, 1024)] = 1
    """Number of trials to run in parallel; without --launch, they share the CPU cores."""
    launch: Unset[str] = None
    """Command to start each trial with, e.g. "srun --gpus=1" or "torchrun --nproc-per-node 4"."""
