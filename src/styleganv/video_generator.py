"""Videos from a model: any length, any frame rate, any start, in constant memory; same seed, same video.

    seed ──▶ z, class ──▶ w ───────────────────────────────┐
    motion seed ──▶ noise of slots ──▶ codes u ──▶ v(time) ──▶ synthesis ──▶ uint8 frames

Motion is computed on the CPU in float64, frame by frame from codes that each belong to one slot; synthesis always
sees `CHUNK` frames. So a frame depends on nothing but its seeds and its time.

Shapes: T frames, H height, W width, M motions, N contents, K classes, L style layers, U code width.
Times are in seconds of the data's clock outside, in frames of the data inside.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from fractions import Fraction
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal
from weakref import WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from styleganv import distributed, noise
from styleganv.errors import StyleganvError
from styleganv.models import Generator
from styleganv.models.folded import FoldedSynthesis
from styleganv.models.folder import load_model
from styleganv.models.motion import RecurrentMotion, SlotNoise, code_at_time

Frame = NDArray[np.uint8]
Precision = Literal["float32", "bfloat16"]
#: A style for each layer `[L, w_dim]`, or a function from seconds to them.
Styles = Tensor | Callable[[float], Tensor]

#: Frames in a call of the synthesis network.
CHUNK = 8
#: Times are whole multiples of 1/TICKS of a frame, so that rounding cannot tell two ways to an instant apart.
TICKS = 2**20
#: Beyond this many frames float64 no longer holds every tick.
MAX_FRAMES = 2**33
#: A recurrent motion walks through all frames before the one asked for.
MAX_RECURRENT_FRAMES = 20_000


def load(
    path: Path | str, *, device: str | torch.device | None = None, precision: Precision = "float32"
) -> "VideoGenerator":
    """The model in a model folder or a training run, ready to sample; on a GPU if there is one, unless told.

    Raises:
        StyleganvError: if `path` holds no model, or a damaged one, or the device or precision is unknown.
    """
    generator, config = load_model(path)
    try:
        fps, class_names = float(config["data"]["fps"]), list(config["data"]["class_names"])
    except (KeyError, TypeError, ValueError) as error:
        raise StyleganvError(
            f"The config.json of the model in {path} lacks a valid fps or class_names under data: "
            "copy or train it again."
        ) from error
    return VideoGenerator(
        generator, fps=fps, class_names=class_names, device=device, precision=precision, config=config
    )


class VideoGenerator:
    """A trained generator as a source of videos.

    Attributes:
        fps: frames a second of the data it learned from.
        height, width: of a frame, in pixels.
        class_names: of a class-conditional model, else empty.
        config: the model folder's `config.json`.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        fps: float,
        class_names: Sequence[str] = (),
        device: str | torch.device | None = None,
        precision: Precision = "float32",
        config: dict[str, Any] | None = None,
    ) -> None:
        """Moves the generator's mapping and synthesis to the device; its motion network is copied and stays on
        the CPU, whose float64 some devices lack."""
        if precision not in ("float32", "bfloat16"):
            raise StyleganvError(f"Precision {precision} is not known: choose float32 or bfloat16.")
        self.device, self.precision = chosen_device(device), precision
        self.generator = generator
        for part in (generator.mapping, generator.synthesis):
            part.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.height, self.width = generator.height, generator.width
        self.fps, self.config = fps, config or {}
        self.class_names = list(class_names) if generator.num_classes else []
        # Videos of one content that are generated side by side (a grid) share their folded network.
        self._folded: WeakValueDictionary[bytes, FoldedSynthesis] = WeakValueDictionary()
        self._motion = deepcopy(generator.motion)
        if self._motion is not None:
            self._motion.cpu().double()

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
        return self.render(
            self.style(seed, psi=psi, label=label),
            seed if motion_seed is None else motion_seed,
            label=self.class_index(seed, label),
            start=start,
            seconds=seconds,
            fps=fps,
        )

    def style(self, seed: int, *, psi: float = 1.0, label: str | int | None = None) -> Tensor:
        """The content of a seed: a style for each layer, `[L, w_dim]` on the device (all alike).

        Raises:
            StyleganvError: for an unknown class or a psi that is no number.
        """
        if not math.isfinite(psi):
            raise StyleganvError(f"Truncation psi cannot be {psi:g}: choose 1 (none) to 0 (the mean content).")
        w = self._style(seed, self._one_hot(self.class_index(seed, label)), psi)
        return w.expand(self.generator.synthesis.num_styles, -1)

    def render(
        self,
        styles: Styles,
        motion: int | SlotNoise,
        *,
        label: str | int | None = None,
        shift: Tensor | None = None,
        clock: Callable[[float], float] | None = None,
        start: float = 0.0,
        seconds: float | None = None,
        fps: float | None = None,
    ) -> Iterator[Frame]:
        """Frames `[H, W, 3]` of any content under any motion, in constant memory: what editing is made of.

        Args:
            styles: `[L, w_dim]`, a style for each layer; or a function from the seconds of the video to them, for a
                content that changes (slower, as nothing can be folded).
            motion: a motion seed, or the noise of each slot.
            label: class name or number; a conditional model's motion depends on it too.
            shift: `[U]`, added to every motion code u.
            clock: from the seconds of the video to those of the motion, ≥ 0; the same where left out.
            start, seconds, fps: as for `sample`; endless where `seconds` is left out.
        """
        total = None if seconds is None else self.num_frames(seconds, fps)
        self._check(start, seconds)
        times = islice(self._times(start, self._rate(fps)), total)
        slot_noise = self._slot_noise(motion) if isinstance(motion, int) else motion
        code_at = None
        if self._motion is not None and slot_noise is not None:
            code_at = code_at_time(self._motion, slot_noise, self._one_hot(label), shift)
        return self._frames(styles, times, clock, code_at)

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

    def _check(self, start: float, seconds: float | None) -> None:
        if not 0 <= start * self.fps <= MAX_FRAMES:
            raise StyleganvError(f"A video cannot start at {start:g} seconds: choose 0 to {MAX_FRAMES / self.fps:.3g}.")
        end = math.inf if seconds is None else start + seconds
        if isinstance(self._motion, RecurrentMotion) and end * self.fps > MAX_RECURRENT_FRAMES:
            raise StyleganvError(
                f"This model's lstm motion walks through all earlier frames, so its videos must end within "
                f"{MAX_RECURRENT_FRAMES / self.fps:g} seconds: choose an earlier start and fewer seconds."
            )

    def _times(self, start: float, fps: float) -> Iterator[float]:
        """Times of an endless video in frames of the data."""
        ticks = Fraction(self.fps) * TICKS
        first, step = Fraction(start) * ticks, ticks / Fraction(fps)
        return (round(first + i * step) / TICKS for i in count())

    def class_of(self, seed: int) -> int:
        """The class of a conditional model's video where no label is given."""
        return noise.uniform_integer(seed, noise.CLASS, self.generator.num_classes)

    def class_index(self, seed: int, label: str | int | None = None) -> int | None:
        """The number of a video's class: as asked, by name or number, else the seed's own; None without classes.

        Raises:
            StyleganvError: for an unknown class, or any in a model without.
        """
        return self._index(self.class_of(seed) if label is None and self.generator.num_classes else label)

    def _index(self, label: str | int | None) -> int | None:
        classes = self.generator.num_classes
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
        return None if index is None else torch.eye(self.generator.num_classes)[[index]]

    @torch.inference_mode()
    def _style(self, seed: int, one_hot: Tensor | None, psi: float) -> Tensor:
        """w `[w_dim]` on the device."""
        z = torch.from_numpy(noise.normal(seed, noise.CONTENT, 0, self.generator.z_dim))[None].to(self.device)
        label = None if one_hot is None else one_hot.to(self.device)
        return self.generator.mapping(z, label, psi=psi)[0]

    @torch.inference_mode()
    def _folded_for(self, styles: Tensor) -> FoldedSynthesis:
        key = styles.cpu().contiguous().numpy().tobytes()
        folded = self._folded.get(key)
        if folded is None:
            synthesis, styles = self.generator.synthesis, styles.to(self.device)
            dtype = torch.bfloat16 if self.precision == "bfloat16" else torch.float32
            with self._memory_suffices():
                folded = FoldedSynthesis(synthesis, styles, dtype=dtype)
            self._folded[key] = folded
        return folded

    def _slot_noise(self, seed: int) -> SlotNoise | None:
        return None if self._motion is None else noise.SeededNoise([seed], self._motion.noise_dim)

    def _frames(
        self,
        styles: Styles,
        times: Iterator[float],
        clock: Callable[[float], float] | None,
        code_at: Callable[[float], Tensor] | None,
    ) -> Iterator[Frame]:
        synthesis = self._folded_for(styles) if isinstance(styles, Tensor) else None
        if code_at is None and synthesis is not None:
            picture = self._synthesize(synthesis, None)[0]
            yield from (picture.copy() for _ in times)
            return
        while chunk := list(islice(times, CHUNK)):
            padded = chunk + chunk[-1:] * (CHUNK - len(chunk))
            codes = None
            if code_at is not None:
                moments = padded if clock is None else [self._tick(clock(time / self.fps)) for time in padded]
                with torch.inference_mode():
                    codes = torch.stack([code_at(moment) for moment in moments])
            if synthesis is not None:
                yield from self._synthesize(synthesis, codes)[: len(chunk)]
            elif not isinstance(styles, Tensor):
                each = torch.stack([styles(time / self.fps) for time in padded]).to(self.device)
                yield from self._synthesize(partial(self._unfolded, each), codes)[: len(chunk)]

    def _tick(self, seconds: float) -> float:
        """Seconds of the motion in frames of the data, a whole number of ticks."""
        time = round(seconds * self.fps * TICKS) / TICKS
        if not 0 <= time <= MAX_FRAMES:
            raise StyleganvError(f"Motion cannot be at {seconds:g} seconds: choose 0 to {MAX_FRAMES / self.fps:.3g}.")
        return time

    def _unfolded(self, styles: Tensor, codes: Tensor | None) -> Tensor:
        """Frames `[T, 3, H, W]`, each of its own `styles [T, L, w_dim]`."""
        half = self.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self.generator.synthesis(styles, None if codes is None else codes[:, None])[:, 0]

    @torch.inference_mode()
    def _synthesize(self, synthesis: Callable[[Tensor | None], Tensor], codes: Tensor | None) -> Frame:
        """Codes `[CHUNK, v_dim]` on the CPU → uint8 `[CHUNK, H, W, 3]`; None gives an image model's one."""
        # Algorithms chosen by speed, or that add in any order, would let a frame depend on the run.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with exact, self._memory_suffices():
            frames = synthesis(None if codes is None else codes.to(self.device))
        levels = (frames * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
        return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    @contextmanager
    def _memory_suffices(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise StyleganvError(
                f"The memory of {self.device} is full: stop other programs on it, choose precision bfloat16, "
                "or device cpu."
            ) from error


def chosen_device(device: str | torch.device | None) -> torch.device:
    """The device of that name; None: the GPU of this process, or the CPU. Raises StyleganvError if there is none."""
    try:
        chosen = torch.device(device or distributed.local_device())
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise StyleganvError(f"Device {device} is not to be had here: choose cpu, or cuda with a GPU.") from error
    return chosen
