"""Dataset file: one uncompressed zip of frames, `video_name/000000.jpg`, with `dataset.json` as its last entry.

Shapes: T frames, H height, W width, K classes. Frames are uint8 RGB in 0..255: `[H, W, 3]` when written,
`[T, 3, H, W]` when read. Nothing here needs torch.
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
except ImportError:  # no wheel for this platform; Pillow is slower
    simplejpeg = None

FORMAT = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip; constant, so that the same frames give the same bytes


def encode_frame(frame: np.ndarray, jpeg_quality: int | None) -> bytes:
    """Encode a uint8 `[H, W, 3]` frame as JPEG without chroma subsampling, or as PNG if `jpeg_quality` is None."""
    if jpeg_quality is not None and simplejpeg is not None:
        pixels = np.ascontiguousarray(frame)
        return simplejpeg.encode_jpeg(pixels, quality=jpeg_quality, colorspace="RGB", colorsubsampling="444")
    buffer = io.BytesIO()
    if jpeg_quality is None:
        Image.fromarray(frame).save(buffer, format="PNG")
    else:
        Image.fromarray(frame).save(buffer, format="JPEG", quality=jpeg_quality, subsampling=0)
    return buffer.getvalue()


def decode_frame(data: bytes) -> np.ndarray:
    """Decode JPEG or PNG bytes to uint8 `[H, W, 3]`. Raises ValueError or OSError if damaged."""
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
        path: the zip.
        height, width: frame size in pixels.
        fps: frame rate in frames per second.
        class_names: names by label; empty without classes.
        encoding: `{"format": "jpeg", "quality": 95}` or `{"format": "png"}`.
        videos: a `VideoRecord` per video.
        extra: the other entries of `dataset.json`, e.g. `fit`.

    Raises:
        StyleganvError: if the path is not a complete dataset that this version can read.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._handle: tuple[int, zipfile.ZipFile] | None = None
        description = self._description()
        try:
            if description.pop("format") != FORMAT:
                raise StyleganvError(
                    f"{self.path} was prepared by an incompatible version of styleganv: prepare it again."
                )
            self.height: int = description.pop("height")
            self.width: int = description.pop("width")
            self.fps: float = description.pop("fps")
            self.encoding: dict[str, Any] = description.pop("encoding")
            self.class_names: list[str] = description.pop("class_names")
            self.videos = [_record(video) for video in description.pop("videos")]
            description.pop("labels", None)
        except (KeyError, TypeError, AttributeError) as error:
            raise self._invalid(f"its dataset.json lacks {error}") from error
        self.extra: dict[str, Any] = description

    @property
    def num_classes(self) -> int:
        """K, or 0 with fewer than two classes."""
        return len(self.class_names) if len(self.class_names) > 1 else 0

    @cached_property
    def content_hash(self) -> str:
        """Hex SHA-256 of the description and of each entry's name and checksum, independent of the path."""
        archive = self._zip()
        digest = hashlib.sha256(archive.read("dataset.json"))
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
        suffix = "png" if self.encoding["format"] == "png" else "jpg"
        frames = np.empty((len(frame_indices), 3, self.height, self.width), np.uint8)
        for slot, frame in enumerate(frame_indices):
            if not 0 <= frame < video.num_frames:
                raise IndexError(f"frame {frame} of {video.name}, which has {video.num_frames} frames")
            name = f"{video.name}/{frame:06d}.{suffix}"
            try:
                frames[slot] = decode_frame(self._zip().read(name)).transpose(2, 0, 1)
            except (KeyError, ValueError, OSError, zipfile.BadZipFile, zlib.error) as error:
                raise StyleganvError(f"Cannot read frame {name} in {self.path}: prepare the dataset again.") from error
        return frames

    def label(self, video_index: int) -> np.ndarray | None:
        """Return the float32 one-hot class `[K]` of a video, or None without classes."""
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
            return json.loads(self._zip().read("dataset.json"))
        except zipfile.BadZipFile as error:
            raise self._invalid("it is not a zip, or is truncated") from error
        except KeyError as error:
            raise self._invalid("it has no dataset.json") from error
        except ValueError as error:
            raise self._invalid("its dataset.json is damaged") from error

    def _invalid(self, reason: str) -> StyleganvError:
        return StyleganvError(
            f"{self.path} is not a prepared dataset ({reason}): "
            f"create one with `styleganv prepare {self.path} DATA.zip`."
        )


def _record(video: dict[str, Any]) -> VideoRecord:
    meta = {key: value for key, value in video.items() if key not in ("name", "frames", "label")}
    return VideoRecord(video["name"], video["frames"], video["label"], meta)


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
        png = {"format": "png"}
        labels = [
            [f"{video.name}/000000.{self._suffix}", video.label] for video in self.videos if video.label is not None
        ]
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


def write_dataset(
    dest: Path | str,
    videos: Iterable[tuple[str, Iterable[np.ndarray | bytes], int | None, dict[str, Any]]],
    *,
    height: int,
    width: int,
    fps: float,
    jpeg_quality: int | None = 95,
    class_names: Sequence[str] = (),
    extra: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write videos as a dataset.

    Args:
        dest: zip to write.
        videos: `(name, frames, label, meta)` per video: uint8 `[H, W, 3]` frames or encoded bytes, an index into
            `class_names` or None, and further JSON fields, e.g. ground-truth factors.
        height, width: frame size in pixels.
        fps: frame rate in frames per second.
        jpeg_quality: 1 to 100 (best); None stores lossless PNGs.
        class_names: names by label.
        extra: further entries of `dataset.json`.
        overwrite: replace `dest` if it exists.

    Raises:
        StyleganvError: if `dest` exists or cannot be written, e.g. to a full disk.
    """
    with create_dataset(dest, height=height, width=width, jpeg_quality=jpeg_quality, overwrite=overwrite) as writer:
        for name, frames, label, meta in videos:
            writer.add(name, frames, label, meta)
        writer.finish(fps=fps, class_names=class_names, extra=extra)
