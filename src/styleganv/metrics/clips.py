"""Which clips are judged: index arithmetic from a protocol and a seed, without reading a frame.

A window is a clip's place: the video and its first frame. Lengths and spans are in frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from styleganv import distributed
from styleganv.data.sampling import ORDER, REAL, clip_random
from styleganv.errors import StyleganvError
from styleganv.metrics.protocols import Protocol
from styleganv.metrics.statistics import cached
from styleganv.metrics.videos import Videos


class Window(NamedTuple):
    video: int
    first: int


@dataclass(frozen=True)
class RealClips:
    """The real clips, in two parts of no common video that are also held against each other.

    Attributes:
        parts: two sets. With `halves` both together are the real clips; else the first is, and the second has as many.
        halves: whether the collection was too small for two full sets.
    """

    parts: tuple[list[Window], list[Window]]
    halves: bool

    @property
    def windows(self) -> list[Window]:
        return self.parts[0] + self.parts[1] if self.halves else self.parts[0]


def video_lengths(videos: Videos, cache: Path) -> list[int]:
    """Frames of every video of a finite collection; kept in the cache, since files must be decoded to know."""
    if videos.count is None:
        raise ValueError("the videos of a model never end")
    numbers = range(videos.count)

    def compute() -> dict[str, Tensor]:
        mine = numbers[distributed.rank() :: distributed.world_size()]
        measured = [videos.length(i) or 0 for i in tqdm(mine, desc="measuring lengths", unit="video", delay=2)]
        lengths = torch.zeros(len(numbers), dtype=torch.int64)
        for rank, part in enumerate(distributed.all_gather(measured)):
            lengths[rank :: distributed.world_size()] = torch.tensor(part, dtype=torch.int64)
        return {"lengths": lengths}

    return cached(cache, {"lengths of": videos.identity}, compute)["lengths"].tolist()


def members(videos: Videos, class_name: str | None) -> list[int]:
    """The videos of a class, or all, of a finite collection."""
    numbers = range(videos.count or 0)
    if class_name is None:
        return list(numbers)
    label = videos.class_names.index(class_name)
    return [i for i in numbers if videos.label(i) == label]


def real_clips(lengths: Sequence[int], videos: Sequence[int], protocol: Protocol, seed: int) -> RealClips:
    """Clips at random offsets, never two of a video that overlap; too short videos have none.

    Args:
        lengths: of all videos of the collection.
        videos: those to take clips from.
    """
    order = _shuffled(_long_enough(lengths, videos, protocol), seed)
    first = _draw(lengths, order, protocol, seed)
    used = {window.video for window in first}
    second = _draw(lengths, [video for video in order if video not in used], protocol, seed)
    if len(second) == len(first):
        return RealClips((first, second), halves=False)
    even = {video for i, video in enumerate(dict.fromkeys(window.video for window in first)) if i % 2 == 0}
    halves = ([w for w in first if w.video in even], [w for w in first if w.video not in even])
    return RealClips(halves, halves=True)


def fake_clips(lengths: Sequence[int], videos: Sequence[int], protocol: Protocol, seed: int) -> list[Window]:
    """As for real videos, but each from its first frame on."""
    order = _shuffled(_long_enough(lengths, videos, protocol), seed)
    return _draw(lengths, order, protocol, None)


def endless_clips(videos: Videos, class_name: str | None, protocol: Protocol, seed: int) -> list[Window]:
    """Of a model: one clip of each of the videos seed · N … seed · N + N − 1 (of the class), from t = 0; none if its
    videos are too short."""
    if (longest := videos.length(0)) is not None and longest < protocol.span:
        return []
    numbers: Iterator[int] = count()
    if class_name is not None:
        label = videos.class_names.index(class_name)
        numbers = (i for i in count() if videos.label(i) == label)
    return [Window(i, 0) for i in islice(numbers, seed * protocol.clips, (seed + 1) * protocol.clips)]


def too_short(lengths: Sequence[int], videos: Sequence[int], protocol: Protocol) -> int:
    """How many videos have fewer frames than a clip spans."""
    return sum(lengths[video] < protocol.span for video in videos)


def require(windows: Sequence[Window], videos: Videos, protocol: Protocol, class_name: str | None) -> None:
    """Raises StyleganvError where there are fewer than two clips to judge."""
    if len(windows) < 2:
        of_class = f" of class {class_name}" if class_name else ""
        raise StyleganvError(
            f"{protocol.name} finds {len(windows)} clips of {protocol.span} frames in {videos.name}{of_class} and "
            "needs at least 2: give more or longer videos, or a protocol with fewer frames."
        )


def _long_enough(lengths: Sequence[int], videos: Sequence[int], protocol: Protocol) -> list[int]:
    return [video for video in videos if lengths[video] >= protocol.span]


def _shuffled(videos: list[int], seed: int) -> list[int]:
    return [videos[i] for i in clip_random(seed, ORDER, 0).permutation(len(videos))]


def _draw(lengths: Sequence[int], order: Sequence[int], protocol: Protocol, seed: int | None) -> list[Window]:
    """Up to `protocol.clips` windows: one of each video in turn, then a second one, …; from 0 on without a seed."""
    fitting = {video: lengths[video] // protocol.span for video in order}
    if protocol.clips_per_video is not None:
        fitting = {video: min(fits, protocol.clips_per_video) for video, fits in fitting.items()}
    taken, missing = dict.fromkeys(order, 0), protocol.clips
    while missing and (willing := [video for video in order if taken[video] < fitting[video]][:missing]):
        for video in willing:
            taken[video] += 1
        missing -= len(willing)
    return [
        Window(video, first)
        for video, clips in taken.items()
        for first in _starts(lengths[video], clips, protocol.span, seed, video)
    ]


def _starts(length: int, clips: int, span: int, seed: int | None, video: int) -> list[int]:
    """First frames of clips that do not overlap; all ways to place them are reached."""
    gaps = np.zeros(clips, dtype=np.int64)
    if seed is not None:
        gaps = np.sort(clip_random(seed, REAL, video).integers(length - clips * span + 1, size=clips))
    return (gaps + span * np.arange(clips)).tolist()
