"""The released networks' outputs and weights, loaded into our networks (folder `../shared/reference`)."""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from styleganv.interop.checkpoint_conversion import rename_discriminator_parameter, rename_generator_parameter
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "reference"
NAMES = ["stylegan_v_32_k3", "stylegan_v_64_k2_c4"]


class Reference:
    """One file of arrays, and our networks carrying its weights."""

    def __init__(self, name: str) -> None:
        arrays = np.load(FOLDER / f"{name}.npz")
        self.arrays: dict[str, Tensor] = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
        self.num_classes = self["c"].shape[1]
        self.num_frames = self["t"].shape[1]
        self.resolution = self["frames"].shape[-1]
        self.label = self["c"] if self.num_classes else None
        self.times = self["t"].double()

    def __getitem__(self, key: str) -> Tensor:
        return self.arrays[key]

    def generator(self) -> Generator:
        layers = sum(bool(re.fullmatch(r"G\.mapping\.fc\d+\.weight", key)) for key in self.arrays)
        network = Generator(
            GeneratorConfig(
                self.resolution,
                self.resolution,
                num_classes=self.num_classes,
                z_dim=32,
                w_dim=32,
                mapping_layers=layers,
                channel_base=16 * self.resolution,
                channel_max=32,
                motion_noise_dim=16,
                motion_code_dim=24,
                num_frequencies=12,
                motion_kernel=5,
                slot_distance=8,
                longest_period=64,
                amplitude=False,
            )
        )
        network.load_state_dict(self.weights("G", network))
        return network

    def discriminator(self) -> Discriminator:
        network = Discriminator(
            DiscriminatorConfig(
                self.resolution,
                self.resolution,
                num_frames=self.num_frames,
                num_classes=self.num_classes,
                channel_base=16 * self.resolution,
                channel_max=32,
                condition="project",
                condition_dim=32,
                max_gap=64,
            )
        )
        network.load_state_dict(self.weights("D", network))
        return network

    def weights(self, prefix: str, network: nn.Module) -> dict[str, Tensor]:
        """The arrays whose name begins with `prefix.` under our names and shapes, derived constants left out."""
        shapes = {key: value.shape for key, value in network.state_dict().items()}
        found = {}
        for key, value in self.arrays.items():
            if key.startswith(prefix + "."):
                name = key[len(prefix) + 1 :]
                of_generator = prefix[-1] == "G"
                name = (
                    rename_generator_parameter(name)
                    if of_generator
                    else rename_discriminator_parameter(name, self.resolution)
                )
                if name in shapes:
                    found[name] = value.reshape(shapes[name])
        return found

    def gradients(self, loss: str, network: nn.Module) -> dict[str, Tensor]:
        """The reference gradients `loss/…` under our names."""
        prefix = f"{loss}/{'G' if isinstance(network, Generator) else 'D'}"
        return self.weights(prefix, network)
