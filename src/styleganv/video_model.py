"""Interface of a trained model of any method: videos by seed, at any times that the method supports.

Commands, metrics and pages use this interface and never need to know which method produced a model. A subclass
generates frames at given times and states what it does not support: unlimited length, other frame rates, motion seeds,
truncation.
"""

import html
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from functools import cache, partial
from itertools import count, islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from styleganv import distributed, noise
from styleganv.errors import StyleganvError
from styleganv.hub_mixin import ModelHubMixin, precision_of
from styleganv.label_space import Label, LabelArgument, LabelSpace
from styleganv.media.notebook import Video
from styleganv.options import Precision
from styleganv.validation import FrameRate, NonNegative, Positive, Psi, Seed, check_arguments

logger = logging.getLogger(__name__)

Frame = NDArray[np.uint8]

#: Times are whole multiples of 1/TICKS of a frame, so that rounding never separates two computations of one time.
TICKS = 2**20
#: Above this number of frames float64 no longer represents every tick.
MAX_FRAMES = 2**33
#: What a notebook shows of a model: the videos of these seeds, so long, and at most so many pixels of each.
SHOWN_SEEDS, SHOWN_SECONDS = range(4), 2.0
SHOWN_PIXELS = {"cpu": 2**18, "cuda": 2**22}


class VideoModel(ModelHubMixin, ABC):
    """A trained model as a source of videos.

    Copies (`copy.deepcopy`, `pickle`) generate the same frames, bit for bit. A notebook shows videos of a model.

    Attributes:
        name: method, for display.
        fps: frame rate of the dataset, in frames per second.
        network: module whose weights generate the videos.
        height, width: size of a frame, in pixels.
        num_classes: K of a class-conditional model, else 0.
        labels: what the labels of the videos mean.
        device, precision: where and how the network runs.
        config: content of the model folder's `config.json`.
        source: folder that the model was loaded from; None for a model built in memory.
        max_frames: largest end of a video in frames of the dataset; None for no limit.
        supports_any_fps: whether frames exist between those of the dataset's frame rate.
        is_image_model: whether all frames of a video are the same image.
        supports_motion_seed: whether motion has a seed of its own.
        supports_truncation: whether psi has an effect.
        supports_loops: whether the end of a video can lead into its start.
        slot_distance: frames between two motion noise vectors; None for a model without slots.
    """

    name: str
    max_frames: int | None = None
    supports_any_fps = True
    is_image_model = False
    supports_motion_seed = True
    supports_truncation = True
    supports_loops = False
    slot_distance: float | None = None

    @check_arguments
    def __init__(
        self,
        network: Any,
        *,
        fps: FrameRate,
        labels: LabelSpace | None = None,
        device: str | torch.device | None = None,
        precision: Precision = "float32",
        config: dict[str, Any] | None = None,
        source: Path | str | None = None,
    ) -> None:
        """Store the attributes; the subclass moves the network to the device.

        Args:
            network: module with the attributes `height`, `width` and `num_classes`.
            labels: ignored by an unconditional network; by default, K classes named "0" to "K − 1".

        Raises:
            StyleganvError: for an unknown device or precision.
        """
        self.device, self.precision = choose_device(device), precision
        choose_dtype(precision, self.device)  # warns where it is slow
        self.network: nn.Module = network
        self.height, self.width, self.num_classes = network.height, network.width, network.num_classes
        self.fps, self.config, self.source = fps, config or {}, None if source is None else Path(source)
        numbered = LabelSpace(tuple(map(str, range(self.num_classes))))
        self.labels = labels if self.num_classes and labels and labels.names else numbered
        if len(self.labels.names) != self.num_classes:
            raise StyleganvError(
                f"The model has {self.num_classes} classes but {len(self.labels.names)} class names: name each class."
            )

    @property
    def class_names(self) -> list[str]:
        """Names of the classes; empty without classes."""
        return self.labels.class_names

    def __repr__(self) -> str:
        num_parameters = sum(parameter.numel() for parameter in self.network.parameters())
        return (
            f"<{type(self).__name__}: {self.name}, {self.width}x{self.height} pixels, {self.fps:g} fps, {self.labels}, "
            f"{num_parameters:,} parameters, {self.precision} on {self.device}, from {self.source or 'memory'}>"
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the text of `repr`, and uncurated videos side by side."""
        budget = SHOWN_PIXELS.get(self.device.type, SHOWN_PIXELS["cpu"]) // (self.height * self.width)
        longest = SHOWN_SECONDS if self.max_frames is None else min(SHOWN_SECONDS, self.max_frames / self.fps)
        total = 1 if self.is_image_model else max(2, min(self.num_frames(longest), budget))
        fps = total / longest if self.supports_any_fps else self.fps
        videos = [self.sample(seed=seed, seconds=total / fps, fps=fps) for seed in SHOWN_SEEDS]
        caption = f"Seeds {SHOWN_SEEDS[0]} to {SHOWN_SEEDS[-1]}, uncurated"
        shown = Video(np.stack(videos)[None], fps, caption)._repr_html_()
        return f'<pre style="white-space: pre-wrap">{html.escape(repr(self))}</pre>{shown}'

    def to(self, device: str | torch.device | torch.dtype | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move the model in place and return it; finish or drop its running streams first.

        Args:
            device: torch device, or the type alone. None: the present device.
            dtype: type that convolutions compute in, torch.float32 or torch.bfloat16. None: the present one.

        Raises:
            StyleganvError: if the device or the type is not available.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        precision = self.precision if dtype is None else precision_of(dtype)
        chosen = self.device if device is None else choose_device(device)
        choose_dtype(precision, chosen)  # warns where it is slow
        self.device, self.precision = chosen, precision
        self._move_network()
        return self

    def _move_network(self) -> None:
        """Move the network to `self.device`; a subclass that keeps parts of it on the CPU overrides this."""
        self.network.to(self.device)

    @abstractmethod
    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: Label | None
    ) -> Iterator[Frame]:
        """Yield frames `[H, W, 3]` at increasing, evenly spaced times in frames; in constant memory if unlimited."""

    def _loop_frames(
        self, seed: int, motion_seed: int, *, psi: float, label: Label | None, **span: Any
    ) -> Iterator[Frame]:
        """Yield the frames of a loop; `span` is its `start`, `seconds` and `fps`. For models that support loops."""
        raise NotImplementedError

    @check_arguments
    def sample(
        self,
        *,
        seed: Seed,
        motion_seed: Seed | None = None,
        start: NonNegative = 0.0,
        seconds: Positive,
        fps: Positive | None = None,
        psi: Psi = 1.0,
        label: LabelArgument | None = None,
        loop: bool = False,
    ) -> Frame:
        """Return one video `[T, H, W, 3]`, uint8, of `T = round(seconds · fps)` frames, at least one.

        Args:
            seed: content seed; also chooses the label if `label` is None.
            motion_seed: motion seed; default: the content seed.
            start, seconds: start time and duration in seconds.
            fps: output frame rate in frames per second; default: the dataset's.
            psi: truncation psi; 1 = full variety, 0 = mean w (of the label).
            label: name or number of a class; names of several, e.g. "smile,glasses"; or numbers, e.g. [0.1, 0.7].
            loop: close the motion to a circle: a frame T would be frame 0, and the motion is the seed's nowhere else.
                The speed changes by at most half a slot over the video (`slot_distance`).

        Raises:
            StyleganvError: for a value out of range or not supported by the model, or an invalid label.
        """
        video = np.empty((self.num_frames(seconds, fps), self.height, self.width, 3), np.uint8)
        frames = self.stream(
            seed=seed, motion_seed=motion_seed, start=start, seconds=seconds, fps=fps, psi=psi, label=label, loop=loop
        )
        for t, frame in enumerate(frames):
            video[t] = frame
        return video

    @check_arguments
    def stream(
        self,
        *,
        seed: Seed,
        motion_seed: Seed | None = None,
        start: NonNegative = 0.0,
        seconds: Positive | None = None,
        fps: Positive | None = None,
        psi: Psi = 1.0,
        label: LabelArgument | None = None,
        loop: bool = False,
    ) -> Iterator[Frame]:
        """Yield the frames `[H, W, 3]` of `sample` in constant memory; endlessly if `seconds` is None."""
        total = None if seconds is None else self.num_frames(seconds, fps)
        self._check(start, seconds, fps=fps, psi=psi, motion_seed=motion_seed)
        self._check_loop(loop, seconds)
        motion_seed = seed if motion_seed is None else motion_seed
        if loop and total is not None:
            span = {"start": start, "seconds": seconds, "fps": fps}
            return self._loop_frames(seed, motion_seed, psi=psi, label=self.choose_label(seed, label), **span)
        times = islice(self.times(start, self._output_fps(fps)), total)
        return self._frames_at(seed, motion_seed, times, psi=psi, label=self.choose_label(seed, label))

    @check_arguments
    def grid(
        self,
        content_seeds: Iterable[int],
        motion_seeds: Iterable[int],
        *,
        seconds: Positive,
        fps: Positive | None = None,
        psi: Psi = 1.0,
        start: NonNegative = 0.0,
        label: LabelArgument | None = None,
    ) -> Frame:
        """Return videos of all combinations `[M, N, T, H, W, 3]`: a motion seed per row, a content seed per column."""
        sample = partial(self.sample, start=start, seconds=seconds, fps=fps, psi=psi, label=label)
        contents = list(content_seeds)
        return np.stack([[sample(seed=seed, motion_seed=motion) for seed in contents] for motion in motion_seeds])

    def autocast(self) -> torch.autocast:
        """Return a context in which networks compute in the model's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    @check_arguments
    def num_frames(self, seconds: Positive, fps: Positive | None = None) -> int:
        """Return T of a video of this duration; `fps` defaults to the dataset's."""
        return max(1, round(seconds * self._output_fps(fps)))

    def _output_fps(self, fps: float | None) -> float:
        return self.fps if fps is None else fps

    def _check(
        self,
        start: float,
        seconds: float | None,
        *,
        fps: float | None = None,
        psi: float = 1.0,
        motion_seed: int | None = None,
    ) -> None:
        """Raise StyleganvError for what is out of range or not supported by the model."""
        if not 0 <= start * self.fps <= MAX_FRAMES:
            raise StyleganvError(
                f"Start time must be between 0 and {MAX_FRAMES / self.fps:.3g} seconds, got {start:g}: "
                "choose another start."
            )
        if psi != 1 and not self.supports_truncation:
            raise StyleganvError(f"{self.name} does not support truncation, got psi {psi:g}: set psi to 1.")
        if motion_seed is not None and not self.supports_motion_seed:
            raise StyleganvError(
                f"{self.name} does not support motion seeds, got motion seed {motion_seed}: omit the motion seed."
            )
        rate = self._output_fps(fps)
        if not self.supports_any_fps and (rate != self.fps or not float(start * self.fps).is_integer()):
            raise StyleganvError(
                f"{self.name} supports only the frame rate of its dataset, got {rate:g} fps from {start:g} "
                f"seconds: use {self.fps:g} fps and a start that is a whole number of frames."
            )
        end = math.inf if seconds is None else start + seconds
        if self.max_frames is not None and end * self.fps > self.max_frames * (1 + 1e-9):
            raise StyleganvError(
                f"Videos of {self.name} must end within {self.max_frames / self.fps:g} seconds, got an end at {end:g}: "
                "choose an earlier start or fewer seconds."
            )

    def _check_loop(self, loop: bool, seconds: float | None) -> None:
        """Raise StyleganvError for a loop that the model does not support, or without a duration."""
        if loop and not self.supports_loops:
            raise StyleganvError(f"Videos of this {self.name} model cannot be closed to a loop: omit the loop.")
        if loop and seconds is None:
            raise StyleganvError("A loop requires a duration: pass seconds.")

    def times(self, start: float, fps: float) -> Iterator[float]:
        """Yield the times of a video from `start` seconds on endlessly, in frames of the dataset."""
        ticks = Fraction(self.fps) * TICKS
        first, step = Fraction(start) * ticks, ticks / Fraction(fps)
        return (round(first + i * step) / TICKS for i in count())

    def label_from_seed(self, seed: int) -> Label:
        """Return the label of a conditional model's video if none is given: one of `labels.all()`, by chance.

        Raises:
            StyleganvError: if the model does not know the labels of its dataset.
        """
        choices = self.labels.all()
        if not choices:
            raise StyleganvError("This model does not know the labels of its dataset: pass a label.")
        return choices[noise.uniform_integer(seed, noise.CLASS, len(choices))]

    @check_arguments
    def choose_label(self, seed: int, label: LabelArgument | None = None) -> Label | None:
        """Return the given label, by default the seed's; None for a model without classes.

        Raises:
            StyleganvError: as `LabelSpace.parse` and `label_from_seed`.
        """
        if label is not None:
            return self.labels.parse(label)
        return self.label_from_seed(seed) if self.num_classes else None

    def label_tensor(self, label: Label | None) -> Tensor | None:
        """Return a label as `[1, K]` on the CPU, or None without. Raises StyleganvError if it is invalid or missing."""
        if label is None and not self.num_classes:
            return None
        if label is None:
            raise StyleganvError("This model requires a class: pass a label.")
        return torch.from_numpy(self.labels.to_vector(label))[None]


def to_uint8(frames: Tensor) -> Frame:
    """Convert frames `[N, 3, H, W]` in −1..1 on any device to uint8 `[N, H, W, 3]`."""
    rounded = (frames * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    return rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def deterministic() -> AbstractContextManager[None]:
    """Return a context without cuDNN algorithms chosen by speed or with a varying order of summation.

    Within it, frames are the same in every run.
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def choose_device(device: str | torch.device | None) -> torch.device:
    """Return the device of that name; for None, this process's GPU, or the CPU without one.

    Raises:
        StyleganvError: if the device is not available.
    """
    try:
        chosen = torch.device(device or distributed.local_device())
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise StyleganvError(f"Device {device} is not available: use cpu, or cuda on a machine with a GPU.") from error
    return chosen


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of convolutions; "auto" is bfloat16 where the hardware accelerates it."""
    if precision == "float32":
        return torch.float32
    fast = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else torch.cpu._is_avx512_bf16_supported()
    )
    if precision == "bfloat16" and not fast:
        _warn_of_slow_bfloat16(device.type)
    return torch.bfloat16 if precision == "bfloat16" or fast else torch.float32


@cache
def _warn_of_slow_bfloat16(device: str) -> None:
    """Log a warning, once per process."""
    logger.warning(f"bfloat16 is slow on this {device}, which has no instructions for it: use --precision float32.")
