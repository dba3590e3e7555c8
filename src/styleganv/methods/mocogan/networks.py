"""MoCoGAN (Tulyakov et al. 2018): one content code per video, a recurrent motion code per frame, and DCGAN's layers.

    content z, class ────────────────────────┐
    noise per frame ──GRU──▶ motion code ──▶ transposed convolutions ──▶ frame

Two patch discriminators: one of single frames, one of 16 consecutive frames. The published layout is for 64²; other
sizes have one layer more or fewer per factor of two.

Shapes: B clips, T frames per clip, M motion width, K classes, P patches, H height, W width.
"""

import itertools
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv import noise
from styleganv.errors import StyleganvError
from styleganv.label_space import Label
from styleganv.methods.network_config import FrameConfig
from styleganv.methods.stylegan_v.sampler import CHUNK, MAX_RECURRENT_FRAMES
from styleganv.nn.layers import resolutions
from styleganv.validation import Size
from styleganv.video_model import Frame, VideoModel, deterministic, to_uint8

WIDTH, MAX_WIDTH = 64, 512
KERNEL = 4
#: Temporal convolutions of the 64² layout before the last one. At larger sizes the convolutions before them process
#: frames separately, so that 16 frames are enough for every size.
NUM_TEMPORAL = 4


def _widths(height: int, width: int, channel_max: int) -> list[int]:
    """Return the channels from half the full resolution down to the smallest: 64, 128, 256, 512 at 64²."""
    num_layers = len(resolutions(height, width)) - 1
    return [min(WIDTH * 2**i, MAX_WIDTH, channel_max) for i in range(num_layers)]


@dataclass(frozen=True, kw_only=True)
class MocoganConfig(FrameConfig):
    """Architecture of a `Mocogan`."""

    z_dim: Size = 50
    """Width of the content noise."""
    motion_dim: Size = 10
    """Width of a frame's motion noise and motion code."""
    channel_max: Size = 512
    """Maximum number of channels of any layer, if less than the paper's."""


class Mocogan(nn.Module):
    """MoCoGAN's generator of clips."""

    def __init__(self, config: MocoganConfig) -> None:
        super().__init__()
        self.config = config
        height, width, num_classes = config.height, config.width, config.num_classes
        self.height, self.width, self.num_classes = height, width, num_classes
        z_dim, motion_dim = config.z_dim, config.motion_dim
        self.z_dim, self.motion_dim = z_dim, motion_dim
        widths = _widths(height, width, config.channel_max)[::-1]
        self.motion = nn.GRU(motion_dim, motion_dim, batch_first=True)
        inputs = z_dim + num_classes + motion_dim
        layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, widths[0], resolutions(height, width)[0])]
        for n_in, n_out in itertools.pairwise([*widths, 3]):
            layers += [nn.BatchNorm2d(n_in), nn.ReLU()]
            layers += [nn.ConvTranspose2d(n_in, n_out, KERNEL, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        self.apply(_initialize)

    def forward(self, z: Tensor, motion_noise: Tensor, label: Tensor | None = None) -> Tensor:
        """Return frames `[B, T, 3, H, W]` in −1..1 of `z [B, z_dim]`, `motion_noise [B, T, M]` and `label [B, K]`."""
        codes, _ = self.motion(motion_noise)
        content = z if label is None else torch.cat([z, label.to(z.dtype)], dim=1)
        x = torch.cat([content[:, None].expand(-1, codes.shape[1], -1), codes.to(z.dtype)], dim=2)
        return self.generate_frames(x.flatten(0, 1)).unflatten(0, codes.shape[:2])

    def generate_frames(self, x: Tensor) -> Tensor:
        """Return images `[N, 3, H, W]` of `x [N, z_dim + K + M]`: content, class and motion code."""
        frames: Tensor = self.layers(x[:, :, None, None])
        return frames.float()


class ClipDiscriminator(nn.Module):
    """Patch discriminator: one batch-normalized convolution (kernel 4) per halving, and one to the logits.

    With T = 1 it is a discriminator of images.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        num_frames: int,
        num_classes: int = 0,
        channel_max: int = 512,
        noise_std: float = 0.0,
    ) -> None:
        """Build the network; noise of `noise_std` is added to the input of every convolution.

        Raises:
            StyleganvError: if the clips are too short for the convolutions along time.
        """
        super().__init__()
        self.noise_std = noise_std
        widths = _widths(height, width, channel_max)
        temporal_kernels = [
            KERNEL if num_frames > 1 and len(widths) - i <= NUM_TEMPORAL else 1 for i in range(len(widths))
        ]
        temporal_kernels.append(KERNEL if num_frames > 1 else 1)
        min_frames = 1 + sum(kernel - 1 for kernel in temporal_kernels)
        if num_frames < min_frames:
            raise StyleganvError(
                f"--num-frames must be at least {min_frames} for the video discriminator at "
                f"{height}x{width}, got {num_frames}: raise it."
            )
        self.convs = nn.ModuleList(
            nn.Conv3d(n_in, n_out, (kernel, KERNEL, KERNEL), (1, 2, 2), (0, 1, 1), bias=i == 0)
            for i, (n_in, n_out, kernel) in enumerate(
                zip([3, *widths[:-1]], widths, temporal_kernels[:-1], strict=True)
            )
        )
        self.norms = nn.ModuleList(nn.BatchNorm3d(n) if i else nn.Identity() for i, n in enumerate(widths))
        self.out = nn.Conv3d(widths[-1], 1, (temporal_kernels[-1], KERNEL, KERNEL), bias=False)
        self.embed = nn.Linear(num_classes, widths[-1], bias=False) if num_classes else None
        self.apply(_initialize)

    def forward(self, frames: Tensor, label: Tensor | None, random: torch.Generator) -> Tensor:
        """Return logits `[B, P]`, float32, of `frames [B, T, 3, H, W]` in −1..1; `random` generates the noise."""
        x = frames.transpose(1, 2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(self._add_noise(x, random))), 0.2)
        logits = self.out(self._add_noise(x, random)).flatten(1).float()
        if self.embed is None or label is None:
            return logits
        # The class enters by projection of the mean features (Miyato and Koyama 2018).
        features = x.float().mean(dim=(2, 3, 4))
        return logits + (features * self.embed(label.to(features.dtype))).sum(dim=1, keepdim=True)

    def _add_noise(self, x: Tensor, random: torch.Generator) -> Tensor:
        if not self.noise_std:
            return x
        return x + self.noise_std * torch.randn(x.shape, generator=random, device=x.device, dtype=x.dtype)


def _initialize(layer: nn.Module) -> None:
    """Initialize as DCGAN does: weights with standard deviation 0.02."""
    if isinstance(layer, (nn.ConvTranspose2d, nn.Conv3d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d)):
        nn.init.normal_(layer.weight, 1.0, 0.02)


class MocoganVideos(VideoModel):
    """Videos frame by frame, with separate content and motion seeds."""

    name = "MoCoGAN"
    max_frames = MAX_RECURRENT_FRAMES
    supports_any_fps = False
    supports_truncation = False

    def __init__(self, generator: Mocogan, **arguments: Any) -> None:
        """Move the generator to the device; a copy of its GRU stays on the CPU, in float64."""
        super().__init__(generator, **arguments)
        self.generator = generator.to(self.device).eval()
        self._motion = deepcopy(generator.motion).cpu().double()

    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: Label | None
    ) -> Iterator[Frame]:
        content = torch.from_numpy(noise.normal(seed, noise.CONTENT, 0, self.generator.z_dim))
        vector = self.label_tensor(label)
        if vector is not None:
            content = torch.cat([content, vector[0]])
        codes = self._iterate_codes(motion_seed)
        num_read = 0
        while chunk := [round(time) for time in islice(times, CHUNK)]:
            # The batch size is constant, since rounding may depend on it.
            padded = list(islice(codes, chunk[0] - num_read, chunk[-1] + 1 - num_read))
            num_read = chunk[-1] + 1
            padded += padded[-1:] * (CHUNK - len(chunk))
            yield from self._render(torch.stack([torch.cat([content, code]) for code in padded]))[: len(chunk)]

    @torch.inference_mode()
    def _advance(self, motion_seed: int, frame: int, state: Tensor | None) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(noise.normal(motion_seed, noise.MOTION, frame, self.generator.motion_dim)).double()
        codes, state = self._motion(x[None], state)
        return codes[0].float(), cast(Tensor, state)

    def _iterate_codes(self, motion_seed: int) -> Iterator[Tensor]:
        """Yield the motion codes `[M]` of frames 0, 1, 2, …"""
        state = None
        for frame in itertools.count():
            code, state = self._advance(motion_seed, frame, state)
            yield code

    @torch.inference_mode()
    def _render(self, x: Tensor) -> Frame:
        """Return uint8 `[CHUNK, H, W, 3]` of `x [CHUNK, …]` on the CPU."""
        with deterministic(), self.autocast():
            frames = self.generator.generate_frames(x.to(self.device))
        return to_uint8(frames)
