"""The store: one uncompressed zip of frames, `video_name/000000.jpg`, with `dataset.json` as its last entry.

Shapes: T frames, H height, W width, K classes. Frames are uint8 RGB in 0..255: `[H, W, 3]` on the way in,
`[T, 3, H, W]` on the way out. Nothing here needs torch.
"""

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write

try:
    import simplejpeg
except ImportError:  # no wheel for this platform: Pillow does the same, more slowly
    simplejpeg = None

FORMAT = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: same frames, same bytes


def encode_frame(frame: np.ndarray, quality: int | None) -> bytes:
    """One uint8 `[H, W, 3]` frame as a JPEG of that quality without chroma subsampling; None: as a PNG."""
    if quality is not None and simplejpeg is not None:
        pixels = np.ascontiguousarray(frame)
        return simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="444")
    buffer = io.BytesIO()
    if quality is None:
        Image.fromarray(frame).save(buffer, format="PNG")
    else:
        Image.fromarray(frame).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def decode_frame(data: bytes) -> np.ndarray:
    """The uint8 `[H, W, 3]` frame of JPEG or PNG bytes. Raises ValueError or OSError where damaged."""
    if simplejpeg is not None and data[:2] == b"\xff\xd8":
        return simplejpeg.decode_jpeg(data, colorspace="RGB")
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def is_dataset(path: Path) -> bool:
    """Return whether a file is a zip with a `dataset.json`, as `write_dataset` writes it."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "dataset.json" in archive.namelist()


@dataclass(frozen=True)
class VideoRecord:
    """One video of a data set: `label` is an index into the class names or None, `meta` whatever else the
    record holds (its `source`, the factors it was drawn from)."""

    name: str
    num_frames: int
    label: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)


class VideoDataset:
    """A prepared data set, opened by path; frames are read from the zip only when asked for.

    It can be pickled and survives a fork: each process opens its own handle at its first read.

    Attributes:
        path: the zip.
        height, width: of every frame, in pixels.
        fps: frames a second of the data's own clock.
        class_names: of the labels; empty without classes.
        encoding: `{"format": "jpeg", "quality": 95}` or `{"format": "png"}`.
        videos: a `VideoRecord` for each video.
        extra: the other entries of `dataset.json` (such as `fit`).

    Raises:
        StyleganvError: if the path is not a whole data set that this version can read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._handle: tuple[int, zipfile.ZipFile] | None = None
        description = self._description()
        try:
            if description.pop("format") != FORMAT:
                raise StyleganvError(f"{self.path} was prepared by another version of styleganv: prepare it again.")
            self.height: int = description.pop("height")
            self.width: int = description.pop("width")
            self.fps: float = description.pop("fps")
            self.encoding: dict[str, Any] = description.pop("encoding")
            self.class_names: list[str] = description.pop("class_names")
            self.videos = [_record(video) for video in description.pop("videos")]
            description.pop("labels", None)
        except (KeyError, TypeError, AttributeError) as error:
            raise self._not_ours(f"its dataset.json lacks {error}") from error
        self.extra: dict[str, Any] = description

    @property
    def num_classes(self) -> int:
        """K, or 0 when there are fewer than two classes."""
        return len(self.class_names) if len(self.class_names) > 1 else 0

    @cached_property
    def content_hash(self) -> str:
        """Hex SHA-256 of the description and of each entry's name and checksum; the path plays no part."""
        archive = self._zip()
        digest = hashlib.sha256(archive.read("dataset.json"))
        for entry in archive.infolist():
            digest.update(f"{entry.filename} {entry.CRC} {entry.file_size}\n".encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.videos)

    def read(self, video_index: int, frame_indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode some frames of one video: uint8 `[T, 3, H, W]` in the order asked.

        Raises:
            IndexError: for a frame outside the video.
            StyleganvError: naming the frame that is damaged or missing.
        """
        video = self.videos[video_index]
        suffix = "png" if self.encoding["format"] == "png" else "jpg"
        frames = np.empty((len(frame_indices), 3, self.height, self.width), np.uint8)
        for slot, frame in enumerate(frame_indices):
            if not 0 <= frame < video.num_frames:
                raise IndexError(f"frame {frame} of {video.name}, which has {video.num_frames} frames")
            name = f"{video.name}/{frame:06d}.{suffix}"
            try:
                frames[slot] = decode_frame(self._zip().read(name)).transpose(2, 0, 1)
            except (KeyError, ValueError, OSError, zipfile.BadZipFile, zlib.error) as error:
                raise StyleganvError(
                    f"Frame {name} in {self.path} is damaged or missing: prepare the data set again."
                ) from error
        return frames

    def label(self, video_index: int) -> np.ndarray | None:
        """The float32 one-hot class `[K]` of a video, or None in a data set without classes."""
        index = self.videos[video_index].label
        if not self.num_classes or index is None:
            return None
        return np.eye(self.num_classes, dtype=np.float32)[index]

    def __repr__(self) -> str:
        return (
            f"VideoDataset({self.path}: {len(self)} videos, {self.height}x{self.width}, {self.fps:g} fps, "
            f"{self.num_classes} classes)"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}

    def _zip(self) -> zipfile.ZipFile:
        """This process's own handle: one shared over a fork would also share its file position."""
        if self._handle is None or self._handle[0] != os.getpid():
            self._handle = (os.getpid(), zipfile.ZipFile(self.path))
        return self._handle[1]

    def _description(self) -> dict[str, Any]:
        if not self.path.exists():
            raise StyleganvError(
                f"There is no data set at {self.path}: make it with `styleganv prepare SOURCE {self.path}`."
            )
        if self.path.is_dir():
            raise self._not_ours("it is a folder")
        try:
            return json.loads(self._zip().read("dataset.json"))
        except zipfile.BadZipFile as error:
            raise self._not_ours("it is no zip, or only part of one") from error
        except KeyError as error:
            raise self._not_ours("it holds no dataset.json") from error
        except ValueError as error:
            raise self._not_ours("its dataset.json is damaged") from error

    def _not_ours(self, reason: str) -> StyleganvError:
        return StyleganvError(
            f"{self.path} is not a prepared data set ({reason}): "
            f"make one with `styleganv prepare {self.path} DATA.zip`."
        )


def _record(video: dict[str, Any]) -> VideoRecord:
    meta = {key: value for key, value in video.items() if key not in ("name", "frames", "label")}
    return VideoRecord(video["name"], video["frames"], video["label"], meta)


class DatasetWriter:
    """The open zip of a data set in the making; see `writing_dataset`."""

    def __init__(self, archive: zipfile.ZipFile, height: int, width: int, quality: int | None) -> None:
        self.videos: list[VideoRecord] = []
        self._archive = archive
        self._shape = (height, width, 3)
        self._quality = quality
        self._suffix = "png" if quality is None else "jpg"
        self._names: set[str] = set()

    def add(self, name: str, frames: Iterable[np.ndarray | bytes], label: int | None, meta: dict[str, Any]) -> None:
        """Store one video: uint8 `[H, W, 3]` frames, or bytes already encoded as this data set encodes.

        A '/' in the name becomes '_', since the layout has two levels; a name already taken gets a number.
        """
        name = self._unique(name)
        count = 0
        for frame in frames:
            if isinstance(frame, np.ndarray):
                if frame.shape != self._shape or frame.dtype != np.uint8:
                    raise ValueError(f"frames must be uint8 {self._shape}, got {frame.dtype} {frame.shape}")
                frame = encode_frame(frame, self._quality)
            self._write(f"{name}/{count:06d}.{self._suffix}", frame)
            count += 1
        self.videos.append(VideoRecord(name, count, label, meta))

    def finish(self, *, fps: float, class_names: Sequence[str], extra: dict[str, Any] | None = None) -> None:
        """Write `dataset.json`, which makes the zip a data set."""
        png = {"format": "png"}
        labels = [
            [f"{video.name}/000000.{self._suffix}", video.label] for video in self.videos if video.label is not None
        ]
        description = {
            "format": FORMAT,
            "height": self._shape[0],
            "width": self._shape[1],
            "fps": float(fps),
            "encoding": png if self._quality is None else {"format": "jpeg", "quality": self._quality},
            "class_names": list(class_names),
            **(extra or {}),
            "videos": [
                {"name": video.name, "frames": video.num_frames, "label": video.label, **video.meta}
                for video in self.videos
            ],
            "labels": labels or None,
        }
        self._write("dataset.json", json.dumps(description).encode())

    def _unique(self, name: str) -> str:
        flat = name.replace("/", "_")
        unique, number = flat, 2
        while unique in self._names:
            unique, number = f"{flat}_{number}", number + 1
        self._names.add(unique)
        return unique

    def _write(self, name: str, data: bytes) -> None:
        entry = zipfile.ZipInfo(name, _EPOCH)
        entry.create_system = 3  # Unix everywhere, so that the bytes do not depend on the machine
        entry.external_attr = 0o644 << 16
        self._archive.writestr(entry, data)


@contextmanager
def writing_dataset(dest: Path | str, *, height: int, width: int, quality: int | None = 95) -> Iterator[DatasetWriter]:
    """Write a data set whole or not at all: `add` each video, then `finish`."""
    with atomic_write(dest) as tmp_path, zipfile.ZipFile(tmp_path, "w") as archive:
        yield DatasetWriter(archive, height, width, quality)


def write_dataset(
    dest: Path | str,
    videos: Iterable[tuple[str, Iterable[np.ndarray | bytes], int | None, dict[str, Any]]],
    *,
    height: int,
    width: int,
    fps: float,
    quality: int | None = 95,
    class_names: Sequence[str] = (),
    extra: dict[str, Any] | None = None,
) -> None:
    """Store videos as a data set.

    Args:
        dest: the zip to write; replaced if it exists.
        videos: `(name, frames, label, meta)` each: uint8 `[H, W, 3]` frames (or bytes already encoded), an
            index into `class_names` or None, and what else to keep of the video (JSON), such as its factors.
        fps: frames a second.
        quality: of the JPEGs, 1 to 100; None stores lossless PNGs.
        extra: further entries of `dataset.json`.

    Raises:
        StyleganvError: if the disk is full or `dest` cannot be written.
    """
    with writing_dataset(dest, height=height, width=width, quality=quality) as writer:
        for name, frames, label, meta in videos:
            writer.add(name, frames, label, meta)
        writer.finish(fps=fps, class_names=class_names, extra=extra)
