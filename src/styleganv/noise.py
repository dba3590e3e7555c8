"""Seeded random numbers that are the same on every machine and in any order of calls.

Philox is counter-based: the key (seed, stream) and the block number give the numbers directly, so slot 10⁷ of a video
costs as much as slot 0. The raw bits are fixed by its definition; Box–Muller makes them normal in float64.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

CONTENT, MOTION, CLASS = 1, 2, 3
_MASK = 2**64 - 1


def _key(seed: int, stream: int) -> np.ndarray:
    """Return the Philox key as integers; NumPy would turn a list with a negative or large seed into floats."""
    return np.array([seed & _MASK, stream], dtype=np.uint64)


def uniform(seed: int, stream: int, block: int, count: int) -> np.ndarray:
    """Return `count` float64 numbers in the open interval (0, 1), a pure function of (seed, stream, block)."""
    bits = np.random.Philox(key=_key(seed, stream), counter=[0, block, 0, 0]).random_raw(count)
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal(seed: int, stream: int, block: int, count: int) -> np.ndarray:
    """Return `count` standard normal float32 numbers, a pure function of (seed, stream, block)."""
    numbers = uniform(seed, stream, block, 2 * ((count + 1) // 2))
    radius, angle = np.sqrt(-2 * np.log(numbers[::2])), 2 * np.pi * numbers[1::2]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].astype(np.float32)


def uniform_integer(seed: int, stream: int, below: int) -> int:
    """Return an integer in 0 … below−1, a pure function of (seed, stream)."""
    return int(np.random.Philox(key=_key(seed, stream)).random_raw() % below)


def derive_seed(*key: int) -> int:
    """Return a seed for PyTorch, a pure function of several integers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def torch_random(device: torch.device, *key: int) -> torch.Generator:
    """Return a PyTorch generator that is a pure function of `key`, e.g. for one purpose and one clip."""
    return torch.Generator(device).manual_seed(derive_seed(*key))


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed PyTorch's global generators, used by initial weights and dropout; their states are restored afterwards."""
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class SeededNoise:
    """Motion noise of one video per seed, addressed by slot number (a `SlotNoise` of `stylegan_v.motion`)."""

    def __init__(self, seeds: Sequence[int], noise_dim: int) -> None:
        self.seeds = list(seeds)
        # Consecutive chunks of a video share all but a few of their slots.
        self._slot = lru_cache(maxsize=4096)(lambda seed, slot: normal(seed, MOTION, slot, noise_dim))

    def __call__(self, clip: Tensor, slots: Tensor) -> Tensor:
        """Return float32 `[N, S, noise_dim]` on the CPU for `slots [N, S]` of the videos `clip [N]`."""
        rows = zip(clip.tolist(), slots.tolist(), strict=True)
        return torch.from_numpy(np.stack([[self._slot(self.seeds[c], s) for s in row] for c, row in rows]))
