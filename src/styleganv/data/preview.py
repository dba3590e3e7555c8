"""Preview of a preparation: a contact sheet and a report of what would be used, from a few frames of each take."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
from PIL import Image

from styleganv.data.dataset import spread
from styleganv.data.dataset_file import VideoRecord
from styleganv.data.encoding import Encoder, Outcome, parse_color
from styleganv.data.footage import sharpness
from styleganv.data.masks import crop_to_mask
from styleganv.data.plan import make_plan
from styleganv.data.prepare_report import PrepareReport
from styleganv.data.takes import Take
from styleganv.errors import StyleganvError
from styleganv.files import check_destination
from styleganv.media import sheets, writing
from styleganv.media.decoding import Timing
from styleganv.options import PrepareOptions
from styleganv.progress import Progress, track
from styleganv.validation import Count, Interval, Side, check_arguments
from styleganv.workers import map_in_processes

#: Frames of each take, and takes on the sheet: evenly spaced ones of more.
NUM_FRAMES, MAX_ROWS = 6, 24
#: Longer side of a frame on the sheet, in pixels.
CELL_SIDE = 128


@check_arguments
def preview(
    source: Path | str,
    dest: Path | str,
    sheet: Path | str,
    *,
    resolution: tuple[Side, Side],
    options: PrepareOptions = PrepareOptions(),
    shard: tuple[Count, Count] | None = None,
    num_workers: Annotated[int, Interval(1, 1024)] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PrepareReport:
    """Write a contact sheet of what `prepare` would use, and nothing else.

    Args:
        dest: what `prepare` would write.
        sheet: PNG to write.

    Returns:
        The report that `prepare` would return, as far as a few frames of each take tell; lengths are estimates.

    Raises:
        StyleganvError: as `prepare`.
    """
    check_destination(sheet, overwrite=overwrite)
    encoder = Encoder(*resolution, options, parse_color(options.background))
    plan = make_plan(Path(source), resolution, options, shard)
    encoder = replace(encoder, options=plan.options)
    report = PrepareReport.of_plan(plan, Path(dest))
    report.is_preview = True
    groups = [plan.groups[number] for number in plan.numbers]
    takes = [take for group in groups for take in group]
    shown = {takes[index].name for index in spread(len(takes), MAX_ROWS)} if takes else set()
    videos: list[VideoRecord] = []
    rows: dict[str, np.ndarray] = {}
    with map_in_processes(min(num_workers or os.cpu_count() or 1, len(groups) or 1)) as run:
        sources = (group[0].source for group in plan.groups)
        timings = list(track(run(encoder.read_timing, sources), progress, len(plan.groups), "reading frame rates"))
        report.fps = plan.choose_fps(timings)
        look = _Look(replace(encoder, fps=report.fps))
        tasks = ((take, timings[number]) for number in plan.numbers for take in plan.groups[number])
        looks = track(run(look, tasks), progress, len(takes), "looking at frames")
        for take, (outcome, num_frames, frames) in zip(takes, looks, strict=True):
            report.count(outcome)
            if outcome.reason is None:
                videos.append(VideoRecord(take.name, num_frames, take.label))
                if take.name in shown:
                    rows[take.name] = frames
    report.finish(videos, plan.labels, plan.warnings, plan.options.fps)
    if options.split_scenes:
        report.warnings.append("a dry run does not look for scenes: the videos are shown before --split-scenes.")
    if not rows:
        raise report.no_usable_video(plan.source)
    note = f"{len(rows)} of {len(videos)} videos, each from its start to its end, as they would be prepared"
    names = [name if len(name) <= 32 else f"…{name[-31:]}" for name in rows]
    image = sheets.labeled_sheet(np.stack(list(rows.values())), rows=names, columns=[""] * NUM_FRAMES, note=note)
    writing.write_image(sheet, image, overwrite=overwrite)
    return report


@dataclass(frozen=True)
class _Look:
    """A look at a take; sent to the workers."""

    encoder: Encoder

    def __call__(self, task: tuple[Take, Timing | str]) -> tuple[Outcome, int, np.ndarray]:
        """Return what would become of a take, its number of frames, and a few of them, reduced: `[F, H, W, 3]`."""
        take, timing = task
        nothing = np.zeros((NUM_FRAMES, 0, 0, 3), np.uint8)
        if isinstance(timing, str):
            return Outcome(take.name, reason=timing), 0, nothing
        encoder, (start, stop) = self.encoder, take.span(timing.seconds)
        fps = encoder.rate(timing)
        num_frames = max(0, math.ceil((min(stop, timing.seconds) - start) * (fps or timing.fps) - 0.5))
        if num_frames < encoder.options.min_frames:
            why = "" if take.is_whole else encoder.part
            return Outcome(take.name, reason=encoder.too_short(num_frames, why)), num_frames, nothing
        times = start + np.linspace(0, num_frames - 1, NUM_FRAMES).round() / (fps or timing.fps)
        try:
            take = crop_to_mask(take)
            decoded = list(take.source.decode_at(times.tolist(), encoder.options.source_fps, encoder.background))
            fitted = [encoder.fit(take, frame.pixels) for frame in decoded]
        except StyleganvError as error:
            return Outcome(take.name, reason=str(error)), num_frames, nothing
        value = median(sharpness(pixels) for pixels, _ in fitted)
        if value < encoder.options.min_sharpness:
            return Outcome(take.name, reason=encoder.too_blurred(value)), num_frames, nothing
        treatments: set[str] = {treatment for frame in decoded for treatment in frame.treatments}
        if fps and not encoder.options.fps:
            treatments.add("resampled")
        outcome = Outcome(
            take.name,
            fps=timing.fps,
            gaps=tuple((time - start, seconds) for time, seconds in timing.gaps if start <= time < stop),
            treatments=tuple(sorted(treatments)),
            is_enlarged=any(is_enlarged for _, is_enlarged in fitted),
            sharpness=value,
        )
        return outcome, num_frames, _reduce([pixels for pixels, _ in fitted])


def _reduce(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Return frames `[H, W, 3]` at the size of the sheet."""
    height, width = frames[0].shape[:2]
    scale = CELL_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, method)) for frame in frames])
