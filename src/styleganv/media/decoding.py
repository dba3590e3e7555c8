"""Decoders of video files, animated webp files and folders of images.

Frames are uint8 RGB `[H, W, 3]` in 0..255, composited over a background color where they are transparent. Times are in
seconds.
"""

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageOps

from styleganv.errors import StyleganvError

Color = tuple[int, int, int]
WHITE: Color = (255, 255, 255)

#: Errors of Python's zip reader on a damaged or (the last) encrypted entry.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
_DECODING_ERRORS = (av.FFmpegError, OSError, EOFError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class DecodedFrame:
    """A frame as shown from `time` for `duration` seconds.

    Attributes:
        pixels: uint8 `[H, W, 3]`.
        file: the file it came from.
        transparent: whether the background is visible anywhere in `pixels`.
    """

    time: float
    duration: float
    pixels: np.ndarray
    file: "MediaFile"
    transparent: bool


@dataclass(frozen=True)
class MediaFile:
    """A file at `name` (relative, '/'-separated) in the folder or zip `root`."""

    root: Path
    name: str

    def __str__(self) -> str:
        return f"{self.root}/{self.name}"

    def open(self) -> str | io.BytesIO:
        """Return what the decoders open: a path, or the bytes of a zip entry. Raises OSError if damaged."""
        if self.root.is_dir():
            return str(self.root / self.name)
        try:
            return io.BytesIO(open_archive(self.root).read(self.name))
        except ZIP_ERRORS as error:
            raise OSError(str(error)) from error

    def read_bytes(self) -> bytes:
        """Return the stored bytes. Raises OSError if damaged."""
        opened = self.open()
        return Path(opened).read_bytes() if isinstance(opened, str) else opened.getvalue()


def open_archive(path: Path) -> zipfile.ZipFile:
    """Return the zip, opened once per process (its list of entries can be long) and again if the file has changed."""
    status = path.stat()
    return _open_archive(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1)
def _open_archive(path: Path, size: int, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def read_fps(file: MediaFile, *, is_webp: bool) -> float:
    """Return the frame rate that a video file or an animated webp states, on average."""
    if is_webp:
        durations = [frame.duration for frame in decode_webp(file, WHITE)]
        return len(durations) / sum(durations)
    with _open_container(file) as container:
        return _stream_fps(container.streams.video[0])


def decode_video(file: MediaFile, background: Color) -> Iterator[DecodedFrame]:
    """Decode a video file.

    Raises:
        StyleganvError: if the file cannot be read, or ends before the duration in its header.
    """
    with _open_container(file) as container:
        stream = container.streams.video[0]
        fps = _stream_fps(stream)
        to_rgb = VideoReformatter()  # one for all frames: setting it up takes longer than a small frame
        end = 0.0
        start: float | None = None
        for index, frame in enumerate(container.decode(stream)):
            time = index / fps if frame.time is None else float(frame.time)
            start = time if start is None else start
            end = max(end, time - start + 1 / fps)
            if _may_be_transparent(frame.format):
                rgba = to_rgb.reformat(frame, format="rgba").to_ndarray()
                pixels, transparent = _composite(background, Image.fromarray(rgba))
            else:
                pixels, transparent = to_rgb.reformat(frame, format="rgb24").to_ndarray(), False
            yield DecodedFrame(time - start, 1 / fps, np.rot90(pixels, frame.rotation // 90), file, transparent)
        duration = _header_seconds(container)
        if duration is not None and end < 0.9 * duration - 1 / fps:
            raise StyleganvError(f"{file} is truncated ({end:.1f} of {duration:.1f} seconds are readable): replace it.")


def decode_webp(file: MediaFile, background: Color) -> Iterator[DecodedFrame]:
    """Decode an animated webp; PyAV cannot."""
    time = 0.0
    with _decoding_errors(file, "a video"), Image.open(file.open()) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()  # Pillow sets the duration when it decodes
            duration = (image.info.get("duration") or 100) / 1000  # browsers show frames of no duration for 100 ms
            pixels, transparent = _to_rgb(image, background)
            yield DecodedFrame(time, duration, pixels, file, transparent)
            time += duration


def decode_images(files: Iterable[MediaFile], fps: float, background: Color) -> Iterator[DecodedFrame]:
    """Decode image files as the frames of one video."""
    for index, file in enumerate(files):
        with _decoding_errors(file, "an image"), Image.open(file.open()) as image:
            pixels, transparent = _to_rgb(image, background)
        yield DecodedFrame(index / fps, 1 / fps, pixels, file, transparent)


def resample(frames: Iterable[DecodedFrame], fps: float) -> Iterator[DecodedFrame]:
    """Yield the frame nearest in time to each k / fps; holds at most two frames."""
    count = 0
    last: DecodedFrame | None = None
    for frame in frames:
        while last is not None and count / fps <= (last.time + frame.time) / 2:
            yield last
            count += 1
        last = frame
    while last is not None and count / fps < last.time + last.duration - 1e-6:
        yield last
        count += 1


@contextmanager
def _decoding_errors(file: MediaFile, expected: str) -> Iterator[None]:
    """Turn errors on opening and while decoding into a `StyleganvError` that names the file."""
    try:
        yield
    except _DECODING_ERRORS as error:
        raise StyleganvError(f"Cannot read {file} as {expected}: replace or remove it.") from error


@contextmanager
def _open_container(file: MediaFile) -> Iterator[Any]:
    """Open a PyAV container with at least one video stream."""
    with _decoding_errors(file, "a video"), av.open(file.open()) as container:
        if not container.streams.video:
            raise ValueError("no video stream")
        yield container


def _stream_fps(stream: Any) -> float:
    return float(stream.average_rate or stream.guessed_rate or 25)


def _header_seconds(container: Any) -> float | None:
    """Return the duration in the header; None where the format only guesses (MPEG) or sound may be longer."""
    if "mpeg" in container.format.name:
        return None
    stream = container.streams.video[0]
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def _to_rgb(image: Image.Image, background: Color) -> tuple[np.ndarray, bool]:
    """Return upright 8-bit RGB, and whether the background is visible.

    16-bit grays are scaled, because Pillow would clip them.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        gray = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2), False
    if image.has_transparency_data:
        return _composite(background, image.convert("RGBA"))
    return np.asarray(image.convert("RGB")), False


def _composite(background: Color, image: Image.Image) -> tuple[np.ndarray, bool]:
    """Composite an RGBA image over a color; also return whether the color is visible anywhere.

    This precedes resizing, which would otherwise mix the color stored in transparent pixels (often black) into edges.
    """
    alpha = image.getchannel("A")
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image, mask=alpha)
    return np.asarray(canvas), bool((np.asarray(alpha) < 255).any())


def _may_be_transparent(pixels: av.VideoFormat) -> bool:
    return pixels.has_palette or any(component.is_alpha for component in pixels.components)
