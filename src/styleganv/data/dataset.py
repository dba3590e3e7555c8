"""Dataset file: one uncompressed zip of frames, `video_name/000000.jpg`, with `dataset.json` as its last entry.

Shapes: T frames, H height, W width, K classes. Frames are uint8 RGB in 0..255: `[H, W, 3]` when written,
`[T, 3, H, W]` when read. Nothing here needs torch.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np

from styleganv.data.frames import FRAME_ERRORS, decode_frame, encode_frame, frame_size
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.validation import Count, FrameRate, Interval, Size, check, check_arguments

FORMAT = 1
DESCRIPTION = "dataset.json"
#: The largest description that is read; it has room for more than a million videos.
MAX_DESCRIPTION_BYTES = 2**28
#: Frames whose size is checked when a dataset is opened, which takes a fraction of a second; others are when read.
MAX_CHECKED_FRAMES = 1000
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip; constant, so that the same frames give the same bytes


def is_dataset(path: Path) -> bool:
    """Return whether a file is a zip with a `dataset.json`, as `write_dataset` writes it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return DESCRIPTION in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def dataset_of_run(run: Path) -> tuple[Path, str]:
    """Return the path and the hash of the dataset of a run, from its `data.txt`.

    Raises:
        OSError, ValueError: if the file is missing or damaged.
    """
    path, content_hash = os.fsdecode((run / "data.txt").read_bytes()).removesuffix("\n").rsplit("\n", 1)
    return Path(path), content_hash


@dataclass(frozen=True)
class VideoRecord:
    """One video of a dataset.

    Attributes:
        label: index into the class names, or None.
        meta: other fields of the record, e.g. its `source` or its ground-truth factors.
    """

    name: str
    num_frames: int
    label: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)


class VideoDataset:
    """A prepared dataset, opened by path; frames are read from the zip on demand.

    It can be pickled and forked: each process opens its own handle at its first read.

    Attributes:
        height, width: frame size in pixels.
        fps: frame rate in frames per second.
        class_names: names by label; empty without classes.
        encoding: `{"format": "jpeg", "quality": 95}` or `{"format": "png"}`.
        extra: the other entries of `dataset.json`, e.g. `fit`.

    Raises:
        StyleganvError: if the path is not a complete dataset that this version can read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._handle: tuple[int, zipfile.ZipFile] | None = None
        description = self._description()
        self.height: int = self._field(description, "height", Size)
        self.width: int = self._field(description, "width", Size)
        self.fps: float = self._field(description, "fps", FrameRate)
        self.encoding: dict[str, Any] = self._field(description, "encoding", dict)
        self._field(dict(self.encoding), "format", Literal["jpeg", "png"])
        self.class_names: list[str] = self._field(description, "class_names", list[str])
        self.videos = [self._record(video) for video in self._field(description, "videos", list[dict])]
        description.pop("labels", None)
        self.extra: dict[str, Any] = description
        self._check_videos()
        self._check_frames()

    @property
    def num_classes(self) -> int:
        """K, or 0 with fewer than two classes."""
        return len(self.class_names) if len(self.class_names) > 1 else 0

    @cached_property
    def content_hash(self) -> str:
        """Hex SHA-256 of the description and of each entry's name and checksum, independent of the path."""
        archive = self._zip()
        digest = hashlib.sha256(archive.read(DESCRIPTION))
        for entry in archive.infolist():
            digest.update(f"{entry.filename} {entry.CRC} {entry.file_size}\n".encode())
        return digest.hexdigest()

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
            with self._opened(video, frame) as file:
                data = file.read()
                self._check_size(video, frame, frame_size(data))
                frames[slot] = decode_frame(data).transpose(2, 0, 1)
        return frames

    def label(self, video_index: int) -> np.ndarray | None:
        """Return the float32 one-hot class `[K]` of a video, or None without classes."""
        index = self.videos[video_index].label
        if not self.num_classes or index is None:
            return None
        one_hot = np.zeros(self.num_classes, np.float32)
        one_hot[index] = 1
        return one_hot

    def __repr__(self) -> str:
        return (
            f"VideoDataset({self.path}: {len(self)} videos, {self.height}x{self.width}, {self.fps:g} fps, "
            f"{self.num_classes} classes)"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}

    def _zip(self) -> zipfile.ZipFile:
        """Return this process's own handle: after a fork, a shared one would share its file position."""
        if self._handle is None or self._handle[0] != os.getpid():
            self._handle = (os.getpid(), zipfile.ZipFile(self.path))
        return self._handle[1]

    def _description(self) -> dict[str, Any]:
        if not self.path.exists():
            raise StyleganvError(
                f"Dataset {self.path} not found: create it with `styleganv prepare SOURCE {self.path}`."
            )
        if self.path.is_dir():
            raise self._invalid("it is a folder")
        try:
            archive = self._zip()
            if archive.getinfo(DESCRIPTION).file_size > MAX_DESCRIPTION_BYTES:
                raise self._invalid(f"its {DESCRIPTION} is larger than {MAX_DESCRIPTION_BYTES >> 20} MiB")
            description = json.loads(archive.read(DESCRIPTION))
            if not isinstance(description, dict):
                raise ValueError
        except zipfile.BadZipFile as error:
            raise self._invalid("it is not a zip, or is truncated") from error
        except KeyError as error:
            raise self._invalid(f"it has no {DESCRIPTION}") from error
        except (ValueError, OSError, EOFError, RuntimeError, zlib.error) as error:
            raise self._invalid(f"its {DESCRIPTION} is damaged") from error
        if self._field(description, "format", int) != FORMAT:
            raise StyleganvError(f"{self.path} was prepared by an incompatible version of styleganv: prepare it again.")
        return description

    def _field(self, values: dict[str, Any], name: str, hint: Any) -> Any:
        """Take a field of the description; its type states what is valid."""
        if name not in values:
            raise self._invalid(f"its {DESCRIPTION} lacks {name!r}")
        return check(f"{self.path}: {DESCRIPTION}: {name}", values.pop(name), hint)

    def _record(self, video: dict[str, Any]) -> VideoRecord:
        name, num_frames, label = (
            self._field(video, key, hint) for key, hint in (("name", str), ("frames", Count), ("label", int | None))
        )
        return VideoRecord(name, num_frames, label, video)

    def _check_videos(self) -> None:
        """Raise StyleganvError if there are none, two have the same name, or a label is not that of a class."""
        if not self.videos:
            raise self._invalid("it has no videos")
        for kind, names in (("videos", [video.name for video in self.videos]), ("classes", self.class_names)):
            if len(set(names)) < len(names):
                raise self._invalid(f"two {kind} have the same name")
        for video in self.videos:
            if video.label is not None and not 0 <= video.label < len(self.class_names):
                raise StyleganvError(
                    f"{self.path}: the label {video.label} of {video.name} is none of the {len(self.class_names)} "
                    "classes: prepare the dataset again."
                )

    def _check_frames(self) -> None:
        """Raise StyleganvError if a frame is missing, or one of a sample has another size."""
        entries = self._zip().NameToInfo
        for video in self.videos:
            for frame in range(video.num_frames):
                if self._frame_name(video, frame) not in entries:
                    raise self._unreadable(video, frame)
        starts = np.cumsum([0, *(video.num_frames for video in self.videos)])
        firsts = starts[spread(len(self.videos), MAX_CHECKED_FRAMES)]
        for number in np.union1d(spread(int(starts[-1]), MAX_CHECKED_FRAMES), firsts).tolist():
            index = int(np.searchsorted(starts, number, side="right")) - 1
            video, frame = self.videos[index], number - int(starts[index])
            with self._opened(video, frame) as file:
                head = file.read(4096)
                try:
                    size = frame_size(head)
                except FRAME_ERRORS:
                    size = frame_size(head + file.read())
                self._check_size(video, frame, size)

    def _check_size(self, video: VideoRecord, frame: int, size: tuple[int, int]) -> None:
        if size != (self.height, self.width):
            raise StyleganvError(
                f"Frame {self._frame_name(video, frame)} in {self.path} is {size[0]}x{size[1]}, the dataset is "
                f"{self.height}x{self.width} (height x width): prepare the dataset again."
            )

    def _frame_name(self, video: VideoRecord, frame: int) -> str:
        return f"{video.name}/{frame:06d}.{'png' if self.encoding['format'] == 'png' else 'jpg'}"

    @contextmanager
    def _opened(self, video: VideoRecord, frame: int) -> Iterator[IO[bytes]]:
        """Open a frame of the zip; errors within become a StyleganvError that names it."""
        try:
            entry = self._zip().getinfo(self._frame_name(video, frame))
            if entry.file_size > 16 * self.height * self.width + 2**20:
                raise ValueError("more bytes than a frame can have")
            with self._zip().open(entry) as file:
                yield file
        except FRAME_ERRORS as error:
            raise self._unreadable(video, frame) from error

    def _unreadable(self, video: VideoRecord, frame: int) -> StyleganvError:
        name = self._frame_name(video, frame)
        return StyleganvError(f"Cannot read frame {name} in {self.path}: prepare the dataset again.")

    def _invalid(self, reason: str) -> StyleganvError:
        return StyleganvError(
            f"{self.path} is not a prepared dataset ({reason}): "
            f"create one with `styleganv prepare {self.path} DATA.zip`."
        )


def spread(length: int, count: int) -> np.ndarray:
    """Return at most `count` indices, evenly spaced over 0..length−1."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int))


class DatasetWriter:
    """Writer to the open zip of a new dataset; see `create_dataset`."""

    def __init__(self, archive: zipfile.ZipFile, height: int, width: int, jpeg_quality: int | None) -> None:
        self.videos: list[VideoRecord] = []
        self._archive = archive
        self._shape = (height, width, 3)
        self._jpeg_quality = jpeg_quality
        self._suffix = "png" if jpeg_quality is None else "jpg"
        self._names: set[str] = set()

    def add(self, name: str, frames: Iterable[np.ndarray | bytes], label: int | None, meta: dict[str, Any]) -> None:
        """Store one video: uint8 `[H, W, 3]` frames, or bytes in the encoding of this dataset.

        A '/' in the name becomes '_', because the layout has two levels; a duplicate name gets a number.
        """
        name = self._unique(name)
        count = 0
        for frame in frames:
            if isinstance(frame, np.ndarray):
                if frame.shape != self._shape or frame.dtype != np.uint8:
                    raise ValueError(f"frames must be uint8 {self._shape}, got {frame.dtype} {frame.shape}")
                frame = encode_frame(frame, self._jpeg_quality)
            self._write(f"{name}/{count:06d}.{self._suffix}", frame)
            count += 1
        self.videos.append(VideoRecord(name, count, label, meta))

    def finish(self, *, fps: float, class_names: Sequence[str], extra: dict[str, Any] | None = None) -> None:
        """Write `dataset.json`, which completes the dataset."""
        png, labeled = {"format": "png"}, [video for video in self.videos if video.label is not None]
        description = {
            "format": FORMAT,
            "height": self._shape[0],
            "width": self._shape[1],
            "fps": float(fps),
            "encoding": png if self._jpeg_quality is None else {"format": "jpeg", "quality": self._jpeg_quality},
            "class_names": list(class_names),
            **(extra or {}),
            "videos": [
                {"name": video.name, "frames": video.num_frames, "label": video.label, **video.meta}
                for video in self.videos
            ],
            "labels": [[f"{video.name}/000000.{self._suffix}", video.label] for video in labeled] or None,
        }
        self._write(DESCRIPTION, json.dumps(description).encode())

    def _unique(self, name: str) -> str:
        flat = name.replace("/", "_")
        unique, number = flat, 2
        while unique in self._names:
            unique, number = f"{flat}_{number}", number + 1
        self._names.add(unique)
        return unique

    def _write(self, name: str, data: bytes) -> None:
        entry = zipfile.ZipInfo(name, _EPOCH)
        entry.create_system = 3  # Unix, so that the bytes do not depend on the machine
        entry.external_attr = 0o644 << 16
        self._archive.writestr(entry, data)


@contextmanager
def create_dataset(
    dest: Path | str, *, height: int, width: int, jpeg_quality: int | None = 95, overwrite: bool = False
) -> Iterator[DatasetWriter]:
    """Create a dataset atomically: `add` each video, then `finish`."""
    with atomic_write(dest, overwrite=overwrite) as tmp_path, zipfile.ZipFile(tmp_path, "w") as archive:
        yield DatasetWriter(archive, height, width, jpeg_quality)


@check_arguments
def write_dataset(
    dest: Path | str,
    videos: Iterable[tuple[str, Iterable[np.ndarray | bytes], int | None, dict[str, Any]]],
    *,
    height: Size,
    width: Size,
    fps: FrameRate,
    jpeg_quality: Annotated[int, Interval(1, 100)] | None = 95,
    class_names: Sequence[str] = (),
    extra: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write videos as a dataset.

    Args:
        videos: `(name, frames, label, meta)` per video: uint8 `[H, W, 3]` frames or encoded bytes, an index into
            `class_names` or None, and further JSON fields, e.g. ground-truth factors.
        height, width: frame size in pixels.
        fps: frame rate in frames per second.
        jpeg_quality: 1 to 100 (best); None stores lossless PNGs.
        class_names: names by label.
        extra: further entries of `dataset.json`.

    Raises:
        StyleganvError: if `dest` exists or cannot be written, e.g. to a full disk.
    """
    with create_dataset(dest, height=height, width=width, jpeg_quality=jpeg_quality, overwrite=overwrite) as writer:
        for name, frames, label, meta in videos:
            writer.add(name, frames, label, meta)
        writer.finish(fps=fps, class_names=class_names, extra=extra)
