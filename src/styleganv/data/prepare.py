"""From source videos to a data set: decode, resize, encode, label; and a report of what was found.

Frames are uint8 RGB `[H, W, 3]`.
"""

import csv
import json
import multiprocessing
import os
import tempfile
from collections import deque
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
from tqdm import tqdm

from styleganv.data.dataset import DatasetWriter, encode_frame, writing_dataset
from styleganv.errors import StyleganvError
from styleganv.media.reading import Color, VideoSource, find_videos, natural_key
from styleganv.options import Fit, PrepareOptions


@dataclass
class PrepareReport:
    """What `prepare` did; `str()` of it is for people.

    Attributes:
        lengths: frames of each video of the data set.
        fps: of the data set.
        found_fps: how many source videos had which rate.
        skipped: `(name, reason)` of each video left out.
        class_counts: videos of each class.
        composited: how many videos have transparent parts, which now show the background.
        background: its color, as `#rrggbb`.
        notes: what the user may want to change, each with its remedy.
    """

    dest: Path
    height: int
    width: int
    encoding: str
    lengths: list[int] = field(default_factory=list)
    fps: float = 0.0
    found_fps: dict[float, int] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    class_counts: dict[str, int] = field(default_factory=dict)
    composited: int = 0
    background: str = "#ffffff"
    notes: list[str] = field(default_factory=list)

    @property
    def videos(self) -> int:
        return len(self.lengths)

    @property
    def frames(self) -> int:
        return sum(self.lengths)

    def _rates(self) -> str:
        if len(self.found_fps) > 8:  # cameras of uneven rate
            return f"{len(self.found_fps)} rates from {min(self.found_fps):g} to {max(self.found_fps):g}"
        return ", ".join(f"{fps:g} ({count} videos)" for fps, count in sorted(self.found_fps.items()))

    def _transparency(self) -> list[str]:
        if not self.composited:
            return []
        return [f"alpha     {self.composited} videos have transparent parts, now {self.background} (--background)"]

    def __str__(self) -> str:
        shortest, middle, longest = min(self.lengths), median(self.lengths), max(self.lengths)
        lines = [
            f"{self.dest}: {self.videos} videos, {self.frames} frames of {self.height}x{self.width} "
            f"(height x width), {self.encoding}",
            f"lengths   {shortest} to {longest} frames, median {middle:g} ({middle / self.fps:.1f} s)",
            f"fps       {self.fps:g}; the sources have " + self._rates(),
            "classes   " + (", ".join(f"{k} ({n})" for k, n in self.class_counts.items()) or "none"),
            *self._transparency(),
            f"skipped   {len(self.skipped) or 'none'}",
            *(f"  {name}: {reason}" for name, reason in self.skipped),
            *(f"note      {note}" for note in self.notes),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Job:
    """How every video is to be encoded; sent to the workers."""

    height: int
    width: int
    fit: Fit
    fps: float | None
    source_fps: float
    quality: int | None
    background: Color
    spool: Path


@dataclass(frozen=True)
class _Encoded:
    """One video's encoded frames, end to end in a temporary file, or the reason why there are none."""

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
) -> PrepareReport:
    """Make a dataset of all videos of a source. Same input, same bytes, whatever the number of workers.

    Args:
        source: a video file, a folder (nested at will) or a zip of video files or of folders of frames.
        dest: the zip to write.
        resolution: `(height, width)` in pixels.
        num_workers: processes; None takes one for each core, 1 stays in this process.
        overwrite: replace `dest` if it exists.

    Returns:
        The report. Unreadable and too short videos are named in it and skipped.

    Raises:
        StyleganvError: for a wrong setting, a label that fits no video, or a source without a usable video.
    """
    source, dest = Path(source), Path(dest)
    height, width = resolution
    quality, min_frames = options.stored_quality, options.min_frames
    color = parse_color(options.background)
    if min(resolution) < 4:
        raise StyleganvError(f"--resolution must be at least 4 pixels each way, got {height}x{width}: give more.")
    if num_workers is not None and num_workers < 1:
        raise StyleganvError(f"--num-workers must be at least 1, got {num_workers}: give a larger number.")
    if dest.exists() and not overwrite:
        raise StyleganvError(f"{dest} exists already: give another destination, or --overwrite to replace it.")
    videos = find_videos(source)
    class_of = _classes(videos, options.classes)
    report = PrepareReport(dest, height, width, "lossless PNG" if quality is None else f"JPEG quality {quality}")
    report.background = "#{:02x}{:02x}{:02x}".format(*color)
    with ExitStack() as stack:
        writer = stack.enter_context(writing_dataset(dest, height=height, width=width, quality=quality))
        spool = stack.enter_context(tempfile.TemporaryDirectory(prefix=f".{dest.stem}.", dir=dest.parent))
        job = _Job(height, width, options.fit, options.fps, options.source_fps, quality, color, Path(spool))
        names = sorted(set(class_of.values()), key=natural_key)
        enlarged = 0
        for video, encoded in zip(videos, _encode_all(videos, job, num_workers), strict=True):
            label = names.index(class_of[video.name]) if class_of else None
            reason = encoded.reason or _too_short(len(encoded.sizes), min_frames)
            if reason:
                report.skipped.append((video.name, reason))
            else:
                _store(writer, video, encoded, label, options.split_every, min_frames)
                report.found_fps[encoded.fps] = report.found_fps.get(encoded.fps, 0) + 1
                enlarged += encoded.enlarged
                report.composited += encoded.transparent
            encoded.path.unlink(missing_ok=True)
        if not writer.videos:
            reasons = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in report.skipped[:3])
            raise StyleganvError(f"No video of {source} can be used ({reasons}): give other videos.")
        report.fps = options.fps or max(report.found_fps, key=lambda rate: (report.found_fps[rate], rate))
        names = _drop_empty_classes(writer, names)
        extra = {"fit": options.fit} | ({"background": report.background} if report.composited else {})
        writer.finish(fps=report.fps, class_names=names, extra=extra)
    report.lengths = [video.num_frames for video in writer.videos]
    for video_record in writer.videos:
        if video_record.label is not None:
            name = names[video_record.label]
            report.class_counts[name] = report.class_counts.get(name, 0) + 1
    report.notes = _notes(report, options.fps, enlarged)
    return report


def parse_color(text: str) -> Color:
    """ "#cfe8ff", or a name that CSS knows, as red, green and blue."""
    try:
        red, green, blue, alpha = (*ImageColor.getrgb(text), 255)[:4]
        if alpha < 255:
            raise ValueError("a color with transparency of its own")
    except ValueError as error:
        raise StyleganvError(
            f"The background {text!r} is no opaque color: give --background six hex digits such as '#cfe8ff' (with the "
            "quotes), or a name such as white."
        ) from error
    return red, green, blue


def _classes(videos: list[VideoSource], classes: str) -> dict[str, str]:
    """The class of each video by its name; empty for no classes."""
    if classes == "none":
        return {}
    if classes not in ("auto", "folders"):
        return _labels_from_file(videos, Path(classes))
    without = [video.name for video in videos if video.class_name is None]
    if classes == "folders" and without:
        raise StyleganvError(f"{without[0]} lies in no class folder: move it into one, or use --classes none.")
    found = {video.name: video.class_name for video in videos if video.class_name is not None}
    # A folder around each single video is not a class.
    if classes == "auto" and (without or not 2 <= len(set(found.values())) < len(videos)):
        return {}
    return found


def _labels_from_file(videos: list[VideoSource], path: Path) -> dict[str, str]:
    if path.suffix.lower() not in (".csv", ".json") or not path.is_file():
        raise StyleganvError(
            f"{path} is no file of labels: --classes takes auto, folders, none, or a .csv or .json file."
        )
    try:
        if path.suffix.lower() == ".json":
            rows = [(name, label) for name, label in json.loads(path.read_text("utf-8")).items()]
        else:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = [(name, label) for name, label in csv.reader(file)]
    except (ValueError, AttributeError) as error:
        raise StyleganvError(
            f"{path} cannot be read as labels: write lines of name,label (.csv) or {{name: label}} (.json)."
        ) from error
    if path.suffix.lower() == ".csv" and rows and rows[0] == ("name", "label"):
        rows = rows[1:]
    by_name = {video.name: video.name for video in videos}
    by_name |= {video.files[0]: video.name for video in videos if video.is_video_file}
    class_of = {}
    for name, label in rows:
        if name.strip() not in by_name:
            raise StyleganvError(
                f"{path} labels {name!r}, which is no video of the source: correct or remove that line."
            )
        class_of[by_name[name.strip()]] = str(label).strip()
    for video in videos:
        if video.name not in class_of:
            raise StyleganvError(f"{path} has no label for the video {video.name!r}: add a line for it.")
    return class_of


def _encode_all(videos: list[VideoSource], job: _Job, workers: int | None) -> Iterator[_Encoded]:
    """Encode the videos in order; at most two a worker are under way, so that the disk holds few."""
    count = min(workers or os.cpu_count() or 1, len(videos))
    bar = tqdm(total=len(videos), desc="prepare", unit="video")
    with bar, ExitStack() as stack:
        if count == 1:
            for index, video in enumerate(videos):
                yield _encode(video, job, index)
                bar.update()
            return
        context = multiprocessing.get_context("spawn")
        pool = stack.enter_context(ProcessPoolExecutor(count, mp_context=context))
        stack.callback(lambda: pool.shutdown(cancel_futures=True))
        under_way: deque[Future[_Encoded]] = deque()
        try:
            for index, video in enumerate(videos):
                under_way.append(pool.submit(_encode, video, job, index))
                if len(under_way) == 2 * count:
                    yield under_way.popleft().result()
                    bar.update()
            while under_way:
                yield under_way.popleft().result()
                bar.update()
        except BrokenProcessPool as error:
            raise StyleganvError(
                "A worker process of prepare died, perhaps for lack of memory: use --num-workers 1."
            ) from error


def _encode(video: VideoSource, job: _Job, index: int) -> _Encoded:
    """Decode, resize and encode one video into a file of its own, so that long videos need no memory."""
    path = job.spool / str(index)
    sizes = []
    enlarged = transparent = False
    try:
        native = video.native_fps() or job.source_fps
        with open(path, "wb") as file:
            for frame in video.decode(job.fps, job.source_fps, job.background):
                pixels = frame.pixels
                enlarged |= pixels.shape[0] < job.height or pixels.shape[1] < job.width
                transparent |= frame.transparent
                sizes.append(file.write(encode_frame(fit_frame(pixels, job.height, job.width, job.fit), job.quality)))
    except StyleganvError as error:
        return _Encoded(path, reason=str(error))
    return _Encoded(path, tuple(sizes), round(native, 3), enlarged, transparent)


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


def _too_short(frames: int, min_frames: int) -> str | None:
    if frames >= min_frames:
        return None
    return f"{frames} frame{'s' * (frames != 1)}, fewer than the {min_frames} asked for"


def _store(
    writer: DatasetWriter,
    video: VideoSource,
    encoded: _Encoded,
    label: int | None,
    split_every: int | None,
    min_frames: int,
) -> None:
    """Copy an encoded video into the data set, in pieces where asked."""
    total = len(encoded.sizes)
    length = split_every or total
    starts = [start for start in range(0, total, length) if min(length, total - start) >= min_frames]
    with open(encoded.path, "rb") as file:
        for number, start in enumerate(starts):
            name = video.name if total <= length else f"{video.name}_{number:03d}"
            meta: dict[str, Any] = {"source": video.files[0] if video.is_video_file else video.name}
            if total > length:
                meta["start"] = start
            frames = (file.read(size) for size in encoded.sizes[start : start + length])
            writer.add(name, frames, label, meta)


def _drop_empty_classes(writer: DatasetWriter, names: list[str]) -> list[str]:
    """Classes whose videos were all skipped cannot be learned: renumber the others without them."""
    kept = sorted({video.label for video in writer.videos if video.label is not None})
    writer.videos = [
        replace(video, label=None if video.label is None else kept.index(video.label)) for video in writer.videos
    ]
    return [names[label] for label in kept]


def _notes(report: PrepareReport, fps: float | None, enlarged: int) -> list[str]:
    notes = []
    if fps is None and len(report.found_fps) > 1:
        notes.append(
            f"the videos have different frame rates but share one clock of {report.fps:g} fps, so some play "
            f"faster or slower than filmed: prepare again with --fps {report.fps:g} to resample them."
        )
    if fps is not None and any(rate < 0.99 * fps for rate in report.found_fps):
        notes.append(f"some videos have fewer than {fps:g} fps, so frames repeat in them: lower --fps.")
    if enlarged:
        notes.append(f"{enlarged} videos are smaller than the resolution and were enlarged: lower --resolution.")
    return notes
