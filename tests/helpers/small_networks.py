"""Small StyleGAN-V networks of fixed seeds, and their inputs."""

from typing import Any

import pytest
import torch
from torch import Tensor

from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.noise import SeededNoise

SMALL_G = {
    "z_dim": 8,
    "w_dim": 8,
    "channel_base": 128,
    "channel_max": 8,
    "motion_noise_dim": 6,
    "motion_code_dim": 8,
    "num_frequencies": 4,
    "motion_kernel": 3,
    "slot_distance": 4,
    "longest_period": 64,
}
SMALL_D = {"channel_base": 128, "channel_max": 8, "condition_dim": 8, "max_gap": 64}


def generator(height: int = 32, width: int = 32, **options: Any) -> Generator:
    """Return a generator of 8 channels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Generator(GeneratorConfig(height, width, **(SMALL_G | options)))


def discriminator(height: int = 32, width: int = 32, **options: Any) -> Discriminator:
    """Return a discriminator of 8 channels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Discriminator(DiscriminatorConfig(height, width, **(SMALL_D | options)))


def randn(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def times(batch: int = 2, num_frames: int = 3) -> Tensor:
    """Return times `[B, T]` in frames, different for each clip."""
    gaps = torch.tensor([0.0, 3.0, 10.0, 17.0], dtype=torch.float64)[:num_frames]
    return torch.arange(batch, dtype=torch.float64)[:, None] * 2.5 + gaps


def noise(batch: int = 2) -> SeededNoise:
    """Return motion noise of as many videos."""
    return SeededNoise(list(range(batch)), 6)


def count_calls(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[None]:
    """Replace a function by one that counts its calls; return the list that grows with each."""
    calls: list[None] = []
    function = getattr(module, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(None)
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, counted)
    return calls
