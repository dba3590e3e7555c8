"""Measures of a face's motion: blinks, speed, reversals. Shapes: T frames."""

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.factors import FPS, Pose

Array = NDArray[np.float64]

#: Minimum distance that the head must move back to count as a reversal, in frame sides.
MIN_REVERSAL = 0.006


def blink_rate(pose: Pose, fps: float = FPS) -> float:
    """Return the number of blinks per second: how often the eyes close by more than half."""
    closed = np.nan_to_num(pose.blink) > 0.5
    num_blinks = int(closed[0]) + int((closed[1:] & ~closed[:-1]).sum())
    return num_blinks * fps / len(closed)


def speed(pose: Pose, fps: float = FPS) -> float:
    """Return the mean speed of the head in frame sides per second; NaN without two frames that show one."""
    steps = np.hypot(np.diff(_smooth(pose.x, fps)), np.diff(_smooth(pose.y, fps)))
    known = steps[~np.isnan(steps)]
    return float(known.mean() * fps) if len(known) else float("nan")


def reversals(pose: Pose, fps: float = FPS) -> float:
    """Return the number of reversals of the head's motion per second, along x and y together."""
    return (_num_reversals(pose.x) + _num_reversals(pose.y)) * fps / len(pose.x)


def _smooth(values: Array, fps: float) -> Array:
    """Average 0.12 s around each frame, so that errors of single frames do not count as motion."""
    reach = round(0.06 * fps)
    if not reach or len(values) <= 2 * reach:
        return values
    return np.convolve(values, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")


def _num_reversals(values: Array) -> int:
    """Return how often the values reverse by at least `MIN_REVERSAL`."""
    count, direction, extreme = 0, 0, None
    for value in values[~np.isnan(values)]:
        if extreme is None:
            low = high = extreme = value
        if direction == 0:
            low, high = min(low, value), max(high, value)
            if high - low >= MIN_REVERSAL:
                direction, extreme = (1, value) if value == high else (-1, value)
        elif (value - extreme) * direction > 0:
            extreme = value
        elif (extreme - value) * direction >= MIN_REVERSAL:
            count, direction, extreme = count + 1, -direction, value
    return count
