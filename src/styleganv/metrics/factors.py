"""Known-factor check: what do generated videos of the embedded data set show, is it possible, and how often?

Every video of `data/shapes.py` is one shape of one colour on one path at one speed. `recover` finds these again in
any video and says what is wrong where it cannot; `known_factors` compares two sets of videos by them.

Shapes: T frames, H height, W width, S shapes or C colours of the data set. Videos are uint8 `[T, H, W, 3]`.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from styleganv.data.shapes import (
    COLOURS,
    FPS,
    PATHS,
    SHAPES,
    SIZES,
    SPEEDS,
    SURGE,
    Measurement,
    draw_masks,
    hue_distances,
    measure,
    size_of_area,
)
from styleganv.errors import StyleganvError
from styleganv.metrics.paths import fit_path
from styleganv.metrics.videos import DatasetVideos, Videos

#: What can be told from a video whose edges are soft. (Sizes cannot: softness looks like size.)
FACTORS: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "path": PATHS,
    "speed": tuple(SPEEDS),
    "rhythm": tuple(SURGE),
}
#: What can be wrong with a video, each with its meaning.
FAULTS = {
    "empty": "frames without anything that stands out",
    "no shape": "frames whose foreground is no single shape of the data",
    "shape changes": "frames show different shapes",
    "no colour": "frames whose shape is not of one of the data's colours",
    "colour changes": "frames show different colours",
    "path": "the centre follows none of the data's paths",
    "speed": "it could, but at none of the data's speeds",
}
#: Least intersection over union of a foreground and a shape drawn in its place, and least lead over the next shape: a
#: blob is no shape. Drawn videos after JPEG reach 0.81 and 0.12 at 16², 0.89 and 0.19 at 32², and 0.87 and 0.10
#: blurred by σ = 1 pixel at 32²; wrong shapes 0.72.
OVERLAP, LEAD = 0.8, 0.08
#: Largest ratio of a shape's size to one of the data's. Of drawn videos it is 1.19 or less, blurred by σ = 2 at 32².
SIZE_RATIO = 1.3
#: Least share of one colour in a frame's shape. Drawn videos reach 0.9 at 16² and 0.82 blurred by σ = 2 at 32²; a
#: shape of two halves has 0.5.
PURITY = 0.7
GREY = 40.0  # largest minus smallest channel below which a pixel has no colour; the backgrounds have 29
#: Least share of the frames that must agree. All frames of drawn videos do, so this allows a generator a slip.
CONSTANCY = 0.9
#: Largest root mean square distance from a path, in frames. Drawn videos stay below 0.017 at 16² and 0.008 at 32².
RESIDUAL = 0.02
#: Largest ratio of a speed to one of the data's. Drawn ones are found within 3 %; the data's are 1.6 apart or more.
SPEED_RATIO = 1.2


@dataclass(frozen=True)
class Recovered:
    """What a video shows: names from the data set's lists, or None where it shows nothing of the kind.

    Attributes:
        shape_share, colour_share: of the frames that show the most frequent shape and colour, 0..1.
        residual: root mean square distance of the shape's centre from the nearest path, a fraction of the frame;
            None where too few frames show anything.
        faults: keys of `FAULTS`; none in a valid video.
    """

    shape: str | None
    colour: str | None
    path: str | None
    speed: str | None
    rhythm: str | None
    shape_share: float
    colour_share: float
    residual: float | None
    faults: tuple[str, ...]

    @property
    def valid(self) -> bool:
        return not self.faults


def recover(video: NDArray[np.uint8], fps: float = FPS) -> Recovered:
    """Find the factors of a drawn or generated video, uint8 `[T, H, W, 3]`; paths need about 32 frames or more.

    Motion is compared with all paths of the data set from any start, so the clip may begin at any time.
    """
    found = measure(video)
    faults = ["empty"] if (found.area > 0).mean() < CONSTANCY else []
    shape, shape_share = _constant(_shapes(found), SHAPES, "shape", faults)
    colour, colour_share = _constant(_colours(video, found), tuple(COLOURS), "colour", faults)
    fit = fit_path(found.centre, fps)
    path = speed = rhythm = None
    if fit is None or fit.residual > RESIDUAL:
        faults.append("path")
    elif (speed := _speed_name(fit.speed)) is None:  # a shape that hardly moves is on every path
        faults.append("speed")
    else:
        path, rhythm = fit.path, fit.rhythm
    residual = None if fit is None else fit.residual
    return Recovered(shape, colour, path, speed, rhythm, shape_share, colour_share, residual, tuple(faults))


def _speed_name(speed: float) -> str | None:
    apart = {name: abs(math.log(speed / known)) for name, known in SPEEDS.items()}
    nearest = min(apart, key=apart.__getitem__)
    return nearest if apart[nearest] <= math.log(SPEED_RATIO) else None


def _shapes(found: Measurement) -> NDArray[np.int_]:
    """`[T]`: which of `SHAPES` overlaps most with the foreground if drawn in its place and size; −1 for none, or
    where it is of another size than any of the data: every speck is a circle, and noise fills the frame."""
    best = np.full(len(found.mask), -1)
    seen = np.flatnonzero(found.area > 0)
    mask, height, width = found.mask[seen], *found.mask.shape[1:]
    overlaps = []
    for shape in SHAPES:
        drawn = draw_masks(shape, found.centre[seen], found.area[seen], height, width)
        overlap = np.minimum(drawn, mask).sum(axis=(1, 2)) / np.maximum(drawn, mask).sum(axis=(1, 2))
        size = size_of_area(shape, found.area[seen], height, width)
        possible = (size > min(SIZES.values()) / SIZE_RATIO) & (size < max(SIZES.values()) * SIZE_RATIO)
        overlaps.append(np.where(possible, overlap, 0.0))
    ranked = np.sort(overlaps, axis=0)  # [S, T]
    clear = (ranked[-1] >= OVERLAP) & (ranked[-1] >= ranked[-2] + LEAD)
    best[seen] = np.where(clear, np.argmax(overlaps, axis=0), -1)
    return best


def _colours(video: NDArray[np.uint8], found: Measurement) -> NDArray[np.int_]:
    """`[T]`: which of `COLOURS` most of the foreground has; −1 for none. Pixels count as much as they are colourful,
    since soft edges are mixtures with the background."""
    colourful = np.ptp(video.astype(np.float64), axis=-1)
    nearest = hue_distances(video).argmin(axis=-1)
    total = (found.mask * np.maximum(colourful, GREY)).sum(axis=(1, 2))
    weight = found.mask * colourful
    shares = np.stack([(weight * (nearest == colour)).sum(axis=(1, 2)) for colour in range(len(COLOURS))])
    shares /= np.maximum(total, 1e-9)
    return np.where(shares.max(axis=0) >= PURITY, shares.argmax(axis=0), -1)


def _constant(
    frames: NDArray[np.int_], names: tuple[str, ...], factor: str, faults: list[str]
) -> tuple[str | None, float]:
    """The name that nearly all frames `[T]` show, or None, and the share of the most frequent one; notes faults."""
    counts = np.bincount(frames[frames >= 0], minlength=len(names))
    share = float(counts.max() / len(frames))
    if share >= CONSTANCY:
        return names[int(counts.argmax())], share
    if (frames < 0).mean() > 1 - CONSTANCY:
        faults.append(f"no {factor}")
    if counts.sum() - counts.max() > (1 - CONSTANCY) * len(frames):
        faults.append(f"{factor} changes")
    return None, share


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
        frames: of a clip, consecutive. The slowest shape needs 64 to show its path.
        seed: of the choice of clips and of the floors.

    Raises:
        StyleganvError: if the data set has no factors, or a set has no video of so many frames.
    """
    if not has_factors(data):
        raise StyleganvError(
            f"{data.name} does not say what its videos show: the known-factor check needs a data set that this "
            f"version's `styleganv demo` or `make_shapes` drew."
        )
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
