"""Requests for features of clips, and the order in which one pass over the frames serves several of them.

Shapes: n clips with r rows of d features each: 1 per clip, or one per frame or patch.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from styleganv.metrics.clips import Window
from styleganv.metrics.features import FeatureExtractor
from styleganv.metrics.protocols import Protocol
from styleganv.metrics.statistics import Moments, Statistics

#: Frames per call of a feature extractor; at least one clip.
FRAMES_PER_BATCH = 128
#: Up to this many values (64 MiB) features are kept as they are, so that protocols with the same network share them.
MAX_KEPT_VALUES = 2**24
#: Sets of videos whose moments are kept apart where features are not, so that intervals can resample them.
NUM_BLOCKS = 8


@dataclass(frozen=True)
class Request:
    """Clips and the network that extracts their features.

    Attributes:
        num_frames, stride: frames of a clip, and their distance.
        moments: whether moments replace the features.
    """

    windows: list[Window]
    num_frames: int
    stride: int
    extractor: FeatureExtractor
    moments: bool

    @classmethod
    def of(cls, windows: list[Window], protocol: Protocol, extractor: FeatureExtractor, *, keep: bool) -> "Request":
        """Return the request of a protocol: moments if features are many and the distance requires no more.

        `keep` keeps features in any case.
        """
        many = protocol.num_features(len(windows)) * extractor.dims > MAX_KEPT_VALUES
        moments = many and protocol.metric == "frechet" and not keep
        return cls(windows, protocol.num_frames, protocol.stride, extractor, moments)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Numbers of a clip's frames, from its first."""
        return self.stride * np.arange(self.num_frames)

    def blocks(self) -> list["Request"]:
        """Return the request itself or, for moments, up to `NUM_BLOCKS` requests of about as many videos each."""
        if not self.moments:
            return [self]
        block = {
            video: i % NUM_BLOCKS for i, video in enumerate(dict.fromkeys(window.video for window in self.windows))
        }
        parts = [[window for window in self.windows if block[window.video] == i] for i in range(NUM_BLOCKS)]
        return [replace(self, windows=part) for part in parts if part]


class Clip(NamedTuple):
    """A clip of a request: the index of the request, and its position among the windows."""

    request: int
    position: int
    window: Window


def reading_groups(requests: Sequence[Request]) -> list[list[Clip]]:
    """Return all clips by video and first frame, in groups of at most one batch of each request."""
    clips = [Clip(i, n, window) for i, request in enumerate(requests) for n, window in enumerate(request.windows)]
    order = {video: i for i, video in enumerate(dict.fromkeys(clip.window.video for clip in clips))}
    clips.sort(key=lambda clip: (order[clip.window.video], clip.window.first, clip.request))
    sizes = [max(1, FRAMES_PER_BATCH // request.num_frames) for request in requests]
    groups: list[list[Clip]] = []
    counts: Counter[int] = Counter()
    for _, clips_of_video in groupby(clips, lambda clip: clip.window.video):
        video = list(clips_of_video)
        added = Counter(clip.request for clip in video)
        # A video is only split if it has more clips than a batch.
        fits = bool(groups) and all(counts[i] + number <= sizes[i] for i, number in added.items())
        for clip in video:
            if not fits or counts[clip.request] == sizes[clip.request]:
                groups.append([])
                counts.clear()
                fits = True
            groups[-1].append(clip)
            counts[clip.request] += 1
    return groups


def in_order(statistics: Statistics, positions: Sequence[int]) -> Statistics:
    """Return features `[n·r, d]` of the clips at `positions` in the order of the clips; moments have no order."""
    if isinstance(statistics, Moments) or not positions:
        return statistics
    return statistics.unflatten(0, (len(positions), -1))[np.argsort(positions)].flatten(0, 1)
