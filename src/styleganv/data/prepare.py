"""Preparation of a dataset from source videos: decode, resize, encode, label, report.

Frames are uint8 RGB `[H, W, 3]`.
"""

import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image, ImageColor

from styleganv.data.dataset import DatasetWriter, create_dataset
from styleganv.data.frames import encode_frame
from styleganv.data.labels import read_labels
from styleganv.errors import StyleganvError
from styleganv.files import check_destination, readable, temporary_folder
from styleganv.media.decoding import Color, DamagedVideo, Timing, Treatment
from styleganv.media.sources import (
    VideoSource,
    common_fps,
    natural_key,
    scan_source,
    shorten,
    summarize_skipped,
)
from styleganv.options import Fit, PrepareOptions
from styleganv.progress import Progress, track
from styleganv.validation import Interval, Side, check_arguments
from styleganv.workers import start_worker


@dataclass
class PrepareReport:
    """Result of `prepare`; `str()` formats it for the user.

    Attributes:
        lengths: frames of each video in the dataset.
        fps: frame rate of the dataset, in frames per second.
        source_fps: number of source videos by frame rate.
        skipped: `(name, reason)` of each skipped video and of each other thing in the source.
        class_counts: number of videos by class.
        background: color behind transparent pixels, as `#rrggbb`.
        treated: names of the videos that were composited, deinterlaced, tone-mapped, or resampled.
        damaged: names of the videos of which only the frames before the damage were kept, and how many these are.
        gaps: stretches without frames in the videos, where the frame before each is repeated.
        num_enlarged: number of videos smaller than the resolution.
        warnings: what the user may want to change, each with its remedy.
    """

    dest: Path
    height: int
    width: int
    encoding: str
    background: str
    lengths: list[int] = field(default_factory=list)
    fps: float = 0.0
    source_fps: Counter[float] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    class_counts: Counter[str] = field(default_factory=Counter)
    treated: dict[Treatment | Literal["resampled"], list[str]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    num_enlarged: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def num_videos(self) -> int:
        return len(self.lengths)

    @property
    def num_frames(self) -> int:
        return sum(self.lengths)

    def count(self, video: VideoSource, encoded: "_Encoded") -> None:
        """Add an encoded or skipped video to the counts."""
        if encoded.reason:
            self.skipped.append((video.name, encoded.reason))
            return
        assert encoded.timing is not None
        self.source_fps[encoded.timing.fps] += 1
        self.num_enlarged += encoded.enlarged
        self.gaps += [f"{video.name} ({seconds:.2f} s from {start:.2f} s on)" for start, seconds in encoded.timing.gaps]
        for treatment in sorted(encoded.treatments):
            self.treated.setdefault(treatment, []).append(video.name)
        if encoded.damage:
            self.damaged.append(f"{video.name} ({encoded.damage})")

    def _rates(self) -> str:
        if len(self.source_fps) > 8:  # cameras with a variable rate
            return f"{len(self.source_fps)} rates from {min(self.source_fps):g} to {max(self.source_fps):g}"
        return ", ".join(f"{fps:g} ({_count_videos(count)})" for fps, count in sorted(self.source_fps.items()))

    def __str__(self) -> str:
        shortest, middle, longest = min(self.lengths), median(self.lengths), max(self.lengths)
        lines = [
            f"{self.dest}: {_count_videos(self.num_videos)}, {self.num_frames} frames of {self.height}x{self.width} "
            f"(height x width), {self.encoding}",
            f"lengths   {shortest} to {longest} frames, median {middle:g} ({middle / self.fps:.1f} s)",
            f"fps       {self.fps:g}; sources: {self._rates()}",
            "classes   " + (", ".join(f"{k} ({n})" for k, n in self.class_counts.items()) or "none"),
        ]
        details = {
            "composited": f" over {self.background} (--background)",
            "tone-mapped": " from HDR",
            "resampled": f" to {self.fps:g} fps, because their frame rate differs or varies (--fps sets another)",
        }
        for treatment, names in self.treated.items():
            lines.append(
                f"converted {_count_videos(len(names))} {treatment}{details.get(treatment, '')}: {shorten(names)}"
            )
        if self.gaps:
            lines.append(f"gaps      {len(self.gaps)} filled with the preceding frame: {shorten(self.gaps)}")
        if self.damaged:
            lines.append(f"damaged   {_count_videos(len(self.damaged))} kept up to the damage: {shorten(self.damaged)}")
        lines.append(f"skipped   {len(self.skipped) or 'none'}")
        lines += [f"  {line}" for line in summarize_skipped(self.skipped)]
        lines += [f"warning   {warning}" for warning in self.warnings]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Encoded:
    """Encoded frames of one video, concatenated in a temporary file, or the reason why there are none."""

    path: Path
    sizes: tuple[int, ...] = ()
    timing: Timing | None = None
    treatments: frozenset[Treatment | Literal["resampled"]] = frozenset()
    enlarged: bool = False
    damage: str = ""
    reason: str | None = None


@dataclass(frozen=True)
class _Job:
    """Encoding of every video; sent to the workers."""

    height: int
    width: int
    options: PrepareOptions
    background: Color
    folder: Path
    fps: float = 0.0

    def read_timing(self, video: VideoSource) -> Timing | str:
        """Return when the frames of a video are shown, or why it is skipped."""
        if video.kind == "frames" and len(video.files) < self.options.min_frames:
            return self._too_short(len(video.files))
        try:
            return video.timing() or Timing(self.options.source_fps)
        except StyleganvError as error:
            return str(error)

    def encode(self, task: tuple[int, VideoSource, Timing | str]) -> _Encoded:
        """Decode, resize and encode one video into a temporary file, so that long videos need no memory."""
        index, video, timing = task
        path, options = self.folder / str(index), self.options
        if isinstance(timing, str):
            return _Encoded(path, reason=timing)
        treatments: set[Treatment | Literal["resampled"]] = set()
        fps = self.fps if options.fps or not timing.matches(self.fps) else None
        if fps and not options.fps:
            treatments.add("resampled")
        sizes = []
        damage, enlarged = "", False
        try:
            with open(path, "wb") as file:
                for frame in video.decode(fps, options.source_fps, self.background):
                    enlarged |= frame.pixels.shape[0] < self.height or frame.pixels.shape[1] < self.width
                    treatments |= frame.treatments
                    pixels = fit_frame(frame.pixels, self.height, self.width, options.fit)
                    sizes.append(file.write(encode_frame(pixels, options.stored_quality)))
        except DamagedVideo as error:
            if options.damaged == "skip" or not sizes:
                return _Encoded(path, reason=str(error))
            damage = error.extent
        except StyleganvError as error:
            return _Encoded(path, reason=str(error))
        if len(sizes) < options.min_frames:
            return _Encoded(path, reason=self._too_short(len(sizes)))
        return _Encoded(path, tuple(sizes), timing, frozenset(treatments), enlarged, damage)

    def _too_short(self, num_frames: int) -> str:
        what = "a single picture" if num_frames == 1 else f"{num_frames} frames"
        return f"{what}, fewer frames than --min-frames {self.options.min_frames}"


@check_arguments
def prepare(
    source: Path | str,
    dest: Path | str,
    *,
    resolution: tuple[Side, Side],
    options: PrepareOptions = PrepareOptions(),
    num_workers: Annotated[int, Interval(1, 1024)] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PrepareReport:
    """Make a dataset from all videos of a source.

    The same input gives the same bytes, whatever the number of workers.

    Args:
        source: video file, folder (with any nesting) or zip of video files or of folders of frames.
        dest: zip to write.
        resolution: `(height, width)` in pixels.
        num_workers: number of processes. None: one per core; 1: this process.

    Returns:
        The report. It lists unreadable and too short videos, which are skipped.

    Raises:
        StyleganvError: if `dest` exists or cannot be written, a setting is invalid, a label matches no video, or no
            video of the source is usable.
    """
    source, dest = Path(source), Path(dest)
    check_destination(dest, overwrite=overwrite)
    if overwrite and dest.exists() and source.exists() and dest.samefile(source):
        raise StyleganvError(f"{dest} is also the source: choose another destination.")
    height, width = resolution
    quality = options.stored_quality
    color = parse_color(options.background)
    scan = scan_source(source)
    videos = scan.videos
    labels = read_labels(source, videos, options.classes)
    options = replace(options, source_fps=labels.fps or options.source_fps)
    names = sorted(set(labels.class_of.values()), key=natural_key)
    encoding = "lossless PNG" if quality is None else f"JPEG quality {quality}"
    report = PrepareReport(dest, height, width, encoding, background="#{:02x}{:02x}{:02x}".format(*color))
    report.skipped += scan.skipped
    with ExitStack() as stack:
        writer = stack.enter_context(
            create_dataset(dest, height=height, width=width, jpeg_quality=quality, overwrite=overwrite)
        )
        folder = stack.enter_context(temporary_folder(dest))
        run = stack.enter_context(_processes(min(num_workers or os.cpu_count() or 1, len(videos))))
        job = _Job(height, width, options, color, folder)
        timings = list(track(run(job.read_timing, videos), progress, len(videos), "reading frame rates"))
        readable = [timing for timing in timings if isinstance(timing, Timing)]
        report.fps = options.fps or (common_fps(readable) if readable else 0.0)
        job = replace(job, fps=report.fps)
        tasks = zip(range(len(videos)), videos, timings, strict=True)
        pairs = zip(videos, run(job.encode, tasks), strict=True)
        for video, encoded in track(pairs, progress, len(videos), "preparing"):
            report.count(video, encoded)
            if not encoded.reason:
                class_name = labels.class_of.get(video.name)
                label = None if class_name is None else names.index(class_name)
                _store(writer, video, encoded, label, options)
            encoded.path.unlink(missing_ok=True)
        if not writer.videos:
            reasons = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in report.skipped[:3])
            raise StyleganvError(f"No usable video in {source} ({reasons}): pass other videos.")
        names = _drop_empty_classes(writer, names)
        extra = {"fit": options.fit} | ({"background": report.background} if "composited" in report.treated else {})
        extra |= {"license": options.license} if options.license else {}
        writer.finish(fps=report.fps, class_names=names, extra=extra)
    report.lengths = [video.num_frames for video in writer.videos]
    report.class_counts.update(names[video.label] for video in writer.videos if video.label is not None)
    report.warnings = labels.warnings + _warnings(report, options.fps)
    return report


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


@contextmanager
def _processes(count: int) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """Yield a `map` that keeps the order and runs in `count` processes.

    At most two calls per process are pending, so that the disk holds few results.
    """
    if count == 1:
        yield map
        return
    others = multiprocessing.active_children()
    try:
        pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), start_worker)
    except OSError as error:  # e.g. /dev/shm is not writable
        raise StyleganvError(f"Cannot start {count} worker processes ({error}): pass --num-workers 1.") from error

    def run(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        pending: deque[Future[Any]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) == 2 * count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    try:
        yield run
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()  # it may be in the middle of a long video
        raise
    except BrokenProcessPool as error:
        raise StyleganvError("A worker process died, perhaps for lack of memory: pass --num-workers 1.") from error
    finally:
        pool.shutdown(cancel_futures=True)


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


def _store(
    writer: DatasetWriter, video: VideoSource, encoded: _Encoded, label: int | None, options: PrepareOptions
) -> None:
    """Copy an encoded video into the dataset, in pieces with `split_every`."""
    total = len(encoded.sizes)
    length = options.split_every or total
    starts = [start for start in range(0, total, length) if min(length, total - start) >= options.min_frames]
    with open(encoded.path, "rb") as file:
        for number, start in enumerate(starts):
            name = video.name if total <= length else f"{video.name}_{number:03d}"
            meta: dict[str, Any] = {"source": readable(video.files[0]) if video.is_video_file else video.name}
            if total > length:
                meta["start"] = start
            frames = (file.read(size) for size in encoded.sizes[start : start + length])
            writer.add(name, frames, label, meta)


def _drop_empty_classes(writer: DatasetWriter, names: list[str]) -> list[str]:
    """Remove classes whose videos were all skipped, and renumber the others."""
    used = sorted({video.label for video in writer.videos if video.label is not None})
    new = {None: None} | {label: index for index, label in enumerate(used)}
    writer.videos = [replace(video, label=new[video.label]) for video in writer.videos]
    return [names[label] for label in used]


def _count_videos(number: int) -> str:
    return f"{number} video{'' if number == 1 else 's'}"


def _warnings(report: PrepareReport, fps: float | None) -> list[str]:
    warnings = []
    if fps is not None and any(rate < 0.99 * fps for rate in report.source_fps):
        warnings.append(f"some videos have fewer than {fps:g} fps, so their frames repeat: lower --fps.")
    if report.num_enlarged:
        warnings.append(
            f"{_count_videos(report.num_enlarged)} smaller than the resolution enlarged: lower --resolution."
        )
    return warnings
