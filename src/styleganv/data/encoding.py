"""From takes to encoded frames: decode a source once, and cut, crop, resize and encode the frames of its takes.

Frames are uint8 RGB `[H, W, 3]`. Times are in seconds from the start of the source.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image, ImageColor

from styleganv.data.footage import sharpness
from styleganv.data.frames import encode_frame
from styleganv.data.masks import crop_to_mask
from styleganv.data.scenes import find_cuts, split_at
from styleganv.data.takes import TOLERANCE, Take
from styleganv.errors import StyleganvError
from styleganv.media.decoding import Color, DamagedVideo, DecodedFrame, Timing
from styleganv.media.sources import DEFAULT_FPS, VideoSource
from styleganv.options import Fit, PrepareOptions

#: Frames from one of which sharpness is measured to the next.
SHARPNESS_EVERY = 8


@dataclass(frozen=True)
class Outcome:
    """What became of a take: facts for the report.

    Attributes:
        reason: why it is skipped; None if it is used.
        fps: frame rate of its source.
        gaps: `(time, seconds)` of each stretch without frames, from the start of the take.
        treatments: what was done to show its frames, in alphabetical order; see `PrepareReport.treated`.
        is_enlarged: whether its frames are smaller than the resolution.
        damage: how much of a damaged video is used, e.g. "19 of 40 frames".
        sharpness: median over its frames; see `footage.sharpness`.
    """

    name: str
    reason: str | None = None
    fps: float = 0.0
    gaps: tuple[tuple[float, float], ...] = ()
    treatments: tuple[str, ...] = ()
    is_enlarged: bool = False
    damage: str = ""
    sharpness: float = 0.0


@dataclass(frozen=True)
class Encoded:
    """A take as encoded frames, concatenated in a temporary file; `sizes` are their lengths in bytes."""

    take: Take
    outcome: Outcome
    path: Path
    sizes: Sequence[int] = ()


@dataclass
class _Recording:
    """A take while its source is decoded."""

    take: Take
    start: float
    stop: float
    path: Path
    sizes: list[int] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    treatments: set[str] = field(default_factory=set)
    is_enlarged: bool = False
    problem: str | None = None
    damage: str = ""

    def contains(self, time: float) -> bool:
        return self.start - TOLERANCE <= time < self.stop - TOLERANCE


@dataclass(frozen=True)
class Encoder:
    """Encoding of every take; sent to the workers.

    Attributes:
        fps: frame rate of the dataset.
        folder: for temporary files.
    """

    height: int
    width: int
    options: PrepareOptions
    background: Color
    folder: Path = Path()
    fps: float = DEFAULT_FPS

    def read_timing(self, source: VideoSource) -> Timing | str:
        """Return when the frames of a source are shown, or why it is skipped."""
        if source.kind == "frames" and len(source.files) < self.options.min_frames:
            return self.too_short(len(source.files))
        try:
            rate = self.options.source_fps
            return source.timing() or Timing(rate, seconds=len(source.files) / rate)
        except StyleganvError as error:
            return str(error)

    def encode(self, task: tuple[int, Sequence[Take], Timing | str]) -> list[Encoded]:
        """Encode the takes of one source into temporary files, so that long videos need no memory.

        Args:
            task: number of the source, its takes, and its timing or why it is skipped.
        """
        number, takes, timing = task
        path = self.folder / str(number)
        if isinstance(timing, str):
            return [Encoded(take, Outcome(take.name, reason=timing), path) for take in takes]
        try:
            takes = self._refine(takes, timing)
        except StyleganvError as error:
            return [Encoded(take, Outcome(take.name, reason=str(error)), path) for take in takes]
        recordings = [
            _Recording(take, *take.span(timing.seconds), path.with_suffix(f".{index}"))
            for index, take in enumerate(takes)
        ]
        self._record(takes[0].source, recordings, self.rate(timing))
        return [self._finish(recording, timing) for recording in recordings]

    def _refine(self, takes: Sequence[Take], timing: Timing) -> list[Take]:
        """Return the takes of one source with the crops of their masks, and with `split_scenes` one per scene."""
        takes, source = [crop_to_mask(take) for take in takes], takes[0].source
        if not self.options.split_scenes:
            return takes
        cuts = find_cuts(source.decode(None, self.options.source_fps, self.background))
        return [scene for take in takes for scene in split_at(take, cuts, timing.seconds)]

    def rate(self, timing: Timing) -> float | None:
        """Return the frame rate to resample to; None keeps every frame."""
        return self.fps if self.options.fps or not timing.matches(self.fps) else None

    def _record(self, source: VideoSource, recordings: list[_Recording], fps: float | None) -> None:
        """Decode a source from its first take to its last; what ends it early becomes a problem of the open takes."""
        start, end = min(recording.start for recording in recordings), max(recording.stop for recording in recordings)
        until = 0.0
        try:
            for frame in source.decode(fps, self.options.source_fps, self.background, start):
                time, until = frame.time, frame.time + frame.duration
                for recording in recordings:
                    if not recording.problem and recording.contains(time):
                        self._add(recording, frame)
                if until >= end - TOLERANCE:
                    break
        except StyleganvError as error:
            for recording in recordings:
                if recording.stop > until + TOLERANCE and not recording.problem:
                    self._interrupt(recording, error)

    def _add(self, recording: _Recording, frame: DecodedFrame) -> None:
        try:
            pixels, is_enlarged = self.fit(recording.take, frame.pixels)
        except StyleganvError as error:
            recording.problem = str(error)
            return
        recording.is_enlarged |= is_enlarged
        recording.treatments |= frame.treatments
        if len(recording.sizes) % SHARPNESS_EVERY == 0:
            recording.sharpness.append(sharpness(pixels))
        with open(recording.path, "ab") as file:  # a source may have more scenes than files can be open
            recording.sizes.append(file.write(encode_frame(pixels, self.options.stored_quality)))

    def fit(self, take: Take, pixels: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return the part `[H, W, 3]` of a decoded frame that the dataset gets, and whether it is enlarged.

        Raises:
            StyleganvError: if the frame does not contain the crop.
        """
        height, width = pixels.shape[:2]
        if (crop := take.crop) is not None:
            if not crop.fits(height, width):
                raise StyleganvError(
                    f"frames of {width}x{height} (width x height) do not contain the crop {crop}: change --crop."
                )
            pixels = pixels[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
            height, width = crop.height, crop.width
        is_enlarged = height < self.height or width < self.width
        return fit_frame(pixels, self.height, self.width, self.options.fit), is_enlarged

    def _interrupt(self, recording: _Recording, error: StyleganvError) -> None:
        """Keep the frames before the damage, or none."""
        if isinstance(error, DamagedVideo) and self.options.damaged == "keep" and recording.sizes:
            recording.damage = error.extent
        else:
            recording.problem = str(error)

    def _finish(self, recording: _Recording, timing: Timing) -> Encoded:
        name, num_frames = recording.take.name, len(recording.sizes)
        if recording.problem is None and num_frames < self.options.min_frames:
            recording.problem = self.too_short(num_frames, "" if recording.take.is_whole else self.part)
        value = median(recording.sharpness or [0.0])
        if recording.problem is None and value < self.options.min_sharpness:
            recording.problem = self.too_blurred(value)
        if recording.problem is not None:
            return Encoded(recording.take, Outcome(name, reason=recording.problem), recording.path)
        if not self.options.fps and self.rate(timing):
            recording.treatments.add("resampled")
        start, stop = recording.start, recording.stop
        outcome = Outcome(
            name,
            fps=timing.fps,
            gaps=tuple((time - start, seconds) for time, seconds in timing.gaps if start <= time < stop),
            treatments=tuple(sorted(recording.treatments)),
            is_enlarged=recording.is_enlarged,
            damage=recording.damage,
            sharpness=value,
        )
        return Encoded(recording.take, outcome, recording.path, recording.sizes)

    @property
    def part(self) -> str:
        """Why a take is not all of its source."""
        return " in this scene" if self.options.split_scenes else " after --trim"

    def too_blurred(self, value: float) -> str:
        """Return why a video of this sharpness is skipped."""
        return f"its sharpness {value:.0f} is below --min-sharpness {self.options.min_sharpness:g}"

    def too_short(self, num_frames: int, why: str = "") -> str:
        """Return why a video of so few frames is skipped."""
        what = "a single picture" if num_frames == 1 else f"{num_frames} frames"
        return f"{what}{why}, fewer frames than --min-frames {self.options.min_frames}"


def fit_frame(frame: np.ndarray, height: int, width: int, fit: Fit = "crop") -> np.ndarray:
    """Resize `[H, W, 3]` to this height and width in one Lanczos step from the decoded pixels."""
    source_height, source_width = frame.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(frame))
    size = (width, height)
    if fit == "pad":
        scale = min(width / source_width, height / source_height)
        inner = (max(1, round(source_width * scale)), max(1, round(source_height * scale)))
        canvas = Image.new("RGB", size)
        corner = ((width - inner[0]) // 2, (height - inner[1]) // 2)
        canvas.paste(image.resize(inner, Image.Resampling.LANCZOS), corner)
        return np.asarray(canvas)
    box = (0.0, 0.0, float(source_width), float(source_height))
    if fit == "crop":
        scale = min(source_width / width, source_height / height)
        left, top = (source_width - width * scale) / 2, (source_height - height * scale) / 2
        box = (left, top, source_width - left, source_height - top)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=box))


def parse_color(text: str) -> Color:
    """Return red, green and blue of "#cfe8ff" or of a CSS color name."""
    try:
        red, green, blue, alpha = (*ImageColor.getrgb(text), 255)[:4]
        if alpha < 255:
            raise ValueError("not opaque")
    except ValueError as error:
        raise StyleganvError(
            f"--background must be an opaque color, got {text!r}: pass six hex digits in quotes, e.g. '#cfe8ff', or a "
            "name, e.g. white."
        ) from error
    return red, green, blue
