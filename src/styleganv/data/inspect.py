"""Inspection of a dataset before training: lengths, classes, a contact sheet, suggested settings.

Shapes: V videos, T frames, H W pixels. Motion is measured on reduced frames of at most 64 videos (`reduced.py`).
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from styleganv.config import RunConfig
from styleganv.data.checks import find_problems
from styleganv.data.dataset import VideoDataset, spread
from styleganv.data.reduced import ReducedVideo, read_reduced_videos
from styleganv.files import check_destination
from styleganv.media import sheets, writing
from styleganv.progress import Progress
from styleganv.validation import Interval

SLOT_DISTANCES = Interval(4, 256)
STILL_SLOT_DISTANCE = 16  # if nothing moves; the paper's for faces
USUAL_SPAN = 32  # frames spanned by a training clip in most presets


@dataclass(frozen=True)
class Inspection:
    """Result of `inspect`; `str()` formats it for the user. Lengths and distances are in frames.

    Attributes:
        lengths: number of frames of each video.
        class_counts: number of videos by class; empty without classes.
        labels: what the labels are, with numbers, for the user.
        still: names of the measured videos that do not move, such as damaged or frozen recordings.
        warnings: what makes training fail, each with its remedy; see `checks.find_problems`.
        tau: distance at which two frames of a video differ half as much as distant frames; None if nothing moves.
        slot_distance: suggested distance between motion slots.
        mirror: whether training may mirror clips; `mirror_reason` gives the reason.
        long_enough: fraction of videos with at least the 32 frames that training clips usually span.
    """

    path: Path
    height: int
    width: int
    fps: float
    lengths: tuple[int, ...]
    class_counts: dict[str, int]
    labels: str
    still: tuple[str, ...]
    warnings: tuple[str, ...]
    tau: float | None
    slot_distance: int
    mirror: bool
    mirror_reason: str
    long_enough: float

    def __str__(self) -> str:
        low, middle, high = min(self.lengths), median(self.lengths), max(self.lengths)
        why = "nothing moves, so any value works"
        if self.tau is not None:
            why = f"frames {self.tau:.1f} apart differ half as much as distant ones"
        advice = f"; --max-span {low - 1} or less uses all videos" if self.long_enough < 1 else ""
        lines = [
            f"{self.path}: {len(self.lengths)} videos, {sum(self.lengths)} frames of "
            f"{self.height}x{self.width} (height x width), {self.fps:g} fps",
            f"lengths        {low} to {high} frames, median {middle:g} ({middle / self.fps:.1f} s)",
            f"labels         {self.labels}",
            f"slot distance  {self.slot_distance} frames: {why}",
            f"mirror         {'on' if self.mirror else 'off'}: {self.mirror_reason}",
            f"clip span      {self.long_enough:.0%} of the videos are at least {USUAL_SPAN} frames long, the usual "
            f"span of a training clip{advice}",
        ]
        lines += [f"warning        {warning}" for warning in self.warnings]
        return "\n".join(lines)


def inspect(path: Path | str, *, progress: Progress | None = None) -> Inspection:
    """Measure a dataset and suggest settings, by the rules in `suggest_slot_distance` and `_mirror`.

    Raises:
        StyleganvError: if the path is not a dataset, or a frame is damaged.
    """
    data = VideoDataset(path)
    videos = read_reduced_videos(data, progress)
    tau = _decorrelation_distance(videos)
    mirror, reason = _mirror(videos)
    labels = [video.label for video in data.videos]
    lengths = tuple(video.num_frames for video in data.videos)
    return Inspection(
        path=data.path,
        height=data.height,
        width=data.width,
        fps=data.fps,
        lengths=lengths,
        class_counts=data.labels.count(labels),
        labels=data.labels.summarize(labels),
        still=tuple(video.name for video in videos if video.is_still),
        warnings=tuple(find_problems(data, videos, progress)),
        tau=tau,
        slot_distance=suggest_slot_distance(tau),
        mirror=mirror,
        mirror_reason=reason,
        long_enough=sum(length >= USUAL_SPAN for length in lengths) / len(lengths),
    )


def choose_slot_distance(config: RunConfig, data: VideoDataset) -> RunConfig:
    """Return the settings with a number as slot distance: for `auto`, the one that `inspect` suggests."""
    if config.model.slot_distance != "auto":
        return config
    moves = config.model.motion == "conv"  # other motion has no slots
    distance = suggest_slot_distance(_decorrelation_distance(read_reduced_videos(data)) if moves else None)
    return replace(config, model=replace(config.model, slot_distance=distance))


def write_contact_sheet(
    path: Path | str, dest_png: Path | str, rows: int = 8, columns: int = 8, *, overwrite: bool = False
) -> None:
    """Write a PNG of `rows` videos across the dataset, at `columns` evenly spaced times.

    Raises:
        StyleganvError: if the path is not a dataset, a frame is damaged, or the PNG exists or cannot be written.
    """
    check_destination(dest_png, overwrite=overwrite)
    data = VideoDataset(path)
    scale, indices = min(1.0, 160 / max(data.height, data.width)), spread(len(data), rows)
    height, width = max(1, round(data.height * scale)), max(1, round(data.width * scale))
    cells = np.full((len(indices), columns, height, width, 3), 255, np.uint8)
    for row, index in zip(cells, indices.tolist(), strict=True):
        frames = data.read(index, spread(data.videos[index].num_frames, columns)).transpose(0, 2, 3, 1)
        for column, frame in enumerate(frames):
            row[column] = Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)
    writing.write_image(dest_png, sheets.tile(cells), overwrite=overwrite)


def suggest_slot_distance(tau: float | None) -> int:
    """Return 2 tau as a whole number in 4..256; 16 if nothing moves.

    The motion code is interpolated between adjacent slots, so their distance should be that at which frames become
    independent. Differences that rise linearly to their plateau reach it at 2 tau. This gives 16 for talking heads at
    25 fps. A motion of period P has tau = P / 6, so slots are P / 3 apart.
    """
    if tau is None:
        return STILL_SLOT_DISTANCE
    return round(min(max(2 * tau, SLOT_DISTANCES.low), SLOT_DISTANCES.high))


def _decorrelation_distance(videos: list[ReducedVideo]) -> float | None:
    """Return the distance tau in frames at which frames of a video differ half as much as distant frames.

    Let D(d) be the mean squared difference of frames d apart. Its plateau is that of two independent frames: twice the
    variance over time. Both are summed over the videos that move, so that those with more motion count more. A video
    that is still changing at its end has no plateau yet; tau is then a lower bound.
    """
    videos = [video for video in videos if video.moves()]
    if not videos:
        return None
    half_octaves = round(2 * math.log2(max(video.times[-1] for video in videos) + 1)) + 1
    change, pairs, distances, plateau = np.zeros((4, half_octaves))
    for video in videos:
        flat = video.frames.reshape(len(video.times), -1)
        first, second = np.triu_indices(len(flat), 1)
        products = flat @ flat.T / flat.shape[1]
        squares = np.diag(products)
        distance = video.times[second] - video.times[first]
        bins = np.rint(2 * np.log2(distance)).astype(int)  # 1, 1.4, 2, 2.8, 4 …
        np.add.at(change, bins, squares[first] + squares[second] - 2 * products[first, second])
        np.add.at(plateau, bins, 2 * video.variance())
        np.add.at(distances, bins, distance)
        np.add.at(pairs, bins, 1)
    used = pairs > 0
    ratio = change[used] / plateau[used]
    distance = distances[used] / pairs[used]
    reached = int(np.argmax(ratio >= 0.5))
    if ratio[reached] < 0.5 or reached == 0:
        return float(distance[reached if ratio[reached] >= 0.5 else -1])
    part = (0.5 - ratio[reached - 1]) / (ratio[reached] - ratio[reached - 1])
    return float(distance[reached - 1] + part * (distance[reached] - distance[reached - 1]))


def _mirror(videos: list[ReducedVideo]) -> tuple[bool, str]:
    """Return whether a mirrored clip could come from the dataset, and the reason.

    It could not if the videos move to one side on average, if they change from one side to the other between start and
    end (a sun that crosses the sky), or if the mean frame is asymmetric. The effect must exceed three standard errors
    over the videos and be large enough to be visible.
    """
    if len(videos) < 4:
        return False, "too few videos to measure a direction"
    speeds = np.array([_horizontal_speed(video) for video in videos])
    speed, width = speeds.mean(), videos[0].frames.shape[3]
    if abs(speed) > 3 * speeds.std(ddof=1) / math.sqrt(len(speeds)) and abs(speed) > 1e-4 * width:
        side = "left" if speed < 0 else "right"
        return False, f"things move to the {side} on average ({abs(speed) / width:.2%} of the width per frame)"
    grays = [video.frames.mean(axis=1) for video in videos]
    quarter = [max(1, len(gray) // 4) for gray in grays]
    drift = np.stack([g[-n:].mean(axis=0) - g[:n].mean(axis=0) for g, n in zip(grays, quarter, strict=True)])
    if _one_sided(drift) and _odd_power(drift.mean(axis=0)) > 0.1 * np.square(drift).mean():
        return False, "videos change from one side to the other over time"
    mean = np.stack([gray.mean(axis=0) for gray in grays])
    if _one_sided(mean) and _odd_power(mean.mean(axis=0)) > 0.05 * mean.mean(axis=0).var():
        return False, "the mean frame is asymmetric"
    return True, "neither the motion nor the mean frame favors a side"


def _horizontal_speed(video: ReducedVideo) -> float:
    """Return the least-squares v of It + v Ix = 0 over adjacent frames, in reduced pixels per frame; right is > 0."""
    gray = video.frames.mean(axis=1)
    before = np.flatnonzero(np.diff(video.times) == 1)
    middle = (gray[before] + gray[before + 1]) / 2
    along = (middle[:, :, 2:] - middle[:, :, :-2]) / 2
    in_time = (gray[before + 1] - gray[before])[:, :, 1:-1]
    power = np.square(along).sum()
    return float(-(in_time * along).sum() / power) if power > 0 else 0.0


def _one_sided(images: np.ndarray) -> bool:
    """Return whether images `[V, H, W]` share an odd (left minus right) part: each half predicts that of the other."""
    odd = (images - images[:, :, ::-1]) / 2
    even_ones, odd_ones = odd[0::2], odd[1::2]
    agreement = np.concatenate(
        [(even_ones * odd_ones.mean(axis=0)).mean(axis=(1, 2)), (odd_ones * even_ones.mean(axis=0)).mean(axis=(1, 2))]
    )
    return bool(agreement.mean() > 3 * agreement.std(ddof=1) / math.sqrt(len(agreement)))


def _odd_power(image: np.ndarray) -> float:
    return float(np.square((image - image[:, ::-1]) / 2).mean())
