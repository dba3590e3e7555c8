"""Distances between sets of features, as pure functions in float64.

These are the Fréchet and kernel (polynomial MMD) distances, the inception score, precision and recall.

Shapes: n features of d numbers each, k classes. A root of a covariance S is any `[r, d]` matrix R with RᵀR = S.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from styleganv.metrics.patches import distance_of_features
from styleganv.metrics.statistics import Moments, Statistics, count_of


def frechet_distance(a: Statistics, b: Statistics, *, correction: int = 1) -> float:
    """Return |μ₁ − μ₂|² + tr(S₁ + S₂ − 2 (S₁S₂)^½), the squared 2-Wasserstein distance of two Gaussians.

    The trace of the root is Σ√λ over eigenvalues of the symmetric R₁S₂R₁ᵀ, for any root R₁ of S₁. Deviations of n
    features over √(n − c) are such a root. Sets with fewer features than dimensions therefore only require the
    eigenvalues of an `[n, n]` matrix, without forming S₂ = R₂ᵀR₂. Compared with singular values of R₁R₂ᵀ, which take
    four times as long, the relative error of the sum was at most 1e-6, over spectra from flat to rank 8.

    Args:
        a, b: moments or features `[n, d]`, with n ≥ 2 and the same d.
        correction: c of covariances, which are divided by n − c: 1 for unbiased ones, 0 as in the official code.

    Raises:
        ValueError: for fewer than two features, or features that are not finite.
    """
    a, b = _compact(a), _compact(b)
    mean_a, root_a, trace_a = _mean_root_trace(a, correction)
    mean_b, root_b, trace_b = _mean_root_trace(b, correction)
    if root_a is not None and root_b is not None:
        product = root_a @ root_b.T if len(root_a) < len(root_b) else root_b @ root_a.T
        cross = _sum_of_roots(product @ product.T)
    elif root_a is not None and isinstance(b, Moments):
        cross = _sum_of_roots(root_a @ b.covariance(correction) @ root_a.T)
    elif root_b is not None and isinstance(a, Moments):
        cross = _sum_of_roots(root_b @ a.covariance(correction) @ root_b.T)
    else:
        assert isinstance(a, Moments) and isinstance(b, Moments)
        root = _root(a.covariance(correction))
        cross = _sum_of_roots(root @ b.covariance(correction) @ root.T)
    distance = float((mean_a - mean_b).square().sum() + trace_a + trace_b - 2 * cross)
    return max(distance, 0.0)  # rounding can leave −1e-9


def _compact(statistics: Statistics) -> Statistics:
    """Return features if they are fewer than dimensions, which makes them the smaller matrix; else moments."""
    if count_of(statistics) < 2:
        raise ValueError("a covariance requires at least 2 features")
    if isinstance(statistics, Moments) or len(statistics) < statistics.shape[1]:
        return statistics
    return Moments.of(statistics)


def _mean_root_trace(statistics: Statistics, correction: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return μ, the root that features provide, and tr S."""
    if isinstance(statistics, Moments):
        mean, root, trace = statistics.mean, None, statistics.covariance(correction).trace()
    else:
        mean = statistics.double().mean(dim=0)
        root = (statistics.double() - mean) / math.sqrt(len(statistics) - correction)
        trace = root.square().sum()
    if not (mean.isfinite().all() and trace.isfinite()):
        raise ValueError("features are not finite")
    return mean, root, trace


def _root(covariance: Tensor) -> Tensor:
    """Return the Cholesky factor; without full rank, the scaled eigenvectors above rounding error."""
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:
        return factor.T
    values, vectors = torch.linalg.eigh(covariance)
    significant = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    return (vectors[:, significant] * values[significant].sqrt()).T


def _sum_of_roots(symmetric: Tensor) -> Tensor:
    """Return Σ √λ of a positive semidefinite matrix, without eigenvalues within rounding error of 0."""
    if len(symmetric) == 0:
        return symmetric.sum()
    values = torch.linalg.eigvalsh((symmetric + symmetric.T) / 2)
    rounding = torch.finfo(values.dtype).eps * values[-1].clamp(min=0)
    return values.where(values > rounding, 0).sqrt().sum()


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Return the unbiased squared MMD of features `[n, d]` and `[m, d]` under (xᵀy/d + 1)³ (Bińkowski et al. 2018).

    It may be slightly negative. Publications often multiply it by 1000; this function does not.

    Raises:
        ValueError: for fewer than two features.
    """
    return _distance_of_kernels(_kernel(a, a), _kernel(b, b), _kernel(a, b))


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """Return (xᵀy/d + 1)³ as `[n, m]`."""
    return (a.double() @ b.double().T / a.shape[1] + 1) ** 3


def _distance_of_kernels(within_a: Tensor, within_b: Tensor, between: Tensor) -> float:
    """Return the unbiased squared MMD from the kernels `[n, n]`, `[m, m]` and `[n, m]`."""
    if min(between.shape) < 2:
        raise ValueError("an unbiased estimate requires at least 2 features")
    means = [(gram.sum() - gram.trace()) / (len(gram) * (len(gram) - 1)) for gram in (within_a, within_b)]
    return float(sum(means) - 2 * between.mean())


def kernel_distance_of_subsets(a: Tensor, b: Tensor, *, subsets: int, size: int, seed: int = 0) -> float:
    """Return the mean `kernel_distance` over random subsets of `size` features, as KID is defined.

    Time grows with `subsets` · `size`² rather than n².
    """
    random = torch.Generator().manual_seed(seed)
    size = min(size, len(a), len(b))
    indices = ([torch.randperm(len(x), generator=random)[:size] for x in (a, b)] for _ in range(subsets))
    if max(len(a), len(b)) <= 4 * size:  # one kernel for all subsets takes less time, and 0.4 GB at most
        aa, bb, ab = _kernel(a, a), _kernel(b, b), _kernel(a, b)
        parts = (_distance_of_kernels(aa[i][:, i], bb[j][:, j], ab[i][:, j]) for i, j in indices)
    else:
        parts = (kernel_distance(a[i], b[j]) for i, j in indices)
    return sum(parts) / subsets


def inception_score(
    probabilities: Tensor, *, splits: int = 10, seed: int = 0, shuffle: bool = True
) -> tuple[float, float]:
    """Return exp of the mean KL divergence of `probabilities [n, k]` from their mean (Salimans et al. 2016).

    The result is the mean and the (population) standard deviation over `splits` parts of nearly equal size.

    Args:
        shuffle: shuffle the rows by `seed`, since parts of a sorted set would have few classes. If False, part i holds
            the rows i · n // splits to (i + 1) · n // splits − 1.

    Raises:
        ValueError: for fewer rows than splits.
    """
    if len(probabilities) < splits:
        raise ValueError(f"{splits} splits require at least {splits} features")
    if shuffle:
        order = torch.randperm(len(probabilities), generator=torch.Generator().manual_seed(seed))
        parts = probabilities.double()[order].tensor_split(splits)
    else:
        parts = probabilities.double().tensor_split([i * len(probabilities) // splits for i in range(1, splits)])
    scores = []
    for part in parts:
        divergence = torch.special.xlogy(part, part) - torch.special.xlogy(part, part.mean(dim=0))
        scores.append(divergence.sum(dim=1).mean().exp())
    return float(torch.stack(scores).mean()), float(torch.stack(scores).std(correction=0))


def precision_recall(real: Tensor, fake: Tensor, *, neighbors: int = 3) -> tuple[float, float]:
    """Return the fraction of `fake [m, d]` in the manifold of `real [n, d]`, and that of real in the manifold of fake.

    A manifold is the union of balls around its members that reach their k-th nearest neighbor (Kynkäänniemi et al.
    2019).

    Raises:
        ValueError: for no more features than neighbors.
    """
    if min(len(real), len(fake)) <= neighbors:
        raise ValueError(f"{neighbors} neighbors require at least {neighbors + 1} features")
    real, fake = real.double(), fake.double()

    def inside(points: Tensor, members: Tensor) -> float:
        radii = torch.cat(
            [torch.cdist(rows, members).kthvalue(neighbors + 1, dim=1).values for rows in members.split(1024)]
        )
        within = [(torch.cdist(rows, members) <= radii).any(dim=1) for rows in points.split(1024)]
        return float(torch.cat(within).double().mean())

    return inside(fake, real), inside(real, fake)


def _patch_swd(real: Statistics, fake: Statistics, seed: int, released: bool) -> dict[str, float]:
    distance = distance_of_features(_features(real), _features(fake), seed=seed)
    return {"": distance.mean} | {f"_{side}px": value for side, value in distance.levels.items()}


def _features(statistics: Statistics) -> Tensor:
    assert isinstance(statistics, Tensor)
    return statistics


#: Functions from real statistics, generated statistics, a seed and `Protocol.released` to numbers by the suffix of
#: their key in reports.
METRICS: dict[str, Callable[[Statistics, Statistics, int, bool], dict[str, float]]] = {
    "frechet": lambda real, fake, seed, released: {"": frechet_distance(real, fake, correction=0 if released else 1)},
    "kernel": lambda real, fake, *_: {"": kernel_distance(_features(real), _features(fake))},
    "kernel_subsets": lambda real, fake, seed, released: {
        "": kernel_distance_of_subsets(_features(real), _features(fake), subsets=100, size=1000, seed=seed)
    },
    "inception_score": lambda real, fake, seed, released: dict(
        zip(("", "_std_of_splits"), inception_score(_features(fake), seed=seed, shuffle=not released), strict=True)
    ),
    "precision_recall": lambda real, fake, *_: dict(
        zip(("_precision", "_recall"), precision_recall(_features(real), _features(fake)), strict=True)
    ),
    "patch_swd": _patch_swd,
}
