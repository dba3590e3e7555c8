"""The record that defines a diagnostic: how it is measured, what is expected, and how it is shown.

Shapes: V videos.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styleganv.motion_report.figures import plot_values
from styleganv.motion_report.measurements import ClipFeatures, ClipMeasurements, ModelProbe
from styleganv.motion_report.report import MotionAnalysis

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Section:
    """A part of the page: its heading, and the question that its diagnostics answer."""

    heading: str
    question: str


@dataclass(frozen=True)
class LikeData:
    """The dataset's own number is expected; only for measures of clips.

    A number differs if it is three standard errors away, and further than both margins: `relative`, a fraction of the
    dataset's number, and `absolute`. With `only_above`, as for distances, lower numbers never differ.
    """

    relative: float = 0.2
    absolute: float = 0.0
    only_above: bool = False


@dataclass(frozen=True)
class Range:
    """A fixed range is expected, whatever the dataset. A tolerance of two standard errors is added on both sides."""

    ideal: float | None
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class DiagnosticSpec:
    """One diagnostic. Exactly one of `measure_clip`, `measure_clips` and `probe_model` is set.

    Attributes:
        name: key in `DIAGNOSTICS`, in JSON and on the page.
        measure_clip: from a clip (uint8 `frames [T, H, W, 3]`, `fps`, and features derived from them) to its value.
        measure_clips: from the clips, and those of the dataset (None for the dataset itself), to values `[V]`.
        probe_model: from a model to values `[V]`; raises StyleganvError with the reason if the model has none.
        expected: what is rated as a pass. With `probe_model` also a function of the mean of each of the model's values.
        requires_data: whether there is no value without a dataset.
        too_high, too_low: verdicts above and below what is expected.
        figures: from the analysis and the name to `<figure>` elements.
    """

    name: str
    title: str
    unit: str
    description: str
    section: Section
    expected: LikeData | Range | Callable[[Mapping[str, float | None]], Range]
    measure_clip: Callable[[ClipFeatures], float] | None = None
    measure_clips: Callable[[ClipMeasurements, ClipMeasurements | None], Array] | None = None
    probe_model: Callable[[ModelProbe], Array] | None = None
    requires_data: bool = False
    too_high: str = "Higher than expected."
    too_low: str = "Lower than expected."
    figures: tuple[Callable[[MotionAnalysis, str], str], ...] = (plot_values,)

    def __post_init__(self) -> None:
        if sum(measure is not None for measure in (self.measure_clip, self.measure_clips, self.probe_model)) != 1:
            raise ValueError(f"{self.name} must have exactly one of measure_clip, measure_clips and probe_model")
        if self.probe_model and isinstance(self.expected, LikeData):
            raise ValueError(f"{self.name} probes a model, so `expected` must be a Range or a function")
        if not self.probe_model and callable(self.expected):
            raise ValueError(f"{self.name} measures clips, so `expected` must be LikeData or a Range")
