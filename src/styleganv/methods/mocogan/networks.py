"""MoCoGAN (Tulyakov et al. 2018): one content code a video, a recurrent motion code a frame, and DCGAN's layers.

    content z, class ────────────────────────────┐
    noise of each frame ──GRU──▶ motion code ──▶ transposed convolutions ──▶ frame

Two discriminators judge by patches: one sees single frames, one 16 consecutive ones. The published layout is for 64²;
other sizes have a layer more or fewer for every doubling.

Shapes: B clips, T frames a clip, M motion width, K classes, P patches, H height, W width.
"""

import itertools
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass
from itertools import islice
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv import noise
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.sampler import CHUNK, MAX_RECURRENT_FRAMES
from styleganv.nn.layers import resolutions
from styleganv.video_model import Frame, VideoModel, deterministic, to_uint8

WIDTH, MAX_WIDTH = 64, 512
KERNEL = 4
#: Convolutions of the 64² layout that look along time before the last one does; those of larger pictures before them
#: see each frame by itself, so that 16 frames are enough for every size.
OVER_TIME = 4


def _widths(height: int, width: int, channel_max: int) -> list[int]:
    """Channels from half the full resolution down to the smallest: 64, 128, 256, 512 at 64²."""
    levels = resolutions(height, width)
    return [min(WIDTH * 2**i, MAX_WIDTH, channel_max) for i in range(len(levels) - 1)]


@dataclass(frozen=True)
class MocoganConfig:
    """Architecture of a `Mocogan`."""

    height: int
    """Frame height in pixels; `resolutions` says which are possible."""
    width: int
    """Frame width in pixels."""
    _: KW_ONLY
    num_classes: int = 0
    """Classes K of the dataset; 0 for an unconditional model."""
    z_dim: int = 50
    """Width of the content noise."""
    motion_dim: int = 10
    """Width of a frame's motion noise and motion code."""
    channel_max: int = 512
    """Maximum number of channels of any layer, if fewer than the paper's."""


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
        """`z [B, z_dim]`, `motion_noise [B, T, M]`, `label [B, K]` → frames `[B, T, 3, H, W]` in −1..1, float32."""
        codes, _ = self.motion(motion_noise)
        content = z if label is None else torch.cat([z, label.to(z.dtype)], dim=1)
        x = torch.cat([content[:, None].expand(-1, codes.shape[1], -1), codes.to(z.dtype)], dim=2)
        return self.draw(x.flatten(0, 1)).unflatten(0, codes.shape[:2])

    def draw(self, x: Tensor) -> Tensor:
        """Pictures `[N, 3, H, W]` of `x [N, z_dim + K + M]`: content, class and motion code."""
        frames: Tensor = self.layers(x[:, :, None, None])
        return frames.float()


class ClipDiscriminator(nn.Module):
    """Judges clips by patches: a convolution of kernel 4 for each halving, batch-normalised, and one to the logits.

    With T = 1 it judges images.
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
        """Plain numbers.

        Args:
            noise_std: of normal noise added to the input of every convolution.

        Raises:
            StyleganvError: if the clips are too short for the convolutions along time.
        """
        super().__init__()
        self.noise_std = noise_std
        widths = _widths(height, width, channel_max)
        along_time = [KERNEL if num_frames > 1 and len(widths) - i <= OVER_TIME else 1 for i in range(len(widths))]
        along_time.append(KERNEL if num_frames > 1 else 1)
        fewest = 1 + sum(kernel - 1 for kernel in along_time)
        if num_frames < fewest:
            raise StyleganvError(
                f"--num-frames must be at least {fewest} for the video discriminator at "
                f"{height}x{width}, got {num_frames}: raise it."
            )
        self.convs = nn.ModuleList(
            nn.Conv3d(n_in, n_out, (kernel, KERNEL, KERNEL), (1, 2, 2), (0, 1, 1), bias=i == 0)
            for i, (n_in, n_out, kernel) in enumerate(zip([3, *widths[:-1]], widths, along_time[:-1], strict=True))
        )
        self.norms = nn.ModuleList(nn.BatchNorm3d(n) if i else nn.Identity() for i, n in enumerate(widths))
        self.out = nn.Conv3d(widths[-1], 1, (along_time[-1], KERNEL, KERNEL), bias=False)
        self.embed = nn.Linear(num_classes, widths[-1], bias=False) if num_classes else None
        self.apply(_initialize)

    def forward(self, frames: Tensor, label: Tensor | None, random: torch.Generator) -> Tensor:
        """Logits `[B, P]`, float32, of `frames [B, T, 3, H, W]` in −1..1; `random` gives the noise."""
        x = frames.transpose(1, 2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(self._noisy(x, random))), 0.2)
        logits = self.out(self._noisy(x, random)).flatten(1).float()
        if self.embed is None or label is None:
            return logits
        # The class: projection (Miyato and Koyama 2018) of the features' mean.
        seen = x.float().mean(dim=(2, 3, 4))
        return logits + (seen * self.embed(label.to(seen.dtype))).sum(dim=1, keepdim=True)

    def _noisy(self, x: Tensor, random: torch.Generator) -> Tensor:
        if not self.noise_std:
            return x
        return x + self.noise_std * torch.randn(x.shape, generator=random, device=x.device, dtype=x.dtype)


def _initialize(layer: nn.Module) -> None:
    """DCGAN's: weights of std 0.02."""
    if isinstance(layer, (nn.ConvTranspose2d, nn.Conv3d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d)):
        nn.init.normal_(layer.weight, 1.0, 0.02)


class MocoganVideos(VideoModel):
    """Videos frame by frame, with contents and motions of their own seeds."""

    name = "MoCoGAN"
    max_frames = MAX_RECURRENT_FRAMES
    supports_any_fps = False
    supports_truncation = False

    def __init__(self, generator: Mocogan, **arguments: Any) -> None:
        """Takes the generator to the device; its GRU is copied and stays on the CPU, in float64."""
        super().__init__(generator, **arguments)
        self.generator = generator.to(self.device).eval()
        self._motion = deepcopy(generator.motion).cpu().double()

    def _frames_at(
        self, seed: int, motion_seed: int, times: Iterator[float], *, psi: float, label: int | None
    ) -> Iterator[Frame]:
        content = torch.from_numpy(noise.normal(seed, noise.CONTENT, 0, self.generator.z_dim))
        one_hot = self._one_hot(label)
        if one_hot is not None:
            content = torch.cat([content, one_hot[0]])
        codes = self._walk(motion_seed)
        reached = 0
        while chunk := [round(time) for time in islice(times, CHUNK)]:
            # Always as many pictures at a time: a sum's rounding may depend on how many are computed together.
            shown = list(islice(codes, chunk[0] - reached, chunk[-1] + 1 - reached))
            reached = chunk[-1] + 1
            shown += shown[-1:] * (CHUNK - len(chunk))
            yield from self._draw(torch.stack([torch.cat([content, code]) for code in shown]))[: len(chunk)]

    @torch.inference_mode()
    def _code(self, motion_seed: int, frame: int, state: Tensor | None) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(noise.normal(motion_seed, noise.MOTION, frame, self.generator.motion_dim)).double()
        codes, state = self._motion(x[None], state)
        return codes[0].float(), cast(Tensor, state)

    def _walk(self, motion_seed: int) -> Iterator[Tensor]:
        """The motion codes `[M]` of frame 0, 1, 2, …"""
        state = None
        for frame in itertools.count():
            code, state = self._code(motion_seed, frame, state)
            yield code

    @torch.inference_mode()
    def _draw(self, x: Tensor) -> Frame:
        """`x [CHUNK, …]` on the CPU → uint8 `[CHUNK, H, W, 3]`."""
        with deterministic(), self.autocast():
            frames = self.generator.draw(x.to(self.device))
        return to_uint8(frames)
