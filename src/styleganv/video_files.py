"""From a model to files: a video for each seed, or the grid of all contents with all motions, in constant memory.

Shapes: T frames, H height, W width, M motions, N contents.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from styleganv import distributed
from styleganv.errors import StyleganvError
from styleganv.media import sheets, writing
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import Frame, Precision, by_chunk

Format = Literal["mp4", "gif", "webp", "frames", "grid"]

#: Pictures of each video that the still content/motion grid chooses from.
GRID_STILLS = 16


def generate(
    model: Path | str,
    out: Path | str,
    *,
    seeds: Sequence[int],
    seconds: float | None = None,
    fps: float | None = None,
    start: float = 0.0,
    psi: float = 1.0,
    label: str | int | None = None,
    motion_seeds: Sequence[int] | None = None,
    format: Format = "mp4",
    device: str | None = None,
    precision: Precision = "float32",
    scale: int = 1,
    quality: int = 18,
) -> list[Path]:
    """Write one video for each seed into the folder `out`, in constant memory; see `VideoGenerator.sample`.

    Processes under `torchrun` share the seeds, and each writes and returns its own (a grid is one process's work).

    Args:
        seconds: 5 where left out, or what is left of a model's videos if less.
        motion_seeds: one for each of `seeds`; with "grid" any number, and all combinations are shown.
        format: "frames" makes a folder of PNGs; "grid" one `grid.mp4` and one `grid.png` of all videos, one
            content a column, one motion a row.
        scale: each pixel becomes a square of this many pixels a side.
        quality: of mp4 and webp, 0 (best) to 51.

    Returns:
        What was written: `seed0003.mp4`, or `seed0003-motion0007.mp4` where motion seeds are given.

    Raises:
        StyleganvError: for a value out of range, a model that cannot be read, a disk that is full.
    """
    if not seeds or (motion_seeds is not None and not motion_seeds):
        raise StyleganvError("There are no seeds: give at least one, such as 0-7.")
    if format not in ("mp4", "gif", "webp", "frames", "grid"):
        raise StyleganvError(f"Format {format} is not known: choose mp4, gif, webp, frames or grid.")
    if scale < 1:
        raise StyleganvError(f"Scale cannot be {scale}: choose 1 or more.")
    if motion_seeds is not None and format != "grid" and len(motion_seeds) != len(seeds):
        raise StyleganvError(
            f"There are {len(seeds)} seeds and {len(motion_seeds)} motion seeds: give as many of each, or "
            "choose format grid for all combinations."
        )
    videos, out = load(model, device=device, precision=precision), Path(out)
    if format == "grid" and not videos.motion_seeds:
        raise StyleganvError(
            f"{videos.name} has no motion apart from content, so there is no grid of the two: choose another format."
        )
    if seconds is None:
        seconds = 5.0 if videos.max_frames is None else min(5.0, videos.max_frames / videos.fps - start)
    rate, total = fps or videos.fps, videos.num_frames(seconds, fps)

    def frames(seed: int, motion_seed: int | None) -> Iterator[Frame]:
        return videos.stream(
            seed=seed, motion_seed=motion_seed, start=start, seconds=seconds, fps=fps, psi=psi, label=label
        )

    if format == "grid":
        if not distributed.share([out]):  # the first process writes it
            return []
        motions = seeds if motion_seeds is None else motion_seeds
        streams = [[frames(seed, motion) for seed in seeds] for motion in motions]
        return _write_grid(out, streams, total, rate, scale=scale, quality=quality)
    pairs = distributed.share(list(zip(seeds, motion_seeds or repeat(None), strict=False)))
    paths = []
    with tqdm(total=len(pairs) * total, unit="frame", desc="generating") as bar:
        for seed, motion in pairs:
            name = f"seed{seed:04d}" + ("" if motion is None else f"-motion{motion:04d}")
            shown = (_counted(bar, frame).repeat(scale, 0).repeat(scale, 1) for frame in frames(seed, motion))
            if format == "frames":
                paths.append(out / name)
                writing.write_frames(paths[-1], shown)
            else:
                paths.append(out / f"{name}.{format}")
                writing.write_video(paths[-1], shown, rate, quality=quality)
    return paths


def _write_grid(
    out: Path, streams: list[list[Iterator[Frame]]], total: int, fps: float, *, scale: int, quality: int
) -> list[Path]:
    """`streams` of `total` frames, M rows of N, as `grid.mp4` and `grid.png`."""
    streams = [[by_chunk(stream) for stream in row] for row in streams]
    kept = set(np.linspace(0, total - 1, min(total, GRID_STILLS)).round().astype(int).tolist())
    stills: list[Frame] = []

    def pictures(bar: tqdm) -> Iterator[Frame]:
        for t in range(total):
            cells = np.stack([np.stack([next(stream) for stream in row]) for row in streams])
            if t in kept:
                stills.append(cells)
            yield sheets.tile(_counted(bar, cells), scale=scale)

    with tqdm(total=total, unit="frame", desc="generating") as bar:
        writing.write_video(out / "grid.mp4", pictures(bar), fps, quality=quality)
    writing.write_image(out / "grid.png", sheets.content_motion_grid(np.stack(stills, axis=2)))
    return [out / "grid.mp4", out / "grid.png"]


def _counted(bar: tqdm, picture: Frame) -> Frame:
    bar.update()
    return picture


def parse_seeds(text: str, what: str = "Seeds") -> list[int]:
    """`"0-7,12"` → `[0, 1, …, 7, 12]`.

    Raises:
        StyleganvError: if the text is not a list of numbers and rising ranges.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise StyleganvError(f"{what} cannot be read from {text!r}: write numbers and ranges, such as 0-7,12.")
        seeds.extend(range(first, last + 1))
    return seeds
