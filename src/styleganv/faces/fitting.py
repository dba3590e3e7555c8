"""Fit of a drawn face to frames: the pose by damped Gauss-Newton steps, factors by drawing each candidate.

Shapes: T frames, P pose channels, N values of a frame's pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.drawing import draw_pose
from styleganv.faces.factors import CENTER, OPTIONS, Face, Pose

Frames = NDArray[np.uint8]
Array = NDArray[np.float64]
Record = TypeVar("Record")


@dataclass(frozen=True)
class Channel:
    """Prior, step of the finite difference, and bounds of a channel of the pose."""

    mean: float
    deviation: float
    step: float
    low: float
    high: float


CHANNELS = {
    "x": Channel(CENTER[0], 0.1, 0.008, 0, 1),
    "y": Channel(CENTER[1], 0.1, 0.008, 0, 1),
    "roll": Channel(0, 0.2, 0.03, -0.7, 0.7),
    "turn": Channel(0, 0.03, 0.008, -0.1, 0.1),
    "nod": Channel(0, 0.025, 0.008, -0.1, 0.1),
    "gaze_x": Channel(0, 0.6, 0.15, -1, 1),
    "gaze_y": Channel(0, 0.6, 0.15, -1, 1),
    "blink": Channel(0, 0.6, 0.08, 0, 1),
    "talk": Channel(0.2, 0.5, 0.1, 0, 1),
    "smile": Channel(0.25, 0.7, 0.15, -1, 1),
    "brow": Channel(0, 0.015, 0.008, -0.06, 0.06),
}
#: Noise of a frame, and the difference from a drawing above which the cost grows slowly, in levels 0..255.
NOISE, OUTLIER = 8.0, 100.0


def fit_pose(frames: Frames, face: Face, pose: Pose, steps: int = 3, names: Iterable[str] = CHANNELS) -> Pose:
    """Return `pose` with the channels `names` fitted, so that `face` drawn in it matches `frames`.

    All steps use the derivative at the start.
    """
    names = list(names)
    values = np.stack([getattr(pose, name) for name in names], axis=1)  # [T, P]
    drawn = _render(face, pose, frames)
    slopes = np.stack([_slope(face, pose, name, frames, drawn) for name in names], axis=2)  # [T, N, P]
    means = np.array([CHANNELS[name].mean for name in names])
    tightness = np.array([CHANNELS[name].deviation for name in names]) ** -2
    low, high = (np.array([getattr(CHANNELS[name], side) for name in names]) for side in ("low", "high"))
    target = _flat(frames)
    rest = target - drawn
    cost = _cost(rest)
    damping = np.full(len(values), 1e-3)
    for _ in range(steps):
        weights = np.float32(NOISE**-2) / (1 + np.square(rest / np.float32(OUTLIER)))
        weighted = slopes * weights[:, :, None]
        curvature = (np.swapaxes(weighted, 1, 2) @ slopes).astype(np.float64)
        force = (np.swapaxes(weighted, 1, 2) @ rest[:, :, None]).astype(np.float64)[..., 0]
        force -= tightness * (values - means)
        diagonal = tightness + damping[:, None] * np.diagonal(curvature, axis1=1, axis2=2)
        moved = np.linalg.solve(curvature + diagonal[:, :, None] * np.eye(len(names)), force[..., None])[..., 0]
        trial = np.clip(values + moved, low, high)
        after = target - _render(face, _with(pose, names, trial), frames)
        better = _cost(after) < cost
        values = np.where(better[:, None], trial, values)
        rest = np.where(better[:, None], after, rest)
        cost = _cost(rest)
        damping = np.where(better, damping / 4, damping * 30 + 0.1)
    return _with(pose, names, values)


def track(frames: Frames, face: Face, pose: Pose, rounds: int = 3) -> Pose:
    """Fit the pose in consecutive frames; start from a neighboring frame's pose where it fits better."""
    index = np.arange(len(frames))
    for _ in range(rounds - 1):
        pose = fit_pose(frames, face, pose, steps=2)
        for neighbor in (np.maximum(index - 1, 0), np.minimum(index + 1, len(index) - 1)):
            other = select(pose, neighbor)
            better = error(frames, face, other) < error(frames, face, pose)
            pose = Pose(**{name: np.where(better, getattr(other, name), values) for name, values in vars(pose).items()})
    return fit_pose(frames, face, pose, steps=3)


def error(frames: Frames, face: Face, pose: Pose) -> NDArray[np.float32]:
    """Return the robust difference of each frame from the drawing, `[T]`."""
    rest = frames.astype(np.float32) - draw_pose(face, pose, *frames.shape[1:3])
    if min(frames.shape[1:3]) >= 48:  # at a coarse scale, three pixels are a large part of an eye
        rest = soften(rest)
    return _cost(rest.reshape(len(frames), -1))


def soften(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average 3 × 3 pixels `[T, H, W, 3]`, so that an edge that is only less sharp differs little."""
    padded: Any = np.pad(difference, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    total: NDArray[np.float32] = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    return (total / 9).astype(np.float32)


def choose(frames: Frames, pose: Pose, candidates: Iterable[Face]) -> Face:
    """Return the candidate that matches the frames best when drawn in `pose`."""
    return min(candidates, key=lambda face: float(error(frames, face, pose).sum()))


def variants(face: Face, *names: str) -> list[Face]:
    """Return `face` with each combination of options of some factors."""
    faces = [face]
    for name in names:
        options: tuple[Any, ...] = OPTIONS[name]
        faces = [replace(one, **{name: option}) for one in faces for option in options]
    return faces


def select(record: Record, index: Any) -> Record:
    """Return a pose, or another record of arrays, at some times."""
    return type(record)(**{name: values[index] for name, values in vars(record).items()})


def _slope(face: Face, pose: Pose, name: str, frames: Frames, drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the derivative `[T, N]` with respect to one channel."""
    values = getattr(pose, name)
    step = np.where(values + CHANNELS[name].step > CHANNELS[name].high, -1, 1) * CHANNELS[name].step
    moved = replace(pose, **{name: values + step})
    change = _render(face, moved, frames) - drawn
    return np.asarray(change / step[:, None], np.float32)


def _render(face: Face, pose: Pose, like: Frames) -> NDArray[np.float32]:
    return _flat(draw_pose(face, pose, *like.shape[1:3]))


def _flat(frames: Frames) -> NDArray[np.float32]:
    return frames.reshape(len(frames), -1).astype(np.float32)


def _cost(rest: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.square(rest / np.float32(OUTLIER))
    return np.log1p(squares).sum(axis=1)


def _with(pose: Pose, names: list[str], values: Array) -> Pose:
    return replace(pose, **dict(zip(names, values.T, strict=True)))
