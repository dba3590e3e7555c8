"""A set of videos under evaluation: which of its clips are drawn, and the statistics of their features.

Shapes: B clips of T frames, H height, W width. Clips are uint8 `[B, T, 3, H, W]` in 0..255.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from styleganv import distributed
from styleganv.errors import StyleganvError
from styleganv.label_space import class_numbers
from styleganv.metrics import clips
from styleganv.metrics.clips import Window
from styleganv.metrics.features import FeatureExtractor, resize
from styleganv.metrics.protocols import Protocol
from styleganv.metrics.statistics import Statistics, cached_statistics, gather_statistics
from styleganv.progress import Progress, track
from styleganv.videos import ModelVideos, Videos

#: Frames per call of a feature extractor; at least one clip.
FRAMES_PER_BATCH = 128
#: Up to this many values (64 MiB) features are kept as they are, so that protocols with the same network share them.
MAX_KEPT_VALUES = 2**24


@dataclass(frozen=True)
class VideoSet:
    """Real or generated videos, with what is needed to draw clips from them.

    Attributes:
        lengths: number of frames of each video; None for a model, which has a video for every number.
        size: height and width that frames are resized to.
    """

    videos: Videos
    lengths: list[int] | None
    size: tuple[int, int]
    cache: Path
    progress: Progress | None = None

    @classmethod
    def of(cls, videos: Videos, size: tuple[int, int], cache: Path, progress: Progress | None = None) -> "VideoSet":
        """Return the set of `videos`, whose lengths are measured or read from the cache."""
        lengths = None if videos.count is None else clips.video_lengths(videos, cache, progress)
        return cls(videos, lengths, size, cache, progress)

    def members(self, class_name: str | None) -> list[int]:
        """Return the numbers of the videos of a class, or of all; none for a model, which has no end of them."""
        return clips.members(self.videos, class_name)

    def num_too_short(self, protocol: Protocol, class_name: str | None) -> int:
        """Return the number of videos that are shorter than a clip."""
        return 0 if self.lengths is None else clips.num_too_short(self.lengths, self.members(class_name), protocol)

    def with_labels_of(self, real: "VideoSet") -> "VideoSet":
        """Return the set with the classes of a conditional model drawn as often as the real videos have them.

        Videos that are not a model's, or do not have one class each, are returned as they are.

        Raises:
            StyleganvError: if the real videos have none of the model's classes.
        """
        model = self.videos
        if not isinstance(model, ModelVideos) or not model.generator.num_classes or model.generator.labels.examples:
            return self
        names, labels = real.videos.class_names, map(real.videos.label, range(real.videos.count or 0))
        of_real = Counter(number for label in labels for number in class_numbers(label))
        counts = [of_real[names.index(name)] if name in names else 0 for name in model.class_names]
        if not any(counts):
            raise StyleganvError(
                f"{real.videos.name} and {self.videos.name} have no class name in common, but _released protocols draw "
                "classes as often as the real videos have them: correct the class names, or omit _released."
            )
        return replace(self, videos=model.with_class_counts(counts))

    def generated_clips(self, protocol: Protocol, class_name: str | None, seed: int) -> list[Window]:
        """Return the clips of generated videos: their first frames."""
        if self.lengths is None:
            return clips.draw_model_clips(self.videos, class_name, protocol, seed)
        return clips.draw_generated_clips(self.lengths, self.members(class_name), protocol, seed)

    def statistics(self, windows: Sequence[Window], protocol: Protocol, extractor: FeatureExtractor) -> Statistics:
        """Return the statistics of clips, cached: moments if features are many and the distance requires no more.

        Patches are not cached, nor are videos without a hash, such as those of a model in training.
        """
        moments = protocol.metric == "frechet" and (
            protocol.num_features(len(windows)) * extractor.dims > MAX_KEPT_VALUES
        )
        key = {
            "videos": self.videos.identity,
            "windows": [list(window) for window in windows],
            "frames": [protocol.num_frames, protocol.stride],
            "size": list(self.size),
            "extractor": [extractor.name, extractor.sha256, extractor.preprocessing],
            "moments": moments,
        }

        def compute() -> Statistics:
            return gather_statistics(self._features(windows, protocol, extractor), extractor.dims, moments=moments)

        if self.videos.identity["sha256"] is None or not extractor.cached:
            return compute()
        return cached_statistics(self.cache, key, compute)

    def _features(self, windows: Sequence[Window], protocol: Protocol, extractor: FeatureExtractor) -> Iterator[Tensor]:
        """Yield the features of this process's clips, batch by batch."""
        offsets = protocol.stride * np.arange(protocol.num_frames)
        size = max(1, FRAMES_PER_BATCH // protocol.num_frames)
        batches = [windows[i : i + size] for i in range(0, len(windows), size)]
        mine = batches[distributed.rank() :: distributed.world_size()]
        for batch in track(mine, self.progress, len(mine), f"{protocol.name} of {self.videos.name}"):
            frames = np.stack([self.videos.read(video, first + offsets) for video, first in batch])
            yield extractor(resize(torch.from_numpy(frames), *self.size))

    def to_dict(self) -> dict[str, Any]:
        """Return what a report states about the set."""
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
