"""Known-factor check: how often generated videos of the embedded data set are valid, and whether their shapes, colours,
paths and speeds are distributed as in the data.

Each number stands beside the same number of drawn videos, whose true factors are known: that row tells how far the
check itself can be trusted.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from styleganv.errors import StyleganvError
from styleganv.metrics.recover import FACTORS, FAULTS, Recovered, recover
from styleganv.metrics.videos import DatasetVideos, Videos


@dataclass(frozen=True)
class FactorRow:
    """What was found in one set of videos.

    Attributes:
        videos: how many.
        valid: share without a fault.
        faults: share with each fault of `FAULTS`.
        shape_share, colour_share: mean share of a video's frames that agree.
        residual: median distance from the nearest path, a fraction of the frame; None if nothing moves anywhere.
    """

    videos: int
    valid: float
    faults: dict[str, float]
    shape_share: float
    colour_share: float
    residual: float | None


@dataclass(frozen=True)
class FactorMatch:
    """How one factor is distributed among the videos in which it was found.

    Attributes:
        found: share of the generated videos in which it was.
        generated, real: share of each name, summing to 1 (all 0 if it was never found).
        distance: total variation between them, 0..1; None if it was never found in one of the sets.
        floor: the distance to expect of two draws of these sizes from the data's distribution.
        accuracy: share of the data's videos in which the name is the true one.
    """

    found: float
    generated: dict[str, float]
    real: dict[str, float]
    distance: float | None
    floor: float | None
    accuracy: float


@dataclass(frozen=True)
class FactorReport:
    """The known-factor check of one set of videos; `str()` is a table, `dataclasses.asdict` JSON."""

    frames: int
    seed: int
    generated: FactorRow
    real: FactorRow
    factors: dict[str, FactorMatch]

    def __str__(self) -> str:
        made, real = self.generated, self.real
        lines = [
            f"Known factors: {made.videos} videos of {self.frames} frames, and {real.videos} of the data "
            f"(seed {self.seed})",
            f"{'':<28}{'videos':>9}{'data':>9}",
            f"{'valid':<28}{made.valid:>9.1%}{real.valid:>9.1%}",
        ]
        lines += [f"{'  fault: ' + name:<28}{made.faults[name]:>9.1%}{real.faults[name]:>9.1%}" for name in FAULTS]
        lines += [
            f"{'frames of the same shape':<28}{made.shape_share:>9.1%}{real.shape_share:>9.1%}",
            f"{'frames of the same colour':<28}{made.colour_share:>9.1%}{real.colour_share:>9.1%}",
            f"{'distance from a path':<28}{_number(made.residual):>9}{_number(real.residual):>9}",
            "",
            f"{'factor':<9}{'found':>7}{'distance':>10}{'floor':>8}{'accuracy':>10}   videos (data), of those found",
        ]
        for name, match in self.factors.items():
            shares = ", ".join(f"{k} {match.generated[k]:.0%} ({match.real[k]:.0%})" for k in match.real)
            lines.append(
                f"{name:<9}{match.found:>7.1%}{_number(match.distance):>10}{_number(match.floor):>8}"
                f"{match.accuracy:>10.1%}   {shares}"
            )
        return "\n".join(lines)


def has_factors(data: DatasetVideos) -> bool:
    """Whether the data set says of every video what it shows, in the names of `FACTORS`."""
    every = [record.meta.get("factors", {}) for record in data.data.videos]
    return all(known.get(factor) in names for known in every for factor, names in FACTORS.items())


def known_factors(
    videos: Videos, data: DatasetVideos, *, clips: int = 256, frames: int = 64, seed: int = 0
) -> FactorReport:
    """Compare what `videos` show with what videos of the data show.

    Args:
        videos: any; of a model, those of seeds 0 to `clips` − 1 from time 0.
        data: with the factors of every video (`has_factors`).
        clips: at most so many of each, one of a video.
        frames: of a clip, consecutive; fewer if a model makes no more. Path and speed are sure from 32 on; `accuracy`
            tells.
        seed: of the choice of clips and of the floors.

    Raises:
        StyleganvError: if the data set has no factors, or a set has no video of so many frames.
    """
    if not has_factors(data):
        raise StyleganvError(
            f"{data.name} does not say what its videos show: the known-factor check needs a data set that this "
            f"version's `styleganv demo` or `make_shapes` drew."
        )
    if videos.count is None:
        frames = min(frames, videos.length(0) or frames)
    rng = np.random.default_rng(seed)
    chosen = _choose(data, clips, frames, rng)
    real = _recover_all(data, chosen, frames)
    generated = _recover_all(videos, _choose(videos, clips, frames, rng), frames)
    truth = [data.data.videos[index].meta["factors"] for index, _ in chosen]
    matches = {}
    for factor, names in FACTORS.items():
        right = [getattr(found, factor) == known[factor] for found, known in zip(real, truth, strict=True)]
        matches[factor] = _match(factor, names, generated, real, float(np.mean(right)), rng)
    return FactorReport(frames, seed, _row(generated), _row(real), matches)


def _choose(videos: Videos, clips: int, frames: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Video and first frame of each clip."""
    if videos.count is None:
        return [(index, 0) for index in range(clips)]
    chosen = []
    for index in rng.permutation(videos.count):
        length = videos.length(int(index))
        if length is None or length >= frames:
            chosen.append((int(index), 0 if length is None else int(rng.integers(length - frames + 1))))
        if len(chosen) == clips:
            break
    if not chosen:
        raise StyleganvError(f"No video of {videos.name} has {frames} frames: ask for fewer.")
    return sorted(chosen)


def _recover_all(videos: Videos, chosen: list[tuple[int, int]], frames: int) -> list[Recovered]:
    found = []
    for index, start in tqdm(chosen, desc=f"factors of {videos.name}", unit="video"):
        clip = videos.read(index, np.arange(start, start + frames)).transpose(0, 2, 3, 1)
        found.append(recover(clip, videos.fps))
    return found


def _row(found: list[Recovered]) -> FactorRow:
    residuals = [video.residual for video in found if video.residual is not None]
    return FactorRow(
        videos=len(found),
        valid=float(np.mean([video.valid for video in found])),
        faults={name: float(np.mean([name in video.faults for video in found])) for name in FAULTS},
        shape_share=float(np.mean([video.shape_share for video in found])),
        colour_share=float(np.mean([video.colour_share for video in found])),
        residual=float(np.median(residuals)) if residuals else None,
    )


def _match(
    factor: str,
    names: tuple[str, ...],
    generated: list[Recovered],
    real: list[Recovered],
    accuracy: float,
    rng: np.random.Generator,
) -> FactorMatch:
    made, known = (Counter(getattr(video, factor) for video in found) for found in (generated, real))
    counts = np.array([[made[name] for name in names], [known[name] for name in names]], np.float64)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    distance = floor = None
    if totals.min() > 0:
        distance = float(total_variation(*shares))
        draws = [rng.multinomial(int(total), shares[1], size=2000) / total for total in totals]
        floor = float(total_variation(*draws).mean())
    of_each: list[dict[str, float]] = [dict(zip(names, map(float, row), strict=True)) for row in shares]
    return FactorMatch(totals[0] / len(generated), of_each[0], of_each[1], distance, floor, accuracy)


def total_variation(p: NDArray, q: NDArray) -> Any:
    """Between distributions `[..., K]`: half the sum of the absolute differences, 0..1."""
    return np.abs(p - q).sum(axis=-1) / 2


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
