"""Frames of pictures and animations, their timing, and resampling by presentation time.

Frames are uint8 RGB `[H, W, 3]` in 0..255, composited over a background color where they are transparent. Times are in
seconds; the first frame is at 0.
"""

import math
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import av
import numpy as np
from PIL import Image, ImageOps

from styleganv.errors import StyleganvError
from styleganv.media.files import MediaFile, open_picture

Color = tuple[int, int, int]
BLACK: Color = (0, 0, 0)
Treatment = Literal["composited", "deinterlaced", "tone-mapped"]

#: Errors of FFmpeg and Pillow on damaged files.
DECODING_ERRORS = (
    av.FFmpegError,
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    struct.error,
)
#: Steps between frames within this fraction of the typical one are jitter, not another frame rate.
_JITTER = 0.3
#: A longer step between two frames is an error of the timestamps; playback goes on after a usual one.
MAX_STEP_SECONDS = 600.0


@dataclass(frozen=True)
class DecodedFrame:
    """A frame as shown from `time` for `duration` seconds.

    Attributes:
        pixels: uint8 `[H, W, 3]`.
        treatments: what was done to show it; "composited" means that the background is visible.
    """

    time: float
    duration: float
    pixels: np.ndarray
    file: MediaFile
    treatments: frozenset[Treatment] = frozenset()


@dataclass(frozen=True)
class Timing:
    """When the frames of a video are shown.

    Attributes:
        fps: the usual frame rate, in frames per second.
        is_constant: whether all frames follow it, but for jitter.
        gaps: `(time, seconds)` of each stretch without frames, e.g. where a recording stalled.
        seconds: duration.
    """

    fps: float
    is_constant: bool = True
    gaps: tuple[tuple[float, float], ...] = ()
    seconds: float = field(default=0.0, compare=False)

    def matches(self, fps: float) -> bool:
        """Return whether showing every frame at `fps` keeps the speed (to 1%) throughout."""
        return self.is_constant and abs(self.fps / fps - 1) < 0.01


def measure_timing(times: Iterable[float], stated_fps: Iterable[float] = ()) -> Timing:
    """Return the timing of frames shown at `times`; a stated frame rate that agrees is more precise than rounded times.

    Two steps together also count as regular: pulldown shows film frames for two and three fields in turn.
    """
    stated_fps = list(stated_fps)
    shown = np.unique(np.fromiter(times, float))
    steps, pairs = np.diff(shown), (shown[2:] - shown[:-2]) / 2
    if not len(steps):
        fps = next(iter(stated_fps), 25.0)
        return Timing(fps, seconds=len(shown) / fps)
    regular = next((some for some in (steps, pairs) if len(some) and _is_regular(some).all()), None)
    fps = 1 / (steps[_is_regular(steps)] if regular is None else regular).mean()
    seconds = float(shown[-1] - shown[0] + 1 / fps)
    if not 0.001 < fps < 1000:
        return Timing(25.0, seconds=seconds)
    fps = next((stated for stated in stated_fps if abs(stated / fps - 1) < 0.01), fps)
    long = np.flatnonzero(steps > max(0.5, 5 * _typical(steps)))
    gaps = tuple((float(shown[i] - shown[0]), float(steps[i])) for i in long)
    return Timing(round(float(fps), 3), regular is not None, gaps, seconds)


def _typical(steps: np.ndarray) -> float:
    return float(np.sort(steps)[(len(steps) - 1) // 2])


def _is_regular(steps: np.ndarray) -> np.ndarray:
    return np.abs(steps / _typical(steps) - 1) <= _JITTER


class DamagedVideo(StyleganvError):
    """Raised after the readable frames of a damaged video; `extent` says how many, e.g. "19 of 40 frames"."""

    def __init__(self, problem: str, num_read: int, num_expected: int | None = None) -> None:
        known = num_expected is not None and num_expected > num_read
        self.extent = f"{num_read} of {num_expected} frames" if known else f"{num_read} frames"
        if num_read:
            problem += f" ({self.extent} can be read): replace it, or prepare it with --damaged keep."
        else:
            problem += ": replace or remove it."
        super().__init__(problem)


def decode_animation(file: MediaFile, background: Color) -> Iterator[DecodedFrame]:
    """Decode an animated webp, PNG or GIF. Raises DamagedVideo after the readable frames."""
    for time, duration, image in _animation_frames(file):
        pixels, treatments = _to_rgb(image, background)
        yield DecodedFrame(time, duration, pixels, file, treatments)


def read_animation_timing(file: MediaFile) -> Timing:
    """Return the timing of an animation; its pauses are no gaps."""
    times = []
    try:
        for time, _, _ in _animation_frames(file):
            times.append(time)
    except DamagedVideo:
        pass  # reported by the decoder
    timing = measure_timing(times)
    return replace(timing, gaps=())


def _animation_frames(file: MediaFile) -> Iterator[tuple[float, float, Image.Image]]:
    time, count, expected = 0.0, 0, None
    try:
        with open_picture(file) as image:
            expected = getattr(image, "n_frames", 1)
            # A PNG may hold one more picture, for programs that do not know animations.
            for index in range(int(bool(image.info.get("default_image"))), expected):
                image.seek(index)
                image.load()  # Pillow sets the duration when it decodes
                milliseconds = float(image.info.get("duration") or 0)
                duration = (milliseconds if milliseconds > 10 else 100) / 1000  # as all browsers do
                yield time, duration, image
                time, count = time + duration, count + 1
    except DECODING_ERRORS as error:
        problem = f"{file} is damaged" if count else f"Cannot read {file} as a video"
        raise DamagedVideo(problem, count, None if file.name.lower().endswith(".gif") else expected) from error


def decode_images(files: list[MediaFile], fps: float, background: Color) -> Iterator[DecodedFrame]:
    """Decode image files as frames of one video. Raises DamagedVideo after the frames before the first damaged one."""
    for index, file in enumerate(files):
        try:
            with open_picture(file) as image:
                pixels, treatments = _to_rgb(image, background)
        except DECODING_ERRORS as error:
            raise DamagedVideo(f"Cannot read {file} as an image", index, len(files)) from error
        yield DecodedFrame(index / fps, 1 / fps, pixels, file, treatments)


def resample(frames: Iterable[DecodedFrame], fps: float) -> Iterator[DecodedFrame]:
    """Yield the frame shown at each k / fps from the first frame on, with that time; holds at most two frames.

    A frame is shown from its time on. So that jitter neither repeats nor drops frames, it may come early by half a step
    between frames of the source or of the result, whichever is shorter.
    """
    count = 0
    last: DecodedFrame | None = None
    damage: DamagedVideo | None = None
    try:
        for frame in frames:
            if last is None and frame.time > 1 / fps:
                count = math.ceil(frame.time * fps - 1e-6)
            while last is not None and count / fps <= frame.time - min(frame.time - last.time, 1 / fps) / 2 - 1e-6:
                yield replace(last, time=count / fps, duration=1 / fps)
                count += 1
            last = frame
    except DamagedVideo as error:
        damage = error
    while last is not None and count / fps < last.time + last.duration - 1e-6:
        yield replace(last, time=count / fps, duration=1 / fps)
        count += 1
    if damage is not None:
        raise damage


@contextmanager
def decoding_errors(file: MediaFile, expected: str) -> Iterator[None]:
    """Turn errors on opening and while decoding into a `StyleganvError` that names the file."""
    try:
        yield
    except DECODING_ERRORS as error:
        raise StyleganvError(f"Cannot read {file} as {expected}: replace or remove it.") from error


def _to_rgb(image: Image.Image, background: Color) -> tuple[np.ndarray, frozenset[Treatment]]:
    """Return upright 8-bit RGB; 16-bit grays are scaled, because Pillow would clip them."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        gray = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2), frozenset()
    if image.has_transparency_data:
        return composite(background, image.convert("RGBA"))
    return np.asarray(image.convert("RGB")), frozenset()


def composite(background: Color, image: Image.Image) -> tuple[np.ndarray, frozenset[Treatment]]:
    """Composite an RGBA image over a color.

    This precedes resizing, which would otherwise mix the color stored in transparent pixels (often black) into edges.
    """
    alpha = image.getchannel("A")
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image, mask=alpha)
    visible = bool((np.asarray(alpha) < 255).any())
    return np.asarray(canvas), frozenset(["composited"] if visible else [])
