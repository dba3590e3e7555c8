"""Prepared datasets: random access to the frames of all videos, in one file or in a folder of shards.

Shapes: T frames, H height, W width, K classes. Frames are uint8 RGB in 0..255, `[T, 3, H, W]`. Nothing here needs
torch.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from styleganv.data.archive import find_entry
from styleganv.data.dataset_file import DESCRIPTION, DatasetFile, VideoRecord, not_a_dataset
from styleganv.data.frames import FRAME_ERRORS, decode_frame, frame_size
from styleganv.data.shards import find_shards, open_shards
from styleganv.errors import StyleganvError
from styleganv.label_space import LabelSpace

#: Frames whose size is checked when a dataset is opened, which takes a fraction of a second; others are when read.
MAX_CHECKED_FRAMES = 1000
#: Bytes in which the size of a JPEG or PNG usually stands.
HEAD_BYTES = 4096


def is_dataset(path: Path) -> bool:
    """Return whether a path is a zip with a `dataset.json`, as `write_dataset` writes it, or a folder of shards."""
    if find_shards(path):
        return True
    try:
        return find_entry(path, DESCRIPTION) is not None
    except (BadZipFile, OSError, ValueError):
        return False


def dataset_of_run(run: Path) -> tuple[Path, str]:
    """Return the path and the hash of the dataset of a run, from its `data.txt`.

    Raises:
        OSError, ValueError: if the file is missing or damaged.
    """
    path, content_hash = os.fsdecode((run / "data.txt").read_bytes()).removesuffix("\n").rsplit("\n", 1)
    return Path(path), content_hash


class VideoDataset:
    """A prepared dataset, opened by path; frames are read on demand.

    It can be pickled and forked: each process opens the files at its first reads.

    Args:
        path: file, or folder of shards.

    Attributes:
        height, width: frame size in pixels.
        fps: frame rate in frames per second.
        labels: what the labels of the videos mean.
        encoding: `{"format": "jpeg", "quality": 95}` or `{"format": "png"}`.
        videos: one record per video; those of shards are in the order of a dataset without shards.
        extra: the other entries of `dataset.json`, e.g. `fit`.

    Raises:
        StyleganvError: if the path is not a complete dataset that this version can read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise StyleganvError(
                f"Dataset {self.path} not found: create it with `styleganv prepare SOURCE {self.path}`."
            )
        self._files = open_shards(self.path) if self.path.is_dir() else [DatasetFile(self.path)]
        first = self._files[0]
        self.height, self.width, self.fps, self.encoding = first.height, first.width, first.fps, first.encoding
        self.extra: dict[str, Any] = {name: value for file in self._files for name, value in file.extra.items()}
        labels, self.videos, self._places = _merge(self._files)
        self.labels = labels.with_examples(video.label for video in self.videos)
        if not self.videos:
            raise not_a_dataset(self.path, "it has no videos")
        self._check_frames()

    @property
    def num_classes(self) -> int:
        """K, or 0 with fewer than two classes."""
        return self.labels.size

    @property
    def class_names(self) -> list[str]:
        """Names by label; empty without classes."""
        return self.labels.class_names

    @cached_property
    def content_hash(self) -> str:
        """Hex SHA-256 of the description and of each entry's name and checksum, independent of the path."""
        hashes = [file.content_hash() for file in self._files]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()

    @property
    def _max_bytes(self) -> int:
        """The largest frame that is decoded."""
        return 16 * self.height * self.width + 2**20

    def __len__(self) -> int:
        return len(self.videos)

    def read(self, video_index: int, frame_indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode frames of one video as uint8 `[T, 3, H, W]`, in the given order.

        Raises:
            IndexError: if a frame is outside the video.
            StyleganvError: if a frame is damaged or missing.
        """
        video = self.videos[video_index]
        frames = np.empty((len(frame_indices), 3, self.height, self.width), np.uint8)
        for slot, frame in enumerate(frame_indices):
            if not 0 <= frame < video.num_frames:
                raise IndexError(f"frame {frame} of {video.name}, which has {video.num_frames} frames")
            with self._place(video_index, int(frame)) as (file, number):
                data = file.archive.read(number, max_bytes=self._max_bytes)
                self._check_size(file, video, frame, frame_size(data))
                frames[slot] = decode_frame(data).transpose(2, 0, 1)
        return frames

    def label(self, video_index: int) -> np.ndarray | None:
        """Return the label of a video as float32 `[K]`, or None without one."""
        label = self.videos[video_index].label
        return None if not self.labels.size or label is None else self.labels.to_vector(label)

    def __repr__(self) -> str:
        return (
            f"VideoDataset({self.path}: {len(self)} videos, {self.height}x{self.width}, {self.fps:g} fps, "
            f"{self.labels})"
        )

    def _check_frames(self) -> None:
        """Raise StyleganvError if a frame of a sample has another size."""
        starts = np.cumsum([0, *(video.num_frames for video in self.videos)])
        firsts = starts[spread(len(self.videos), MAX_CHECKED_FRAMES)]
        for number in np.union1d(spread(int(starts[-1]), MAX_CHECKED_FRAMES), firsts).tolist():
            index = int(np.searchsorted(starts, number, side="right")) - 1
            frame = number - int(starts[index])
            with self._place(index, frame) as (file, place):
                try:
                    size = frame_size(file.archive.read_head(place, HEAD_BYTES))
                except FRAME_ERRORS:
                    size = frame_size(file.archive.read(place, max_bytes=self._max_bytes))
                self._check_size(file, self.videos[index], frame, size)

    def _check_size(self, file: DatasetFile, video: VideoRecord, frame: int, size: tuple[int, int]) -> None:
        if size != (self.height, self.width):
            raise StyleganvError(
                f"Frame {file.frame_name(video, frame)} in {file.path} is {size[0]}x{size[1]}, the dataset is "
                f"{self.height}x{self.width} (height x width): prepare the dataset again."
            )

    @contextmanager
    def _place(self, index: int, frame: int) -> Iterator[tuple[DatasetFile, int]]:
        """Yield the file of a frame, and its number there; errors within become a StyleganvError that names it."""
        file_index, start = self._places[index].tolist()
        file = self._files[file_index]
        try:
            yield file, start + frame
        except FRAME_ERRORS as error:
            raise file.unreadable(self.videos[index], frame) from error


def _merge(files: Sequence[DatasetFile]) -> tuple[LabelSpace, list[VideoRecord], np.ndarray]:
    """Return the labels and videos of all files, and per video `[V, 2]`: its file, and its first frame there.

    Classes that no video of a sharded dataset has are dropped, as they are without shards; of labels with several
    classes always.
    """
    videos = [video for file in files for video in file.videos]
    starts = [np.cumsum([0, *(video.num_frames for video in file.videos)])[:-1] for file in files]
    owners = [np.full(len(file.videos), index) for index, file in enumerate(files)]
    places = np.stack([np.concatenate(owners), np.concatenate(starts)], axis=1)
    labels = files[0].labels
    if len(files) == 1 and labels.kind != "classes":
        return labels, videos, places
    keys = [key for file in files if file.shard for key in file.shard.order]
    order = np.argsort(keys if len(files) > 1 else range(len(videos)), kind="stable")
    labels, used = labels.without_unused([videos[index].label for index in order])
    merged = [replace(videos[index], label=label) for index, label in zip(order, used, strict=True)]
    return labels, merged, places[order]


def spread(length: int, count: int) -> np.ndarray:
    """Return at most `count` indices, evenly spaced over 0..length−1."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int))
