"""Search for source videos: a file, or a folder or zip of video files and of folders of frames."""

import logging
import os
import re
import stat
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, takewhile
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from styleganv.errors import StyleganvError
from styleganv.files import readable
from styleganv.media.containers import decode_near, decode_video, read_timing
from styleganv.media.decoding import (
    BLACK,
    Color,
    DecodedFrame,
    Timing,
    decode_animation,
    decode_images,
    read_animation_timing,
    resample,
)
from styleganv.media.files import ZIP_ERRORS, MediaFile, is_hidden, open_archive

logger = logging.getLogger(__name__)

_VIDEO_TYPES = """
3g2 3gp 3gpp amv asf avi divx dv f4v flv gxf h264 h265 hevc ivf m1v m2t m2ts m2v m4v mj2 mjpeg mjpg mkv mod mov mp4 mpe
mpeg mpg mpv mts mxf nut ogg ogm ogv qt rm rmvb tod ts vob webm wmv wtv y4m
"""
VIDEO_SUFFIXES = frozenset(f".{name}" for name in _VIDEO_TYPES.split()) | {".gif", ".apng"}
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"})
#: For error messages.
SUFFIX_LIST = " ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES))

#: Frame rate of folders of frames, which state none.
DEFAULT_FPS = 25.0

#: `(name, reason)` of something that is left out.
Skipped = tuple[str, str]
Kind = Literal["video", "animation", "frames"]


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a sort key under which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", name.casefold())
    numbers = [part.lstrip("0") for part in parts]  # compared as text: Python limits the digits of an int
    return [(len(numbers[i]), numbers[i]) if i % 2 else parts[i] for i in range(len(parts))], name


def shorten(names: Iterable[str], count: int = 3) -> str:
    """Return "a, b, c and 12 more"."""
    names = list(names)
    rest = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + rest


@dataclass(frozen=True)
class VideoSource:
    """A source video that has not been opened yet.

    Attributes:
        name: path relative to the source, '/'-separated, without suffix; unique and printable.
        class_name: the first folder that not all videos share; None for a video directly in the shared folder.
        root: the folder or zip that holds it.
        files: paths relative to `root`: one video file, or frames in natural order.
        kind: a video file, an animated picture, or frames in picture files.
    """

    name: str
    class_name: str | None
    root: Path
    files: tuple[str, ...]
    kind: Kind

    @property
    def is_video_file(self) -> bool:
        return self.kind != "frames"

    @property
    def media_files(self) -> list[MediaFile]:
        """`files`, ready to be opened."""
        return [MediaFile(self.root, file) for file in self.files]

    def timing(self) -> Timing | None:
        """Return when the frames of the file are shown; None for a folder of frames.

        Raises:
            StyleganvError: if the file cannot be read.
        """
        if self.kind == "frames":
            return None
        return (read_timing if self.kind == "video" else read_animation_timing)(self.media_files[0])

    def frames(self, fps: float | None = None, source_fps: float = DEFAULT_FPS) -> Iterator[np.ndarray]:
        """Yield the pixels of `decode`."""
        return (frame.pixels for frame in self.decode(fps, source_fps))

    def decode(
        self,
        fps: float | None = None,
        source_fps: float = DEFAULT_FPS,
        background: Color = BLACK,
        start: float = 0.0,
    ) -> Iterator[DecodedFrame]:
        """Decode the frames one by one, all of one size.

        Args:
            fps: frame rate to resample to, by presentation time; None keeps every frame.
            source_fps: frame rate of a folder of frames, which states none.
            start: time before which frames may be left out, for which a video file with an index is not decoded.

        Raises:
            DamagedVideo: after the frames before the first damage.
            StyleganvError: naming the file that cannot be read or differs in size from those before it.
        """
        first, size = self.media_files[0], None
        if self.kind == "frames":
            frames = decode_images(self.media_files, source_fps, background)
        elif self.kind == "video":
            frames = decode_video(first, background, start)
        else:
            frames = decode_animation(first, background)
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

    def decode_at(
        self, times: Sequence[float], source_fps: float = DEFAULT_FPS, background: Color = BLACK
    ) -> Iterator[DecodedFrame]:
        """Yield the frames shown at about these increasing times, in seconds, without decoding those in between.

        Raises:
            StyleganvError: if one cannot be read.
        """
        files = self.media_files
        if self.kind == "frames":
            chosen = [files[min(max(0, round(time * source_fps)), len(files) - 1)] for time in times]
            yield from decode_images(chosen, source_fps, background)
        elif self.kind == "video":
            yield from decode_near(files[0], times, background)
        else:
            frames = list(decode_animation(files[0], background))
            starts = [frame.time for frame in frames]
            yield from (frames[max(0, bisect_right(starts, time + 1e-3) - 1)] for time in times)


def common_fps(timings: Iterable[Timing]) -> float:
    """Return the most common frame rate; of equally common ones the lowest, at which no frame must be repeated."""
    counts = Counter(timing.fps for timing in timings)
    return min(counts, key=lambda fps: (-counts[fps], fps))


@dataclass
class SourceScan:
    """What a source holds: videos in natural order of their names, and what is left out."""

    videos: list[VideoSource] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def find_videos(source: Path | str) -> list[VideoSource]:
    """Return the videos of a source; a warning names what is left out. For arguments and errors see `scan_source`."""
    scan = scan_source(source)
    for line in summarize_skipped(scan.skipped):
        logger.warning("Skipped in %s: %s", readable(str(source)), line)
    return scan.videos


def split_images(videos: list[VideoSource]) -> list[VideoSource]:
    """Return one source per image of a folder of images, if it is the only source; else return them as they are."""
    if len(videos) != 1 or videos[0].kind != "frames":
        return videos
    return [replace(videos[0], name=readable(file), files=(file,)) for file in videos[0].files]


def scan_source(source: Path | str) -> SourceScan:
    """Find all videos of a source.

    A source is one video file, a folder (with any nesting) of video files and of folders of frames, or a zip of
    either. A folder that directly holds images is one video; animated webp and PNG files are videos.

    Raises:
        StyleganvError: if the source is missing, damaged, or holds no video.
    """
    source = Path(source)
    shown, scan = readable(str(source)), SourceScan()
    if not source.exists():
        raise StyleganvError(f"{shown} not found: pass a video file, or a folder or zip of videos.")
    if source.is_dir():
        scan.videos = _group(source, source.name or source.resolve().name, _walk(source, scan.skipped), scan.skipped)
    elif not source.is_file():
        raise StyleganvError(f"{shown} is a pipe or a device: pass a video file, or a folder or zip of videos.")
    elif _suffix(source.name) == ".zip":
        scan.videos = _group(source, source.stem, _archive_names(source, scan.skipped), scan.skipped)
    elif (kind := _kind(MediaFile(source.parent, source.name))) in ("video", "animation"):
        scan.videos = [VideoSource(readable(source.stem), None, source.parent, (source.name,), kind)]
    elif kind == "frames":
        raise StyleganvError(f"{shown} is a single picture: pass a video file, or a folder of frames.")
    else:
        raise StyleganvError(f"Unknown video format of {shown}: pass a zip, a folder or a file of type {SUFFIX_LIST}.")
    if not scan.videos:
        found = "; ".join(summarize_skipped(scan.skipped, 3))
        raise StyleganvError(
            f"No videos found in {shown}{f' ({found})' if found else ''}: add video files or folders of images."
        )
    return scan


def summarize_skipped(skipped: Iterable[Skipped], max_lines: int = 20) -> Iterator[str]:
    """Yield one line per reason, with the first names; long lists end with a count."""
    names: dict[str, list[str]] = {}
    for name, reason in skipped:
        names.setdefault(reason, []).append(name)
    for reason in islice(names, max_lines):
        yield f"{shorten(names[reason])}: {reason}"
    if len(names) > max_lines:
        yield f"… and {sum(map(len, islice(names.values(), max_lines, None)))} more"


def _walk(root: Path, skipped: list[Skipped]) -> Iterator[str]:
    """Yield the files below a folder, relative to it; linked folders are followed once."""

    def relative(path: str) -> str:
        return Path(path).relative_to(root).as_posix()

    def unreadable(error: OSError) -> None:
        skipped.append((readable(relative(error.filename)), f"unreadable folder ({error.strerror})"))

    seen = set()
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=unreadable):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            skipped.append((readable(relative(folder)), "a link to a folder that is already included"))
            continue
        seen.add(real)
        subfolders.sort()
        for file in sorted(files):
            path = os.path.join(folder, file)
            try:
                is_file = stat.S_ISREG(os.stat(path).st_mode)
                problem = None if is_file else "a pipe, socket or device"
            except OSError as error:
                problem = f"a broken link ({error.strerror})" if os.path.islink(path) else str(error.strerror)
            if problem is None:
                yield relative(path)
            else:
                skipped.append((readable(relative(path)), problem))


def _archive_names(path: Path, skipped: list[Skipped]) -> list[str]:
    try:
        archive = open_archive(path)
    except UnicodeDecodeError as error:
        raise StyleganvError(f"{readable(str(path))} contains invalid UTF-8 file names: pack it again.") from error
    except (OSError, *ZIP_ERRORS) as error:
        raise StyleganvError(
            f"{readable(str(path))} is not a zip, or is truncated or damaged: copy or download it again."
        ) from error
    skipped += [(readable(name), "a link, which is not followed in a zip") for name in archive.links]
    return list(archive.entries)


def _kind(file: MediaFile) -> Kind | None:
    """Return what a file is by its suffix, and a webp or PNG by its first bytes; None if it is nothing to read."""
    suffix = _suffix(file.name)
    if suffix in (".gif", ".apng") or (suffix in (".webp", ".png") and _is_animated(file)):
        return "animation"
    return "video" if suffix in VIDEO_SUFFIXES else "frames" if suffix in IMAGE_SUFFIXES else None


def _is_animated(file: MediaFile) -> bool:
    """Return what the first bytes say; a damaged file counts as one image, which the decoder then names."""
    head = file.read_head(4096)
    if head.startswith(b"\x89PNG"):
        return b"acTL" in head.partition(b"IDAT")[0]  # the chunk that declares frames precedes the first one
    # A RIFF container: its size, WEBP, then the chunk VP8X: its size and flags.
    return len(head) > 20 and (head[:4], head[8:16]) == (b"RIFF", b"WEBPVP8X") and bool(head[20] & 0b10)


def _group(root: Path, root_name: str, names: Iterable[str], skipped: list[Skipped]) -> list[VideoSource]:
    """Turn file names into videos: one per video file, and one per folder with images in it."""
    folders: dict[str, list[str]] = {}
    singles: dict[str, Kind] = {}
    for name in names:
        path = PurePosixPath(name)
        if is_hidden(name):
            skipped.append((readable(name), "hidden"))
        elif path.name == "dataset.json":
            continue  # labels, read by `prepare`
        elif (kind := _kind(MediaFile(root, name))) is None:
            is_zip = _suffix(name) == ".zip"
            reason = "a zip inside the source: unpack it, or prepare it by itself" if is_zip else "unknown type of file"
            skipped.append((readable(name), reason))
        elif kind == "frames":
            folders.setdefault(str(path.parent), []).append(name)
        else:
            singles[name] = kind
    counts = Counter([*folders, *(str(PurePosixPath(file).with_suffix("")) for file in singles)])
    videos = []
    for folder, frames in folders.items():
        name = root_name if folder == "." else folder
        videos.append(VideoSource(readable(name), None, root, tuple(sorted(frames, key=natural_key)), "frames"))
    for file, kind in singles.items():
        name = str(PurePosixPath(file).with_suffix(""))
        videos.append(VideoSource(readable(file if counts[name] > 1 else name), None, root, (file,), kind))
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
