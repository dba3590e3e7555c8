"""Reference arrays of two small networks: inputs, weights, and what the slow twins compute from them in float64.

`python tests/helpers/reference.py` rewrites `tests/reference/*.npz`. Do this only after a deliberate change of the
mathematics.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import twins
from torch import Tensor, nn

from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator

FOLDER = Path(__file__).parents[1] / "reference"
BATCH = 4
SIZES: dict[str, Any] = {"channel_base": 128, "channel_max": 8}
WIDTHS: dict[str, Any] = {"z_dim": 12, "w_dim": 10, "motion_noise_dim": 6, "motion_code_dim": 9, "num_frequencies": 5}
MOTION: dict[str, Any] = {"motion_kernel": 3, "slot_distance": 4, "longest_period": 64}
#: The paper's networks, and the released code's with classes.
CONFIGS = {
    "paper_32x32": (
        GeneratorConfig(32, 32, **SIZES, **WIDTHS, **MOTION),
        DiscriminatorConfig(32, 32, num_frames=3, condition_dim=10, max_gap=32, **SIZES),
    ),
    "released_16x16_classes": (
        GeneratorConfig(16, 16, num_classes=3, mapping_layers=3, amplitude=False, **SIZES, **WIDTHS, **MOTION),
        DiscriminatorConfig(
            16, 16, num_frames=2, num_classes=3, condition="project", condition_dim=10, max_gap=32, **SIZES
        ),
    ),
}


class Reference:
    """The arrays of one file, and networks with its weights."""

    def __init__(self, name: str) -> None:
        self.generator_config, self.discriminator_config = CONFIGS[name]
        arrays = np.load(FOLDER / f"{name}.npz")
        self.arrays: dict[str, Tensor] = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        self.label = self["label"] if "label" in self.arrays else None

    def __getitem__(self, key: str) -> Tensor:
        return self.arrays[key]

    def generator(self) -> Generator:
        """Return the generator."""
        generator = Generator(self.generator_config)
        generator.load_state_dict(self.read("generator"))
        return generator

    def discriminator(self) -> Discriminator:
        """Return the discriminator."""
        discriminator = Discriminator(self.discriminator_config)
        discriminator.load_state_dict(self.read("discriminator"))
        return discriminator

    def read(self, prefix: str) -> dict[str, Tensor]:
        """Return the arrays whose keys start with `prefix/`, under the rest of their keys."""
        return {key.removeprefix(f"{prefix}/"): x for key, x in self.arrays.items() if key.startswith(f"{prefix}/")}


def create(name: str) -> dict[str, Tensor]:
    """Return inputs, weights, outputs and gradients of one pair of networks."""
    torch.manual_seed(0)
    generator_config, discriminator_config = CONFIGS[name]
    generator, discriminator = Generator(generator_config), Discriminator(discriminator_config)
    _randomize(generator), _randomize(discriminator)
    num_classes, num_frames = generator_config.num_classes, discriminator_config.num_frames
    arrays = {
        "z": torch.randn(BATCH, generator_config.z_dim),
        "times": 20 * torch.rand(BATCH, 1, dtype=torch.float64) + torch.tensor([0, 2.7, 9.1])[:num_frames],
        "times_long": torch.linspace(0, 40, 41, dtype=torch.float64).expand(BATCH, -1),
        "motion_noise": torch.randn(BATCH, 16, generator_config.motion_noise_dim),
        "real": torch.randint(-8, 9, (BATCH, num_frames, 3, generator_config.height, generator_config.width)) / 8,
    }
    if num_classes:
        arrays["label"] = torch.eye(num_classes)[torch.arange(BATCH) % num_classes]
    arrays |= {f"generator/{key}": value for key, value in generator.state_dict().items()}
    arrays |= {f"discriminator/{key}": value for key, value in discriminator.state_dict().items()}
    return arrays | compute(arrays, generator_config, discriminator_config)


def _randomize(network: nn.Module) -> None:
    """Replace zeros, with which biases and the mean of w start."""
    for value in network.state_dict().values():
        if not value.any():
            value.normal_(std=0.3)


def compute(
    arrays: dict[str, Tensor], generator_config: GeneratorConfig, discriminator_config: DiscriminatorConfig
) -> dict[str, Tensor]:
    """Return outputs, losses and gradients of the twins for the inputs and weights of `arrays`."""
    arrays = {key: x.double() for key, x in arrays.items()}
    g, d = (
        {key.removeprefix(prefix): x.requires_grad_() for key, x in arrays.items() if key.startswith(prefix)}
        for prefix in ("generator/", "discriminator/")
    )
    label, times, noise = arrays.get("label"), arrays["times"], arrays["motion_noise"]
    rounded = times.round()
    w = twins.map_content(g, arrays["z"], label, 1.0)
    v = twins.compute_motions(g, generator_config, times, noise, label)
    fake = twins.synthesize(g, w, v)
    real = arrays["real"].clone().requires_grad_()
    logits_real = twins.discriminate(d, discriminator_config, real, rounded, label)
    logits_fake = twins.discriminate(d, discriminator_config, fake, rounded, label)
    (slope,) = torch.autograd.grad(logits_real.sum(), real, create_graph=True)
    penalty = slope.square().sum(dim=(2, 3, 4)).mean(dim=1)
    loss_g = F.softplus(-logits_fake).mean()
    loss_d = F.softplus(-logits_real).mean() + F.softplus(logits_fake).mean()
    found = {
        "w": w,
        "w_psi0.7": twins.map_content(g, arrays["z"], label, 0.7),
        "v": v,
        "v_long": twins.compute_motions(g, generator_config, arrays["times_long"], noise, label),
        "frames": fake,
        "logits_real": logits_real,
        "logits_fake": logits_fake,
        "r1_penalty": penalty,
        "loss_g": loss_g,
        "loss_d": loss_d,
    }
    for name, loss, weights in (("loss_g", loss_g, g), ("loss_d", loss_d, d), ("r1", penalty.mean(), d)):
        gradients = torch.autograd.grad(loss, list(weights.values()), retain_graph=True, allow_unused=True)
        found |= {f"{name}/{key}": x for key, x in zip(weights, gradients, strict=True) if x is not None}
    return {key: x.detach() for key, x in found.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file in CONFIGS:
        stored = {key: x.numpy() if key.startswith("times") else x.float().numpy() for key, x in create(file).items()}
        np.savez_compressed(FOLDER / f"{file}.npz", **stored)
