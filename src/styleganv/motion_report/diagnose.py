"""`diagnose`: measures all diagnostics of videos, and rates each against the dataset or an expected range.

    Videos ──measure_clips──▶ ClipMeasurements ─┐
    model ───probe_model────▶ ModelProbe ───────┴──rate──▶ MotionReport ──page──▶ HTML

Shapes: V videos.
"""

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from styleganv.data.dataset import dataset_of_run
from styleganv.errors import StyleganvError
from styleganv.motion_report.diagnostics import DIAGNOSTICS
from styleganv.motion_report.measurements import (
    MIN_FRAMES,
    ClipMeasurements,
    ModelProbe,
    clip_length,
    measure_clips,
    probe_model,
)
from styleganv.motion_report.report import Diagnostic, MotionAnalysis, MotionReport
from styleganv.motion_report.specs import DiagnosticSpec, LikeData, Range
from styleganv.progress import Progress
from styleganv.validation import Interval, Seed, check_arguments
from styleganv.videos import ModelVideos, Videos, open_videos

Estimate = tuple[float | None, float | None]

#: A number differs from the dataset's if it is this many standard errors away.
SIGNIFICANT = 3.0


@check_arguments
def diagnose(
    videos: Videos | Path | str,
    data: Videos | Path | str | None = None,
    *,
    num_videos: Annotated[int, Interval(2)] = 32,
    max_frames: Annotated[int, Interval(MIN_FRAMES)] = 128,
    seed: Seed = 0,
    progress: Progress | None = None,
) -> MotionAnalysis:
    """Measure how videos move, compared with a dataset if there is one; `page.write_page` shows the result.

    Args:
        videos, data: dataset, model, run, video files, or any `Videos`.
        num_videos: number of clips of each; at least 2.
        max_frames: maximum frames per clip, at least 16; all clips have the same number of frames.
        seed: random seed for the choice of clips; the same seed gives the same report.

    Raises:
        StyleganvError: if sizes differ, videos are too short, or `num_videos` is too small.
    """
    videos = open_videos(videos) if isinstance(videos, Path | str) else videos
    data = open_videos(data) if isinstance(data, Path | str) else data
    if data is not None and (videos.height, videos.width) != (data.height, data.width):
        raise StyleganvError(
            f"{videos.name} is {videos.width}x{videos.height} but {data.name} is {data.width}x{data.height}: "
            f"prepare the dataset with --resolution {videos.height}x{videos.width}."
        )
    num_frames = clip_length([videos] if data is None else [videos, data], max_frames)
    specs = [spec for spec in DIAGNOSTICS.values() if data is not None or not spec.requires_data]
    measures = {spec.name: spec.measure_clip for spec in specs if spec.measure_clip}

    def measure(side: Videos) -> ClipMeasurements:
        return measure_clips(side, measures, num_videos=num_videos, num_frames=num_frames, seed=seed, progress=progress)

    clips = measure(videos)
    data_clips = None if data is None else measure(data)
    for spec in specs:
        if spec.measure_clips:
            clips.values[spec.name] = spec.measure_clips(clips, data_clips)
            if data_clips is not None:
                data_clips.values[spec.name] = spec.measure_clips(data_clips, None)
    probe = None
    if isinstance(videos, ModelVideos):
        probes = {spec.name: spec.probe_model for spec in specs if spec.probe_model}
        probe = probe_model(videos, probes, num_videos=num_videos, seed=seed, progress=progress)
    report = MotionReport(
        name=videos.name,
        identity=videos.identity,
        data_name=None if data is None else data.name,
        data_identity=None if data is None else data.identity,
        num_videos=len(clips.speeds),
        data_num_videos=None if data_clips is None else len(data_clips.speeds),
        num_frames=num_frames,
        fps=videos.fps,
        seed=seed,
        diagnostics=tuple(
            _rate_probe(spec, probe) if spec.probe_model and probe is not None else _rate_clips(spec, clips, data_clips)
            for spec in specs
            if not spec.probe_model or probe is not None
        ),
    )
    return MotionAnalysis(report, clips, data_clips, probe)


def training_data(model: Path | str) -> Path | None:
    """Return the path of the dataset that the run at `model` (its folder, or its `model/`) was trained on, if any."""
    for folder in (Path(model), Path(model).resolve().parent):
        with suppress(OSError, ValueError):
            path, _ = dataset_of_run(folder)
            return path if path.exists() else None
    return None


def mean_and_error(values: NDArray[np.float64]) -> Estimate:
    """Return the mean over videos and its standard error, ignoring NaN; None if there are too few values."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None, None
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def _rate_clips(spec: DiagnosticSpec, clips: ClipMeasurements, data: ClipMeasurements | None) -> Diagnostic:
    """Rate a number against a fixed range, or against the dataset's number."""
    value, error = mean_and_error(clips.values[spec.name])
    reference, reference_error = (None, None) if data is None else mean_and_error(data.values[spec.name])
    if isinstance(spec.expected, Range):
        return _rate_range(spec, spec.expected, (value, error), (reference, reference_error))
    expected = None
    if reference is not None:
        assert isinstance(spec.expected, LikeData)
        significant = SIGNIFICANT * math.hypot(error or 0.0, reference_error or 0.0)
        margin = max(significant, spec.expected.relative * abs(reference), spec.expected.absolute)
        low = -math.inf if spec.expected.only_above else reference - margin
        expected = Range(None, low, reference + margin)
    fine, verdict = _rate(spec, value, expected, "Matches the dataset.")
    texts = (spec.name, spec.title, spec.unit, spec.description)
    return Diagnostic(*texts, value, error, reference, reference_error, None, None, fine, verdict)


def _rate_probe(spec: DiagnosticSpec, probe: ModelProbe) -> Diagnostic:
    """Rate a number of a model against its expected range."""
    means = {name: mean_and_error(values)[0] for name, values in probe.values.items()}
    assert not isinstance(spec.expected, LikeData)
    expected = spec.expected(means) if callable(spec.expected) else spec.expected
    estimate = mean_and_error(probe.values.get(spec.name, np.array([])))
    rated = _rate_range(spec, expected, estimate, (None, None))
    return replace(rated, verdict=probe.missing.get(spec.name, rated.verdict))


def _rate_range(spec: DiagnosticSpec, expected: Range, estimate: Estimate, reference: Estimate) -> Diagnostic:
    """Rate a number against a range, with a tolerance of two standard errors."""
    value, error = estimate
    fine, verdict = _rate(spec, value, expected, "Within the expected range.", tolerance=2 * (error or 0.0))
    low, high = (limit if math.isfinite(limit) else None for limit in (expected.low, expected.high))
    texts = (spec.name, spec.title, spec.unit, spec.description)
    return Diagnostic(*texts, value, error, *reference, expected.ideal, (low, high), fine, verdict)


def _rate(
    spec: DiagnosticSpec, value: float | None, expected: Range | None, as_expected: str, tolerance: float = 0.0
) -> tuple[bool | None, str]:
    if value is None:
        return None, "Not measurable: too little motion, or too few videos."
    if expected is None:
        return None, "No dataset to compare with."
    if expected.low <= value + tolerance and value - tolerance <= expected.high:
        return True, as_expected
    return False, spec.too_high if value > expected.high else spec.too_low
