"""Seeded noise: reproducible, normal, and independent between slots, seeds and streams."""

import math

import numpy as np
import pytest
import torch

from styleganv.noise import CLASS, CONTENT, MOTION, SeededNoise, normal, uniform_integer


def test_pinned_numbers() -> None:
    """A change to any of these would change the video of every seed of every published model."""
    assert normal(0, CONTENT, 0, 4).tolist() == pytest.approx([0.0053772, -0.8871989, -0.6427664, 0.0944284], abs=1e-6)
    assert normal(1, MOTION, 10**7, 3).tolist() == pytest.approx([0.2499653, 2.0820947, 0.6684248], abs=1e-6)
    assert normal(-1, MOTION, 2, 2).tolist() == pytest.approx([1.5423243, -0.4639814], abs=1e-6)
    assert [uniform_integer(seed, CLASS, 101) for seed in range(6)] == [23, 3, 4, 77, 61, 97]


def test_moments_and_distribution_are_normal() -> None:
    x = np.sort(np.concatenate([normal(seed, CONTENT, 0, 500) for seed in range(200)]).astype(np.float64))
    count = len(x)
    assert abs(x.mean()) < 4 / math.sqrt(count) and abs(x.var() - 1) < 6 / math.sqrt(count)
    cumulative = 0.5 * (1 + torch.erf(torch.from_numpy(x) / math.sqrt(2)).numpy())
    distance = np.abs(cumulative - (np.arange(count) + 0.5) / count).max()
    assert distance < 1.95 / math.sqrt(count)  # Kolmogorov–Smirnov, one in a thousand
    assert np.abs(x).max() > 3.9


def test_slots_seeds_and_streams_are_independent() -> None:
    keys = [(seed, stream, block) for seed in (0, 1, 2**40) for stream in (1, 2, 3) for block in (0, 1, 2, 10**7)]
    x = np.stack([normal(*key, 4096) for key in keys])
    correlation = np.corrcoef(x) - np.eye(len(keys))
    assert np.abs(correlation).max() < 5 / math.sqrt(4096)
    # Nor does one key repeat the numbers of another, shifted.
    assert len(np.unique(x)) > 0.999 * x.size - 2000


@pytest.mark.parametrize("count", [1, 2, 7, 512])
def test_any_count_is_finite_float32_and_repeatable(count: int) -> None:
    x = normal(5, MOTION, 3, count)
    assert x.shape == (count,) and x.dtype == np.float32 and np.isfinite(x).all()
    assert (x == normal(5, MOTION, 3, count)).all()


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63, 2**64 - 2, 10**30])
def test_negative_and_huge_seeds_work(seed: int) -> None:
    x = normal(seed, CONTENT, 0, 8)
    assert np.isfinite(x).all() and not np.allclose(x, normal(0, CONTENT, 0, 8))
    assert not np.allclose(x, normal(seed + 1, CONTENT, 0, 8))
    assert 0 <= uniform_integer(seed, CLASS, 7) < 7


def test_classes_are_equally_likely() -> None:
    counts = np.bincount([uniform_integer(seed, CLASS, 5) for seed in range(2000)], minlength=5)
    assert counts.min() > 330


def test_seeded_noise_is_addressed_by_video_and_slot() -> None:
    noise = SeededNoise([4, 9], 6)
    slots = torch.tensor([[0, 1, 10**7], [3, 2, 1], [0, 0, 0]])
    x = noise(torch.tensor([0, 1, 0]), slots)
    assert x.shape == (3, 3, 6) and x.dtype == torch.float32
    for row, seed in enumerate((4, 9, 4)):
        for column in range(3):
            expected = normal(seed, MOTION, int(slots[row, column]), 6)
            assert (x[row, column].numpy() == expected).all()


def test_global_random_state_is_neither_used_nor_changed() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = SeededNoise([1], 4)(torch.tensor([0]), torch.tensor([[0]]))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    torch.manual_seed(1)
    assert torch.equal(first, SeededNoise([1], 4)(torch.tensor([0]), torch.tensor([[0]])))
