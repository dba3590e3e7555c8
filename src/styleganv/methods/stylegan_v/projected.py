"""Projected discriminator of single frames (Projected GAN, Sauer et al. 2021).

Small networks judge frozen ImageNet features at four depths. They teach what a frame looks like with a fraction of the
clips that StyleGAN's discriminator needs. That discriminator still teaches motion.

Shapes: B clips, T frames per clip, H height, W width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from styleganv.nn.imagenet import efficientnet, extract_maps, fold_batch_norm, normalize_imagenet, offline_weights
from styleganv.noise import seeded

#: Blocks of EfficientNet-Lite0 → their channels, and how often a head halves their size: 1/2 to 1/16 of the frame's.
DEPTHS = {0: (16, 3), 2: (24, 2), 4: (40, 1), 10: (112, 0)}
#: Channels of the heads.
WIDTH = 48
#: Shorter side to which smaller frames are enlarged: the network was trained on 224².
MIN_SIDE = 64


class ProjectedDiscriminator(nn.Module):
    """Heads on the frozen features; only the heads have weights to train and to save.

    Spectral normalization bounds their slope, so they need no gradient penalty.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        super().__init__()
        network = efficientnet(offline_weights(), device)
        fold_batch_norm(network)
        self._network: tuple[Any] = (network,)  # in a tuple, it is no submodule
        with seeded(seed):
            self.heads = nn.ModuleList(_build_head(channels, halvings) for channels, halvings in DEPTHS.values())
        self.to(device).eval()

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Return one map of logits per depth for clips `[B, T, 3, H, W]` in −1..1."""
        x = frames.flatten(0, 1).float()
        if (side := min(x.shape[-2:])) < MIN_SIDE:
            x = F.interpolate(x, scale_factor=float(-(-MIN_SIDE // side)), mode="bilinear")
        x = normalize_imagenet((x + 1) / 2)
        maps = extract_maps(self._network[0], x, tuple(DEPTHS))
        return [head(features) for head, features in zip(self.heads, maps, strict=True)]

    @torch.no_grad()
    def update_norms(self) -> None:
        """Improve the estimates of the spectral norms, once per step for any number of micro-batches."""
        self.train()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _ = module.weight  # computed by a power iteration
        self.eval()


def projected_discriminator_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Return the hinge loss: mean of `relu(1 − D(real)) + relu(1 + D(fake))` over each depth, then over the depths."""
    pairs = zip(real, fake, strict=True)
    return torch.stack([(1 - a).relu().mean() + (1 + b).relu().mean() for a, b in pairs]).mean()


def projected_generator_loss(fake: list[Tensor]) -> Tensor:
    """Return the mean of `−D(fake)` over each depth, then over the depths."""
    return -torch.stack([logits.mean() for logits in fake]).mean()


def _build_head(channels: int, halvings: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(max(1, halvings)):
        kernel, stride = (4, 2) if halvings else (3, 1)
        layers += [spectral_norm(nn.Conv2d(channels, WIDTH, kernel, stride, 1)), nn.LeakyReLU(0.2)]
        channels = WIDTH
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels, 1, 3, padding=1)))
