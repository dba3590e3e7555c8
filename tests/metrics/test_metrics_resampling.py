"""Sampling errors of measures: against closed forms, and against new draws of all items."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from styleganv.metrics.clips import Window
from styleganv.metrics.distances import frechet_distance, kernel_distance, precision_recall
from styleganv.metrics.report import Estimate
from styleganv.metrics.requests import NUM_BLOCKS, Clip, Request, in_order, reading_groups
from styleganv.metrics.resampling import Sample, deviations
from styleganv.metrics.statistics import Moments, Statistics


def sample(features: torch.Tensor, clips_per_video: int = 1) -> Sample:
    return Sample.of([features], [Window(i // clips_per_video, 0) for i in range(len(features))])


def normal(seed: int, n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mean_difference(a: Statistics, b: Statistics) -> dict[str, float]:
    assert isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)
    return {"": float(a.mean() - b.mean())}


@pytest.mark.parametrize("n, m", [(400, 400), (401, 100)])
def test_the_error_of_a_mean_is_the_closed_form(n: int, m: int) -> None:
    a, b = 2 * normal(0, n, 1), normal(1, m, 1)
    expected = math.sqrt(float(a.var()) / n + float(b.var()) / m)
    found = deviations(mean_difference, sample(a), sample(b), count=600)[""]
    assert found == pytest.approx(expected, rel=0.1)
    assert found == deviations(mean_difference, sample(a), sample(b), count=600)[""]  # the same seed


def test_clips_of_one_video_are_drawn_together() -> None:
    """Three equal clips per video are as uncertain as one."""
    a, b = normal(0, 60, 1), normal(1, 60, 1)
    once = deviations(mean_difference, sample(a), sample(b), count=200)[""]
    thrice = [sample(x.repeat_interleave(3, dim=0), 3) for x in (a, b)]
    assert deviations(mean_difference, *thrice, count=200)[""] == pytest.approx(once, rel=1e-9)
    rows = Sample.of([torch.arange(12).view(12, 1)], [Window(0, 0), Window(0, 5), Window(1, 0)])  # four rows per clip
    assert [len(unit) for unit in rows.units if isinstance(unit, torch.Tensor)] == [8, 4]


@pytest.mark.parametrize("d", [4, 100])
def test_the_error_of_a_frechet_distance_is_that_of_new_draws(d: int) -> None:
    """With more items than dimensions, and with fewer."""
    pairs = [(normal(2 * i, 64, d), normal(2 * i + 1, 64, d) * 1.2 + 0.5) for i in range(60)]
    actual = np.std([frechet_distance(*pair) for pair in pairs], ddof=1)
    estimated = [
        deviations(lambda a, b: {"": frechet_distance(a, b)}, *map(sample, pair), count=30)[""] for pair in pairs[:6]
    ]
    assert np.mean(estimated) == pytest.approx(actual, rel=0.3)


def test_moments_are_drawn_in_blocks() -> None:
    x = normal(0, 80, 3)
    moments = Sample.of([Moments.of(part) for part in x.split(10)], [])
    half = moments.half(np.random.default_rng(0))
    assert len(moments.units) == 8 and isinstance(half, Moments) and half.count == 40
    assert frechet_distance(moments.pool(), x) == pytest.approx(0, abs=1e-9)


def test_half_samples_have_no_repeated_items() -> None:
    """Otherwise items would be their own neighbors, and a kernel distance biased."""
    a, b = normal(0, 40, 3), normal(1, 40, 3)
    assert deviations(lambda x, y: {"": kernel_distance(x, y)}, sample(a), sample(b), count=9)[""] > 0  # type: ignore
    half = sample(a).half(np.random.default_rng(0))
    assert isinstance(half, torch.Tensor) and len(half.unique(dim=0)) == 20


def test_too_few_videos_have_no_error() -> None:
    few, many = sample(normal(0, 3, 2)), sample(normal(1, 9, 2))
    assert deviations(mean_difference, few, many, count=10) == {} == deviations(mean_difference, many, many, count=0)
    narrow = sample(normal(0, 6, 2))  # half of it has no third neighbor
    measure = lambda a, b: dict(zip("pr", precision_recall(a, b), strict=True))  # noqa: E731
    assert deviations(measure, narrow, narrow, count=10) == {}


def test_an_interval_needs_every_repeat() -> None:
    assert Estimate((1.0, 3.0), (3.0, 4.0)).interval == pytest.approx((2 - 1.96 * 12.5**0.5, 2 + 1.96 * 12.5**0.5))
    assert Estimate((1.0, 3.0), (3.0,)).interval is None and Estimate((1.0,)).interval is None
    assert str(Estimate((10.0,), (1.0,))) == "10 [8.04, 11.96]"


def request(windows: list[Window], num_frames: int, *, moments: bool = False) -> Request:
    return Request(windows, num_frames, 1, None, moments)  # type: ignore[arg-type]


def test_a_group_holds_one_batch_of_each_request() -> None:
    alone = reading_groups([request([Window(v, 3) for v in range(18)], 16)])
    assert [len(group) for group in alone] == [8, 8, 2]
    many = reading_groups([request([Window(5, 16 * i) for i in range(18)], 16)])
    assert [len(group) for group in many] == [8, 8, 2]
    short, long = [Window(v, 0) for v in range(20)], [Window(v, 0) for v in (3, 0)]
    groups = reading_groups([request(short, 16), request(long, 128)])
    assert sorted(clip for group in groups for clip in group) == [
        *(Clip(0, i, window) for i, window in enumerate(short)),
        *(Clip(1, i, window) for i, window in enumerate(long)),
    ]
    for group in groups:
        assert sum(clip.request == 0 for clip in group) <= 8 and sum(clip.request == 1 for clip in group) <= 1
    videos = [[clip.window.video for clip in group] for group in groups]
    assert all(not set(a) & set(b) for a, b in pairwise(videos))  # no video is opened twice
    assert reading_groups([]) == []


def test_features_return_to_the_order_of_their_clips() -> None:
    rows = torch.tensor([[2], [3], [0], [1], [4], [5]])  # two rows per clip, read in the order 1, 0, 2
    assert in_order(rows, [1, 0, 2]).tolist() == [[0], [1], [2], [3], [4], [5]]  # type: ignore[union-attr]


def test_blocks_share_no_video() -> None:
    windows = [Window(v, first) for v in range(20) for first in (0, 16)]
    blocks = request(windows, 16, moments=True).blocks()
    videos = [{window.video for window in block.windows} for block in blocks]
    assert len(blocks) == NUM_BLOCKS and sorted(w for block in blocks for w in block.windows) == windows
    assert sum(map(len, videos)) == 20 and request(windows, 16).blocks() == [request(windows, 16)]
