"""Trainers that `learning.py` tries and the package does not offer: only what wins there moves into it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_adam
from styleganv.nn.imagenet import efficientnet, extract_maps, normalize_imagenet, offline_weights


class FeatureMatching(GanTrainer):
    """Adds to the generator's loss the distance between moments of frozen ImageNet features of real and generated
    frames: per channel, the mean and the second moment over the batch and all pixels, at three depths."""

    WEIGHT = 1.0
    DEPTHS = (2, 4, 10)  # blocks of EfficientNet-Lite0, at 1/4, 1/8 and 1/16 of the resolution

    def __init__(self, config: RunConfig, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__(config, generator, discriminator)
        self.network = efficientnet(offline_weights(), self.device)

    def _compute_losses_g(self, fake: Clip, real: Clip, clip_indices: list[int]) -> list[Tensor]:
        with torch.no_grad():
            targets = self._moments(real.frames)
        distances = [
            (mine - target).square().mean() / target.square().mean()
            for mine, target in zip(self._moments(fake.frames), targets, strict=True)
        ]
        matching = torch.stack(distances).mean()
        self.log_scalars(matching=matching)
        first, *others = super()._compute_losses_g(fake, real, clip_indices)
        return [first + self.WEIGHT * matching, *others]

    def _moments(self, frames: Tensor) -> list[Tensor]:
        x = normalize_imagenet((frames.flatten(0, 1).float() + 1) / 2)
        maps = extract_maps(self.network, x, self.DEPTHS)
        return [torch.cat([x.mean(dim=(0, 2, 3)), x.square().mean(dim=(0, 2, 3))]) for x in maps]


class Reconstructing(GanTrainer):
    """The discriminator also decodes real frames, at 32², from the joined features that it judges (FastGAN)."""

    WEIGHT = 10.0

    def __init__(self, config: RunConfig, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__(config, generator, discriminator)
        width, frames = config.model.channel_max, config.training.num_frames
        joined = discriminator.blocks[discriminator.join].conv0.weight.shape[1]  # type: ignore[union-attr, index]
        self.decoder = nn.Sequential(
            nn.Conv2d(int(joined), width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, 3 * frames, 3, padding=1),
        )
        self.optimizer_decoder = build_adam(self.decoder, 0.001, 0.99)

    def update_d(self, real: Clip, fakes: Any, clip_indices: list[int]) -> None:
        with self.optimizer_step(self.decoder, self.optimizer_decoder):
            super().update_d(real, fakes, clip_indices)

    def _compute_losses_d(self, fake: Clip, real: Clip, clip_indices: list[int]) -> tuple[list[Tensor], Tensor]:
        (first, *others), realness = super()._compute_losses_d(fake, real, clip_indices)
        d = self.discriminator
        features = d.compute_features(real.frames, d.embed(real.times, real.label))
        target = F.interpolate(real.frames.flatten(1, 2), (32, 32), mode="area")
        reconstruction = F.mse_loss(self.decoder(features), target)
        self.log_scalars(reconstruction=reconstruction)
        return [first + self.WEIGHT * reconstruction, *others], realness

    def state_parts(self) -> dict[str, Any]:
        return super().state_parts() | {"decoder": self.decoder, "optimizer_decoder": self.optimizer_decoder}
