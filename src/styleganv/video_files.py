"""Video files of a model: one video per seed, or a grid of content and motion seeds, in constant memory.

Shapes: T frames, H height, W width, M motion seeds, N content seeds.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Literal

import numpy as np

from styleganv import distributed
from styleganv.errors import StyleganvError
from styleganv.files import check_destination
from styleganv.media import sheets, writing
from styleganv.media.enlarging import enlarge, enlarge_each, enlarge_grid, watchable_scale
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import buffer_chunks
from styleganv.options import ComputeOptions, OutputOptions, SampleOptions, check_count
from styleganv.progress import Progress, Stage, track
from styleganv.validation import Seed, check_arguments
from styleganv.video_model import Frame, VideoModel

logger = logging.getLogger(__name__)

Format = Literal["mp4", "webm", "mov", "gif", "webp", "frames", "grid"]

#: Number of videos whose destinations are checked before the first one; others are checked when it is their turn.
MAX_CHECKED = 10_000
#: Frames of each video from which the image of a grid chooses.
MAX_GRID_FRAMES = 16


@check_arguments
def generate(
    model: Path | str,
    out: Path | str,
    *,
    seeds: Sequence[Seed],
    motion_seeds: Sequence[Seed] | None = None,
    format: Format = "mp4",
    sample: SampleOptions = SampleOptions(),
    compute: ComputeOptions = ComputeOptions(),
    output: OutputOptions = OutputOptions(),
    progress: Progress | None = None,
) -> list[Path]:
    """Write one video per seed into the folder `out`, in constant memory; see `VideoModel.sample`.

    Processes under `torchrun` split the seeds; each writes and returns its own videos. One process writes a grid.

    Args:
        model: model folder, run, or name of a pretrained model.
        motion_seeds: one per content seed; for a grid any number, which are combined with all content seeds.
        format: one of `media.writing.FORMATS`, or grid. "frames" writes a folder of PNGs per video, by default not
            enlarged; "grid" writes one `grid.mp4` and one `grid.png` of all videos, with one content seed per column
            and one motion seed per row.
        sample, compute, output: see the classes.

    Returns:
        The files written: `seed0003.mp4`, or e.g. `seed0003-motion0007-label-cats-psi0.7-start60.mp4` with options that
        select another video. Duration, frame rate and quality are not part of the name.

    Raises:
        StyleganvError: for a value out of range, an unreadable model, an existing file or a full disk.
    """
    _check(seeds, motion_seeds, format)
    is_grid, suffix = format == "grid", _name_suffix(sample)
    grid = [Path(out) / f"grid{suffix}{extension}" for extension in (".mp4", ".png")]
    if is_grid and not distributed.shard(grid[:1]):  # the first process writes it
        return []
    extension = "" if is_grid else writing.FORMATS[format].suffix
    contents = None if is_grid or extension else writing.FRAME_FILES

    def videos() -> Iterator[tuple[int, int | None, Path]]:
        """Yield the seeds and the path of each video of this process; there can be more of them than fit in memory."""
        motions = repeat(None) if motion_seeds is None else distributed.shard(motion_seeds)
        seen = set()
        for seed, motion in zip(distributed.shard(seeds), motions, strict=False):
            if (seed, motion) not in seen:  # a list may name a seed twice
                seen.add((seed, motion))
                name = f"seed{seed:04d}" + ("" if motion is None else f"-motion{motion:04d}")
                yield seed, motion, Path(out) / f"{name}{suffix}{extension}"

    destinations = grid if is_grid else [path for _, _, path in islice(videos(), MAX_CHECKED)]
    check_destination(*destinations, overwrite=output.overwrite, contents=contents)
    if not output.overwrite and Path(out).exists() and any(Path(out).iterdir()):
        logger.info(f"{out} already exists: its files are kept.")
    video_model = load(model, device=compute.device, precision=compute.precision)
    if is_grid and not video_model.supports_motion_seed:
        raise StyleganvError(
            f"Format grid requires motion seeds, which {video_model.name} does not support: use another format."
        )
    seconds = choose_seconds(video_model, sample)
    fps, num_frames = sample.fps or video_model.fps, video_model.num_frames(seconds, sample.fps)

    stream = partial(
        video_model.stream,
        start=sample.start,
        seconds=seconds,
        fps=sample.fps,
        psi=sample.psi,
        label=sample.label,
        loop=sample.loop,
    )
    if is_grid:
        motions = seeds if motion_seeds is None else motion_seeds
        images = _grid_images([[stream(seed=seed, motion_seed=motion) for seed in seeds] for motion in motions])
        return _write_grid(grid, track(images, progress, num_frames, "generating"), num_frames, fps, output)
    scale = choose_scale(video_model, output, is_folder=format == "frames")
    stage = Stage(progress, len(distributed.shard(seeds)) * num_frames, "generating")
    paths = []
    for seed, motion, path in videos():
        enlarged = _enlarge_all(stream(seed=seed, motion_seed=motion), scale, stage)
        if format == "frames":  # its name may contain a dot
            writing.write_frames(path, enlarged, overwrite=output.overwrite)
        else:
            writing.write_video(path, enlarged, fps, crf=output.crf, overwrite=output.overwrite)
        paths.append(path)
    return paths


def _name_suffix(sample: SampleOptions) -> str:
    """Return the part of file names that tells which video of the seeds it is; empty for the default."""
    label = "" if sample.label is None else "-label-" + (re.sub(r"[^\w.-]+", "_", str(sample.label))[:50] or "none")
    psi = "" if sample.psi == 1 else f"-psi{sample.psi:.12g}"
    start = "" if sample.start == 0 else f"-start{sample.start:.12g}"
    return label + psi + start + ("-loop" if sample.loop else "")


def _check(seeds: Sequence[int], motion_seeds: Sequence[int] | None, format: str) -> None:
    if not seeds or (motion_seeds is not None and not motion_seeds):
        raise StyleganvError("Generation requires at least one seed, got none: pass seeds, e.g. 0-7.")
    check_count("--seeds", len(seeds) * len(motion_seeds or seeds if format == "grid" else [0]))
    if motion_seeds is not None and format != "grid" and len(motion_seeds) != len(seeds):
        raise StyleganvError(
            f"Motion seeds must match seeds one to one, got {len(motion_seeds)} for {len(seeds)}: pass as many of "
            "each, or format grid for all combinations."
        )


def choose_seconds(model: VideoModel, sample: SampleOptions) -> float:
    """Return the duration that `sample` requests; by default 5 seconds, or what is left of the model's videos."""
    if sample.seconds is not None:
        return sample.seconds
    return 5.0 if model.max_frames is None else min(5.0, model.max_frames / model.fps - sample.start)


def choose_scale(model: VideoModel, output: OutputOptions, *, is_folder: bool) -> int:
    """Return the enlargement that `output` requests; by default to a watchable size, and none for a folder of PNGs."""
    return output.scale or (1 if is_folder else watchable_scale(model.height, model.width))


def _enlarge_all(frames: Iterator[Frame], scale: int, stage: Stage) -> Iterator[Frame]:
    for frame in frames:
        yield enlarge(frame, scale)
        stage.advance()


def _grid_images(streams: list[list[Iterator[Frame]]]) -> Iterator[Frame]:
    """Yield the cells `[M, N, H, W, 3]` of each time."""
    rows = [zip(*map(buffer_chunks, row), strict=True) for row in streams]
    return (np.stack([np.stack(cells) for cells in column]) for column in zip(*rows, strict=True))


def _write_grid(
    paths: list[Path], images: Iterator[Frame], num_frames: int, fps: float, output: OutputOptions
) -> list[Path]:
    """Write the cells `[M, N, H, W, 3]` of each time as the first path, a video, and some as the second, an image."""
    chosen = set(np.linspace(0, num_frames - 1, min(num_frames, MAX_GRID_FRAMES)).round().astype(int).tolist())
    chosen_cells: list[Frame] = []

    def tiles() -> Iterator[Frame]:
        for t, cells in enumerate(images):
            if t in chosen:
                chosen_cells.append(cells)
            yield sheets.tile(enlarge_each(cells, output.scale) if output.scale else enlarge_grid(cells))

    video, image = paths
    writing.write_video(video, tiles(), fps, crf=output.crf, overwrite=output.overwrite)
    sheet = sheets.content_motion_grid(np.stack(chosen_cells, axis=2))
    writing.write_image(image, sheet, overwrite=output.overwrite)
    return paths
