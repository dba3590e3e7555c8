"""Distances against closed forms and against definitions written out."""

import math

import numpy as np
import pytest
import torch
from stub_extractors import gathered
from torch import Tensor

from styleganv.metrics.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    kernel_distance_of_subsets,
    precision_recall,
)
from styleganv.metrics.statistics import Moments, pool


def gaussian(mean: Tensor, covariance: Tensor, count: int = 1000) -> Moments:
    return Moments(count, mean.double(), covariance.double() * (count - 1))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(d: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed))[0]


def test_isotropic_gaussians() -> None:
    d = 50
    a, b = gaussian(torch.zeros(d), 4 * torch.eye(d)), gaussian(torch.full((d,), 0.5), 9 * torch.eye(d))
    assert frechet_distance(a, b) == pytest.approx(d * 0.25 + d * (2 - 3) ** 2, rel=1e-12)


def test_one_dimension() -> None:
    a, b = gaussian(torch.tensor([1.0]), torch.tensor([[0.25]])), gaussian(torch.tensor([4.0]), torch.tensor([[4.0]]))
    assert frechet_distance(a, b) == pytest.approx(9 + 1.5**2, rel=1e-13)


def test_covariances_that_commute() -> None:
    turn, s, t = rotation(30), normal(30, seed=1).abs() * 10, normal(30, seed=2).abs()
    a = gaussian(torch.zeros(30), turn @ s.diag() @ turn.T)
    b = gaussian(torch.ones(30), turn @ t.diag() @ turn.T)
    assert frechet_distance(a, b) == pytest.approx(30 + float((s.sqrt() - t.sqrt()).square().sum()), rel=1e-10)


def test_two_dimensions_that_do_not_commute() -> None:
    """tr √M = √(tr M + 2√det M) for 2×2, also for the product of two covariances."""
    s, t = torch.tensor([[2.0, 0.9], [0.9, 1.0]]).double(), torch.tensor([[1.0, -0.7], [-0.7, 3.0]]).double()
    product = s @ t
    cross = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(torch.linalg.det(product))))
    expected = float(s.trace() + t.trace()) - 2 * cross
    zero = torch.zeros(2)
    assert frechet_distance(gaussian(zero, s), gaussian(zero, t)) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(gaussian(zero, t), gaussian(zero, s)) == pytest.approx(expected, rel=1e-12)


def test_rank_one_covariances() -> None:
    """tr √(uuᵀvvᵀ) = |uᵀv|: a dense root of such a product has no digits."""
    u, v = normal(40, seed=1), normal(40, seed=2)
    a, b = gaussian(torch.zeros(40), torch.outer(u, u)), gaussian(torch.zeros(40), torch.outer(v, v))
    expected = float(u @ u + v @ v - 2 * (u @ v).abs())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("correction", [1, 0])
@pytest.mark.parametrize("n, m", [(200, 300), (200, 20), (20, 200), (20, 30), (2, 2)])
def test_features_moments_and_the_definition_agree(n: int, m: int, correction: int) -> None:
    """All four ways to the trace, against the root of the product by its eigenvalues; 64 dimensions."""
    d = 64
    x, y = normal(n, d, seed=1) @ normal(d, d, seed=3), normal(m, d, seed=2) + 0.3
    s, t = torch.cov(x.T, correction=correction), torch.cov(y.T, correction=correction)
    eigenvalues = np.linalg.eigvals((s @ t).numpy())
    cross = np.sqrt(eigenvalues[np.abs(eigenvalues) > 1e-9 * np.abs(eigenvalues).max()].real).sum()
    expected = float((x.mean(0) - y.mean(0)).square().sum() + s.trace() + t.trace()) - 2 * float(cross)
    for a in (x, Moments.of(x)):
        for b in (y, Moments.of(y)):
            assert frechet_distance(a, b, correction=correction) == pytest.approx(expected, rel=1e-6)


def test_division_by_n_scales_the_part_of_the_covariances() -> None:
    """With n features in both sets, that part shrinks by exactly (n − 1) / n; the part of the means stays."""
    x, y = normal(48, 16, seed=1), normal(48, 16, seed=2) @ normal(16, 16, seed=3) + 0.5
    means = float((x.mean(0) - y.mean(0)).square().sum())
    expected = means + (frechet_distance(x, y) - means) * 47 / 48
    assert frechet_distance(x, y, correction=0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n, d", [(300, 64), (20, 64), (64, 64), (65, 64)])
def test_equal_sets_have_no_distance(n: int, d: int) -> None:
    x = 100 * normal(n, d).float() + 1000
    scale = float(torch.cov(x.double().T).trace())
    for a in (x, Moments.of(x)):
        for b in (x.flip(0), Moments.of(x)):
            assert 0 <= frechet_distance(a, b) < 1e-6 * scale
    assert frechet_distance(torch.ones(5, 64), torch.ones(5, 64)) == 0
    assert frechet_distance(Moments.of(torch.ones(99, 64)), Moments.of(torch.zeros(99, 64))) == 64


def test_estimates_approach_the_distance_of_the_gaussians() -> None:
    x, y = normal(4000, 8, seed=1), 2 * normal(4000, 8, seed=2) + 1
    assert frechet_distance(x, y) == pytest.approx(8 * 1 + 8 * 1, rel=0.05)


def test_frechet_refuses_what_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        frechet_distance(normal(1, 4), normal(9, 4))
    with pytest.raises(ValueError, match="finite"):
        frechet_distance(torch.full((9, 4), math.nan), normal(9, 4))


def test_moments_stream() -> None:
    """Batches of any size, far from zero, give what all features at once give."""
    x = normal(501, 7) * 1e-3 + 1e4
    streamed = gathered(x.split([1, 200, 3, 297]), 7, moments=True)
    assert isinstance(streamed, Moments) and streamed.count == 501
    torch.testing.assert_close(streamed.mean, x.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(streamed.covariance(), torch.cov(x.T), rtol=1e-7, atol=1e-15)
    torch.testing.assert_close(streamed.covariance(0), torch.cov(x.T, correction=0), rtol=1e-7, atol=1e-15)
    parts = pool([Moments.of(x[:100]), x[100:]])
    assert isinstance(parts, Moments)
    torch.testing.assert_close(parts.covariance(), streamed.covariance(), rtol=1e-7, atol=1e-15)


def test_kernel_distance_is_its_definition() -> None:
    x, y = normal(7, 5, seed=1), normal(9, 5, seed=2) + 1

    def kernel(a: Tensor, b: Tensor) -> float:
        return float((a @ b / 5 + 1) ** 3)

    among_x = sum(kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (7 * 6)
    among_y = sum(kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (9 * 8)
    between = sum(kernel(a, b) for a in x for b in y) / 63
    assert kernel_distance(x, y) == pytest.approx(among_x + among_y - 2 * between, rel=1e-12)
    with pytest.raises(ValueError):
        kernel_distance(x[:1], y)


def test_kernel_distance_has_no_bias() -> None:
    """Of the same distribution it is 0 on average, however few the features; the Fréchet distance is not."""
    found = [kernel_distance(normal(20, 10, seed=2 * i), normal(20, 10, seed=2 * i + 1)) for i in range(200)]
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(200)
    assert min(found) < 0 < max(found)


def test_kernel_distance_of_subsets() -> None:
    x, y = normal(60, 5, seed=1), normal(50, 5, seed=2) + 1
    whole = kernel_distance(x, y)
    found = [kernel_distance_of_subsets(x, y, subsets=100, size=25, seed=seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert found[0] == pytest.approx(whole, rel=0.1)
    assert kernel_distance_of_subsets(x[:50], y, subsets=2, size=1000) == pytest.approx(kernel_distance(x[:50], y))


@pytest.mark.parametrize("size", [10, 25])
def test_a_kernel_distance_of_subsets_is_that_of_each(size: int) -> None:
    """Subsets of many features, and of few, which share one kernel."""
    x, y = normal(60, 5, seed=1), normal(50, 5, seed=2) + 1
    random, distances = torch.Generator().manual_seed(3), []
    for _ in range(4):
        i, j = (torch.randperm(n, generator=random)[:size] for n in (60, 50))
        distances.append(kernel_distance(x[i], y[j]))
    found = kernel_distance_of_subsets(x, y, subsets=4, size=size, seed=3)
    assert found == pytest.approx(sum(distances) / 4, rel=1e-12)
    with pytest.raises(ValueError, match="at least 2"):
        kernel_distance_of_subsets(x[:1], y[: 2 * size], subsets=4, size=size)


def test_inception_score() -> None:
    certain = torch.eye(10).repeat_interleave(20, dim=0)  # sorted: ten parts in turn would each score 1
    assert inception_score(torch.full((200, 10), 0.1)) == (pytest.approx(1), pytest.approx(0, abs=1e-6))
    assert inception_score(certain, splits=1) == (pytest.approx(10), 0)
    mean, deviation = inception_score(certain)
    assert 7 < mean < 10 and 0 < deviation < 1
    assert inception_score(certain) == (mean, deviation) != inception_score(certain, seed=1)
    half = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert inception_score(half, splits=1)[0] == pytest.approx(math.exp(divergence))
    with pytest.raises(ValueError, match="10"):
        inception_score(certain[:9])


@pytest.mark.parametrize("n", [10, 27, 200, 2047])
def test_inception_score_of_parts_in_order(n: int) -> None:
    """Borders i·n // 10 and no shuffling: parts of a single class each score 1."""
    rows = normal(n, 7).softmax(dim=1)
    scores = [inception_score(rows[i * n // 10 : (i + 1) * n // 10], splits=1, shuffle=False)[0] for i in range(10)]
    mean, deviation = inception_score(rows, shuffle=False)
    assert mean == pytest.approx(np.mean(scores)) and deviation == pytest.approx(np.std(scores), abs=1e-12)
    certain = torch.eye(10).repeat_interleave(n, dim=0)
    assert inception_score(certain, shuffle=False) == (pytest.approx(1), pytest.approx(0, abs=1e-12))


def test_precision_and_recall_of_what_is_known() -> None:
    x = normal(200, 4)
    assert precision_recall(x, x.clone()) == (1, 1)
    assert precision_recall(x, x + 100) == (0, 0)
    # A generator that makes one mode of two well: all it makes is real, half of what is real it makes.
    real = torch.cat([x[:100], x[100:] + 100])
    precision, recall = precision_recall(real, normal(100, 4, seed=1) * 0.5)
    assert precision > 0.9 and recall < 0.5
    precision, recall = precision_recall(x[:50] * 0.5, torch.cat([normal(100, 4, seed=1) * 2, x[:50] * 0.5]))
    assert precision < 0.6 and recall == 1
    with pytest.raises(ValueError, match="4"):
        precision_recall(x[:3], x)


def test_precision_is_its_definition() -> None:
    real, fake = normal(30, 3, seed=1), normal(25, 3, seed=2) + 0.7
    radii = [sorted(float((a - b).norm()) for b in real)[3] for a in real]
    inside = [any(float((f - a).norm()) <= r for a, r in zip(real, radii, strict=True)) for f in fake]
    assert precision_recall(real, fake)[0] == pytest.approx(sum(inside) / 25)
