"""Preparation of a dataset: plan → takes → encoded frames → dataset file, and a report.

The plan is made at once (`plan.py`); takes are decoded and encoded one source after another (`encoding.py`), and each
finished one is in the journal (`journal.py`), from which an interrupted preparation continues.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, astuple, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from styleganv.data.checks import find_copies
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_file import Shard, VideoRecord
from styleganv.data.dataset_writer import DatasetWriter
from styleganv.data.encoding import Encoded, Encoder, Outcome, parse_color
from styleganv.data.journal import Journal, open_journal
from styleganv.data.plan import Plan, make_plan
from styleganv.data.prepare_report import PrepareReport
from styleganv.data.shards import shard_name
from styleganv.errors import StyleganvError
from styleganv.files import check_destination, readable, temporary_folder
from styleganv.media.decoding import Timing
from styleganv.options import PrepareOptions
from styleganv.progress import Progress, track
from styleganv.validation import Count, Interval, Side, check_arguments
from styleganv.workers import map_in_processes

logger = logging.getLogger(__name__)

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


@check_arguments
def prepare(
    source: Path | str,
    dest: Path | str,
    *,
    resolution: tuple[Side, Side],
    options: PrepareOptions = PrepareOptions(),
    shard: tuple[Count, Count] | None = None,
    num_workers: Annotated[int, Interval(1, 1024)] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PrepareReport:
    """Make a dataset from all videos of a source.

    The same input gives the same bytes, whatever the number of workers, and however often it was interrupted: what is
    finished stays in `DEST.partial`, and the same call continues there.

    Args:
        source: video file, folder (with any nesting) or zip of video files or of folders of frames.
        dest: zip to write; with `shard`, folder to write it to.
        resolution: `(height, width)` in pixels.
        shard: `(number, count)`: prepare only every `count`-th source, the first of which is `number`, from 1. The
            folder of all shards is a dataset.
        num_workers: number of processes. None: one per core; 1: this process.

    Returns:
        The report. It lists unreadable and too short videos, which are skipped.

    Raises:
        StyleganvError: if `dest` exists or cannot be written, a setting is invalid, a label matches no video, or no
            video of the source is usable.
    """
    source, dest = Path(source), Path(dest)
    if shard is not None:
        dest = dest / shard_name(*shard)
    check_destination(dest, overwrite=overwrite)
    if overwrite and dest.exists() and source.exists() and dest.samefile(source):
        raise StyleganvError(f"{dest} is also the source: choose another destination.")
    encoder = Encoder(*resolution, options, parse_color(options.background))
    plan = make_plan(source, resolution, options, shard)
    content, work = plan.fingerprints()
    report = PrepareReport.of_plan(plan, dest)
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder(dest))
        journal = stack.enter_context(open_journal(dest, work, overwrite=overwrite))
        num_workers = min(num_workers or os.cpu_count() or 1, len(plan.numbers) or 1)
        preparation = _Preparation(
            plan,
            replace(encoder, options=plan.options, folder=folder),
            journal,
            stack.enter_context(map_in_processes(num_workers)),
            report,
        )
        try:
            preparation.run(content, progress)
        except KeyboardInterrupt as interruption:
            if journal.archive.num_entries and not interruption.args:
                interruption.args = (preparation.describe_interruption(),)
            raise
    if shard is None:  # `inspect` compares the videos of all shards
        try:
            report.copies = find_copies(VideoDataset(dest), progress)
        except KeyboardInterrupt as interruption:
            interruption.args = (f"{dest} is complete; only the search for copies was interrupted.",)
            raise
    return report


class _Preparation:
    """The steps of a preparation: reading the timing of each source, and encoding it."""

    def __init__(self, plan: Plan, encoder: Encoder, journal: Journal, run: Map, report: PrepareReport) -> None:
        self.plan, self.encoder, self.journal, self.map, self.report = plan, encoder, journal, run, report
        self.writer = DatasetWriter(journal.archive, plan.height, plan.width, plan.options.stored_quality)
        self.order: list[int] = []
        self.num_done = 0
        self._finished = journal.finished_steps()

    def run(self, content: str, progress: Progress | None) -> None:
        """Prepare everything; `content` is the hash that the shards of a dataset share."""
        plan, writer = self.plan, self.writer
        timings = self._read_timings(progress)
        self.report.fps = plan.choose_fps(timings.values())
        self._encode(timings, progress)
        labels, extra = plan.labels, dict[str, Any](fit=plan.options.fit)
        if plan.shard is not None:
            extra["shard"] = asdict(Shard(*plan.shard, content, self.order))
        elif not writer.videos:
            raise self.report.no_usable_video(plan.source)
        else:
            labels, used = labels.without_unused([video.label for video in writer.videos])
            writer.videos = [replace(video, label=label) for video, label in zip(writer.videos, used, strict=True)]
        if "composited" in self.report.treated:
            extra["background"] = self.report.background
        if plan.options.license:
            extra["license"] = plan.options.license
        writer.finish(fps=self.report.fps, labels=labels, extra=extra)
        self.report.finish(writer.videos, labels, plan.warnings, plan.options.fps)

    def describe_interruption(self) -> str:
        """Return what the user can do now."""
        return (
            f"Interrupted after {self.num_done} of {len(self.plan.numbers)} videos, which {self.journal.folder} holds: "
            "run the same command to continue, or delete that folder to start over."
        )

    def _read_timings(self, progress: Progress | None) -> dict[int, Timing | str]:
        """Return the timing by number of the source: of all sources, whose most common rate the dataset has."""
        plan = self.plan
        numbers = plan.numbers if plan.options.fps else range(len(plan.groups))
        rest = numbers[self.journal.num_finished :]

        def read() -> Iterator[Timing | str]:
            for step in islice(self._finished, len(numbers) - len(rest)):
                yield _load_timing(step["timing"])
            for timing in self.map(self.encoder.read_timing, (plan.groups[number][0].source for number in rest)):
                self.journal.append({"timing": asdict(timing) if isinstance(timing, Timing) else timing})
                yield timing

        timings = track(read(), progress, len(numbers), "reading frame rates")
        return dict(zip(numbers, timings, strict=True))

    def _encode(self, timings: Mapping[int, Timing | str], progress: Progress | None) -> None:
        """Add the takes of all sources to the dataset."""
        plan, encoder = self.plan, replace(self.encoder, fps=self.report.fps)
        rest = plan.numbers[max(0, self.journal.num_finished - len(timings)) :]
        if len(rest) < len(plan.numbers):
            logger.info("Continuing after %d of %d videos.", len(plan.numbers) - len(rest), len(plan.numbers))

        def encode() -> Iterator[dict[str, Any]]:
            for step in self._finished:
                self.writer.restore(map(_load_record, step["videos"]))
                yield step
            tasks = ((number, plan.groups[number], timings[number]) for number in rest)
            for takes in self.map(encoder.encode, tasks):
                step = self._store(takes)
                self.journal.append(step)
                yield step

        steps = zip(plan.numbers, encode(), strict=True)
        for number, step in track(steps, progress, len(plan.numbers), "preparing"):
            self.order += [number] * len(step["videos"])
            self.num_done += 1
            for outcome in step["takes"]:
                self.report.count(Outcome(**outcome))

    def _store(self, takes: Sequence[Encoded]) -> dict[str, Any]:
        """Copy the encoded takes of a source into the dataset, and return the finished step."""
        first = len(self.writer.videos)
        for encoded in takes:
            if not encoded.outcome.reason:
                _add_pieces(self.writer, encoded, self.plan.options)
            encoded.path.unlink(missing_ok=True)
        videos = [[video.name, video.num_frames, video.label, video.meta] for video in self.writer.videos[first:]]
        return {"takes": [asdict(encoded.outcome) for encoded in takes], "videos": videos}


def _load_timing(saved: dict[str, Any] | str) -> Timing | str:
    if isinstance(saved, str):
        return saved
    return Timing(**{**saved, "gaps": tuple(map(tuple, saved["gaps"]))})


def _load_record(saved: list[Any]) -> VideoRecord:
    name, num_frames, label, meta = saved
    return VideoRecord(name, num_frames, tuple(label) if isinstance(label, list) else label, meta)


def _add_pieces(writer: DatasetWriter, encoded: Encoded, options: PrepareOptions) -> None:
    """Add an encoded take to the dataset, in pieces with `split_every`."""
    take, total = encoded.take, len(encoded.sizes)
    length = options.split_every or total
    starts = [start for start in range(0, total, length) if min(length, total - start) >= options.min_frames]
    source = take.source
    meta: dict[str, Any] = {"source": readable(source.files[0]) if source.is_video_file else source.name}
    if not take.is_whole:
        meta["trim"] = [take.start, take.stop]
    if take.crop is not None:
        meta["crop"] = list(astuple(take.crop))
    if "resampled" in encoded.outcome.treatments:
        meta["source_fps"] = encoded.outcome.fps
    with open(encoded.path, "rb") as file:
        for number, start in enumerate(starts):
            name = take.name if total <= length else f"{take.name}_{number:03d}"
            piece = {"start": start} if total > length else {}
            frames = (file.read(size) for size in encoded.sizes[start : start + length])
            writer.add(name, frames, take.label, meta | piece)
