"""From a model folder to videos: any length, frame rate and start, in constant memory.

    seed ──▶ w, once for the whole video ──────────────┐
    motion seed, times ──▶ v(t), float64 on the CPU ──▶ synthesis, a few frames at a time ──▶ frames

The same seed gives the same video, whatever is asked for before, beside or after it: noise is addressed by slot
number, and every network call has the same number of frames. Times are in seconds of the data's own clock here
and in frames inside the model. Shapes: T frames, H height, W width, M motions, N contents.
"""

import contextlib
import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from styleganv import render
from styleganv.errors import StyleganvError
from styleganv.models import Generator
from styleganv.models.folder import load_model
from styleganv.models.motion import RecurrentMotion
from styleganv.noise import CLASS, CONTENT, SeededNoise, normal, uniform_integer

FRAMES_A_CALL = 8
# Times are multiples of 2⁻²⁰ frames, so that an instant is the same number however it was reached.
TIME_GRID = 2.0**20
LONGEST_RECURRENT = 20_000

Format = Literal["mp4", "gif", "webp", "frames", "grid"]


@dataclass(frozen=True)
class _Times:
    """Frame i of a video is at `start + i / fps` seconds, for i below `count` (None: endless)."""

    start: float
    fps: float
    count: int | None

    def in_frames(self, first: int, number: int, data_fps: float) -> Tensor:
        """The times of frames `first … first + number − 1` in frames of the data: `[number]` float64."""
        index = torch.arange(first, first + number, dtype=torch.float64)
        times = self.start * data_fps + index * (data_fps / self.fps)
        return torch.round(times * TIME_GRID) / TIME_GRID


class VideoGenerator:
    """Endless videos from seeds. `fps`, `height`, `width` and `class_names` are those of the training data."""

    def __init__(
        self,
        generator: Generator,
        *,
        fps: float,
        class_names: Sequence[str] = (),
        device: torch.device | str = "cpu",
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        self.fps, self.class_names = fps, list(class_names)
        self.height, self.width = generator.height, generator.width
        self.device, self.precision = torch.device(device), precision
        self.num_classes, self.z_dim = generator.num_classes, generator.z_dim
        # In float64 a code is the same in whatever company it is computed; in float32 the phases at t = 10⁷
        # would be wrong by radians. On the CPU because it costs little and some devices have no float64.
        self.motion = None if generator.motion is None else copy.deepcopy(generator.motion).cpu().double()
        self.mapping = generator.mapping.to(self.device)
        synthesis: Any = generator.synthesis.to(self.device)
        self.synthesis = synthesis.to(memory_format=torch.channels_last)

    def sample(
        self,
        *,
        seed: int,
        seconds: float,
        motion_seed: int | None = None,
        start: float = 0.0,
        fps: float | None = None,
        psi: float = 1.0,
        label: str | int | None = None,
    ) -> np.ndarray:
        """A whole video as uint8 `[T, H, W, 3]`, T = seconds · fps; arguments as for `stream`."""
        frames = self.stream(
            seed=seed, motion_seed=motion_seed, start=start, seconds=seconds, fps=fps, psi=psi, label=label
        )
        return np.stack(list(frames))

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
    ) -> Iterator[np.ndarray]:
        """The frames of a video one by one, in constant memory.

        Args:
            seed: of the content, and of the motion unless `motion_seed` is given.
            start, seconds: in seconds of the data's clock; endless where `seconds` is None.
            fps: frames a second, the data's where None; any rate shows the same motion.
            psi: truncation; 1 none, 0 the mean content.
            label: class name or number for a class-conditional model; None draws it from the seed.

        Returns:
            an iterator of uint8 `[H, W, 3]`.

        Raises:
            StyleganvError: (at once, not at the first frame) for a value out of range.
        """
        times = self._checked_times(start, seconds, fps)
        if not math.isfinite(psi):
            raise StyleganvError(f"psi is {psi}: give a finite number, such as 0.7.")
        one_hot = self._one_hot(seed, label)
        return self._frames(
            times, self._style(seed, one_hot, psi), seed if motion_seed is None else motion_seed, one_hot
        )

    def grid(
        self,
        content_seeds: Sequence[int],
        motion_seeds: Sequence[int],
        *,
        seconds: float,
        start: float = 0.0,
        fps: float | None = None,
        psi: float = 1.0,
        label: str | int | None = None,
    ) -> np.ndarray:
        """Every content with every motion: uint8 `[M, N, T, H, W, 3]`, one motion a row, one content a column."""
        return np.stack(
            [
                np.stack(
                    [
                        self.sample(seed=c, motion_seed=m, seconds=seconds, start=start, fps=fps, psi=psi, label=label)
                        for c in content_seeds
                    ]
                )
                for m in motion_seeds
            ]
        )

    def num_frames(self, seconds: float, fps: float | None = None) -> int:
        """Frames of a video of that length: at least one."""
        return max(1, round(seconds * (self.fps if fps is None else fps)))

    def _checked_times(self, start: float, seconds: float | None, fps: float | None) -> _Times:
        fps = self.fps if fps is None else fps
        for name, value, fine in (
            ("fps", fps, fps > 0),
            ("start", start, start >= 0),
            ("seconds", seconds, seconds is None or seconds > 0),
        ):
            if not fine or (value is not None and not math.isfinite(value)):
                limit = "0 or more" if name == "start" else "more than 0"
                raise StyleganvError(f"{name} is {value}: give a number, {limit}.")
        last = math.inf if seconds is None else (start + seconds) * self.fps
        if isinstance(self.motion, RecurrentMotion) and last > LONGEST_RECURRENT:
            raise StyleganvError(
                f"A model with LSTM motion walks through every frame from 0 on: stay below {LONGEST_RECURRENT} frames "
                f"({LONGEST_RECURRENT / self.fps:.0f} seconds), or use one with motion 'conv'."
            )
        return _Times(start, fps, None if seconds is None else self.num_frames(seconds, fps))

    def _one_hot(self, seed: int, label: str | int | None) -> Tensor | None:
        """`[1, K]` for a class-conditional model."""
        if not self.num_classes:
            if label is not None:
                raise StyleganvError(f"label {label!r} was given, but this model knows no classes: leave it out.")
            return None
        names = self.class_names or [str(i) for i in range(self.num_classes)]
        if label is None:
            index = uniform_integer(seed, CLASS, self.num_classes)
        elif label in names:
            index = names.index(str(label))
        elif str(label).isdecimal() and int(label) < self.num_classes:
            index = int(label)
        else:
            raise StyleganvError(f"There is no class {label!r}: choose one of {', '.join(names)}, or its number.")
        return torch.eye(self.num_classes)[index : index + 1]

    @torch.inference_mode()
    def _style(self, seed: int, one_hot: Tensor | None, psi: float) -> Tensor:
        """w of the whole video, for each style layer: `[1, L, w_dim]`."""
        z = torch.from_numpy(normal(seed, CONTENT, 0, self.z_dim))[None].to(self.device)
        label = None if one_hot is None else one_hot.to(self.device)
        w = self.mapping(z, label, psi=psi)
        return w[:, None].expand(-1, self.synthesis.num_styles, -1)

    def _frames(self, times: _Times, styles: Tensor, motion_seed: int, one_hot: Tensor | None) -> Iterator[np.ndarray]:
        noise = None if self.motion is None else SeededNoise([motion_seed], self.motion.noise_dim)
        first = 0
        while times.count is None or first < times.count:
            # The last call computes beyond the end rather than fewer frames: other sizes round differently.
            frames = self._call(times.in_frames(first, FRAMES_A_CALL, self.fps), styles, noise, one_hot)
            yield from frames if times.count is None else frames[: times.count - first]
            first += FRAMES_A_CALL

    @torch.inference_mode()
    def _call(self, times: Tensor, styles: Tensor, noise: SeededNoise | None, one_hot: Tensor | None) -> np.ndarray:
        codes = None
        if self.motion is not None:
            assert noise is not None
            codes = self.motion(times[None], noise, one_hot).to(self.device, torch.float32)
        autocast = (
            torch.autocast(self.device.type, torch.bfloat16)
            if self.precision == "bfloat16"
            else contextlib.nullcontext()
        )
        with autocast:
            frames = self.synthesis(styles, codes)[0]
        pixels = (frames * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        return pixels.expand(len(times), -1, -1, -1).contiguous().cpu().numpy()


def load(
    path: Path | str,
    *,
    device: torch.device | str | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> VideoGenerator:
    """The video generator of a model folder (or of a training run).

    Args:
        device: the GPU, if there is one, where None.
        precision: of the convolutions; float32 gives the same video on every machine (to rounding).

    Raises:
        StyleganvError: if the folder is no model or damaged.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    generator, config = load_model(path)
    data = config["data"]
    try:
        return VideoGenerator(
            generator, fps=data["fps"], class_names=data["class_names"], device=device, precision=precision
        )
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise StyleganvError(f"The device {device} cannot be used ({reason}): choose cpu or leave it out.") from error


def generate(
    model: Path | str,
    out: Path | str,
    *,
    seeds: Sequence[int],
    seconds: float = 5.0,
    fps: float | None = None,
    start: float = 0.0,
    psi: float = 1.0,
    label: str | int | None = None,
    motion_seeds: Sequence[int] | None = None,
    format: Format = "mp4",
    device: torch.device | str | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    scale: int = 1,
    quality: int = 18,
) -> list[Path]:
    """Write a video for every seed, or the grid of all contents with all motions, into the folder `out`.

    Args:
        seeds: of the contents.
        motion_seeds: one for each content (in a grid: one for each row); the contents' own where None.
        format: "mp4", "gif", "webp", "frames" (a folder of PNGs each), or "grid" (`grid.png` and `grid.mp4`).
        scale: every pixel becomes scale × scale pixels.
        quality: see `render.write_video`.

    Others as for `VideoGenerator.stream`. Returns the paths written.
    """
    out = Path(out)
    if not seeds:
        raise StyleganvError("No seeds were given: give some, such as 0-7.")
    if scale < 1:
        raise StyleganvError(f"scale is {scale}: give 1 or more.")
    videos = load(model, device=device, precision=precision)
    fps = videos.fps if fps is None else fps
    options: dict[str, Any] = {"seconds": seconds, "fps": fps, "start": start, "psi": psi, "label": label}
    if format == "grid":
        grid = videos.grid(seeds, motion_seeds or seeds, **options)
        render.write_image(out / "grid.png", render.content_motion_grid(grid))
        render.write_video(out / "grid.mp4", render.tile_videos(grid, scale=scale), fps, quality=quality)
        return [out / "grid.png", out / "grid.mp4"]
    if motion_seeds is not None and len(motion_seeds) != len(seeds):
        raise StyleganvError(
            f"There are {len(seeds)} seeds and {len(motion_seeds)} motion seeds: give as many of each."
        )
    streams = [
        videos.stream(seed=seed, motion_seed=None if motion_seeds is None else motion_seeds[i], **options)
        for i, seed in enumerate(seeds)
    ]
    paths = []
    with tqdm(total=len(seeds) * videos.num_frames(seconds, fps), desc="generating", unit="frame") as bar:
        for i, (seed, stream) in enumerate(zip(seeds, streams, strict=True)):
            name = f"seed{seed:04d}" + ("" if motion_seeds is None else f"-motion{motion_seeds[i]:04d}")
            frames = _enlarged(stream, scale, bar)
            if format == "frames":
                path = out / name
                render.write_frames(path, frames)
            else:
                path = out / f"{name}.{format}"
                render.write_video(path, frames, fps, quality=quality)
            paths.append(path)
    return paths


def _enlarged(frames: Iterator[np.ndarray], scale: int, bar: tqdm) -> Iterator[np.ndarray]:
    for frame in frames:
        bar.update()
        yield frame.repeat(scale, axis=0).repeat(scale, axis=1)


def parse_seeds(text: str) -> list[int]:
    """Seeds from text: "0-7,12" is 0 … 7 and 12."""
    seeds: list[int] = []
    for part in text.split(","):
        ends = part.strip().split("-")
        if len(ends) > 2 or not all(end.isdecimal() for end in ends) or int(ends[0]) > int(ends[-1]):
            raise StyleganvError(f"Seeds {text!r} are not understood: write them like 0-7 or 1,5,9.")
        seeds.extend(range(int(ends[0]), int(ends[-1]) + 1))
    return seeds
