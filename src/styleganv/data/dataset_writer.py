"""Writers of a dataset: from videos in memory, or video by video.

Shapes: H height, W width. Frames are uint8 RGB `[H, W, 3]` in 0..255.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from styleganv.data.archive import ArchiveWriter
from styleganv.data.dataset_file import DESCRIPTION, FORMAT, VideoRecord
from styleganv.data.frames import encode_frame
from styleganv.files import atomic_write
from styleganv.label_space import Label, LabelKind, LabelSpace
from styleganv.validation import FrameRate, Interval, Size, check_arguments


class DatasetWriter:
    """Writer to the zip of a new dataset; see `create_dataset`."""

    def __init__(self, archive: ArchiveWriter, height: int, width: int, jpeg_quality: int | None) -> None:
        self.videos: list[VideoRecord] = []
        self._archive = archive
        self._shape = (height, width, 3)
        self._jpeg_quality = jpeg_quality
        self._suffix = "png" if jpeg_quality is None else "jpg"
        self._names: set[str] = set()

    def add(self, name: str, frames: Iterable[np.ndarray | bytes], label: Label | None, meta: dict[str, Any]) -> None:
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
            self._archive.add(f"{name}/{count:06d}.{self._suffix}", frame)
            count += 1
        self.videos.append(VideoRecord(name, count, label, meta))

    def restore(self, videos: Iterable[VideoRecord]) -> None:
        """Add the records of videos whose frames the zip contains already."""
        for video in videos:
            self.videos.append(video)
            self._names.add(video.name)

    def finish(self, *, fps: float, labels: LabelSpace, extra: dict[str, Any] | None = None) -> None:
        """Write `dataset.json`, which completes the dataset."""
        png, labeled = {"format": "png"}, [video for video in self.videos if video.label is not None]
        description = {
            "format": FORMAT,
            "height": self._shape[0],
            "width": self._shape[1],
            "fps": float(fps),
            "encoding": png if self._jpeg_quality is None else {"format": "jpeg", "quality": self._jpeg_quality},
            "class_names": list(labels.names),
            **({} if labels.kind == "class" else {"label_kind": labels.kind}),
            **(extra or {}),
            "videos": [
                {"name": video.name, "frames": video.num_frames, "label": video.label, **video.meta}
                for video in self.videos
            ],
            "labels": [[f"{video.name}/000000.{self._suffix}", video.label] for video in labeled] or None,
        }
        self._archive.add(DESCRIPTION, json.dumps(description).encode())
        self._archive.finish()

    def _unique(self, name: str) -> str:
        flat = name.replace("/", "_")
        unique, number = flat, 2
        while unique in self._names:
            unique, number = f"{flat}_{number}", number + 1
        self._names.add(unique)
        return unique


@contextmanager
def create_dataset(
    dest: Path | str, *, height: int, width: int, jpeg_quality: int | None = 95, overwrite: bool = False
) -> Iterator[DatasetWriter]:
    """Create a dataset atomically: `add` each video, then `finish`."""
    with (
        atomic_write(dest, overwrite=overwrite) as tmp_path,
        open(tmp_path, "wb") as file,
        open(tmp_path.with_name(".directory"), "wb+") as directory,
    ):
        yield DatasetWriter(ArchiveWriter(file, directory), height, width, jpeg_quality)


@check_arguments
def write_dataset(
    dest: Path | str,
    videos: Iterable[tuple[str, Iterable[np.ndarray | bytes], Label | None, dict[str, Any]]],
    *,
    height: Size,
    width: Size,
    fps: FrameRate,
    jpeg_quality: Annotated[int, Interval(1, 100)] | None = 95,
    class_names: Sequence[str] = (),
    label_kind: LabelKind = "class",
    extra: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write videos as a dataset.

    Args:
        videos: `(name, frames, label, meta)` per video: uint8 `[H, W, 3]` frames or encoded bytes, an index into
            `class_names` (for other kinds of labels K numbers) or None, and further JSON fields, e.g. ground-truth
            factors.
        height, width: frame size in pixels.
        fps: frame rate in frames per second.
        jpeg_quality: 1 to 100 (best); None stores lossless PNGs.
        class_names: names of the classes, or of the numbers of a vector.
        label_kind: what labels are, see `LabelSpace`.
        extra: further entries of `dataset.json`.

    Raises:
        StyleganvError: if `dest` exists or cannot be written, e.g. to a full disk.
    """
    with create_dataset(dest, height=height, width=width, jpeg_quality=jpeg_quality, overwrite=overwrite) as writer:
        for name, frames, label, meta in videos:
            writer.add(name, frames, label, meta)
        writer.finish(fps=fps, labels=LabelSpace(tuple(class_names), label_kind), extra=extra)
