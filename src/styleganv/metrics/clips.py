"""Choice of clips from a protocol and a seed: index arithmetic, without reading a frame.

A window is the position of a clip: the video and its first frame. Lengths and spans are in frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from styleganv import distributed
from styleganv.data.sampling import ORDER, REAL, clip_random
from styleganv.errors import StyleganvError
from styleganv.label_space import class_numbers
from styleganv.metrics.protocols import Protocol
from styleganv.metrics.statistics import cached
from styleganv.progress import Progress, track
from styleganv.videos import Videos


class Window(NamedTuple):
    """Position of a clip."""

    video: int
    first: int


@dataclass(frozen=True)
class RealSplit:
    """Real clips in two parts without a common video; the distance between the parts is the noise floor.

    Attributes:
        parts: the two parts. If `halves`, both together are the real clips; else the first part is, and the second has
            as many clips.
        halves: whether there were too few videos for two full parts.
    """

    parts: tuple[list[Window], list[Window]]
    halves: bool

    @property
    def windows(self) -> list[Window]:
        return self.parts[0] + self.parts[1] if self.halves else self.parts[0]


def video_lengths(videos: Videos, cache: Path, progress: Progress | None = None) -> list[int]:
    """Return the number of frames of every video of a finite set; cached, since files must be decoded for it."""
    if videos.count is None:
        raise ValueError("the videos of a model have no end")
    numbers = range(videos.count)

    def compute() -> dict[str, Tensor]:
        mine = numbers[distributed.rank() :: distributed.world_size()]
        measured = [videos.length(i) or 0 for i in track(mine, progress, len(mine), "measuring lengths")]
        lengths = torch.zeros(len(numbers), dtype=torch.int64)
        for rank, part in enumerate(distributed.all_gather(measured)):
            lengths[rank :: distributed.world_size()] = torch.tensor(part, dtype=torch.int64)
        return {"lengths": lengths}

    return cached(cache, {"lengths of": videos.identity}, compute)["lengths"].tolist()


def members(videos: Videos, class_name: str | None) -> list[int]:
    """Return the numbers of the videos of a class, or of all, of a finite set."""
    numbers = range(videos.count or 0)
    if class_name is None:
        return list(numbers)
    label = videos.class_names.index(class_name)
    return [i for i in numbers if label in class_numbers(videos.label(i))]


def split_real_clips(lengths: Sequence[int], videos: Sequence[int], protocol: Protocol, seed: int) -> RealSplit:
    """Draw clips at random offsets from the videos of these numbers, given the lengths of all.

    Clips of one video never overlap, and too short videos are skipped.
    """
    order = _shuffle(_long_enough(lengths, videos, protocol), seed)
    first = _draw(lengths, order, protocol, seed)
    used = {window.video for window in first}
    second = _draw(lengths, [video for video in order if video not in used], protocol, seed)
    if len(second) == len(first):
        return RealSplit((first, second), halves=False)
    even = {video for i, video in enumerate(dict.fromkeys(window.video for window in first)) if i % 2 == 0}
    halves = ([w for w in first if w.video in even], [w for w in first if w.video not in even])
    return RealSplit(halves, halves=True)


def draw_generated_clips(lengths: Sequence[int], videos: Sequence[int], protocol: Protocol, seed: int) -> list[Window]:
    """Draw clips of generated videos, which start at their first frames."""
    return _draw(lengths, _shuffle(_long_enough(lengths, videos, protocol), seed), protocol, None)


def draw_model_clips(videos: Videos, class_name: str | None, protocol: Protocol, seed: int) -> list[Window]:
    """Draw N clips of a model: those of the videos seed · N … seed · N + N − 1 (of the class), from t = 0.

    The result is empty if the model's videos are too short.
    """
    if (longest := videos.length(0)) is not None and longest < protocol.span:
        return []
    numbers: Iterator[int] = count()
    if class_name is not None:
        label = videos.class_names.index(class_name)
        numbers = (i for i in count() if label in class_numbers(videos.label(i)))
    return [Window(i, 0) for i in islice(numbers, seed * protocol.num_clips, (seed + 1) * protocol.num_clips)]


def num_too_short(lengths: Sequence[int], videos: Sequence[int], protocol: Protocol) -> int:
    """Return how many videos have fewer frames than a clip spans."""
    return sum(lengths[video] < protocol.span for video in videos)


def require_clips(windows: Sequence[Window], videos: Videos, protocol: Protocol, class_name: str | None) -> None:
    """Raise StyleganvError if there are fewer than two clips."""
    if len(windows) < 2:
        of_class = f" of class {class_name}" if class_name else ""
        remedy = "use more or longer videos, or fewer frames per clip (--num-frames)"
        if videos.count == 1:
            remedy += "; a folder of images is one video unless all protocols are of single frames (_1f)"
        raise StyleganvError(
            f"{protocol.name} requires at least 2 clips of {protocol.span} frames, got {len(windows)} from "
            f"{videos.name}{of_class}: {remedy}."
        )


def _long_enough(lengths: Sequence[int], videos: Sequence[int], protocol: Protocol) -> list[int]:
    return [video for video in videos if lengths[video] >= protocol.span]


def _shuffle(videos: list[int], seed: int) -> list[int]:
    return [videos[i] for i in clip_random(seed, ORDER, 0).permutation(len(videos))]


def _draw(lengths: Sequence[int], order: Sequence[int], protocol: Protocol, seed: int | None) -> list[Window]:
    """Return up to `protocol.num_clips` windows: one per video in turn, then a second, …; from 0 without a seed."""
    limits = {video: lengths[video] // protocol.span for video in order}
    if protocol.clips_per_video is not None:
        limits = {video: min(limit, protocol.clips_per_video) for video, limit in limits.items()}
    num_drawn, missing = dict.fromkeys(order, 0), protocol.num_clips
    while missing and (available := [video for video in order if num_drawn[video] < limits[video]][:missing]):
        for video in available:
            num_drawn[video] += 1
        missing -= len(available)
    return [
        Window(video, first)
        for video, num_clips in num_drawn.items()
        for first in _starts(lengths[video], num_clips, protocol.span, seed, video)
    ]


def _starts(length: int, num_clips: int, span: int, seed: int | None, video: int) -> list[int]:
    """Return the first frames of clips that do not overlap; every arrangement is possible."""
    gaps = np.zeros(num_clips, dtype=np.int64)
    if seed is not None:
        gaps = np.sort(clip_random(seed, REAL, video).integers(length - num_clips * span + 1, size=num_clips))
    return (gaps + span * np.arange(num_clips)).tolist()
