"""Writes videos and images: one table of formats. A file is complete, or does not appear.

Shapes: H height, W width. Frames are uint8 RGB `[H, W, 3]` in 0..255.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write, check_destination
from styleganv.media import encoders
from styleganv.media.encoders import Frame

#: Files of a folder of frames, as patterns; the names get longer after the millionth frame.
FRAME_FILES = tuple(f"{'[0-9]' * digits}.png" for digits in range(6, 10))


@dataclass(frozen=True)
class VideoFormat:
    """A format of written videos.

    Attributes:
        suffix: of its files; empty for a folder of PNGs.
        media_type: of its files, or of those in the folder.
        encode: writes a file from PyAV frames, frame rate and CRF; None for a folder.
    """

    title: str
    suffix: str
    media_type: str
    encode: Callable[[Path, Iterator[av.VideoFrame], Fraction, int], None] | None


#: By their names, as in `generate --format`.
FORMATS = {
    "mp4": VideoFormat("MP4 (H.264)", ".mp4", "video/mp4", encoders.write_mp4),
    "webm": VideoFormat("WebM (VP9)", ".webm", "video/webm", encoders.write_webm),
    "mov": VideoFormat("MOV (ProRes 4444)", ".mov", "video/quicktime", encoders.write_prores),
    "gif": VideoFormat("GIF", ".gif", "image/gif", encoders.write_gif),
    "webp": VideoFormat("WebP", ".webp", "image/webp", encoders.write_webp),
    "frames": VideoFormat("PNG sequence", "", "image/png", None),
}


def video_format(path: Path | str) -> VideoFormat:
    """Return the format of a path by its suffix. Raises StyleganvError if it is unknown."""
    suffix = Path(path).suffix.lower()
    for each in FORMATS.values():
        if each.suffix == suffix:
            return each
    suffixes = ", ".join(filter(None, (each.suffix for each in FORMATS.values())))
    raise StyleganvError(f"Unknown video format of {path}: use one of {suffixes}, or no suffix for a folder of PNGs.")


def write_video(
    path: Path | str, frames: Iterable[Frame], fps: float, *, crf: int = 18, overwrite: bool = False
) -> None:
    """Encode frames as they arrive, in constant memory (except for webp).

    Args:
        path: file to write; the suffix selects the format, see `FORMATS` and `encoders`. Without one, it is a folder of
            PNGs, which have no frame rate.
        fps: frames per second, accurate to 1e-4 on average (gif counts in 1/100 s, webm and webp in 1/1000 s).
        crf: constant rate factor of mp4, 0 (lossless, but mp4 and webm halve the resolution of color) to 51, and its
            equivalent of webm and webp; others ignore it.

    Raises:
        StyleganvError: if the suffix is unknown, `fps` or `crf` is out of range, there are no frames, or `path` exists
            or cannot be written.
        ValueError: if a frame is not uint8 `[H, W, 3]` of the first frame's size.
    """
    path = Path(path)
    check_video(path, fps, crf)
    encode = video_format(path).encode
    if encode is None:
        write_frames(path, frames, overwrite=overwrite)
        return
    rate = Fraction(fps).limit_denominator(10_000)
    images = encoders.video_frames(_check_frames(path, frames), rate)
    with atomic_write(path, overwrite=overwrite) as tmp_path:
        try:
            encode(tmp_path, images, rate, crf)
        except (av.error.ExternalError, av.error.ArgumentError) as error:  # H.264 and WebP limit the size of frames
            raise StyleganvError(
                f"Cannot encode {path} ({error.strerror}): choose a smaller --scale, or another format."
            ) from error


def check_video(path: Path | str, fps: float, crf: int = 18) -> None:
    """Raise StyleganvError for arguments of `write_video` out of range, before frames that take long to compute."""
    video_format(path)
    if not 0.01 <= fps <= 1000:
        raise StyleganvError(f"Frame rate of {path} must be 0.01 to 1000 fps, got {fps:g}: change --fps.")
    if not 0 <= crf <= encoders.MAX_CRF:
        raise StyleganvError(f"CRF of {path} must be 0 (lossless) to 51 (worst), got {crf}: change --crf.")


def check_video_destination(path: Path | str, *others: Path | str | None, overwrite: bool) -> None:
    """Raise StyleganvError unless a video and other files can be written; see `files.check_destination`."""
    if video_format(path).suffix:
        check_destination(path, *others, overwrite=overwrite)
    else:
        check_destination(path, overwrite=overwrite, contents=FRAME_FILES)
        check_destination(*others, overwrite=overwrite)


def _check_frames(path: Path | str, frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the frames. Raises StyleganvError if there are none, and ValueError as `write_video`."""
    shape: tuple[int, ...] | None = None
    for frame in frames:
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape != (*shape[:2], 3):
            raise ValueError(f"frames must be uint8 [H, W, 3], all of the same size, got {frame.dtype} {frame.shape}")
        yield frame
    if shape is None:
        raise StyleganvError(f"Cannot write {path} without frames: request a longer video.")


def write_frames(folder: Path | str, frames: Iterable[Frame], start_index: int = 0, *, overwrite: bool = False) -> None:
    """Write `000000.png`, … numbered from `start_index`.

    Raises:
        StyleganvError: if there are no frames, or the folder cannot be written, exists, or holds other files.
    """
    check_destination(folder, overwrite=overwrite, contents=FRAME_FILES)
    with atomic_write(folder, overwrite=overwrite, contents=FRAME_FILES) as tmp_path:
        for index, frame in enumerate(_check_frames(folder, frames), start_index):
            Image.fromarray(frame).save(tmp_path / f"{index:06d}.png")


def write_image(path: Path | str, image: Frame, *, overwrite: bool = False) -> None:
    """Write a uint8 `[H, W, 3]` image as PNG."""
    with atomic_write(path, overwrite=overwrite) as tmp_path:
        Image.fromarray(image).save(tmp_path, format="PNG")
