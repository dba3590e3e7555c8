"""Tracks: a quantity over time that runs smoothly through its values at keyframes.

Between two keyframes it is a cubic polynomial whose slopes are the weighted harmonic means of the neighboring secants
(PCHIP, Fritsch and Butland 1984). It is therefore monotonic between keyframes and never overshoots. Before the first
keyframe and after the last one it is constant; with a period, the last keyframe leads back to the first.

Shapes: K keyframes; values have any shape. Times are in seconds.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Track:
    """A continuously differentiable function through values `[K, …]` at ascending times `[K]`."""

    def __init__(self, times: Sequence[float], values: Any, period: float | None = None) -> None:
        """Compute the slopes.

        Args:
            times: with a period, all within it.
            values: an array, whose type the values of the track have.
        """
        values = np.asarray(values)
        if period is None or len(times) == 1:
            self.times, self.values = list(times), values
            self.slopes = np.zeros_like(values)
            self.slopes[1:-1] = _slopes(self.times, values)
        else:
            self.times = [times[-1] - period, *times, times[0] + period]
            self.values = np.concatenate([values[-1:], values, values[:1]])
            inner = _slopes(self.times, self.values)
            self.slopes = np.concatenate([inner[-1:], inner, inner[:1]])

    @property
    def is_constant(self) -> bool:
        """Whether all values are the same."""
        return bool((self.values == self.values[0]).all())

    def __call__(self, time: float) -> Any:
        """Return the value at a time; with a period, one from 0 to the period."""
        k = bisect_right(self.times, time) - 1
        if not 0 <= k < len(self.times) - 1:
            return self.values[max(k, 0)]
        h = self.times[k + 1] - self.times[k]
        s = (time - self.times[k]) / h
        rise = s * s * (3 - 2 * s) * (self.values[k + 1] - self.values[k])
        return self.values[k] + rise + h * s * (1 - s) * ((1 - s) * self.slopes[k] - s * self.slopes[k + 1])

    def integral(self, time: float) -> float:
        """Return the integral from 0 to a time; exact but for rounding."""
        return self._primitive(time) - self._primitive(0.0)

    def _primitive(self, time: float) -> float:
        """Return the integral from the first keyframe on."""
        k = min(max(bisect_right(self.times, time) - 1, 0), len(self.times) - 1)
        whole = math.fsum(self._segment(i, 1.0) for i in range(k))
        if k == len(self.times) - 1 or time < self.times[0]:
            return whole + float(self.values[k]) * (time - self.times[k])
        return whole + self._segment(k, (time - self.times[k]) / (self.times[k + 1] - self.times[k]))

    def _segment(self, k: int, s: float) -> float:
        """Return the integral over the first fraction `s` of a segment."""
        h = self.times[k + 1] - self.times[k]
        first, rise = float(self.values[k]), float(self.values[k + 1] - self.values[k])
        left, right = s**2 / 2 - 2 * s**3 / 3 + s**4 / 4, s**3 / 3 - s**4 / 4
        bend = float(self.slopes[k]) * left - float(self.slopes[k + 1]) * right
        return h * (s * first + (s**3 - s**4 / 2) * rise + h * bend)


def _slopes(times: Sequence[float], values: NDArray[Any]) -> NDArray[Any]:
    """Return the slopes `[K − 2, …]` at the inner ones of K times: 0 at extremes, which keeps the track monotonic."""
    h = np.diff(np.asarray(times, np.float64)).reshape(-1, *[1] * (values.ndim - 1))
    secants = np.diff(values, axis=0) / h
    before, after = secants[:-1], secants[1:]
    weights = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (weights[0] + weights[1]) / (weights[0] / before + weights[1] / after)
    return np.where(before * after > 0, means, 0.0).astype(values.dtype)
