"""What an evaluation found, with all that another person needs to get the same numbers: as JSON and as a table."""

import json
import math
import statistics
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from styleganv.files import atomic_write
from styleganv.metrics.factors import FactorReport


@dataclass(frozen=True)
class Estimate:
    """A number from each seed."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def standard_error(self) -> float | None:
        """Of the mean over seeds; None with one seed."""
        return statistics.stdev(self.values) / math.sqrt(len(self.values)) if len(self.values) > 1 else None

    def __str__(self) -> str:
        return f"{self.mean:.5g}" + ("" if self.standard_error is None else f" ± {self.standard_error:.2g}")


@dataclass(frozen=True)
class Result:
    """One protocol, of all videos or of a class.

    Attributes:
        protocol: its name and every number of it.
        class_name: None for all videos.
        detector: name, number of features, SHA-256 of the weights (empty without any), preprocessing.
        clips: how many: of `real`, of `fake`, and on either side of the real-against-real comparison.
        dropped: videos too short for a clip, of `real` and of `fake`.
        measures: by name.
        real_against_real: the same measures between real clips of different videos: what perfect fakes would get. Of
            an inception score, that of the real clips.
    """

    protocol: dict[str, Any]
    class_name: str | None
    detector: dict[str, Any]
    clips: dict[str, Any]
    dropped: dict[str, int]
    measures: dict[str, Estimate]
    real_against_real: dict[str, Estimate]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The outcome of `evaluate`; `str()` of it is the table.

    Attributes:
        real, fake: of the two collections: name, number of videos, size, fps, classes, identity, and how frames are
            resized.
        split: what the user said about the real videos.
        seeds: of the draws.
        software: versions of this program, of PyTorch and of the decoders.
        known_factors: what the videos show, if it was asked for.
    """

    real: dict[str, Any]
    fake: dict[str, Any]
    split: str | None
    seeds: tuple[int, ...]
    device: str
    software: dict[str, str]
    results: tuple[Result, ...]
    known_factors: FactorReport | None = None

    def to_json(self) -> str:
        """Everything, with the mean, standard error and each seed's value of every measure."""
        return json.dumps(_plain(self), indent=2, allow_nan=False)

    def write_json(self, path: Path | str) -> None:
        """Raises StyleganvError if it cannot be written."""
        with atomic_write(path) as tmp_path:
            tmp_path.write_text(self.to_json() + "\n")

    def __str__(self) -> str:
        lines = [f"real      {_collection(self.real)}", f"fake      {_collection(self.fake)}"]
        lines.append(f"split     {self.split or 'not said (--split)'}")
        lines.append(f"seeds     {', '.join(map(str, self.seeds))}")
        lines.append(f"device    {self.device}")
        lines.append(f"software  {', '.join(f'{name} {version}' for name, version in self.software.items())}")
        lines += ["", *dict.fromkeys(_protocol(result.protocol) for result in self.results)]
        lines += ["", *dict.fromkeys(_detector(result.detector) for result in self.results)]
        rows = [("protocol", "class", "measure", "value", "real against real", "clips real / fake", "floor's clips")]
        rows += [row for result in self.results for row in _rows(result)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines.append("")
        lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines += ["", *self._notes()]
        if self.known_factors is not None:
            lines += ["", str(self.known_factors)]
        return "\n".join(lines).rstrip()

    def _notes(self) -> list[str]:
        """Each warning once, with the protocols and classes it is about, unless about all."""
        lines = []
        for text in dict.fromkeys(warning for result in self.results for warning in result.warnings):
            about = [result for result in self.results if text in result.warnings]
            where = []
            for of in (lambda result: result.protocol["name"], lambda result: result.class_name or "all videos"):
                if {of(result) for result in about} != {of(result) for result in self.results}:
                    where.append(", ".join(dict.fromkeys(of(result) for result in about)))
            place = f" ({'; '.join(where)})" if where else ""
            lines.append(f"Note{place}: {text}.")
        return lines


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return {"mean": value.mean, "standard_error": value.standard_error, "values": list(value.values)}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _collection(side: dict[str, Any]) -> str:
    identity = dict(side["identity"])
    kind, sha256 = identity.pop("kind"), identity.pop("sha256")
    storage = " ".join(str(value) for value in identity.pop("storage").values())
    count = "endless" if side["count"] is None else f"{side['count']} videos"
    size = f"{side['width']}x{side['height']}" + (f" resized to {side['resized_to']}" if side["resized_to"] else "")
    rest = "".join(f", {name} {value}" for name, value in identity.items())
    return f"{side['name']}: {kind}, {count} of {size}, {side['fps']:g} fps, storage {storage}{rest}, SHA-256 {sha256}"


def _protocol(protocol: dict[str, Any]) -> str:
    of_each = "as many as fit" if protocol["clips_per_video"] is None else f"at most {protocol['clips_per_video']}"
    judged = "each frame by itself" if protocol["per_frame"] else "the clip as one"
    return (
        f"{protocol['name']}: {protocol['metric']} of {protocol['detector']}; at most {protocol['clips']} clips of "
        f"{protocol['frames']} frames {protocol['stride']} apart, {of_each} of a video, {judged}"
    )


def _detector(detector: dict[str, Any]) -> str:
    weights = f"SHA-256 of the weights {detector['sha256']}" if detector["sha256"] else "no network"
    return f"{detector['name']}: {detector['dims']} features, {weights}; {detector['preprocessing']}"


def _rows(result: Result) -> list[tuple[str, str, str, str, str, str, str]]:
    clips = f"{result.clips['real']} / {result.clips['fake']}"
    against = " vs ".join(map(str, result.clips["real_against_real"]))
    names = list(result.measures) or ["not measured"]
    return [
        (
            result.protocol["name"],
            result.class_name or "all",
            name,
            str(result.measures.get(name, "-")),
            str(result.real_against_real.get(name, "-")),
            clips,
            against,
        )
        for name in names
    ]
