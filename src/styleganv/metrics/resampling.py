"""Sampling error of a measure: how much it would vary with other videos.

A measure is repeated on random halves of the videos of both sets, drawn without replacement. Over such halves, a mean
of n/2 items has the standard deviation that a mean of n new items has, so it needs no scaling. To first order, the same
holds for smooth functions of means, such as distances (McCarthy 1969; Shao and Wu 1989). The usual bootstrap repeats
items, which biases all measures here: they lower the rank of covariances, and are each other's nearest neighbor.

Shapes: n clips of V videos with r rows of d features each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from torch import Tensor

from styleganv.metrics.clips import Window
from styleganv.metrics.statistics import Statistics, pool

#: Minimum number of units of a set, each half of which has two.
MIN_UNITS = 4
#: Half the width of a 95% interval of a normal distribution, in standard deviations.
NORMAL_95 = 1.96


@dataclass(frozen=True)
class Sample:
    """Statistics of clips in units that are drawn together: one video, or a block of videos whose moments are kept."""

    units: list[Statistics]

    @classmethod
    def of(cls, blocks: Sequence[Statistics], windows: Sequence[Window]) -> "Sample":
        """Return moments of blocks as they are, and features of all `windows`, in their order, split by video."""
        (features, *others) = blocks
        if others or not isinstance(features, Tensor):
            return cls(list(blocks))
        rows = len(features) // max(1, len(windows))
        sizes = [rows * len(list(clips)) for _, clips in groupby(windows, lambda window: window.video)]
        return cls(list(features.split(sizes)))

    def __add__(self, other: "Sample") -> "Sample":
        return Sample(self.units + other.units)

    def pool(self) -> Statistics:
        """Return the statistics of all units."""
        return pool(self.units)

    def half(self, random: np.random.Generator) -> Statistics:
        """Return the statistics of a random half of the units, in their order; half a unit is rounded up or down."""
        size = (len(self.units) + random.integers(2)) // 2
        return pool([self.units[i] for i in sorted(random.permutation(len(self.units))[:size])])


def deviations(
    measure: Callable[[Statistics, Statistics], dict[str, float]], a: Sample, b: Sample, *, count: int, seed: int = 0
) -> dict[str, float]:
    """Return the standard deviation of every measure of two sets over `count` half samples of their videos.

    The result is empty if a set has fewer than `MIN_UNITS` units, or half of it is too small for the measure.
    """
    if count < 2 or min(len(a.units), len(b.units)) < MIN_UNITS:
        return {}
    random = np.random.default_rng(seed)
    try:
        values = [measure(a.half(random), b.half(random)) for _ in range(count)]
    except ValueError:
        return {}
    return {name: float(np.std([value[name] for value in values], ddof=1)) for name in values[0]}
