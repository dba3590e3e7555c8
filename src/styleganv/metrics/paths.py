"""Which of the embedded data set's paths a moving point follows, how fast, and how closely.

A coarse bank of paths (each kind of path, every rhythm, speeds and starts on grids) finds where to begin; the best of
each kind are then refined by least squares in start, speed and the moment of the surges. Speeds are free, so that a
motion of a wrong but constant speed is still seen to follow its path.

Shapes: T frames, K candidates. Points are fractions of the frame; speeds are frame widths in 32 frames of 25 fps.
"""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from styleganv.data.shapes import ANGLES, FPS, PATHS, PULSE, SPEEDS, SURGE, along_path, distance_travelled

#: Grids of the bank: relative step of the speeds, moments of a surge, starts in their period of 2.
SPEED_STEP, PULSES, STARTS = 0.06, 8, 48
#: Speeds from the slowest over this to the fastest times it.
MARGIN = 1.3
#: Of the refinement: kinds of path, candidates of each, steps, difference for a slope.
KINDS, BEST, STEPS, FINE = 4, 3, 12, 1e-4


@dataclass(frozen=True)
class PathFit:
    """The nearest path.

    Attributes:
        path, rhythm: names from `PATHS` and `SURGE`.
        speed: frame widths in 32 frames.
        residual: root mean square distance of the points from it, a fraction of the frame.
    """

    path: str
    rhythm: str
    speed: float
    residual: float


def fit_path(centre: NDArray[np.floating], fps: float = FPS) -> PathFit | None:
    """The path of the data set that comes closest to the points `[T, 2]`; NaN where there is none.

    None with fewer than 8 points, which any path can be made to fit.
    """
    seen = np.isfinite(centre).all(axis=1)
    if seen.sum() < 8:
        return None
    times = np.arange(len(centre)) * (FPS / fps)
    whole = np.stack([np.interp(times, times[seen], axis[seen]) for axis in centre.T])
    likely = sorted((_guesses(*entry, whole) for entry in _bank(len(centre), fps)), key=lambda guess: guess[0])
    fits = [_refine(kind, guesses, centre[seen], times[seen]) for _, kind, guesses in likely[:KINDS]]
    return min(fits, key=lambda fit: fit.residual)


@dataclass(frozen=True)
class _Kind:
    """What of a path is not refined. Directions are mirrored by other starts, except a circle's."""

    path: str
    rhythm: str
    angle: float = 0.0
    direction: int = 1

    def points(self, times: NDArray, parameters: NDArray) -> NDArray[np.float64]:
        """`[K, T, 2]` of `[K, 4]` parameters: two starts, log speed, pulse."""
        across, down, speed, pulse = parameters.T[..., None]
        travelled = distance_travelled(times, np.exp(speed), SURGE[self.rhythm], pulse)
        x, y = along_path(self.path, travelled, (across, down), self.direction, self.angle)
        return np.stack(np.broadcast_arrays(x, y), axis=-1)


def _kinds() -> list[_Kind]:
    kinds = []
    for path, rhythm in itertools.product(PATHS, SURGE):
        if path == "line":
            kinds += [_Kind(path, rhythm, math.radians(angle)) for angle in sorted({abs(angle) for angle in ANGLES})]
        else:
            kinds += [_Kind(path, rhythm, direction=side) for side in ((1, -1) if path == "circle" else (1,))]
    return kinds


@lru_cache(maxsize=2)
def _bank(num_frames: int, fps: float) -> list[tuple[_Kind, NDArray, NDArray, NDArray]]:
    """Of each kind its motions from S starts: parameters `[K, S, 4]`; float32 x and y `[2, K, S, T]` and the sums of
    their squares over time `[2, K, S]`."""
    times = np.arange(num_frames) * (FPS / fps)
    slowest, fastest = min(SPEEDS.values()) / MARGIN, max(SPEEDS.values()) * MARGIN
    speeds = np.arange(math.log(slowest), math.log(fastest) + SPEED_STEP, SPEED_STEP)
    starts = np.arange(STARTS) * 2 / STARTS
    bank = []
    for kind in _kinds():
        pulses = np.arange(PULSES) * PULSE / PULSES if SURGE[kind.rhythm] else np.zeros(1)
        motions = np.array(
            [(start, start, *motion) for motion in itertools.product(speeds, pulses) for start in starts]
        )
        points = np.moveaxis(kind.points(times, motions), -1, 0).reshape(2, -1, STARTS, num_frames)
        squares = np.square(points).sum(axis=-1).astype(np.float32)
        bank.append((kind, motions.reshape(-1, STARTS, 4), np.ascontiguousarray(points, np.float32), squares))
    return bank


def _guesses(
    kind: _Kind, motions: NDArray, points: NDArray, squares: NDArray, target: NDArray
) -> tuple[float, _Kind, NDArray]:
    """The least error of a kind's bank, and its `BEST` parameters `[BEST, 4]`, each of another speed or pulse.

    The error against the target `[2, T]` is less the target's own square, the same for all.
    """
    error = squares - 2 * np.stack([points[axis] @ target[axis].astype(np.float32) for axis in (0, 1)])
    rows = np.arange(len(motions))
    if kind.path == "line":  # its two coordinates begin independently
        across, down = error.argmin(axis=2)
    else:
        across = down = error.sum(axis=0).argmin(axis=1)
    total = error[0, rows, across] + error[1, rows, down]
    best = np.argsort(total)[:BEST]
    guesses = motions[best, across[best]].copy()
    guesses[:, 1] = motions[best, down[best], 1]
    return float(total[best[0]]), kind, guesses


def _refine(kind: _Kind, guesses: NDArray, target: NDArray, times: NDArray) -> PathFit:
    """Levenberg-Marquardt from each guess; the damping of each falls where a step helps and rises where not."""
    best, damping = guesses, np.full(len(guesses), 1e-2)

    def residuals(parameters: NDArray) -> NDArray:
        return (kind.points(times, parameters) - target).reshape(len(parameters), -1)

    now = residuals(best)
    for _ in range(STEPS):
        slopes = np.stack([(residuals(best + FINE * unit) - now) / FINE for unit in np.eye(4)], axis=-1)
        curvature = np.swapaxes(slopes, 1, 2) @ slopes
        scale = curvature.diagonal(axis1=1, axis2=2) * damping[:, None] + 1e-9
        step = np.linalg.solve(
            curvature + scale[..., None] * np.eye(4), np.einsum("ktp,kt->kp", slopes, now)[..., None]
        )
        trial = best - step[..., 0]
        after = residuals(trial)
        better = np.square(after).sum(axis=1) < np.square(now).sum(axis=1)
        best, now = np.where(better[:, None], trial, best), np.where(better[:, None], after, now)
        damping = np.where(better, damping / 5, damping * 5)
    error = np.square(now).sum(axis=1)
    chosen = int(error.argmin())
    return PathFit(kind.path, kind.rhythm, math.exp(best[chosen, 2]), math.sqrt(error[chosen] / len(times)))
