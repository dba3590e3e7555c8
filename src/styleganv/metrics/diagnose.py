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
from styleganv.files import written_whole
from styleganv.metrics.motion import distribution_distance
from styleganv.metrics.observe import Answers, Observed, ask, clip_length, observe
from styleganv.metrics.videos import ModelVideos, Videos

#: Standard errors that a number must be away from the data's before they are said to differ.
CLEAR = 3.0


@dataclass(frozen=True)
class Kind:
    """A diagnostic before it is measured.

    Attributes:
        matters: how far a number must be from the data's to be worth a word: the larger of this share of the
            data's number, and this much outright.
        ideal, good: the best value and the range in which all is well, for what only a model has; else None.
        higher, lower: what it means to be above (below) the data or the range.
    """

    key: str
    title: str
    unit: str
    meaning: str
    higher: str
    lower: str
    matters: tuple[float, float] = (0.2, 0.0)
    ideal: float | None = None
    good: tuple[float, float] | None = None


KINDS = (
    Kind(
        "loop",
        "Loop score",
        "0 to 1",
        "How much of the first frame's colours later frames still have.",
        "Videos keep or regain the colours they began with, more than the data does.",
        "Videos lose the colours they began with faster than the data does.",
        (0.0, 0.02),
    ),
    Kind(
        "period",
        "Periodicity",
        "0 to 1",
        "How exactly a video comes back to earlier frames: 1 is a loop or a steady swing.",
        "Videos repeat themselves more than the data does.",
        "Videos repeat themselves less than the data does.",
        (0.0, 0.1),
    ),
    Kind(
        "turns",
        "Turning back",
        "times a second",
        "How often the whole motion turns and runs back the way it came.",
        "Motion turns back more often than in the data: it goes to and fro.",
        "Motion turns back less often than in the data.",
        (0.25, 0.05),
    ),
    Kind(
        "speed",
        "Speed",
        "frame sides a second",
        "How fast what moves does so, on average; the side is the shorter one.",
        "Things move faster than in the data.",
        "Things move slower than in the data.",
    ),
    Kind(
        "speed_spread",
        "Speed distribution",
        "of the data's mean speed",
        "How far speeds must shift, on average, to be distributed as the data's; beside it, two halves of the data.",
        "Speeds are not distributed as in the data.",
        "Speeds are distributed as in the data.",
        (0.0, 0.15),
    ),
    Kind(
        "drift",
        "Change of looks in a clip",
        "of the difference between videos",
        "How different the last third of a clip looks from its first, by colour.",
        "Looks change more within a clip than in the data.",
        "Looks change less within a clip than in the data.",
        (0.25, 0.05),
    ),
    Kind(
        "drift_1000",
        "Drift after 1,000 frames",
        "of the difference between videos",
        "How different a video looks after 1,000 frames. The ideal is what another motion seed changes anyway.",
        "After 1,000 frames the content has drifted away.",
        "",
        ideal=0.0,
    ),
    Kind(
        "drift_hour",
        "Drift after an hour",
        "of the difference between videos",
        "How different a video looks after an hour. The ideal is what another motion seed changes anyway.",
        "After an hour the content has drifted away.",
        "",
        ideal=0.0,
    ),
    Kind(
        "flicker",
        "Flicker",
        "grey levels",
        "Noise in time where nothing moves.",
        "Still parts flicker more than in the data.",
        "Still parts flicker less than in the data, whose own noise may be the camera's.",
        (0.25, 0.25),
    ),
    Kind(
        "sticking",
        "Texture sticking",
        "0 to 1",
        "Whether fine texture moves with what it belongs to (0) or stays on the screen (1).",
        "Fine texture moves along less than in the data: it sticks to the screen, or dissolves.",
        "Fine texture moves along more than in the data.",
        (0.0, 0.08),
    ),
    Kind(
        "diversity",
        "Motion diversity",
        "of the change in time",
        "How different two motion seeds are for one content: 1 is as different as two moments of one video.",
        "Motion seeds differ more than one video's own moments.",
        "Motion seeds give much the same motion.",
        ideal=1.0,
        good=(0.7, math.inf),
    ),
    Kind(
        "transfer",
        "Motion follows its seed",
        "0 to 1",
        "Whether one motion seed moves different contents alike.",
        "",
        "The same motion seed moves different contents in different ways.",
        ideal=1.0,
        good=(0.25, math.inf),
    ),
    Kind(
        "hold",
        "Motion changes looks",
        "of the difference between contents",
        "How much another motion seed changes the colours of one content.",
        "The motion seed changes how things look about as much as the content seed does.",
        "",
        ideal=0.0,
        good=(-math.inf, 0.5),
    ),
    Kind(
        "same_frames",
        "Same frames at four times the rate",
        "grey levels",
        "The largest difference between a frame and the one of the same moment at four times the rate.",
        "The same moment gives another frame at another rate.",
        "",
        ideal=0.0,
        good=(-math.inf, 0.0),
    ),
    Kind(
        "between",
        "Frames in between",
        "of the step between frames",
        "How far frames in between stray: at most 1 is between its neighbours.",
        "Frames in between leave the way from one frame to the next.",
        "",
        ideal=1.0,
        good=(-math.inf, 1.1),
    ),
    Kind(
        "even",
        "Evenness in between",
        "1 to 4",
        "The largest of four small steps over their mean: 1 is even, 4 is all at once.",
        "Motion in between is uneven: frames are held, then jump.",
        "",
        ideal=1.0,
        good=(-math.inf, 1.5),
    ),
    Kind(
        "slot_jump",
        "Jump at slot boundaries",
        "of the steps around it",
        "The change across a slot boundary over that just before and after.",
        "The picture jumps at slot boundaries.",
        "No jump, but a kink: motion changes its direction at slot boundaries.",
        ideal=1.0,
        good=(0.8, 1.25),
    ),
)


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
        lines = [f"{self.name}{beside}: {self.videos} clips of {self.frames} frames, {self.fps:g} fps"]
        for found in self.diagnostics:
            reference = "" if found.data is None else f"data {found.data:.3g}"
            if found.data is None and found.ideal is not None:
                reference = f"ideal {found.ideal:.3g}"
            value = "–" if found.value is None else f"{found.value:.3g} ± {found.error or 0:.2g}"
            lines.append(f"  {found.title:35s} {value:18s} {reference:14s} {found.verdict}")
        return "\n".join(lines)

    def write_json(self, path: Path | str) -> None:
        """As JSON, whole or not at all; a number that there is not is null."""
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")


@dataclass(frozen=True)
class Diagnosis:
    """The report and what it was made from, for pictures of it."""

    report: MotionReport
    observed: Observed
    data: Observed | None
    answers: Answers | None


def diagnose(
    videos: Videos, data: Videos | None = None, *, count: int = 32, frames: int = 128, seed: int = 0
) -> Diagnosis:
    """Watch up to `count` clips of at most `frames` frames of `videos`, and of `data` to compare them with.

    Both get clips of the same number of frames. The same seed gives the same report.

    Raises:
        StyleganvError: if sizes differ, videos are too short, or fewer than two are asked for.
    """
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
    hold = None if answers is None else mean_and_error(answers.numbers["hold"])[0]
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
        verdict = "Nothing moves far enough to measure it."
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
        verdict = "Nothing moves far enough to measure it."
        if value is not None:
            slack = 2 * (error or 0.0)
            fine = low <= value + slack and value - slack <= high
            verdict = "As it should be." if fine else kind.higher if value > high else kind.lower
    good = (low if math.isfinite(low) else None, high if math.isfinite(high) else None)
    words = (kind.key, kind.title, kind.unit, kind.meaning)
    return Diagnostic(*words, value, error, None, None, ideal, good, fine, verdict)
