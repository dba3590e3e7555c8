"""What a video of the embedded data set shows, found again in its pixels; and what is wrong where it shows nothing of
the kind.

Every video of `data/shapes.py` is one shape of one colour on one path at one speed, from its first frame to its last.
The tolerances below come from drawn videos after JPEG at quality 95, sharp and blurred, since generated shapes have
soft edges.

Shapes: T frames, H height, W width, S shapes, C colours. Videos are uint8 `[T, H, W, 3]`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
from styleganv.metrics.paths import fit_path

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
#: Largest distance of a pixel's hue from a colour's, in turns: the nearest two colours are 0.12 apart, and what lies
#: half way is neither.
HUE = 0.05
#: Least share of one colour in a frame's shape. Drawn videos reach 0.81 at 16², 0.93 at 32², and 0.85 blurred by σ = 1
#: at 32²; a shape of two halves has 0.5.
PURITY = 0.7
GREY = 40.0  # largest minus smallest channel below which a pixel has no colour; the backgrounds have 29
#: Least share of the frames that must agree. All frames of drawn videos do, so this allows a generator a slip.
CONSTANCY = 0.9
#: Largest root mean square distance from a path, a fraction of the frame. Drawn videos stay below 0.018 at 16² and
#: 0.008 at 32²; the nearest of the wrong paths is 0.022 away (from the slowest circle), frames in a random order 0.08.
RESIDUAL = 0.02
#: Largest ratio of a speed to one of the data's. Drawn ones are found within 1 %; the data's are 1.6 times apart.
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
    """Find the factors of a drawn or generated video, uint8 `[T, H, W, 3]`; path and speed are sure from 32 frames on.

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
    distance = hue_distances(video)
    nearest = np.where(distance.min(axis=-1) <= HUE, distance.argmin(axis=-1), -1)
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
