"""One of the two collections under evaluation: which of its clips are drawn, and their statistics.

Shapes: B clips of T frames, H height, W width. Clips are uint8 `[B, T, 3, H, W]` in 0..255.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from styleganv import distributed
from styleganv.metrics.clips import Window, endless_clips, fake_clips, members, too_short, video_lengths
from styleganv.metrics.features import Detector, resized
from styleganv.metrics.protocols import Protocol
from styleganv.metrics.statistics import Statistics, cached_statistics, gather_statistics
from styleganv.metrics.videos import Videos

#: Frames that a detector gets in one call, at least one clip.
FRAMES_PER_BATCH = 128
#: Features are kept as they are up to so many numbers (64 MiB), so that protocols of one network share them.
KEPT_NUMBERS = 2**24


@dataclass(frozen=True)
class Side:
    """A collection of videos with what is known of it before clips are drawn.

    Attributes:
        lengths: of all its videos; None for a model, whose videos never end.
        size: height and width that frames are resized to.
        cache: the folder of computed statistics.
    """

    videos: Videos
    lengths: list[int] | None
    size: tuple[int, int]
    cache: Path

    @classmethod
    def of(cls, videos: Videos, size: tuple[int, int], cache: Path) -> "Side":
        return cls(videos, None if videos.count is None else video_lengths(videos, cache), size, cache)

    def members(self, class_name: str | None) -> list[int]:
        """Numbers of the videos of a class, or of all; none of a model, which has no end of them."""
        return members(self.videos, class_name)

    def too_short(self, protocol: Protocol, class_name: str | None) -> int:
        """How many videos have no clip."""
        return 0 if self.lengths is None else too_short(self.lengths, self.members(class_name), protocol)

    def fake_clips(self, protocol: Protocol, class_name: str | None, seed: int) -> list[Window]:
        if self.lengths is None:
            return endless_clips(self.videos, class_name, protocol, seed)
        return fake_clips(self.lengths, self.members(class_name), protocol, seed)

    def statistics(self, windows: Sequence[Window], protocol: Protocol, detector: Detector) -> Statistics:
        """Of some clips, from the cache or made now: moments where they suffice and features are many.

        Videos without a hash, such as those of a model in training, are not kept, nor are patches.
        """
        moments = protocol.metric == "frechet" and protocol.items(len(windows)) * detector.dims > KEPT_NUMBERS
        key = {
            "videos": self.videos.identity,
            "windows": [list(window) for window in windows],
            "frames": [protocol.frames, protocol.stride],
            "size": list(self.size),
            "detector": [detector.name, detector.sha256, detector.preprocessing],
            "moments": moments,
        }

        def made() -> Statistics:
            return gather_statistics(self._features(windows, protocol, detector), detector.dims, moments=moments)

        if self.videos.identity["sha256"] is None or not detector.cached:
            return made()
        return cached_statistics(self.cache, key, made)

    def _features(self, windows: Sequence[Window], protocol: Protocol, detector: Detector) -> Iterator[Tensor]:
        """This process's share, a batch at a time."""
        offsets, size = protocol.stride * np.arange(protocol.frames), max(1, FRAMES_PER_BATCH // protocol.frames)
        batches = [windows[i : i + size] for i in range(0, len(windows), size)]
        mine = batches[distributed.rank() :: distributed.world_size()]
        with tqdm(
            total=sum(map(len, mine)), desc=f"{protocol.name} of {self.videos.name}", unit="clip", delay=2,
            disable=distributed.rank() > 0,
        ) as bar:  # fmt: skip
            for batch in mine:
                frames = np.stack([self.videos.read(video, first + offsets) for video, first in batch])
                yield detector(resized(torch.from_numpy(frames), *self.size))
                bar.update(len(batch))

    def described(self) -> dict[str, Any]:
        """For a report."""
        videos, (height, width) = self.videos, self.size
        same = self.size == (videos.height, videos.width)
        return {
            "name": videos.name,
            "count": videos.count,
            "height": videos.height,
            "width": videos.width,
            "fps": videos.fps,
            "class_names": list(videos.class_names),
            "identity": videos.identity,
            "resized_to": None if same else f"{width}x{height} (bilinear, antialiased, stretched)",
        }
