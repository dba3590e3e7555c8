"""Preparation of a dataset from source videos: decode, resize, encode, label, report.

Frames are uint8 RGB `[H, W, 3]`.
"""

import csv
import json
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from styleganv.data.dataset import DatasetWriter, create_dataset, encode_frame
from styleganv.errors import StyleganvError
from styleganv.files import check_destination, temporary_folder
from styleganv.media.decoding import Color
from styleganv.media.sources import VideoSource, find_videos, natural_key
from styleganv.options import Fit, PrepareOptions
from styleganv.progress import Progress, track


@dataclass
class PrepareReport:
    """Result of `prepare`; `str()` formats it for the user.

    Attributes:
        lengths: frames of each video in the dataset.
        fps: frame rate of the dataset, in frames per second.
        source_fps: number of source videos by frame rate.
        skipped: `(name, reason)` of each skipped video.
        class_counts: number of videos by class.
        num_composited: number of videos with transparent parts, where the background is now visible.
        background: its color, as `#rrggbb`.
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
    num_composited: int = 0
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
        self.source_fps[encoded.fps] += 1
        self.num_composited += encoded.transparent
        self.num_enlarged += encoded.enlarged

    def _rates(self) -> str:
        if len(self.source_fps) > 8:  # cameras with a variable rate
            return f"{len(self.source_fps)} rates from {min(self.source_fps):g} to {max(self.source_fps):g}"
        return ", ".join(f"{fps:g} ({count} videos)" for fps, count in sorted(self.source_fps.items()))

    def __str__(self) -> str:
        shortest, middle, longest = min(self.lengths), median(self.lengths), max(self.lengths)
        lines = [
            f"{self.dest}: {self.num_videos} videos, {self.num_frames} frames of {self.height}x{self.width} "
            f"(height x width), {self.encoding}",
            f"lengths   {shortest} to {longest} frames, median {middle:g} ({middle / self.fps:.1f} s)",
            f"fps       {self.fps:g}; sources: {self._rates()}",
            "classes   " + (", ".join(f"{k} ({n})" for k, n in self.class_counts.items()) or "none"),
        ]
        if self.num_composited:
            lines.append(f"alpha     {self.num_composited} videos composited over {self.background} (--background)")
        lines.append(f"skipped   {len(self.skipped) or 'none'}")
        lines += [f"  {name}: {reason}" for name, reason in self.skipped]
        lines += [f"warning   {warning}" for warning in self.warnings]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Job:
    """Encoding of every video; sent to the workers."""

    height: int
    width: int
    options: PrepareOptions
    background: Color
    folder: Path


@dataclass(frozen=True)
class _Encoded:
    """Encoded frames of one video, concatenated in a temporary file, or the reason why there are none."""

    path: Path
    sizes: tuple[int, ...] = ()
    fps: float = 0.0
    enlarged: bool = False
    transparent: bool = False
    reason: str | None = None


def prepare(
    source: Path | str,
    dest: Path | str,
    *,
    resolution: tuple[int, int],
    options: PrepareOptions = PrepareOptions(),
    num_workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PrepareReport:
    """Make a dataset from all videos of a source.

    The same input gives the same bytes, whatever the number of workers.

    Args:
        source: video file, folder (with any nesting) or zip of video files or of folders of frames.
        dest: zip to write.
        resolution: `(height, width)` in pixels.
        options: frame rate, fit, cuts, encoding and classes.
        num_workers: number of processes. None: one per core; 1: this process.
        overwrite: replace `dest` if it exists.
        progress: callback; see `styleganv.progress`.

    Returns:
        The report. It lists unreadable and too short videos, which are skipped.

    Raises:
        StyleganvError: if `dest` exists or cannot be written, a setting is invalid, a label matches no video, or no
            video of the source is usable.
    """
    source, dest = Path(source), Path(dest)
    check_destination(dest, overwrite=overwrite)
    if overwrite and dest.exists() and source.exists() and dest.samefile(source):
        raise StyleganvError(f"{dest} is the source itself: choose another destination.")
    height, width = resolution
    quality = options.stored_quality
    color = parse_color(options.background)
    _check(resolution, num_workers)
    videos = find_videos(source)
    class_of = _classes(videos, options.classes)
    names = sorted(set(class_of.values()), key=natural_key)
    encoding = "lossless PNG" if quality is None else f"JPEG quality {quality}"
    report = PrepareReport(dest, height, width, encoding, background="#{:02x}{:02x}{:02x}".format(*color))
    with ExitStack() as stack:
        writer = stack.enter_context(
            create_dataset(dest, height=height, width=width, jpeg_quality=quality, overwrite=overwrite)
        )
        folder = stack.enter_context(temporary_folder(dest))
        job = _Job(height, width, options, color, folder)
        pairs = zip(videos, _encode_all(videos, job, num_workers), strict=True)
        for video, encoded in track(pairs, progress, len(videos), "preparing"):
            report.count(video, encoded)
            if not encoded.reason:
                label = names.index(class_of[video.name]) if class_of else None
                _store(writer, video, encoded, label, options)
            encoded.path.unlink(missing_ok=True)
        if not writer.videos:
            reasons = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in report.skipped[:3])
            raise StyleganvError(f"No usable video in {source} ({reasons}): pass other videos.")
        report.fps = options.fps or max(report.source_fps, key=lambda rate: (report.source_fps[rate], rate))
        names = _drop_empty_classes(writer, names)
        extra = {"fit": options.fit} | ({"background": report.background} if report.num_composited else {})
        writer.finish(fps=report.fps, class_names=names, extra=extra)
    report.lengths = [video.num_frames for video in writer.videos]
    report.class_counts.update(names[video.label] for video in writer.videos if video.label is not None)
    report.warnings = _warnings(report, options.fps)
    return report


def _check(resolution: tuple[int, int], num_workers: int | None) -> None:
    height, width = resolution
    if min(resolution) < 4:
        raise StyleganvError(f"--resolution must be at least 4 pixels each way, got {height}x{width}: increase it.")
    if num_workers is not None and num_workers < 1:
        raise StyleganvError(f"--num-workers must be at least 1, got {num_workers}: increase it.")


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


def _classes(videos: list[VideoSource], classes: str) -> dict[str, str]:
    """Return the class of each video by its name; empty without classes."""
    if classes == "none":
        return {}
    if classes not in ("auto", "folders"):
        return _read_labels(videos, Path(classes))
    without = [video.name for video in videos if video.class_name is None]
    if classes == "folders" and without:
        raise StyleganvError(f"{without[0]} is not in a class folder: move it into one, or pass --classes none.")
    class_of = {video.name: video.class_name for video in videos if video.class_name is not None}
    # One folder per video is not a class.
    if classes == "auto" and (without or not 2 <= len(set(class_of.values())) < len(videos)):
        return {}
    return class_of


def _read_labels(videos: list[VideoSource], path: Path) -> dict[str, str]:
    """Return the class of each video by its name, from a .csv or .json file."""
    if path.suffix.lower() not in (".csv", ".json") or not path.is_file():
        raise StyleganvError(f"--classes must be auto, folders, none, or a .csv or .json file, got {path}: correct it.")
    try:
        if path.suffix.lower() == ".json":
            rows = [(name, label) for name, label in json.loads(path.read_text("utf-8")).items()]
        else:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = [(name, label) for name, label in csv.reader(file)]
    except (ValueError, AttributeError) as error:
        raise StyleganvError(
            f"Cannot read labels from {path}: write lines of name,label (.csv) or {{name: label}} (.json)."
        ) from error
    if path.suffix.lower() == ".csv" and rows and rows[0] == ("name", "label"):
        rows = rows[1:]
    by_name = {video.name: video.name for video in videos}
    by_name |= {video.files[0]: video.name for video in videos if video.is_video_file}
    class_of = {}
    for name, label in rows:
        if name.strip() not in by_name:
            raise StyleganvError(
                f"{path} has a label for {name!r}, which is not in the source: correct or remove that line."
            )
        class_of[by_name[name.strip()]] = str(label).strip()
    for video in videos:
        if video.name not in class_of:
            raise StyleganvError(f"{path} has no label for the video {video.name!r}: add a line for it.")
    return class_of


def _encode_all(videos: list[VideoSource], job: _Job, num_workers: int | None) -> Iterator[_Encoded]:
    """Encode the videos in order; at most two per worker are pending, so that the disk holds few."""
    count = min(num_workers or os.cpu_count() or 1, len(videos))
    if count == 1:
        yield from (_encode(video, job, index) for index, video in enumerate(videos))
        return
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))
    pending: deque[Future[_Encoded]] = deque()
    try:
        for index, video in enumerate(videos):
            pending.append(pool.submit(_encode, video, job, index))
            if len(pending) == 2 * count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise StyleganvError("A worker process died, perhaps for lack of memory: pass --num-workers 1.") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _encode(video: VideoSource, job: _Job, index: int) -> _Encoded:
    """Decode, resize and encode one video into a temporary file, so that long videos need no memory."""
    path, options = job.folder / str(index), job.options
    sizes = []
    enlarged = transparent = False
    try:
        native_fps = video.native_fps() or options.source_fps
        with open(path, "wb") as file:
            for frame in video.decode(options.fps, options.source_fps, job.background):
                pixels = frame.pixels
                enlarged |= pixels.shape[0] < job.height or pixels.shape[1] < job.width
                transparent |= frame.transparent
                pixels = fit_frame(pixels, job.height, job.width, options.fit)
                sizes.append(file.write(encode_frame(pixels, options.stored_quality)))
    except StyleganvError as error:
        return _Encoded(path, reason=str(error))
    if len(sizes) < options.min_frames:
        return _Encoded(path, reason=f"{len(sizes)} frames, fewer than --min-frames {options.min_frames}")
    return _Encoded(path, tuple(sizes), round(native_fps, 3), enlarged, transparent)


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
            meta: dict[str, Any] = {"source": video.files[0] if video.is_video_file else video.name}
            if total > length:
                meta["start"] = start
            frames = (file.read(size) for size in encoded.sizes[start : start + length])
            writer.add(name, frames, label, meta)


def _drop_empty_classes(writer: DatasetWriter, names: list[str]) -> list[str]:
    """Remove classes whose videos were all skipped, and renumber the others."""
    used = sorted({video.label for video in writer.videos if video.label is not None})
    writer.videos = [
        replace(video, label=None if video.label is None else used.index(video.label)) for video in writer.videos
    ]
    return [names[label] for label in used]


def _warnings(report: PrepareReport, fps: float | None) -> list[str]:
    warnings = []
    if fps is None and len(report.source_fps) > 1:
        warnings.append(
            f"frame rates differ, but the dataset has {report.fps:g} fps, so some videos play too fast or too slow: "
            f"pass --fps {report.fps:g} to resample them."
        )
    if fps is not None and any(rate < 0.99 * fps for rate in report.source_fps):
        warnings.append(f"some videos have fewer than {fps:g} fps, so their frames repeat: lower --fps.")
    if report.num_enlarged:
        warnings.append(
            f"{report.num_enlarged} videos are smaller than the resolution and were enlarged: lower --resolution."
        )
    return warnings
