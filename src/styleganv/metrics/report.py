"""Report of an evaluation, as a table and as JSON, with everything needed to reproduce its numbers."""

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from styleganv.faces.factor_report import FactorReport
from styleganv.files import atomic_write
from styleganv.metrics.resampling import NORMAL_95


@dataclass(frozen=True)
class Estimate:
    """One number per repeat, and its standard deviation with regard to the choice of videos, if there are enough."""

    values: tuple[float, ...]
    deviations: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean over repeats; None for a single one."""
        return statistics.stdev(self.values) / math.sqrt(len(self.values)) if len(self.values) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% interval with regard to the choice of videos in one repeat, around the mean; see `resampling`."""
        if len(self.deviations) < len(self.values):
            return None
        width = NORMAL_95 * math.sqrt(statistics.fmean(deviation**2 for deviation in self.deviations))
        return self.mean - width, self.mean + width

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
        interval = "" if self.interval is None else " [{:.4g}, {:.4g}]".format(*self.interval)
        return f"{self.mean:.5g}{error}{interval}"


@dataclass(frozen=True)
class Result:
    """Result of one protocol, for all videos or for a class.

    Attributes:
        protocol: its name and all its fields.
        class_name: None for all videos.
        extractor: name, number of features, SHA-256 of the weights (empty without weights), preprocessing.
        clips: number of clips by "real", "fake" and "noise_floor" (both parts).
        skipped: number of videos that are shorter than a clip, by "real" and "fake".
        measures: estimates by name.
        noise_floor: the same measures between real clips of different videos, which is what perfect generated videos
            would reach; for an inception score, the score of the real clips.
    """

    protocol: dict[str, Any]
    class_name: str | None
    extractor: dict[str, Any]
    clips: dict[str, Any]
    skipped: dict[str, int]
    measures: dict[str, Estimate]
    noise_floor: dict[str, Estimate]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Report of `evaluate`; `str()` returns the table.

    Attributes:
        real, fake: name, number of videos, size, fps, classes, identity, and resizing of the two sets.
        split: the user's note on the real videos.
        software: versions of this package, of PyTorch and of the decoders.
        factors: comparison of ground-truth factors, if requested.
    """

    real: dict[str, Any]
    fake: dict[str, Any]
    split: str | None
    seeds: tuple[int, ...]
    device: str
    software: dict[str, str]
    results: tuple[Result, ...]
    factors: FactorReport | None = None

    def to_json(self) -> str:
        """Return the report as JSON, with the mean, standard error, 95% interval and all values of every measure."""
        return json.dumps(self, default=_fields, indent=2, allow_nan=False)

    def write_json(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write the report as JSON, atomically; raise StyleganvError if that fails."""
        with atomic_write(path, overwrite=overwrite) as tmp_path:
            tmp_path.write_text(self.to_json() + "\n")

    def __str__(self) -> str:
        lines = [f"real      {_set_line(self.real)}", f"generated {_set_line(self.fake)}"]
        lines.append(f"split     {self.split or 'not stated (--split)'}")
        lines.append(f"seeds     {', '.join(map(str, self.seeds))}")
        lines.append(f"device    {self.device}")
        lines.append(f"software  {', '.join(f'{name} {version}' for name, version in self.software.items())}")
        lines += ["", *dict.fromkeys(_protocol_line(result.protocol) for result in self.results)]
        lines += ["", *dict.fromkeys(_extractor_line(result.extractor) for result in self.results)]
        head = (
            "protocol",
            "class",
            "measure",
            "value ± error [95%]",
            "noise floor",
            "real / generated clips",
            "clips of the floor",
        )
        rows = [head, *(row for result in self.results for row in _rows(result))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines.append("")
        lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines += ["", *self._warnings()]
        if self.factors is not None:
            lines += ["", str(self.factors)]
        return "\n".join(lines).rstrip()

    def _warnings(self) -> list[str]:
        """Return each warning once, with the protocols and classes it applies to, unless it applies to all."""
        lines = []
        for text in dict.fromkeys(warning for result in self.results for warning in result.warnings):
            affected = [result for result in self.results if text in result.warnings]
            scopes = []
            for label in (lambda result: result.protocol["name"], lambda result: result.class_name or "all videos"):
                labels = dict.fromkeys(map(label, affected))
                if set(labels) != set(map(label, self.results)):
                    scopes.append(", ".join(labels))
            scope = f" ({'; '.join(scopes)})" if scopes else ""
            lines.append(f"Warning{scope}: {text}.")
        return lines


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass for JSON, and what an estimate is."""
    if isinstance(value, Estimate):
        names = ("mean", "standard_error", "interval", "values")
        return {name: getattr(value, name) for name in names}
    return vars(value)


def _set_line(videos: dict[str, Any]) -> str:
    identity = dict(videos["identity"])
    source, sha256 = identity.pop("kind"), identity.pop("sha256")
    storage = " ".join(str(value) for value in identity.pop("storage").values())
    unit, rate = ("images", "") if source == "images" else ("videos", f" {videos['fps']:g} fps,")
    count = "unlimited" if videos["count"] is None else f"{videos['count']} {unit}"
    resized = f" resized to {videos['resized_to']}" if videos["resized_to"] else ""
    storage += f", compressed to {videos['stored_as']}" if videos["stored_as"] else ""
    size = f"{videos['width']}x{videos['height']}{resized}"
    rest = "".join(f", {name} {value}" for name, value in identity.items())
    return f"{videos['name']}: {source}, {count} of {size},{rate} storage {storage}{rest}, SHA-256 {sha256}"


def _protocol_line(protocol: dict[str, Any]) -> str:
    per_video = "as many as fit" if protocol["clips_per_video"] is None else f"at most {protocol['clips_per_video']}"
    unit = "per frame" if protocol["per_frame"] else "per clip"
    return (
        f"{protocol['name']}: {protocol['metric']} of {protocol['extractor']}, {unit}; at most {protocol['num_clips']} "
        f"clips of {protocol['num_frames']} frames with stride {protocol['stride']}, {per_video} per video"
        + "".join(f"; {name} {choice}" for name, choice in protocol["conventions"].items())
    )


def _extractor_line(extractor: dict[str, Any]) -> str:
    weights = f"SHA-256 of the weights {extractor['sha256']}" if extractor["sha256"] else "no network"
    return f"{extractor['name']}: {extractor['dims']} features, {weights}; {extractor['preprocessing']}"


def _rows(result: Result) -> list[tuple[str, str, str, str, str, str, str]]:
    clips = f"{result.clips['real']} / {result.clips['fake']}"
    floor_clips = " vs ".join(map(str, result.clips["noise_floor"]))
    protocol, class_name = result.protocol["name"], result.class_name or "all"
    numbers = {name: (str(result.measures[name]), str(result.noise_floor.get(name, "-"))) for name in result.measures}
    numbers = numbers or {"not measured": ("-", "-")}
    return [(protocol, class_name, name, *pair, clips, floor_clips) for name, pair in numbers.items()]
