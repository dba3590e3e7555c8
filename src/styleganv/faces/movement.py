"""Numbers about how a face moves: blinks, speed, turning points. Shapes: T frames."""

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.factors import FPS, Pose

Array = NDArray[np.float64]

#: How far the head must go back before it has turned round, a fraction of the frame's shorter side.
TURNED = 0.006


def blink_rate(pose: Pose, fps: float = FPS) -> float:
    """Blinks per second: how often the eyes are found to have closed by more than half."""
    shut = np.nan_to_num(pose.blink) > 0.5
    begun = int(shut[0]) + int((shut[1:] & ~shut[:-1]).sum())
    return begun * fps / len(shut)


def speed(pose: Pose, fps: float = FPS) -> float:
    """Mean speed of the head in frame sides per second; NaN without two frames that show one."""
    steps = np.hypot(np.diff(_smooth(pose.x, fps)), np.diff(_smooth(pose.y, fps)))
    known = steps[~np.isnan(steps)]
    return float(known.mean() * fps) if len(known) else float("nan")


def reversals(pose: Pose, fps: float = FPS) -> float:
    """Turning points per second of the head's motion across and down together."""
    return (_turns(pose.x) + _turns(pose.y)) * fps / len(pose.x)


def _smooth(values: Array, fps: float) -> Array:
    """Mean over 0.12 s around each frame, so that errors of single frames do not count as motion."""
    reach = round(0.06 * fps)
    if not reach or len(values) <= 2 * reach:
        return values
    return np.convolve(values, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")


def _turns(values: Array) -> int:
    """How often the values turn round by at least `TURNED`."""
    turns, direction, extreme = 0, 0, None
    for value in values[~np.isnan(values)]:
        if extreme is None:
            low = high = extreme = value
        if direction == 0:
            low, high = min(low, value), max(high, value)
            if high - low >= TURNED:
                direction, extreme = (1, value) if value == high else (-1, value)
        elif (value - extreme) * direction > 0:
            extreme = value
        elif (extreme - value) * direction >= TURNED:
            turns, direction, extreme = turns + 1, -direction, value
    return turns
