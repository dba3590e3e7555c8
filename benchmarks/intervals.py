"""How often intervals of `evaluate` contain the expected number, in simulations with known distributions.

    python benchmarks/intervals.py [--trials 150]

Both sets are drawn again and again from the same two distributions. The number that an interval should contain is the
mean over all draws: what `evaluate` returns on average for this number of clips. It includes the bias of few clips. The
table compares half samples, which `evaluate` uses, with the bootstrap, which draws as many clips with repetition.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from styleganv.metrics.clips import Window
from styleganv.metrics.distances import frechet_distance, kernel_distance, precision_recall
from styleganv.metrics.resampling import NORMAL_95, Sample, deviations

Measure = Callable[[Tensor, Tensor], float]
RESAMPLES = 40

MEASURES: dict[str, Measure] = {
    "Fréchet": frechet_distance,
    "kernel": kernel_distance,
    "precision": lambda a, b: precision_recall(a, b)[0],
}
#: Clips of each set, and features.
SETTINGS = (("Fréchet", 128, 8), ("Fréchet", 128, 256), ("kernel", 64, 8), ("precision", 64, 4))


def draw(random: np.random.Generator, clips: int, features: int) -> tuple[Tensor, Tensor]:
    """Return two sets of normal features with a spectrum that decays as 1 / k, as those of images do."""
    scale = 1 / np.sqrt(np.arange(1, features + 1))
    a, b = (random.standard_normal((clips, features)) * scale for _ in range(2))
    return torch.from_numpy(a), torch.from_numpy(1.2 * b + 0.3 * scale)


def bootstrap(measure: Measure, a: Tensor, b: Tensor, random: np.random.Generator) -> tuple[float, float]:
    """Return the percentile interval of the usual bootstrap."""
    values = [measure(*(x[random.integers(len(x), size=len(x))] for x in (a, b))) for _ in range(RESAMPLES)]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def half_samples(measure: Measure, a: Tensor, b: Tensor, seed: int) -> tuple[float, float]:
    """Return the interval of `evaluate`."""
    sets = [Sample.of([x], [Window(i, 0) for i in range(len(x))]) for x in (a, b)]
    found = deviations(lambda x, y: {"": measure(x, y)}, *sets, count=RESAMPLES, seed=seed)[""]  # type: ignore[arg-type]
    value = measure(a, b)
    return value - NORMAL_95 * found, value + NORMAL_95 * found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=150, help="Draws of both sets per setting.")
    trials = parser.parse_args().trials
    torch.set_num_threads(1)
    print("| measure | clips | features | expected | deviation | half samples | bootstrap |\n" + "|---" * 7 + "|")
    for name, clips, features in SETTINGS:
        measure, random = MEASURES[name], np.random.default_rng(0)
        sets = [draw(random, clips, features) for _ in range(trials)]
        values = [measure(*pair) for pair in sets]
        expected = float(np.mean(values))
        hits = np.zeros(2)
        for seed, pair in enumerate(sets):
            intervals = half_samples(measure, *pair, seed), bootstrap(measure, *pair, random)
            hits += [low <= expected <= high for low, high in intervals]
        covered = " | ".join(f"{100 * hit / trials:.0f} %" for hit in hits)
        print(
            f"| {name} | {clips} | {features} | {expected:.3g} | {np.std(values, ddof=1):.2g} | {covered} |", flush=True
        )


if __name__ == "__main__":
    main()
