"""Results of the motion diagnostics: the report, as text and JSON, and the measurements behind it.

Shapes: V videos.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from styleganv.files import write_json
from styleganv.motion_report.measurements import ClipMeasurements, ModelProbe


@dataclass(frozen=True)
class Diagnostic:
    """One number with its standard error over videos, and what it is compared with.

    Attributes:
        name: key of `diagnostics.DIAGNOSTICS`.
        value, error: None if nothing could be measured; `verdict` then gives the reason.
        data, data_error: the dataset's own; None without a dataset, and for diagnostics of models only.
        ideal, expected: best value and expected range (lowest, highest; None = no limit), for diagnostics of models
            only.
        fine: whether the number matches the dataset's or lies in the expected range; None if it is not rated.
    """

    name: str
    title: str
    unit: str
    description: str
    value: float | None
    error: float | None
    data: float | None
    data_error: float | None
    ideal: float | None
    expected: tuple[float | None, float | None] | None
    fine: bool | None
    verdict: str


@dataclass(frozen=True)
class MotionReport:
    """All diagnostics of one set of videos.

    Attributes:
        identity, data_identity: source, content hash and storage of the videos and of the dataset.
        num_videos, data_num_videos: number of clips measured.
    """

    name: str
    identity: dict[str, Any]
    data_name: str | None
    data_identity: dict[str, Any] | None
    num_videos: int
    data_num_videos: int | None
    num_frames: int
    fps: float
    seed: int
    diagnostics: tuple[Diagnostic, ...]

    def __getitem__(self, name: str) -> Diagnostic:
        return next(diagnostic for diagnostic in self.diagnostics if diagnostic.name == name)

    def __str__(self) -> str:
        compared = f" compared with {self.data_name}" if self.data_name else ""
        clips = f"{self.num_videos} {'clip' if self.num_videos == 1 else 'clips'}"
        lines = [f"{self.name}{compared}: {clips} of {self.num_frames} frames, {self.fps:g} fps"]
        for one in self.diagnostics:
            reference = "" if one.data is None else f"data {one.data:.3g}"
            if one.data is None and one.ideal is not None:
                reference = f"ideal {one.ideal:.3g}"
            value = "–" if one.value is None else f"{one.value:.3g}"
            value += "" if one.error is None else f" ± {one.error:.2g}"
            text = one.verdict if one.fine is not None or one.value is None else one.unit
            lines.append(f"  {one.title:27s} {value:18s} {reference:14s} {text}")
        return "\n".join(lines)

    def write_json(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write the report as JSON, atomically; a missing number is null."""
        write_json(path, asdict(self), overwrite=overwrite)


@dataclass(frozen=True)
class MotionAnalysis:
    """A motion report with the measurements it was made from, which figures show.

    Attributes:
        data: those of the dataset; None without one.
        probe: None unless the videos come from a model.
    """

    report: MotionReport
    clips: ClipMeasurements
    data: ClipMeasurements | None
    probe: ModelProbe | None
