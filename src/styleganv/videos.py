"""Sets of videos from any source behind one interface: a prepared dataset, a model, or video files.

Shapes: T frames, H height, W width. Frames are uint8 RGB `[T, 3, H, W]` in 0..255; times are in frames.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from styleganv.data.dataset import VideoDataset, is_dataset
from styleganv.errors import StyleganvError
from styleganv.media.sources import VideoSource, find_videos
from styleganv.methods.loading import load
from styleganv.options import Precision
from styleganv.validation import Psi, check_arguments
from styleganv.video_model import VideoModel

Frames = NDArray[np.uint8]


class Videos(Protocol):
    """A set of videos of one size and frame rate, whose frames are read by number.

    Attributes:
        name: name for messages and reports.
        fps: frames per second.
        height, width: size of every frame, in pixels.
        class_names: names of the labels; empty without classes.
        count: number of videos; None for a model, which has one for every number.
        identity: what a report must state to make its numbers reproducible, as JSON: kind, content hash (sha256; None
            if nothing about the videos may be cached), storage.
    """

    name: str
    fps: float
    height: int
    width: int
    class_names: list[str]
    count: int | None

    @property
    def identity(self) -> dict[str, Any]: ...

    def length(self, index: int) -> int | None:
        """Return the number of frames of a video; None if it never ends."""

    def label(self, index: int) -> int | None:
        """Return the index of a video's class in `class_names`, or None."""

    def read(self, index: int, frames: Sequence[int] | NDArray[np.integer]) -> Frames:
        """Return frames of one video by their (increasing) numbers, uint8 `[T, 3, H, W]`."""


@check_arguments
def open_videos(
    path: Path | str, *, psi: Psi = 1.0, device: str | None = None, precision: Precision = "float32"
) -> Videos:
    """Open the videos at `path`: a prepared dataset, a model folder or run, or a file, folder or zip of videos.

    Args:
        psi: truncation psi of a model.
        device: torch device of a model. Default: cuda if available.
        precision: precision of a model's convolutions.

    Raises:
        StyleganvError: if `path` holds no videos and no model.
    """
    path = Path(path)
    if path.is_dir() and any((path / folder / "config.json").is_file() for folder in (".", "model")):
        return ModelVideos(load(path, device=device, precision=precision), name=str(path), psi=psi)
    if path.suffix.lower() == ".zip" and path.is_file() and is_dataset(path):
        return DatasetVideos(VideoDataset(path))
    return FileVideos(path)


class DatasetVideos:
    """The videos of a prepared dataset."""

    def __init__(self, data: VideoDataset) -> None:
        self.data, self.name = data, str(data.path)
        self.fps, self.height, self.width = data.fps, data.height, data.width
        self.class_names = data.class_names
        self.count: int | None = len(data)

    @property
    def identity(self) -> dict[str, Any]:
        return {"kind": "dataset", "sha256": self.data.content_hash, "storage": self.data.encoding}

    def length(self, index: int) -> int:
        return self.data.videos[index].num_frames

    def label(self, index: int) -> int | None:
        return self.data.videos[index].label

    def read(self, index: int, frames: Sequence[int] | NDArray[np.integer]) -> Frames:
        return self.data.read(index, frames)


class ModelVideos:
    """The videos of a model: video i has seed i for content, motion and class."""

    count: int | None = None

    def __init__(self, generator: VideoModel, *, name: str = "model", psi: float = 1.0) -> None:
        self.generator, self.name, self.psi = generator, name, psi
        self.fps, self.height, self.width = generator.fps, generator.height, generator.width
        self.class_names = generator.class_names

    @cached_property
    def identity(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for name, tensor in sorted(self.generator.network.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().float().numpy().tobytes())
        return {
            "kind": "model",
            "sha256": digest.hexdigest(),
            "storage": {"format": "none"},
            "psi": self.psi,
            "precision": self.generator.precision,
        }

    def length(self, index: int) -> int | None:
        return self.generator.max_frames

    def label(self, index: int) -> int | None:
        return self.generator.class_from_seed(index) if self.class_names else None

    def read(self, index: int, frames: Sequence[int] | NDArray[np.integer]) -> Frames:
        """Return frames; evenly spaced ones are generated as one video at a lower frame rate, which is cheaper."""
        numbers = np.asarray(frames)
        if not self.generator.supports_any_fps:
            count = int(numbers[-1] - numbers[0]) + 1
            video = self.generator.sample(
                seed=index, start=numbers[0] / self.fps, seconds=count / self.fps, psi=self.psi
            )
            return video[numbers - numbers[0]].transpose(0, 3, 1, 2)
        steps = np.diff(numbers)
        if len(numbers) > 1 and (steps != steps[0]).any():
            return np.concatenate([self.read(index, [number]) for number in numbers])
        fps = self.fps / steps[0] if len(numbers) > 1 else self.fps
        video = self.generator.sample(
            seed=index, start=numbers[0] / self.fps, seconds=len(numbers) / fps, fps=fps, psi=self.psi
        )
        return video.transpose(0, 3, 1, 2)


class FileVideos:
    """Video files or folders of images of one size."""

    def __init__(self, path: Path | str) -> None:
        self.sources: list[VideoSource] = find_videos(path)
        self.name = str(path)
        self.count: int | None = len(self.sources)
        self.fps = self.sources[0].native_fps() or 25.0
        self.height, self.width = self._decoded(0).shape[2:]
        names = sorted({video.class_name for video in self.sources if video.class_name is not None})
        self.class_names = names if len(names) > 1 else []

    @cached_property
    def identity(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for video in self.sources:
            for file in video.media_files:
                digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        return {"kind": "video files", "sha256": digest.hexdigest(), "storage": {"format": "video files"}}

    def length(self, index: int) -> int:
        """Return the number of decoded frames, since headers are often wrong."""
        return len(self._decoded(index))

    def label(self, index: int) -> int | None:
        name = self.sources[index].class_name
        return self.class_names.index(name) if name in self.class_names else None

    def read(self, index: int, frames: Sequence[int] | NDArray[np.integer]) -> Frames:
        video = self._decoded(index)
        if video.shape[2:] != (self.height, self.width):
            raise StyleganvError(
                f"{self.sources[index].name} in {self.name} is {video.shape[3]}x{video.shape[2]} but the first video "
                f"is {self.width}x{self.height}: resize them with `styleganv prepare`."
            )
        return video[np.asarray(frames)]

    def _decoded(self, index: int) -> Frames:
        return _decode(self.sources[index])


@lru_cache(maxsize=2)
def _decode(video: VideoSource) -> Frames:
    """Decode all frames, cached for further reads of the same video."""
    return np.stack([frame.transpose(2, 0, 1) for frame in video.frames()])
