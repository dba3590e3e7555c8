"""Search for source videos: a file, or a folder or zip of video files and of folders of frames."""

import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PurePosixPath

import numpy as np

from styleganv.errors import StyleganvError
from styleganv.media.decoding import (
    WHITE,
    ZIP_ERRORS,
    Color,
    DecodedFrame,
    MediaFile,
    decode_images,
    decode_video,
    decode_webp,
    open_archive,
    read_fps,
    resample,
)

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".webm", ".mkv", ".mpg", ".mpeg", ".avi", ".gif", ".m4v"})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
#: For error messages.
SUFFIX_LIST = " ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES))


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key under which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


@dataclass(frozen=True)
class VideoSource:
    """A source video that has not been opened yet.

    Attributes:
        name: path relative to the source, '/'-separated, without suffix; unique.
        class_name: the first folder that not all videos share; None for a video directly in the shared folder.
        root: the folder or zip that holds it.
        files: paths relative to `root`: one video file, or frames in natural order.
        animated_webp: whether the file is a webp of several frames.
    """

    name: str
    class_name: str | None
    root: Path
    files: tuple[str, ...]
    animated_webp: bool = False

    @property
    def is_video_file(self) -> bool:
        return self.animated_webp or _suffix(self.files[0]) in VIDEO_SUFFIXES

    @property
    def media_files(self) -> list[MediaFile]:
        """`files`, ready to be opened."""
        return [MediaFile(self.root, file) for file in self.files]

    def native_fps(self) -> float | None:
        """Return the frame rate stated in the video file; None for a folder of frames."""
        return read_fps(self.media_files[0], is_webp=self.animated_webp) if self.is_video_file else None

    def frames(self, fps: float | None = None, source_fps: float = 25.0) -> Iterator[np.ndarray]:
        """Yield the pixels of `decode`."""
        return (frame.pixels for frame in self.decode(fps, source_fps))

    def decode(
        self, fps: float | None = None, source_fps: float = 25.0, background: Color = WHITE
    ) -> Iterator[DecodedFrame]:
        """Decode the frames one by one, all of one size.

        Args:
            fps: frame rate to resample to, by the nearest frame in time; None keeps every frame.
            source_fps: frame rate of a folder of frames, which states none.
            background: color seen through transparent pixels.

        Raises:
            StyleganvError: naming the file that cannot be read or differs in size from those before it.
        """
        first, size = self.media_files[0], None
        if self.animated_webp:
            frames = decode_webp(first, background)
        elif self.is_video_file:
            frames = decode_video(first, background)
        else:
            frames = decode_images(self.media_files, source_fps, background)
        for frame in frames if fps is None else resample(frames, fps):
            size = size or frame.pixels.shape
            if frame.pixels.shape != size:
                raise StyleganvError(
                    f"{frame.file} is {_size(frame.pixels.shape)} but the frames before it are {_size(size)} "
                    "(width x height): make all frames of a video the same size."
                )
            yield frame
        if size is None:
            raise StyleganvError(f"{first} contains no frames: remove or replace it.")


def find_videos(source: Path | str) -> list[VideoSource]:
    """Return all videos of a source, in natural order of their names.

    A source is one video file, a folder (with any nesting) of video files and of folders of frames, or a zip of
    either. A folder that directly holds images is one video; a webp is an image, unless it is animated.

    Raises:
        StyleganvError: if the source is missing, damaged, or holds no video.
    """
    source = Path(source)
    if not source.exists():
        raise StyleganvError(f"{source} not found: pass a video file, or a folder or zip of videos.")
    if source.is_dir():
        videos = _group(source, source.name, _walk(source), lambda file: _is_animated_webp(source / file))
    elif _suffix(source.name) in VIDEO_SUFFIXES:
        videos = [VideoSource(source.stem, None, source.parent, (source.name,))]
    elif _is_animated_webp(source):
        videos = [VideoSource(source.stem, None, source.parent, (source.name,), animated_webp=True)]
    elif _suffix(source.name) == ".zip":
        names = _archive_names(source)
        videos = _group(
            source, source.stem, names, lambda file: _is_animated_webp(zipfile.Path(open_archive(source), file))
        )
    else:
        raise StyleganvError(
            f"Unknown video format of {source}: pass a file of type {SUFFIX_LIST}, an animated webp, a folder or a zip."
        )
    if not videos:
        raise StyleganvError(
            f"No videos found in {source}: add {SUFFIX_LIST} files, animated webp files or folders of images."
        )
    return videos


def _walk(root: Path) -> Iterator[str]:
    """Yield the files below a folder, relative to it; linked folders are followed once."""
    seen = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        for file in files:
            yield (Path(folder) / file).relative_to(root).as_posix()


def _archive_names(path: Path) -> list[str]:
    try:
        return [entry.filename for entry in open_archive(path).infolist() if not entry.is_dir()]
    except zipfile.BadZipFile as error:
        raise StyleganvError(f"{path} is not a zip, or is truncated: copy or download it again.") from error


def _is_animated_webp(path: Path | zipfile.Path) -> bool:
    """Return what the first bytes say; a damaged file counts as one image, which the decoder then names."""
    if _suffix(path.name) != ".webp":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except (OSError, *ZIP_ERRORS):
        return False
    # A RIFF container: its size, WEBP, then the chunk VP8X: its size and flags.
    return len(head) == 21 and (head[:4], head[8:16]) == (b"RIFF", b"WEBPVP8X") and bool(head[20] & 0b10)


def _group(
    root: Path, root_name: str, files: Iterable[str], is_animated_webp: Callable[[str], bool]
) -> list[VideoSource]:
    """Turn file names into videos: one per video file, and one per folder with images in it."""
    folders: dict[str, list[str]] = {}
    singles = {}  # file → whether it is an animated webp
    for file in files:
        path = PurePosixPath(file)
        if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
            continue  # files left behind by file managers
        if is_animated_webp(file):
            singles[file] = True
        elif _suffix(file) in IMAGE_SUFFIXES:
            folders.setdefault(str(path.parent), []).append(file)
        elif _suffix(file) in VIDEO_SUFFIXES:
            singles[file] = False
    counts = Counter([*folders, *(str(PurePosixPath(file).with_suffix("")) for file in singles)])
    videos = []
    for folder, frames in folders.items():
        name = root_name if folder == "." else folder
        videos.append(VideoSource(name, None, root, tuple(sorted(frames, key=natural_key))))
    for file, animated_webp in singles.items():
        name = str(PurePosixPath(file).with_suffix(""))
        videos.append(VideoSource(file if counts[name] > 1 else name, None, root, (file,), animated_webp))
    return _assign_classes(sorted(videos, key=lambda video: natural_key(video.name)))


def _assign_classes(videos: list[VideoSource]) -> list[VideoSource]:
    """Set each class to the first folder that not all videos share: zips often start with a shared one."""
    parents = [PurePosixPath(video.name).parent.parts for video in videos]
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*parents, strict=False)))
    return [
        replace(video, class_name=parent[shared] if len(parent) > shared else None)
        for video, parent in zip(videos, parents, strict=True)
    ]


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
