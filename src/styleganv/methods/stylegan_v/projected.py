"""Projected discriminator of clips (Projected GAN, Sauer et al. 2021, with the joined frames of StyleGAN-V).

Small heads classify clips from frozen ImageNet features at four depths. They need a fraction of the clips that
StyleGAN's discriminator needs. As in that discriminator, the features of a clip's frames are joined, and time distances
and class enter by projection, which teaches motion. The standard deviation over clips is appended, which discourages
clips that look alike. Heads are trained like that discriminator too, with gradient penalties at the frames.

Shapes: B clips, T frames per clip, H height, W width, K classes, E condition width, L cells of all depths.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.discriminator import TimeDistances, append_stddev, join_frames
from styleganv.nn.imagenet import efficientnet, extract_maps, fold_batch_norm, normalize_imagenet, offline_weights
from styleganv.noise import seeded

#: Blocks of EfficientNet-Lite0 → their channels, and how often a head halves their size: 1/2 to 1/16 of the frame's.
DEPTHS = {0: (16, 3), 2: (24, 2), 4: (40, 1), 10: (112, 0)}
#: Brings the features' standard deviation, about 10 at every depth, to about 1.
FEATURE_GAIN = 0.1
#: Channels of the heads, width of the condition, and how many numbers of each cell are projected on it.
WIDTH, CONDITION_WIDTH, PROJECTED_WIDTH = 48, 64, 16
#: Frames with a shorter side are enlarged by a whole factor; the network was trained on 224².
MIN_SIDE = 64


class ProjectedDiscriminator(nn.Module):
    """Heads on the frozen features; only the heads have weights to train and to save."""

    def __init__(self, config: DiscriminatorConfig, *, seed: int, device: torch.device) -> None:
        """Build heads for the clips, classes and condition of the first discriminator, with weights of a seed."""
        super().__init__()
        network = efficientnet(offline_weights(), device)
        fold_batch_norm(network)
        self._network: tuple[Any] = (network,)  # a tuple, so that it is not registered as a submodule
        num_frames, num_classes = config.num_frames, config.num_classes
        conditional = config.condition != "none" and (num_frames > 1 or num_classes > 0)
        with seeded(seed):
            self.condition = (
                TimeDistances(num_frames, CONDITION_WIDTH, num_classes=num_classes, max_gap=config.max_gap)
                if conditional
                else None
            )
            self.heads = nn.ModuleList(
                Head(num_frames * channels, halvings, minibatch_stddev=config.minibatch_stddev, conditional=conditional)
                for channels, halvings in DEPTHS.values()
            )
        self.to(device)

    def forward(self, frames: Tensor, times: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the logits of clips `[B, L]`: one per cell of the map of each depth.

        Args:
            frames: `[B, T, 3, H, W]` in −1..1.
            times: `[B, T]` in frames; only their differences matter.
            label: `[B, K]` one-hot for a dataset with classes.
        """
        x = frames.flatten(0, 1).float()
        if (side := min(x.shape[-2:])) < MIN_SIDE:
            x = F.interpolate(x, scale_factor=float(-(-MIN_SIDE // side)), mode="bilinear")
        x = normalize_imagenet((x + 1) / 2)
        maps = extract_maps(self._network[0], x, tuple(DEPTHS))
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 rounds small deviations between clips away
            joined = [join_frames(features.float() * FEATURE_GAIN, len(frames)) for features in maps]
            condition = None if self.condition is None else self.condition(times, label)
            logits = [head(features, condition) for head, features in zip(self.heads, joined, strict=True)]
        return torch.cat([x.flatten(1) for x in logits], dim=1)


class HeadConv2d(nn.Conv2d):
    """Convolution with an equalized learning rate, and without the low-pass filter of `nn.layers`."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        gain = (2 / self.weight[0].numel()) ** 0.5
        return F.conv2d(x, self.weight * gain, self.bias, self.stride, self.padding)


class Head(nn.Module):
    """Convolutions that turn joined features, and a condition by projection, into a map of logits."""

    def __init__(self, channels: int, halvings: int, *, minibatch_stddev: bool, conditional: bool) -> None:
        super().__init__()
        self.minibatch_stddev = minibatch_stddev
        layers: list[nn.Module] = []
        for _ in range(max(1, halvings)):
            kernel, stride = (4, 2) if halvings else (3, 1)
            layers += [HeadConv2d(channels, WIDTH, kernel, stride, padding=1), nn.LeakyReLU(0.2)]
            channels = WIDTH
        self.layers = nn.Sequential(*layers)
        self.out = HeadConv2d(WIDTH + minibatch_stddev, 1 + PROJECTED_WIDTH * conditional, 3, padding=1)
        self.embed = nn.Linear(CONDITION_WIDTH, PROJECTED_WIDTH) if conditional else None

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Return logits `[B, 1, h, w]` for features `[B, C, H, W]` and a condition `[B, E]`."""
        x = self.layers(x)
        x = self.out(append_stddev(x) if self.minibatch_stddev else x)
        if self.embed is None:
            return x
        weights = self.embed(condition)[:, :, None, None] / PROJECTED_WIDTH**0.5
        return x[:, :1] + (x[:, 1:] * weights).sum(dim=1, keepdim=True)
