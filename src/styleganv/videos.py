"""Sets of videos from any source behind one interface: a prepared dataset, a model, or video files.

Shapes: T frames, H height, W width. Frames are uint8 RGB `[T, 3, H, W]` in 0..255; times are in frames.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from styleganv import noise
from styleganv.data.dataset import VideoDataset, is_dataset
from styleganv.errors import StyleganvError
from styleganv.files import readable
from styleganv.label_space import Label
from styleganv.media.decoding import Timing
from styleganv.media.sources import DEFAULT_FPS, VideoSource, common_fps, find_videos, split_images
from styleganv.methods.loading import load
from styleganv.model_folder import is_model
from styleganv.options import Precision
from styleganv.validation import Psi, check_arguments
from styleganv.video_model import VideoModel

Frames = NDArray[np.uint8]

logger = logging.getLogger(__name__)


class Videos(Protocol):
    """A set of videos of one size and frame rate, whose frames are read by number.

    Attributes:
        name: name for messages and reports.
        fps: frames per second.
        height, width: size of every frame, in pixels.
        class_names: names of the classes; empty without.
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

    def label(self, index: int) -> Label | None:
        """Return a video's label, or None: the index of its class in `class_names`, or K numbers, see `LabelSpace`."""

    def video_name(self, index: int) -> str:
        """Return the name of a video."""

    def read(self, index: int, frames: Sequence[int] | NDArray[np.integer]) -> Frames:
        """Return frames of one video by their (increasing) numbers, uint8 `[T, 3, H, W]`."""


@check_arguments
def open_videos(
    path: Path | str,
    *,
    psi: Psi = 1.0,
    device: str | None = None,
    precision: Precision = "float32",
    images: bool = False,
) -> Videos:
    """Open the videos at `path`: a prepared dataset, a model, or a file, folder or zip of videos.

    Args:
        device: torch device of a model. Default: cuda if available.
        images: count each image of a folder of images as a video of one frame, instead of the folder as one video.

    Raises:
        StyleganvError: if `path` holds no videos and no model.
    """
    path = Path(path)
    if is_model(path):
        return ModelVideos(load(path, device=device, precision=precision), name=str(path), psi=psi)
    if (path.is_dir() or path.suffix.lower() == ".zip") and is_dataset(path):
        return DatasetVideos(VideoDataset(path))
    return FileVideos(path, images=images)


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

    def label(self, index: int) -> Label | None:
        return self.data.videos[index].label

    def video_name(self, index: int) -> str:
        return self.data.videos[index].name

    def read(self, index: int, frames: Sequence[int] | NDArray[np.integer]) -> Frames:
        return self.data.read(index, frames)


class ModelVideos:
    """The videos of a model: video i has seed i for content, motion and class.

    `class_counts` are the relative frequencies of the classes, as integers; by default, all are equally frequent. Other
    labels are drawn from the examples of the model.
    """

    count: int | None = None

    def __init__(
        self, generator: VideoModel, *, name: str = "model", psi: float = 1.0, class_counts: Sequence[int] = ()
    ) -> None:
        self.generator, self.name, self.psi, self.class_counts = generator, name, psi, list(class_counts)
        self.fps, self.height, self.width = generator.fps, generator.height, generator.width
        self.class_names = generator.class_names

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What frames depend on: hash of weights, mean w and settings of the network, psi, precision, class counts."""
        digest = hashlib.sha256(repr(getattr(self.generator.network, "config", None)).encode())
        for name, tensor in sorted(self.generator.network.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().float().numpy().tobytes())
        found: dict[str, Any] = {
            "kind": "model",
            "sha256": digest.hexdigest(),
            "storage": {"format": "none"},
            "psi": self.psi,
            "precision": self.generator.precision,
        }
        if self.class_counts:
            found["class_counts"] = self.class_counts
        if self.psi != 1 and self.generator.num_classes:
            found["truncation"] = "toward the mean w of the class"  # before, of all classes
        if self.generator.labels.examples:
            found["labels"] = hashlib.sha256(repr(self.generator.labels).encode()).hexdigest()
        return found

    def length(self, index: int) -> int | None:
        return self.generator.max_frames

    def label(self, index: int) -> Label | None:
        if not self.generator.num_classes:
            return None
        return self._drawn_class(index) if self.class_counts else self.generator.label_from_seed(index)

    def video_name(self, index: int) -> str:
        return f"seed {index}"

    def _drawn_class(self, index: int) -> int:
        item = noise.uniform_integer(index, noise.CLASS, sum(self.class_counts))
        return int(np.searchsorted(np.cumsum(self.class_counts), item, side="right"))

    def with_class_counts(self, class_counts: Sequence[int]) -> "ModelVideos":
        """Return the same videos, except that their classes are drawn with these relative frequencies."""
        return type(self)(self.generator, name=self.name, psi=self.psi, class_counts=class_counts)

    def read(self, index: int, frames: Sequence[int] | NDArray[np.integer]) -> Frames:
        """Return frames; evenly spaced ones are generated as one video at a lower frame rate, which is cheaper."""
        numbers = np.asarray(frames)
        label = self.generator.labels.format(self._drawn_class(index)) if self.class_counts else None
        sample = partial(self.generator.sample, seed=index, start=numbers[0] / self.fps, psi=self.psi, label=label)
        if not self.generator.supports_any_fps:
            video = sample(seconds=(int(numbers[-1] - numbers[0]) + 1) / self.fps)
            return video[numbers - numbers[0]].transpose(0, 3, 1, 2)
        steps = np.diff(numbers)
        if len(numbers) > 1 and (steps != steps[0]).any():
            return np.concatenate([self.read(index, [number]) for number in numbers])
        fps = self.fps / steps[0] if len(numbers) > 1 else self.fps
        return sample(seconds=len(numbers) / fps, fps=fps).transpose(0, 3, 1, 2)


class FileVideos:
    """Video files or folders of images of one size; those of another frame rate are resampled to the most common one.

    Frames are decoded in order and not kept, so videos of any length take the same memory. With `images`, each image of
    a single folder or zip is a video of one frame.
    """

    def __init__(self, path: Path | str, *, images: bool = False) -> None:
        found = find_videos(path)
        self.sources: list[VideoSource] = split_images(found) if images else found
        self.are_images = self.sources is not found
        self.name = str(path)
        self.count: int | None = len(self.sources)
        timings = [source.timing() or Timing(DEFAULT_FPS) for source in self.sources]
        self.fps = common_fps(timings)
        self._keeps_every_frame = [timing.matches(self.fps) for timing in timings]
        if num_resampled := self._keeps_every_frame.count(False):
            logger.warning(
                f"Resampling {num_resampled} of {self.count} videos of {self.name} to {self.fps:g} fps, because their "
                "frame rate differs or varies"
            )
        self._lengths: dict[int, int] = dict.fromkeys(range(len(self.sources)), 1) if self.are_images else {}
        #: The video being read, the number of its next frame, and its frames from there on.
        self._reader: tuple[int, int, Iterator[NDArray[np.uint8]]] = (-1, 0, iter(()))
        self.height, self.width = next(self._frames(0)).shape[:2]
        names = sorted({video.class_name for video in self.sources if video.class_name is not None})
        self.class_names = names if len(names) > 1 else []

    @cached_property
    def identity(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for video in self.sources:
            for file in video.media_files:
                opened: Any
                with file.open() as opened:
                    sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
                digest.update(f"{readable(file.name)} {sha256}\n".encode())
        kind = storage = "video files"
        if self.are_images:
            kind, suffixes = "images", {Path(source.name).suffix.lower() for source in self.sources}
            storage = " and ".join(sorted(suffixes))
        return {"kind": kind, "sha256": digest.hexdigest(), "storage": {"format": storage}}

    def length(self, index: int) -> int:
        """Return the number of decoded frames, since headers are often wrong."""
        if index not in self._lengths:
            self._lengths[index] = sum(1 for _ in self._frames(index))
        return self._lengths[index]

    def label(self, index: int) -> int | None:
        name = self.sources[index].class_name
        return self.class_names.index(name) if name in self.class_names else None

    def video_name(self, index: int) -> str:
        return readable(self.sources[index].name)

    def read(self, index: int, frames: Sequence[int] | NDArray[np.integer]) -> Frames:
        video, number, rest = self._reader
        if video != index or number > frames[0]:
            number, rest = 0, self._frames(index)
        clip = []
        for wanted in map(int, frames):
            clip += [frame.transpose(2, 0, 1) for frame in islice(rest, wanted - number, wanted - number + 1)]
            number = wanted + 1
        self._reader = (index, number, rest)
        if len(clip) < len(frames):
            raise IndexError(f"frame {frames[-1]} of {self.sources[index].name}")
        return np.stack(clip)

    def _frames(self, index: int) -> Iterator[NDArray[np.uint8]]:
        source = self.sources[index]
        for frame in source.frames(None if self._keeps_every_frame[index] else self.fps, DEFAULT_FPS):
            if index and frame.shape[:2] != (self.height, self.width):
                kind = "image" if self.are_images else "video"
                remedy = "resize them to one size" if self.are_images else "resize them with `styleganv prepare`"
                raise StyleganvError(
                    f"{source.name} in {self.name} is {frame.shape[1]}x{frame.shape[0]} but the first {kind} is "
                    f"{self.width}x{self.height}: {remedy}."
                )
            yield frame
