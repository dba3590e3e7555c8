"""Tracks: closed forms of the interpolation, its integral, and its loop."""

import numpy as np
import pytest

from styleganv.timeline.track import Track


def test_a_track_passes_through_its_keyframes_and_is_constant_outside() -> None:
    track = Track([1, 2, 4], np.array([3.0, 5.0, 4.0]))
    assert [track(t) for t in (0, 1, 2, 4, 9)] == [3, 3, 5, 4, 4]
    assert track(1.5) == 4 and track(3) == 4.5  # smoothstep, since all slopes are 0
    assert track(1.25) == pytest.approx(3 + 2 * (3 * 0.25**2 - 2 * 0.25**3))


def test_slopes_are_weighted_harmonic_means() -> None:
    track = Track([0, 1, 3, 4], np.array([0.0, 1.0, 7.0, 8.0]))
    slope = (5 + 4) / (5 / 1 + 4 / 3)  # of the secants 1 and 3 over intervals of 1 and 2
    step = 1e-6
    assert (track(1 + step) - track(1)) / step == pytest.approx(slope, abs=1e-4)
    assert (track(1) - track(1 - step)) / step == pytest.approx(slope, abs=1e-4)
    s = 0.25  # Hermite's form
    assert track(1.5) == pytest.approx(
        1 + 6 * s * s * (3 - 2 * s) + 2 * (slope * s * (1 - s) ** 2 - track.slopes[2] * s * s * (1 - s))
    )


def test_a_track_never_overshoots_and_equal_values_are_constant() -> None:
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.1, 2, 40)).tolist()
    values = random.normal(size=(40, 3)).cumsum(axis=0)
    values[10:14] = values[10]
    track = Track(times, values)
    for k in range(39):
        between = np.array([track(t) for t in np.linspace(times[k], times[k + 1], 50)])
        assert (np.diff(between, axis=0) * np.sign(values[k + 1] - values[k]) >= -1e-12).all()
        if 10 <= k < 13:
            assert (between == values[10]).all()
    assert Track([0, 1], np.float32([[1, 2], [3, 4]]))(0.3).dtype == np.float32


@pytest.mark.parametrize("period", [None, 6.0])
def test_integral_is_that_of_the_track(period: float | None) -> None:
    track = Track([0.5, 1, 3, 4.5], np.array([1.0, 0.2, 2.0, 2.5]), period)
    grid = np.linspace(0, 6, 60_001)
    values = np.array([track(t) for t in grid])
    sums = np.concatenate([[0], np.cumsum((values[1:] + values[:-1]) / 2 * np.diff(grid))])
    for t in (0.2, 0.5, 2.345, 4.5, 5.9, 6.0):
        assert track.integral(t) == pytest.approx(np.interp(t, grid, sums), abs=1e-7)
    assert track.integral(0) == 0
    assert Track([2], np.array([3.0])).integral(7) == 21
    assert Track([0, 2], np.array([0.0, 1.0])).integral(2) == 1  # smoothstep


def test_with_a_period_the_last_keyframe_leads_to_the_first() -> None:
    track = Track([1, 2, 3], np.array([0.0, 1.0, 3.0]), 5)
    assert track(0) == track(5) and track(1) == 0 and track(3) == 3
    step = 1e-6
    before, after = (track(5) - track(5 - step)) / step, (track(step) - track(0)) / step
    assert before == pytest.approx(after, abs=1e-4) and before < -0.5
    slopes = [(track(t + step) - track(t)) / step for t in (1 - step, 1)]
    assert slopes[0] == pytest.approx(slopes[1], abs=1e-4)
    assert Track([1], np.array([4.0]), 5)(0) == 4
    # The same keyframes, turned: the same track.
    turned = Track([0, 1, 4], np.array([1.0, 3.0, 0.0]), 5)
    assert [turned(t) for t in (0.5, 2, 3.9)] == pytest.approx([track(t) for t in (2.5, 4, 0.9)])
