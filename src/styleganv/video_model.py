"""What commands, metrics and pages need of a model of any kind: videos by seed, at times, as far as it can.

A subclass says how frames at given times come about, and what it cannot do: videos without an end, other frame rates,
motion with a seed of its own, truncation. Nobody then has to ask which kind it is.

Shapes: T frames, H height, W width, M motions, N contents, K classes.
Times are in seconds of the data's clock outside, in frames of the data inside.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from styleganv import distributed, noise
from styleganv.errors import StyleganvError
from styleganv.options import Precision

Frame = NDArray[np.uint8]

#: Times are whole multiples of 1/TICKS of a frame, so that rounding cannot tell two ways to an instant apart.
TICKS = 2**20
#: Beyond this many frames float64 no longer holds every tick.
MAX_FRAMES = 2**33


class VideoModel(ABC):
    """A trained model as a source of videos.

    Attributes:
        name: of the kind of model, for people.
        fps: frames a second of the data it learned from.
        network: whose weights make the videos.
        height, width: of a frame, in pixels.
        num_classes: K of a class-conditional model, else 0.
        class_names: of a class-conditional model, else empty.
        device, precision: where and how the network runs.
        config: the model folder's `config.json`.
        max_frames: of the data's clock, from the start of the video on, and why; None: no end.
        any_rate: whether there are frames between those of the data's clock.
        still: whether all frames of a video are one picture.
        motion_seeds: whether motion has a seed of its own.
        truncates: whether contents can be drawn nearer to the mean (psi).
        slot_distance: frames between two motion codes; None for a model without slots.
    """

    name = "StyleGAN-V"
    max_frames: int | None = None
    why_max_frames = ""
    any_rate = True
    still = False
    motion_seeds = True
    truncates = True
    slot_distance: float | None = None

    def __init__(
        self,
        network: Any,
        *,
        fps: float,
        class_names: Sequence[str] = (),
        device: str | torch.device | None = None,
        precision: Precision = "float32",
        config: dict[str, Any] | None = None,
    ) -> None:
        """`network`: a module that knows its `height`, `width` and `num_classes`; the subclass takes it to the device.

        Raises:
            StyleganvError: for an unknown device or precision.
        """
        if precision not in ("float32", "bfloat16"):
            raise StyleganvError(f"Precision {precision} is not known: choose float32 or bfloat16.")
        self.device, self.precision = chosen_device(device), precision
        self.network: nn.Module = network
        self.height, self.width, self.num_classes = network.height, network.width, network.num_classes
        self.fps, self.config = fps, config or {}
        self.class_names = list(class_names) if self.num_classes else []

    @abstractmethod
    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: int | None
    ) -> Iterator[Frame]:
        """Frames `[H, W, 3]` at increasing, evenly spaced times in frames, in constant memory where there is no end."""

    def sample(
        self,
        *,
        seed: int,
        motion_seed: int | None = None,
        start: float = 0.0,
        seconds: float,
        fps: float | None = None,
        psi: float = 1.0,
        label: str | int | None = None,
    ) -> Frame:
        """One video `[T, H, W, 3]`, uint8, of `T = round(seconds · fps)` frames, at least one.

        Args:
            seed: of the content, and of the class where `label` is left out.
            motion_seed: of the motion; the content's if left out.
            start, seconds: in seconds of the data's clock.
            fps: frames a second; the data's if left out.
            psi: truncation; 1 none, 0 the mean content.
            label: class name or number.

        Raises:
            StyleganvError: for a value out of range or an unknown class.
        """
        video = np.empty((self.num_frames(seconds, fps), self.height, self.width, 3), np.uint8)
        frames = self.stream(
            seed=seed, motion_seed=motion_seed, start=start, seconds=seconds, fps=fps, psi=psi, label=label
        )
        for t, frame in enumerate(frames):
            video[t] = frame
        return video

    def stream(
        self,
        *,
        seed: int,
        motion_seed: int | None = None,
        start: float = 0.0,
        seconds: float | None = None,
        fps: float | None = None,
        psi: float = 1.0,
        label: str | int | None = None,
    ) -> Iterator[Frame]:
        """Like `sample`, frame by frame `[H, W, 3]` in constant memory; endless where `seconds` is left out."""
        total = None if seconds is None else self.num_frames(seconds, fps)
        self._check(start, seconds, fps=fps, psi=psi, motion_seed=motion_seed)
        times = islice(self._times(start, self._rate(fps)), total)
        motion = seed if motion_seed is None else motion_seed
        return self._frames_at(seed, motion, times, psi=psi, label=self.class_index(seed, label))

    def grid(
        self,
        content_seeds: Iterable[int],
        motion_seeds: Iterable[int],
        *,
        seconds: float,
        fps: float | None = None,
        psi: float = 1.0,
        start: float = 0.0,
        label: str | int | None = None,
    ) -> Frame:
        """All combinations `[M, N, T, H, W, 3]`: one motion a row, one content a column."""
        contents = list(content_seeds)

        def video(content: int, motion: int) -> Frame:
            return self.sample(
                seed=content, motion_seed=motion, start=start, seconds=seconds, fps=fps, psi=psi, label=label
            )

        return np.stack([np.stack([video(content, motion) for content in contents]) for motion in motion_seeds])

    def autocast(self) -> torch.autocast:
        """Within it networks work in the model's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def num_frames(self, seconds: float, fps: float | None = None) -> int:
        """T of a video of so many seconds."""
        if not 0 < seconds < math.inf:
            raise StyleganvError(f"A video cannot last {seconds:g} seconds: choose more than 0.")
        return max(1, round(seconds * self._rate(fps)))

    def _rate(self, fps: float | None) -> float:
        rate = self.fps if fps is None else fps
        if not 0 < rate < math.inf:
            raise StyleganvError(f"A video cannot have {rate:g} frames a second: choose more than 0.")
        return rate

    def _check(
        self,
        start: float,
        seconds: float | None,
        *,
        fps: float | None = None,
        psi: float = 1.0,
        motion_seed: int | None = None,
    ) -> None:
        """Raises StyleganvError for what is out of range or beyond this kind of model."""
        if not 0 <= start * self.fps <= MAX_FRAMES:
            raise StyleganvError(f"A video cannot start at {start:g} seconds: choose 0 to {MAX_FRAMES / self.fps:.3g}.")
        check_psi(psi)
        if psi != 1 and not self.truncates:
            raise StyleganvError(f"{self.name} has no truncation: leave psi at 1.")
        if motion_seed is not None and not self.motion_seeds:
            raise StyleganvError(f"{self.name} has no motion apart from content: leave out the motion seed.")
        rate = self._rate(fps)
        if not self.any_rate and (rate != self.fps or not float(start * self.fps).is_integer()):
            raise StyleganvError(
                f"{self.name} has no frames between those it learned: choose {self.fps:g} frames a second, and a start "
                "that is a whole number of frames."
            )
        end = math.inf if seconds is None else start + seconds
        if self.max_frames is not None and end * self.fps > self.max_frames * (1 + 1e-9):
            raise StyleganvError(
                f"{self.name} {self.why_max_frames}, so its videos must end within {self.max_frames / self.fps:g} "
                "seconds: choose an earlier start and fewer seconds."
            )

    def _times(self, start: float, fps: float) -> Iterator[float]:
        """Times of an endless video in frames of the data."""
        ticks = Fraction(self.fps) * TICKS
        first, step = Fraction(start) * ticks, ticks / Fraction(fps)
        return (round(first + i * step) / TICKS for i in count())

    def class_of(self, seed: int) -> int:
        """The class of a conditional model's video where no label is given."""
        return noise.uniform_integer(seed, noise.CLASS, self.num_classes)

    def class_index(self, seed: int, label: str | int | None = None) -> int | None:
        """The number of a video's class: as asked, by name or number, else the seed's own; None without classes.

        Raises:
            StyleganvError: for an unknown class, or any in a model without.
        """
        return self._index(self.class_of(seed) if label is None and self.num_classes else label)

    def _index(self, label: str | int | None) -> int | None:
        classes = self.num_classes
        if not classes:
            if label is not None:
                raise StyleganvError(f"This model has no classes: leave out the label {label}.")
            return None
        if label is None:
            raise StyleganvError("This model has classes: give the video a label.")
        if label in self.class_names:
            return self.class_names.index(str(label))
        index = int(label) if re.fullmatch(r"[0-9]+", str(label)) else -1
        if not 0 <= index < classes:
            known = ", ".join(self.class_names) or "none by name"
            raise StyleganvError(f"Class {label} is not known: choose one of {known}, or 0 to {classes - 1}.")
        return index

    def _one_hot(self, label: str | int | None) -> Tensor | None:
        """`[1, K]` on the CPU; None for an unconditional model."""
        index = self._index(label)
        return None if index is None else torch.eye(self.num_classes)[[index]]


def check_psi(psi: float) -> None:
    if not math.isfinite(psi):
        raise StyleganvError(f"Truncation psi cannot be {psi:g}: choose 1 (none) to 0 (the mean content).")


def levels(frames: Tensor) -> Frame:
    """Pictures `[N, 3, H, W]` in −1..1 on any device → uint8 `[N, H, W, 3]`."""
    rounded = (frames * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    return rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def exactly() -> AbstractContextManager[None]:
    """No algorithm chosen by speed, or that adds in any order: frames must not depend on the run."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The device of that name; None: the GPU of this process, or the CPU. Raises StyleganvError if there is none."""
    try:
        chosen = torch.device(device or distributed.local_device())
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise StyleganvError(f"Device {device} is not to be had here: choose cpu, or cuda with a GPU.") from error
    return chosen


def working_precision(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of convolutions: as asked, and for "auto" bfloat16 where the machine has instructions for it."""
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
