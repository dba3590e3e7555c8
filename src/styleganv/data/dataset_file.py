"""One file of a dataset: an uncompressed zip of frames, `video_name/000000.jpg`, with `dataset.json` as its last entry.

It holds the whole dataset, or one of its shards.
"""

import hashlib
import json
import zlib
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

from styleganv.data.archive import FrameArchive, count_entries, find_entry, read_directory, read_entry
from styleganv.errors import StyleganvError
from styleganv.label_space import Component, Label, LabelKind, LabelSpace
from styleganv.validation import Count, FrameRate, Size, check, read_fields, short_repr

FORMAT = 1
DESCRIPTION = "dataset.json"
#: The largest description that is read; it has room for more than a million videos.
MAX_DESCRIPTION_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One video of a dataset.

    Attributes:
        label: its label in the `LabelSpace` of the dataset, or None.
        meta: other fields of the record, e.g. its `source` or its ground-truth factors.
    """

    name: str
    num_frames: int
    label: Label | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """Which part of a dataset a file holds.

    Attributes:
        number: 1 to `count`.
        plan: hash of the source and the settings, equal in all shards of a dataset.
        order: number of the source of each video, by which the videos of all shards are sorted.
    """

    number: Count
    count: Count
    plan: str
    order: list[int]


class DatasetFile:
    """A file of a dataset, opened by path.

    Attributes: those of `VideoDataset`, and:
        archive: frames of all videos, counted through in their order.
        shard: which part of the dataset it holds; None for all of it.

    Raises:
        StyleganvError: if the path is not a file of a dataset that this version can read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        description = self._description()
        self.height: int = self._field(description, "height", Size)
        self.width: int = self._field(description, "width", Size)
        self.fps: float = self._field(description, "fps", FrameRate)
        self.encoding: dict[str, Any] = self._field(description, "encoding", dict)
        self._field(dict(self.encoding), "format", Literal["jpeg", "png"])
        names = self._field(description, "class_names", list[str])
        kind: LabelKind = "class"
        if "label_kind" in description:
            kind = self._field(description, "label_kind", LabelKind)
        self.labels = LabelSpace(tuple(names), kind)
        self.videos = [self._record(video) for video in self._field(description, "videos", list[dict])]
        self.shard = self._shard(description.pop("shard")) if "shard" in description else None
        description.pop("labels", None)
        self.extra: dict[str, Any] = description
        self._check_videos()
        self.archive = self._open_frames()

    @property
    def suffix(self) -> str:
        """That of its frames."""
        return ".png" if self.encoding["format"] == "png" else ".jpg"

    def content_hash(self) -> str:
        """Return the hex SHA-256 of the description and of each entry's name and checksum."""
        entry = find_entry(self.path, DESCRIPTION)
        digest = hashlib.sha256(read_entry(self.path, entry) if entry else b"")
        for entry in read_directory(self.path):
            digest.update(f"{entry.name} {entry.crc} {entry.size}\n".encode())
        return digest.hexdigest()

    def _description(self) -> dict[str, Any]:
        if not self.path.exists():
            raise StyleganvError(
                f"Dataset {self.path} not found: create it with `styleganv prepare SOURCE {self.path}`."
            )
        try:
            entry = find_entry(self.path, DESCRIPTION)
        except (BadZipFile, UnicodeError) as error:
            raise self._invalid("it is not a zip, or is truncated") from error
        if entry is None:
            raise self._invalid(f"it has no {DESCRIPTION}")
        if entry.size > MAX_DESCRIPTION_BYTES:
            raise self._invalid(f"its {DESCRIPTION} is larger than {MAX_DESCRIPTION_BYTES >> 20} MiB")
        try:
            description = json.loads(read_entry(self.path, entry))
            if not isinstance(description, dict):
                raise ValueError
        except (ValueError, OSError, RecursionError, BadZipFile, zlib.error) as error:
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
        hint = int | None if self.labels.kind == "class" else list[Component] | None
        name, num_frames, label = (
            self._field(video, key, hint) for key, hint in (("name", str), ("frames", Count), ("label", hint))
        )
        return VideoRecord(name, num_frames, tuple(label) if isinstance(label, list) else label, video)

    def _shard(self, values: Any) -> Shard:
        try:
            shard = read_fields(Shard, values, self.path, f"{DESCRIPTION}: shard")
        except TypeError as error:
            raise self._invalid(f"its {DESCRIPTION} is damaged") from error
        if len(shard.order) != len(self.videos) or shard.number > shard.count:
            raise self._invalid(f"its {DESCRIPTION} is damaged")
        return shard

    def _check_videos(self) -> None:
        """Raise StyleganvError if two have the same name, or a label is invalid."""
        for kind, names in (("videos", [video.name for video in self.videos]), ("classes", self.labels.names)):
            if len(set(names)) < len(names):
                raise self._invalid(f"two {kind} have the same name")
        for video in self.videos:
            if video.label is not None and (reason := self.labels.problem(video.label)):
                raise StyleganvError(
                    f"{self.path}: the label {short_repr(video.label)} of {video.name} {reason}: prepare the dataset "
                    "again."
                )

    def _open_frames(self) -> FrameArchive:
        """Return the frames. Raises StyleganvError if one is missing."""
        starts = list(accumulate((video.num_frames for video in self.videos), initial=0))
        limit = count_entries(self.path) + 1  # at least one of more frames is missing
        frames = {
            video.name: range(min(start, limit), min(start + video.num_frames, limit))
            for video, start in zip(self.videos, starts, strict=False)
        }
        archive = FrameArchive(self.path, frames, self.suffix)
        if (missing := archive.missing()) is not None:
            index = bisect_right(starts, missing) - 1
            raise self.unreadable(self.videos[index], missing - starts[index])
        return archive

    def frame_name(self, video: VideoRecord, frame: int) -> str:
        """Return the name of a frame in the zip."""
        return f"{video.name}/{frame:06d}{self.suffix}"

    def unreadable(self, video: VideoRecord, frame: int) -> StyleganvError:
        """Return the error for a frame that is missing or damaged."""
        return StyleganvError(
            f"Cannot read frame {self.frame_name(video, frame)} in {self.path}: prepare the dataset again."
        )

    def _invalid(self, reason: str) -> StyleganvError:
        return not_a_dataset(self.path, reason)


def not_a_dataset(path: Path, reason: str) -> StyleganvError:
    """Return the error for a path that holds no dataset."""
    return StyleganvError(
        f"{path} is not a prepared dataset ({reason}): create one with `styleganv prepare {path} DATA.zip`."
    )
