"""Finding and decoding source videos: files, folders or a zip of video files and of folders of frames.

Frames are uint8 RGB `[H, W, 3]` in 0..255, put on a background color where they are transparent. Times are in seconds.
"""

import io
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageOps

from styleganv.errors import StyleganvError

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".webm", ".mkv", ".mpg", ".mpeg", ".avi", ".gif", ".m4v"})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})

Color = tuple[int, int, int]
WHITE: Color = (255, 255, 255)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key under which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


@dataclass(frozen=True)
class VideoSource:
    """One video that was found, not yet opened.

    Attributes:
        name: path relative to the source, '/'-separated, without suffix; unique.
        class_name: the first folder below the one that holds all videos; None for a video directly in it.
        root: the folder or zip that holds it.
        files: paths relative to `root`: one video file, or frames in natural order.
        animated_webp: the file is a webp of several frames; others are single frames.
    """

    name: str
    class_name: str | None
    root: Path
    files: tuple[str, ...]
    animated_webp: bool = False

    @property
    def is_video_file(self) -> bool:
        return self.animated_webp or _suffix(self.files[0]) in VIDEO_SUFFIXES

    def native_fps(self) -> float | None:
        """Frames a second that the video file states; None for a folder of frames."""
        if not self.is_video_file:
            return None
        if self.animated_webp:
            with self._open_webp() as image:
                frames = _webp_frames(image, self._shown(self.files[0]), WHITE)
                durations = [frame.duration for frame in frames]
            return len(durations) / sum(durations)
        with _Decoder(self) as container:
            return _stream_fps(container.streams.video[0])

    def frames(self, fps: float | None = None, source_fps: float = 25.0) -> Iterator[np.ndarray]:
        """The pixels of `decode`."""
        return (frame.pixels for frame in self.decode(fps, source_fps))

    def decode(
        self, fps: float | None = None, source_fps: float = 25.0, background: Color = WHITE
    ) -> Iterator["Frame"]:
        """Decode the frames one after another, all of one size.

        Args:
            fps: resample to this rate, each time taking the frame shown nearest to it; None leaves them as
                they are.
            source_fps: the rate of a folder of frames, which states none.
            background: what is seen through transparent pixels.

        Raises:
            StyleganvError: naming the file that cannot be read or differs in size from those before it.
        """
        if self.animated_webp:
            frames = self._animation_frames(background)
        elif self.is_video_file:
            frames = self._file_frames(background)
        else:
            frames = self._image_frames(source_fps, background)
        size = None
        for frame in frames if fps is None else _resampled(frames, fps):
            size = size or frame.pixels.shape
            if frame.pixels.shape != size:
                raise StyleganvError(
                    f"{frame.file} is {_size(frame.pixels.shape)} but the frames before it are {_size(size)} "
                    "(width x height): make all frames of a video the same size."
                )
            yield frame
        if size is None:
            raise StyleganvError(f"{self._shown(self.files[0])} holds no frames: remove or replace it.")

    def bytes_of(self, file: str) -> bytes:
        """One of its files as it is stored; OSError where it is damaged."""
        opened = self._open(file)
        return Path(opened).read_bytes() if isinstance(opened, str) else opened.getvalue()

    def _shown(self, file: str) -> str:
        return f"{self.root}/{file}"

    def _open(self, file: str) -> io.BytesIO | str:
        """What the decoders open: a path, or the bytes of an entry of the zip. OSError where it is damaged."""
        if self.root.is_dir():
            return str(self.root / file)
        try:
            return io.BytesIO(_archive(self.root).read(file))
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # the last: encrypted
            raise OSError(str(error)) from error

    @contextmanager
    def _open_webp(self) -> Iterator[Image.Image]:
        """The animation; errors, also those while decoding, name the file."""
        file = self.files[0]
        try:
            with Image.open(self._open(file)) as image:
                yield image
        except (OSError, EOFError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise _unreadable(self._shown(file)) from error

    def _animation_frames(self, background: Color) -> Iterator["Frame"]:
        with self._open_webp() as image:
            yield from _webp_frames(image, self._shown(self.files[0]), background)

    def _file_frames(self, background: Color) -> Iterator["Frame"]:
        shown = self._shown(self.files[0])
        with _Decoder(self) as container:
            stream = container.streams.video[0]
            rate = _stream_fps(stream)
            to_rgb = VideoReformatter()  # one for all frames: setting it up takes longer than a small frame
            end = 0.0
            start: float | None = None
            for count, frame in enumerate(container.decode(stream)):
                time = count / rate if frame.time is None else float(frame.time)
                start = time if start is None else start
                end = max(end, time - start + 1 / rate)
                if _may_be_transparent(frame.format):
                    rgba = to_rgb.reformat(frame, format="rgba").to_ndarray()
                    pixels, transparent = _on(background, Image.fromarray(rgba))
                else:
                    pixels, transparent = to_rgb.reformat(frame, format="rgb24").to_ndarray(), False
                pixels = np.rot90(pixels, frame.rotation // 90)
                yield Frame(time - start, 1 / rate, pixels, shown, transparent)
            promised = _promised_seconds(container)
            if promised is not None and end < 0.9 * promised - 1 / rate:
                raise StyleganvError(
                    f"{shown} is cut short ({end:.1f} of {promised:.1f} seconds can be read): replace it."
                )

    def _image_frames(self, source_fps: float, background: Color) -> Iterator["Frame"]:
        for index, file in enumerate(self.files):
            try:
                with Image.open(self._open(file)) as image:
                    pixels, transparent = _rgb(image, background)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                raise StyleganvError(f"{self._shown(file)} cannot be read as an image: replace or remove it.") from None
            yield Frame(index / source_fps, 1 / source_fps, pixels, self._shown(file), transparent)


def find_videos(source: Path | str) -> list[VideoSource]:
    """All videos of a source, in natural order of their names.

    A source is one video file, a folder (nested at will) of video files and of folders of frames, or a zip of
    either. A folder that directly holds images is one video; a webp is an image, unless it is animated.

    Raises:
        StyleganvError: if the source is missing, no whole zip, or holds no video.
    """
    source = Path(source)
    if not source.exists():
        raise StyleganvError(f"There is nothing at {source}: give a video file, a folder or a zip of videos.")
    if source.is_dir():
        found = _group(source, source.name, _walk(source), lambda file: _is_animated_webp(source / file))
    elif _suffix(source.name) in VIDEO_SUFFIXES:
        found = [VideoSource(source.stem, None, source.parent, (source.name,))]
    elif _is_animated_webp(source):
        found = [VideoSource(source.stem, None, source.parent, (source.name,), animated_webp=True)]
    elif _suffix(source.name) == ".zip":
        names = _archive_names(source)
        found = _group(source, source.stem, names, lambda file: _is_animated_webp(zipfile.Path(_archive(source), file)))
    else:
        raise StyleganvError(
            f"{source} is no video this program knows: give one of {known_suffixes()}, an animated webp, "
            "a folder or a zip."
        )
    if not found:
        raise StyleganvError(
            f"{source} holds no videos: give {known_suffixes()} files, animated webp files or folders of images."
        )
    return found


def _walk(root: Path) -> Iterator[str]:
    """Files below a folder, relative to it; linked folders are followed, but each only once."""
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
        return [entry.filename for entry in _archive(path).infolist() if not entry.is_dir()]
    except zipfile.BadZipFile as error:
        raise StyleganvError(f"{path} is no zip, or only part of one: copy or download it again.") from error


def _is_animated_webp(path: Path | zipfile.Path) -> bool:
    """What its first bytes say; a damaged file counts as a single image, and is named when it is decoded."""
    if _suffix(path.name) != ".webp":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):
        return False
    # A RIFF container: its size, WEBP, then the chunk VP8X, after whose size the flags stand.
    return len(head) == 21 and (head[:4], head[8:16]) == (b"RIFF", b"WEBPVP8X") and bool(head[20] & 0b10)


def _group(
    root: Path, root_name: str, files: Iterable[str], is_animated_webp: Callable[[str], bool]
) -> list[VideoSource]:
    """Turn file names into videos: each video file is one, and so is each folder with images in it."""
    folders: dict[str, list[str]] = {}
    singles = {}  # whether it is an animated webp
    for file in files:
        path = PurePosixPath(file)
        if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
            continue  # what file managers leave behind
        if is_animated_webp(file):
            singles[file] = True
        elif _suffix(file) in IMAGE_SUFFIXES:
            folders.setdefault(str(path.parent), []).append(file)
        elif _suffix(file) in VIDEO_SUFFIXES:
            singles[file] = False
    taken = Counter([*folders, *(str(PurePosixPath(file).with_suffix("")) for file in singles)])
    videos = []
    for folder, frames in folders.items():
        name = root_name if folder == "." else folder
        videos.append(VideoSource(name, None, root, tuple(sorted(frames, key=natural_key))))
    for file, animated_webp in singles.items():
        name = str(PurePosixPath(file).with_suffix(""))
        videos.append(VideoSource(file if taken[name] > 1 else name, None, root, (file,), animated_webp))
    return _with_classes(sorted(videos, key=lambda video: natural_key(video.name)))


def _with_classes(videos: list[VideoSource]) -> list[VideoSource]:
    """The class is the first folder that not all videos share: a zip often starts with one that they do."""
    parents = [PurePosixPath(video.name).parent.parts for video in videos]
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*parents, strict=False)))
    return [
        replace(video, class_name=parent[shared] if len(parent) > shared else None)
        for video, parent in zip(videos, parents, strict=True)
    ]


@dataclass(frozen=True)
class Frame:
    """A decoded frame, shown from `time` for `duration` seconds, and the file it came from.

    `transparent` says whether the background shows anywhere in its pixels.
    """

    time: float
    duration: float
    pixels: np.ndarray
    file: str
    transparent: bool


def _resampled(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """At each time k / fps, the frame whose own time is nearest; holds at most two frames."""
    count = 0
    last: Frame | None = None
    for frame in frames:
        while last is not None and count / fps <= (last.time + frame.time) / 2:
            yield last
            count += 1
        last = frame
    while last is not None and count / fps < last.time + last.duration - 1e-6:
        yield last
        count += 1


class _Decoder:
    """An open PyAV container whose errors, also those while decoding, name the file."""

    def __init__(self, video: VideoSource) -> None:
        self._video = video
        self._shown = video._shown(video.files[0])
        self._container: Any = None

    def __enter__(self) -> Any:
        try:
            self._container = av.open(self._video._open(self._video.files[0]))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise _unreadable(self._shown) from error
        if not self._container.streams.video:
            self._container.close()
            raise _unreadable(self._shown)
        return self._container

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._container.close()
        if isinstance(error, av.FFmpegError | ValueError | EOFError):
            raise _unreadable(self._shown) from error


def _unreadable(shown: str) -> StyleganvError:
    return StyleganvError(f"{shown} cannot be read as a video: replace or remove it.")


@lru_cache(maxsize=1)
def _open_archive(path: Path, size: int, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _archive(path: Path) -> zipfile.ZipFile:
    """The zip, opened once a process (its list of entries can be long) and again if the file has changed."""
    status = path.stat()
    return _open_archive(path, status.st_size, status.st_mtime_ns)


def _stream_fps(stream: Any) -> float:
    return float(stream.average_rate or stream.guessed_rate or 25)


def _promised_seconds(container: Any) -> float | None:
    """How long the header says the video is; None where formats only guess (MPEG) or sound may be longer."""
    if "mpeg" in container.format.name:
        return None
    stream = container.streams.video[0]
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def _webp_frames(image: Image.Image, shown: str, background: Color) -> Iterator[Frame]:
    """Each frame of an animation as a whole picture; Pillow knows how long it is shown once it is decoded."""
    time = 0.0
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        image.load()
        duration = (image.info.get("duration") or 100) / 1000  # browsers show frames of no duration for 100 ms
        pixels, transparent = _rgb(image, background)
        yield Frame(time, duration, pixels, shown, transparent)
        time += duration


def _rgb(image: Image.Image, background: Color) -> tuple[np.ndarray, bool]:
    """Upright 8-bit RGB, and whether the background shows; 16-bit grays are scaled, where Pillow would clip them."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        gray = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2), False
    if image.has_transparency_data:
        return _on(background, image.convert("RGBA"))
    return np.asarray(image.convert("RGB")), False


def _on(background: Color, image: Image.Image) -> tuple[np.ndarray, bool]:
    """An RGBA image in front of a color, and whether that shows anywhere.

    Done before resizing, because whatever color transparent pixels are stored in (often black) would else be mixed
    into the edges.
    """
    alpha = image.getchannel("A")
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image, mask=alpha)
    return np.asarray(canvas), bool((np.asarray(alpha) < 255).any())


def _may_be_transparent(pixels: av.VideoFormat) -> bool:
    return pixels.has_palette or any(component.is_alpha for component in pixels.components)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def known_suffixes() -> str:
    """Of video files, for people."""
    return " ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES))
