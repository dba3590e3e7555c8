"""From a model to files: a video for each seed, or the grid of all contents with all motions, in constant memory.

Shapes: T frames, H height, W width, M motions, N contents.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from tqdm import tqdm

from styleganv import distributed
from styleganv.errors import StyleganvError
from styleganv.media import sheets, writing
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import Frame, by_chunk
from styleganv.options import ComputeOptions, OutputOptions, SampleOptions
from styleganv.video_model import VideoModel

Format = Literal["mp4", "gif", "webp", "frames", "grid"]

#: Pictures of each video that the still content/motion grid chooses from.
GRID_STILLS = 16


def generate(
    model: Path | str,
    out: Path | str,
    *,
    seeds: Sequence[int],
    motion_seeds: Sequence[int] | None = None,
    format: Format = "mp4",
    sample: SampleOptions = SampleOptions(),
    compute: ComputeOptions = ComputeOptions(),
    output: OutputOptions = OutputOptions(),
) -> list[Path]:
    """Write one video per seed into the folder `out`, in constant memory; see `VideoModel.sample`.

    Processes under `torchrun` share the seeds, and each writes and returns its own (a grid is one process's work).

    Args:
        motion_seeds: one for each of `seeds`; with "grid" any number, and all combinations are shown.
        format: "frames" makes a folder of PNGs; "grid" one `grid.mp4` and one `grid.png` of all videos, one
            content per column, one motion per row.

    Returns:
        What was written: `seed0003.mp4`, or `seed0003-motion0007.mp4` where motion seeds are given.

    Raises:
        StyleganvError: for a value out of range, a model that cannot be read, a disk that is full.
    """
    _check(seeds, motion_seeds, format)
    videos, out = load(model, device=compute.device, precision=compute.precision), Path(out)
    if format == "grid" and not videos.motion_seeds:
        raise StyleganvError(
            f"{videos.name} has no motion apart from content, so there is no grid of the two: choose another format."
        )
    seconds = duration(videos, sample)
    rate, total = sample.fps or videos.fps, videos.num_frames(seconds, sample.fps)

    def frames(seed: int, motion_seed: int | None) -> Iterator[Frame]:
        return videos.stream(
            seed=seed,
            motion_seed=motion_seed,
            start=sample.start,
            seconds=seconds,
            fps=sample.fps,
            psi=sample.psi,
            label=sample.label,
        )

    if format == "grid":
        if not distributed.shard([out]):  # the first process writes it
            return []
        motions = seeds if motion_seeds is None else motion_seeds
        streams = [[frames(seed, motion) for seed in seeds] for motion in motions]
        return _write_grid(out, streams, total, rate, output)
    pairs = distributed.shard(list(zip(seeds, motion_seeds or repeat(None), strict=False)))
    paths = []
    with tqdm(total=len(pairs) * total, unit="frame", desc="generating") as bar:
        for seed, motion in pairs:
            name = f"seed{seed:04d}" + ("" if motion is None else f"-motion{motion:04d}")
            shown = (
                _counted(bar, frame).repeat(output.scale, 0).repeat(output.scale, 1) for frame in frames(seed, motion)
            )
            if format == "frames":
                paths.append(out / name)
                writing.write_frames(paths[-1], shown)
            else:
                paths.append(out / f"{name}.{format}")
                writing.write_video(paths[-1], shown, rate, crf=output.crf)
    return paths


def _check(seeds: Sequence[int], motion_seeds: Sequence[int] | None, format: str) -> None:
    if not seeds or (motion_seeds is not None and not motion_seeds):
        raise StyleganvError("There are no seeds: give at least one, such as 0-7.")
    if format not in get_args(Format):
        raise StyleganvError(f"Format {format} is not known: choose mp4, gif, webp, frames or grid.")
    if motion_seeds is not None and format != "grid" and len(motion_seeds) != len(seeds):
        raise StyleganvError(
            f"There are {len(seeds)} seeds and {len(motion_seeds)} motion seeds: give as many of each, or "
            "choose format grid for all combinations."
        )


def duration(videos: VideoModel, sample: SampleOptions) -> float:
    """Seconds of a video: those asked for, or 5, or what is left of the model's videos if less."""
    if sample.seconds is not None:
        return sample.seconds
    return 5.0 if videos.max_frames is None else min(5.0, videos.max_frames / videos.fps - sample.start)


def _write_grid(
    out: Path, streams: list[list[Iterator[Frame]]], total: int, fps: float, output: OutputOptions
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
            yield sheets.tile(_counted(bar, cells), scale=output.scale)

    with tqdm(total=total, unit="frame", desc="generating") as bar:
        writing.write_video(out / "grid.mp4", pictures(bar), fps, crf=output.crf)
    writing.write_image(out / "grid.png", sheets.content_motion_grid(np.stack(stills, axis=2)))
    return [out / "grid.mp4", out / "grid.png"]


def _counted(bar: tqdm, picture: Frame) -> Frame:
    bar.update()
    return picture
