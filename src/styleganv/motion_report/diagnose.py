"""The motion report: every diagnostic as a number beside the data's own (or the ideal), and a plain verdict.

`diagnose` watches clips (`observe`), asks a model what only a model can answer, and judges. `page` shows the result.
Shapes: V videos.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.metrics.videos import ModelVideos, Videos, open_videos
from styleganv.motion_report.kinds import KINDS, Kind
from styleganv.motion_report.motion import distribution_distance
from styleganv.motion_report.observe import Answers, Observed, ask, clip_length, observe

#: Standard errors that a number must be away from the data's before they are said to differ.
CLEAR = 3.0
TOO_LITTLE = "Too little moves to measure it, or there are too few videos."


@dataclass(frozen=True)
class Diagnostic:
    """One number, with its standard error over videos, beside the data's or the ideal.

    Attributes:
        value, error: None where there is nothing to measure; `verdict` then says why.
        data, data_error: the data's own; None without data, and for what only a model has.
        ideal, good: for what only a model has: the best value, and the range (lowest, highest) in which all is
            well, None for no limit.
        fine: whether it is as the data (or the ideal) would have it; None where there is nothing to compare with.
        verdict: one plain sentence.
    """

    key: str
    title: str
    unit: str
    meaning: str
    value: float | None
    error: float | None
    data: float | None
    data_error: float | None
    ideal: float | None
    good: tuple[float | None, float | None] | None
    fine: bool | None
    verdict: str


@dataclass(frozen=True)
class MotionReport:
    """All diagnostics of one collection of videos. `identity` says of what, so that another can get the same."""

    name: str
    identity: dict[str, Any]
    data_name: str | None
    data_identity: dict[str, Any] | None
    videos: int
    data_videos: int | None
    frames: int
    fps: float
    seed: int
    diagnostics: tuple[Diagnostic, ...]

    def __getitem__(self, key: str) -> Diagnostic:
        return next(found for found in self.diagnostics if found.key == key)

    def __str__(self) -> str:
        beside = f" beside {self.data_name}" if self.data_name else ""
        lines = [f"{self.name}{beside}: {self.frames} frames of each of {self.videos} videos, {self.fps:g} fps"]
        for found in self.diagnostics:
            reference = "" if found.data is None else f"data {found.data:.3g}"
            if found.data is None and found.ideal is not None:
                reference = f"ideal {found.ideal:.3g}"
            value = "–" if found.value is None else f"{found.value:.3g}"
            value += "" if found.error is None else f" ± {found.error:.2g}"
            told = found.verdict if found.fine is not None or found.value is None else found.unit
            lines.append(f"  {found.title:26s} {value:18s} {reference:14s} {told}")
        return "\n".join(lines)

    def write_json(self, path: Path | str) -> None:
        """As JSON, whole or not at all; a number that there is not is null."""
        with atomic_write(path) as tmp_path:
            tmp_path.write_text(json.dumps(asdict(self), indent=2) + "\n")


@dataclass(frozen=True)
class Diagnosis:
    """The report and what it was made from, for pictures of it."""

    report: MotionReport
    observed: Observed
    data: Observed | None
    answers: Answers | None


def diagnose(
    videos: Videos | Path | str,
    data: Videos | Path | str | None = None,
    *,
    count: int = 32,
    frames: int = 128,
    seed: int = 0,
) -> Diagnosis:
    """Watch up to `count` clips of at most `frames` frames of `videos`, and of `data` to compare them with.

    Either is a prepared data set, a model or run, video files, or any `Videos`. Both get clips of the same number of
    frames. The same seed gives the same report; `page.write_page` shows it.

    Raises:
        StyleganvError: if sizes differ, videos are too short, or fewer than two are asked for.
    """
    videos = open_videos(videos) if isinstance(videos, Path | str) else videos
    data = open_videos(data) if isinstance(data, Path | str) else data
    if count < 2:
        raise StyleganvError(f"{count} videos are too few: choose --videos 2 or more.")
    if data is not None and (videos.height, videos.width) != (data.height, data.width):
        raise StyleganvError(
            f"{videos.name} is {videos.width}x{videos.height} but {data.name} is {data.width}x{data.height}: "
            f"prepare the data with --resolution {videos.height}x{videos.width}."
        )
    length = clip_length([videos] if data is None else [videos, data], frames)
    observed = observe(videos, count=count, frames=length, seed=seed)
    reference = None if data is None else observe(data, count=count, frames=length, seed=seed)
    answers = ask(videos, count=count, seed=seed) if isinstance(videos, ModelVideos) else None
    report = MotionReport(
        name=videos.name,
        identity=videos.identity,
        data_name=None if data is None else data.name,
        data_identity=None if data is None else data.identity,
        videos=len(observed.loop_curves),
        data_videos=None if reference is None else len(reference.loop_curves),
        frames=length,
        fps=videos.fps,
        seed=seed,
        diagnostics=tuple(_diagnostics(observed, reference, answers)),
    )
    return Diagnosis(report, observed, reference, answers)


def training_data(model: Path | str) -> Path | None:
    """The data set that the run at `model` (the run's folder, or its `model/`) was trained on, if it still exists."""
    for folder in (Path(model), Path(model).resolve().parent):
        if (folder / "data.txt").is_file():
            path = Path((folder / "data.txt").read_text().splitlines()[0])
            return path if path.is_file() else None
    return None


def _diagnostics(observed: Observed, data: Observed | None, answers: Answers | None) -> list[Diagnostic]:
    found = []
    asked = answers is not None and "hold" in answers.numbers
    hold = mean_and_error(answers.numbers["hold"])[0] if answers is not None and asked else None
    for kind in KINDS:
        if kind.ideal is None and kind.key != "speed_spread":
            reference = None if data is None else data.numbers[kind.key]
            found.append(_beside_data(kind, observed.numbers[kind.key], reference))
        elif kind.key == "speed_spread" and data is not None:
            found.append(_speed_spread(kind, observed, data))
        elif answers is not None and kind.ideal is not None:
            found.append(_beside_ideal(kind, answers, hold))
    return found


def mean_and_error(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """The mean over videos and its standard error, those without a number left out; None where all are."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None, None
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def _beside_data(kind: Kind, values: NDArray[np.float64], data: NDArray[np.float64] | None) -> Diagnostic:
    value, error = mean_and_error(values)
    reference, reference_error = (None, None) if data is None else mean_and_error(data)
    return _diagnostic(kind, (value, error), (reference, reference_error))


def _speed_spread(kind: Kind, observed: Observed, data: Observed) -> Diagnostic:
    """Relative to the data's mean speed; the data's own is of its odd clips beside its even ones."""
    scale = max(float(data.speeds.mean()), 1e-9)
    value = distribution_distance(observed.speeds.ravel(), data.speeds.ravel()) / scale
    own = 0.0
    if len(data.speeds) > 1:
        own = distribution_distance(data.speeds[::2].ravel(), data.speeds[1::2].ravel()) / scale
    return _diagnostic(kind, (value, None), (own, None))


def _diagnostic(
    kind: Kind, found: tuple[float | None, float | None], data: tuple[float | None, float | None]
) -> Diagnostic:
    """Judge a number beside the data's."""
    value, reference = found[0], data[0]
    fine: bool | None = None
    if value is None:
        verdict = TOO_LITTLE
    elif reference is None:
        verdict = "There is no data to compare with."
    else:
        apart, error = value - reference, math.hypot(found[1] or 0.0, data[1] or 0.0)
        share, outright = kind.matters
        fine = abs(apart) <= max(CLEAR * error, share * abs(reference), outright)
        verdict = "As in the data." if fine else kind.higher if apart > 0 else kind.lower
    return Diagnostic(
        kind.key, kind.title, kind.unit, kind.meaning, *found, *data, ideal=None, good=None, fine=fine, verdict=verdict
    )


def _beside_ideal(kind: Kind, answers: Answers, hold: float | None) -> Diagnostic:
    """Judge a number of a model beside what it should be; drift beside what another motion seed changes (`hold`)."""
    value, error, fine = None, None, None
    ideal = kind.ideal if kind.good else hold
    low, high = kind.good or (-math.inf, 1.25 * (hold or 0.0) + 0.05)
    if kind.key in answers.missing:
        verdict = answers.missing[kind.key]
    else:
        value, error = mean_and_error(answers.numbers[kind.key])
        verdict = TOO_LITTLE
        if value is not None:
            slack = 2 * (error or 0.0)
            fine = low <= value + slack and value - slack <= high
            verdict = "As it should be." if fine else kind.higher if value > high else kind.lower
    good = (low if math.isfinite(low) else None, high if math.isfinite(high) else None)
    words = (kind.key, kind.title, kind.unit, kind.meaning)
    return Diagnostic(*words, value, error, None, None, ideal, good, fine, verdict)
