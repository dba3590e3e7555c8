"""A set of videos under evaluation: which of its clips are drawn, and the statistics of their features.

Shapes: B clips of T frames, H height, W width. Clips are uint8 `[B, T, 3, H, W]` in 0..255.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from styleganv import distributed
from styleganv.data.frames import recompress
from styleganv.errors import StyleganvError
from styleganv.label_space import class_numbers
from styleganv.metrics import clips
from styleganv.metrics.clips import Window
from styleganv.metrics.features import resize
from styleganv.metrics.protocols import Protocol
from styleganv.metrics.requests import Clip, Request, in_order, reading_groups
from styleganv.metrics.resampling import Sample
from styleganv.metrics.statistics import (
    Statistics,
    StatisticsCollector,
    cache_key,
    pack,
    read_cache,
    unpack,
    write_cache,
)
from styleganv.progress import Progress, track
from styleganv.videos import Frames, ModelVideos, Videos


@dataclass(frozen=True)
class VideoSet:
    """Real or generated videos, with what is needed to draw clips from them.

    Attributes:
        lengths: number of frames of each video; None for a model, which has a video for every number.
        size: height and width that frames are resized to.
        jpeg_quality: JPEG quality that frames are compressed with in memory, after resizing; None for none.
    """

    videos: Videos
    lengths: list[int] | None
    size: tuple[int, int]
    cache: Path
    jpeg_quality: int | None = None
    progress: Progress | None = None

    @classmethod
    def of(
        cls,
        videos: Videos,
        size: tuple[int, int],
        cache: Path,
        *,
        jpeg_quality: int | None = None,
        progress: Progress | None = None,
    ) -> "VideoSet":
        """Return the set of `videos`, whose lengths are measured or read from the cache."""
        lengths = None if videos.count is None else clips.video_lengths(videos, cache, progress)
        return cls(videos, lengths, size, cache, jpeg_quality, progress)

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

    def samples(self, requests: Sequence[Request]) -> list[Sample]:
        """Return the statistics of requested clips, from the cache or else in one pass over the frames.

        Patches are not cached, nor are videos without a hash, such as those of a model in training.
        """
        blocks = [request.blocks() for request in requests]
        missing: dict[str, Request] = {}
        found: dict[str, Statistics] = {}
        for request in chain.from_iterable(blocks):
            key = self._key(request)
            if key not in found and (tensors := read_cache(self.cache, key) if self._is_cached(request) else None):
                found[key] = unpack(tensors)
            elif key not in found:
                missing[key] = request
        for (key, request), statistics in zip(missing.items(), self._compute(list(missing.values())), strict=True):
            found[key] = statistics
            if self._is_cached(request):
                write_cache(self.cache, key, pack(statistics))
        return [
            Sample.of([found[self._key(block)] for block in parts], request.windows)
            for request, parts in zip(requests, blocks, strict=True)
        ]

    def _is_cached(self, request: Request) -> bool:
        return self.videos.identity["sha256"] is not None and request.extractor.cached

    def _key(self, request: Request) -> str:
        """Return all that the statistics depend on, as JSON."""
        extractor = request.extractor
        key: dict[str, Any] = {
            "videos": self.videos.identity,
            "windows": [list(window) for window in request.windows],
            "frames": [request.num_frames, request.stride],
            "size": list(self.size),
            "extractor": [extractor.name, extractor.sha256, extractor.preprocessing],
            "moments": request.moments,
        }
        return cache_key(key if self.jpeg_quality is None else key | {"jpeg_quality": self.jpeg_quality})

    def _compute(self, requests: Sequence[Request]) -> list[Statistics]:
        """Return the statistics of requested clips; each frame is read once for all of them."""
        if not requests:
            return []
        groups = reading_groups(requests)
        collectors = [StatisticsCollector(each.extractor.dims, moments=each.moments) for each in requests]
        mine = groups[distributed.rank() :: distributed.world_size()]
        for group in track(mine, self.progress, len(mine), f"extracting features of {self.videos.name}"):
            batches = self._read(group, requests)
            for index, collector in enumerate(collectors):
                batch = batches.get(index)
                if batch is None:  # the others of `gather` count on it
                    collector.add(torch.empty(0, collector.dims))
                else:
                    collector.add(requests[index].extractor(self._prepare(np.stack(batch))))
        order = [
            [clip.position for group in groups for clip in group if clip.request == i] for i in range(len(requests))
        ]
        return [in_order(collector.gather(), places) for collector, places in zip(collectors, order, strict=True)]

    def _read(self, group: Sequence[Clip], requests: Sequence[Request]) -> dict[int, list[Frames]]:
        """Return the frames of a group of clips by the index of their request."""
        batches: dict[int, list[Frames]] = {}
        for video, clips_of_video in groupby(group, lambda clip: clip.window.video):
            clips = list(clips_of_video)
            numbers = [clip.window.first + requests[clip.request].offsets for clip in clips]
            for clip, frames in zip(clips, self._read_clips(video, numbers), strict=True):
                batches.setdefault(clip.request, []).append(frames)
        return batches

    def _read_clips(self, video: int, numbers: Sequence[NDArray[np.int64]]) -> list[Frames]:
        """Return clips of one video by the numbers of their frames, which are read once.

        A model generates evenly spaced frames together but others one by one, so it may generate some twice.
        """
        together = np.unique(np.concatenate(numbers))
        if self.lengths is None and len(set(np.diff(together))) > 1:
            return [self.videos.read(video, each) for each in numbers]
        frames = self.videos.read(video, together)
        return [frames[np.searchsorted(together, each)] for each in numbers]

    def _prepare(self, frames: Frames) -> Tensor:
        """Return clips at the size of the evaluation, and as stored in `jpeg_quality`."""
        clips = resize(torch.from_numpy(frames), *self.size)
        return clips if self.jpeg_quality is None else torch.from_numpy(recompress(clips.numpy(), self.jpeg_quality))

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
            "stored_as": None if self.jpeg_quality is None else f"jpeg {self.jpeg_quality}",
        }
