"""Time and accuracy of a Fréchet distance, compared with a dense root of the product of covariances.

    python benchmarks/frechet.py                 2048 features (two minutes on one core)
    python benchmarks/frechet.py --features 512  smaller

The dense root is `scipy.linalg.sqrtm` where scipy is installed, else the eigenvalues and vectors of the product, as
`torch.linalg.eig` finds them (V √Λ V⁻¹). The clips are normal numbers with a spectrum that falls as features' does
and a covariance that is known, so the distance between the estimates is known only to the methods themselves: the
table shows it from both.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from styleganv.metrics.distances import frechet_distance
from styleganv.metrics.statistics import Moments

try:
    from scipy.linalg import sqrtm
except ImportError:
    sqrtm = None

DENSE = "eig of the product (torch)" if sqrtm is None else "scipy.linalg.sqrtm"


def dense_distance(x: Tensor, y: Tensor) -> float:
    """By the matrix (S₁S₂)^½ itself."""
    a, b = torch.cov(x.double().T), torch.cov(y.double().T)
    product = a @ b
    if sqrtm is None:
        values, vectors = torch.linalg.eig(product)
        root = vectors @ torch.linalg.solve(vectors, values.sqrt().diag(), left=False)
        cross = root.real.trace()
    else:
        cross = torch.as_tensor(sqrtm(product.numpy()).real).trace()
    apart = (x.double().mean(0) - y.double().mean(0)).square().sum()
    return float(apart + a.trace() + b.trace() - 2 * cross)


def features(clips: int, dims: int, seed: int) -> Tensor:
    """`[clips, dims]` whose spectrum falls as 1/k, as of a network's features."""
    random = torch.Generator().manual_seed(seed)
    scale = torch.arange(1, dims + 1).float().rsqrt()
    turn = torch.linalg.qr(torch.randn(dims, dims, generator=random))[0]
    return torch.randn(clips, dims, generator=random) * scale @ turn + 0.1 * seed


def timed(run: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Seconds of the fastest run, and what came out."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--clips", type=int, nargs="+", default=[4096, 1500, 1024, 256])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.features} features, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    print(f"{'clips':>6}  {'from':<9}  {'here, s':>8}  {DENSE + ', s':>28}  {'times':>6}  {'here':>12}  {'dense':>12}")
    for clips in options.clips:
        x, y = (features(clips, options.features, seed) for seed in (1, 2))
        slow, dense = timed(lambda x=x, y=y: dense_distance(x, y), options.repeats)  # type: ignore[misc]
        forms = {"features": (x, y)} if clips < options.features else {"moments": (Moments.of(x), Moments.of(y))}
        for name, (a, b) in forms.items():
            quick, here = timed(lambda a=a, b=b: frechet_distance(a, b), options.repeats)  # type: ignore[misc]
            row = f"{clips:>6}  {name:<9}  {quick:>8.3f}  {slow:>28.2f}  {slow / quick:>6.1f}"
            print(f"{row}  {here:>12.7g}  {dense:>12.7g}")


if __name__ == "__main__":
    main()
