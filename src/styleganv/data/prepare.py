"""Preparation of a dataset: source → takes → encoded frames → dataset file, and a report."""

import os
from contextlib import ExitStack
from dataclasses import astuple, replace
from pathlib import Path
from typing import Annotated, Any

from styleganv.data.dataset_writer import DatasetWriter, create_dataset
from styleganv.data.encoding import Encoded, Encoder, parse_color
from styleganv.data.labels import read_labels
from styleganv.data.prepare_report import PrepareReport
from styleganv.data.takes import Take, by_source, trim_and_crop, whole_takes
from styleganv.errors import StyleganvError
from styleganv.files import check_destination, readable, temporary_folder
from styleganv.media.decoding import Timing
from styleganv.media.sources import common_fps, scan_source
from styleganv.options import PrepareOptions
from styleganv.progress import Progress, track
from styleganv.validation import Interval, Side, check_arguments
from styleganv.workers import map_in_processes


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
    labels = read_labels(source, scan.videos, options.classes)
    options = replace(options, source_fps=labels.fps or options.source_fps)
    takes = trim_and_crop(whole_takes(scan.videos, labels.label_of), options.trim, options.crop)
    groups = by_source(takes)
    encoding = "lossless PNG" if quality is None else f"JPEG quality {quality}"
    report = PrepareReport(dest, height, width, encoding, background="#{:02x}{:02x}{:02x}".format(*color))
    report.skipped += scan.skipped
    with ExitStack() as stack:
        writer = stack.enter_context(
            create_dataset(dest, height=height, width=width, jpeg_quality=quality, overwrite=overwrite)
        )
        folder = stack.enter_context(temporary_folder(dest))
        run = stack.enter_context(map_in_processes(min(num_workers or os.cpu_count() or 1, len(groups))))
        encoder = Encoder(height, width, options, color, folder)
        sources = (group[0].source for group in groups)
        timings = list(track(run(encoder.read_timing, sources), progress, len(groups), "reading frame rates"))
        known = [timing for timing in timings if isinstance(timing, Timing)]
        report.fps = options.fps or (common_fps(known) if known else 0.0)
        encoder = replace(encoder, fps=report.fps)
        tasks = zip(range(len(groups)), groups, timings, strict=True)
        results = zip(groups, run(encoder.encode, tasks), strict=True)
        for group, encoded_takes in track(results, progress, len(groups), "preparing"):
            for take, encoded in zip(group, encoded_takes, strict=True):
                report.count(encoded.outcome)
                if not encoded.outcome.reason:
                    _store(writer, take, encoded, options)
                encoded.path.unlink(missing_ok=True)
        if not writer.videos:
            reasons = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in report.skipped[:3])
            raise StyleganvError(f"No usable video in {source} ({reasons}): pass other videos.")
        space, used = labels.space.without_unused([video.label for video in writer.videos])
        writer.videos = [replace(video, label=label) for video, label in zip(writer.videos, used, strict=True)]
        extra = {"fit": options.fit} | ({"background": report.background} if "composited" in report.treated else {})
        writer.finish(fps=report.fps, labels=space, extra=extra)
    report.finish(writer.videos, space, labels.warnings, options.fps)
    return report


def _store(writer: DatasetWriter, take: Take, encoded: Encoded, options: PrepareOptions) -> None:
    """Copy an encoded take into the dataset, in pieces with `split_every`."""
    total = len(encoded.sizes)
    length = options.split_every or total
    starts = [start for start in range(0, total, length) if min(length, total - start) >= options.min_frames]
    source = take.source
    meta: dict[str, Any] = {"source": readable(source.files[0]) if source.is_video_file else source.name}
    if not take.is_whole:
        meta["trim"] = [take.start, take.stop]
    if take.crop is not None:
        meta["crop"] = list(astuple(take.crop))
    with open(encoded.path, "rb") as file:
        for number, start in enumerate(starts):
            name = take.name if total <= length else f"{take.name}_{number:03d}"
            piece = {"start": start} if total > length else {}
            frames = (file.read(size) for size in encoded.sizes[start : start + length])
            writer.add(name, frames, take.label, meta | piece)
