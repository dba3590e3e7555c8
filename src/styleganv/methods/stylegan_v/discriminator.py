"""Discriminator of clips: frames, their motion, and the time between them.

Down to 16² each frame is processed separately. Then the frames' features are concatenated along channels, and one
network computes the logits of the clip. Time distances and class modulate every block and enter by projection.

Shapes: B clips, T frames per clip, N images (B·T above 16², B below), K classes, E condition width.
"""

import math
from collections.abc import Iterable
from itertools import repeat
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv.config import STDDEV_GROUP
from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.growing import GrowthStage, count_lower
from styleganv.methods.stylegan_v.temporal_shift import shift_channels
from styleganv.nn import UNIT_GAIN, leaky_relu, modulated_conv2d, prefers_single_clips, sum_squares
from styleganv.nn.layers import Conv2d, Dense, channels_at, normalize, resolutions, run_block, working_dtype

JOIN_RESOLUTION = 16


class TimeDistances(nn.Module):
    """Gaps between neighboring frames, and class → condition e (StyleGAN-V, section 3.3)."""

    frequency: Tensor

    def __init__(self, num_frames: int, out_dim: int, *, num_classes: int = 0, max_gap: int = 1024) -> None:
        super().__init__()
        self.max_gap = max_gap
        num_sinusoids = math.ceil(math.log2(max_gap))
        periods = 2.0 ** torch.arange(num_sinusoids + 1, 1, -1)
        self.register_buffer("frequency", 2 * math.pi / periods, persistent=False)
        self.embedding = nn.Embedding(max_gap, 256)
        self.embed = Dense((num_frames - 1) * (256 + 2 * num_sinusoids) + num_classes, out_dim)
        self.layers = nn.Sequential(*[Dense(out_dim, out_dim, activate=True, lr_multiplier=0.01) for _ in range(2)])

    def forward(self, times: Tensor, label: Tensor | None) -> Tensor:
        """Return e `[B, E]` for `times [B, T]` in frames and `label [B, K]`; gaps over `max_gap` share an embedding."""
        gap = times.diff(dim=1).to(self.frequency.dtype)
        row = gap.round().long().clamp(0, self.max_gap - 1)
        angle = gap[..., None] * self.frequency
        x = torch.cat([self.embedding(row), angle.sin(), angle.cos()], dim=2).flatten(1)
        x = x if label is None else torch.cat([label.to(x.dtype), x], dim=1)
        return self.layers(normalize(self.embed(x)))


class DiscriminatorBlock(nn.Module):
    """Residual block to half the resolution; its first convolution is modulated if `condition_dim` > 0.

    Attributes:
        shifted_frames: frames per clip T that exchange channels before the first convolution; None: they do not.
    """

    shifted_frames: int | None = None

    def __init__(self, in_channels: int, channels: int, out_channels: int, condition_dim: int) -> None:
        super().__init__()
        self.affine = Dense(condition_dim, in_channels, bias_init=1.0) if condition_dim else None
        self.conv0 = Conv2d(in_channels, channels, 3)
        self.conv1 = Conv2d(channels, out_channels, 3, down=True)
        self.skip = Conv2d(in_channels, out_channels, 1, bias=False, activate=False, down=True)

    def forward(self, x: Tensor, condition: Tensor | None, squares: Tensor | None = None) -> Tensor:
        """Map `x [N, C_in, H, W]` and `condition [B, E]`, N a multiple of B, to `[N, C_out, H/2, W/2]`.

        `squares` is `sum_squares(self.conv0.weight)`, if already computed.
        """
        y = x if self.shifted_frames is None else shift_channels(x, self.shifted_frames)
        if self.affine is None:
            y = self.conv0(y)
        else:
            assert self.conv0.bias is not None
            bias = self.conv0.bias * UNIT_GAIN
            style = self.affine(condition)
            y = modulated_conv2d(y, self.conv0.weight, style, bias=bias, gain=UNIT_GAIN, squares=squares)
            y = leaky_relu(y)
        return (self.conv1(y) + self.skip(x)) * 0.5**0.5


class Discriminator(nn.Module):
    """Discriminator of clips of T frames; with T = 1, StyleGAN2's image discriminator.

    Attributes:
        gradient_checkpointing: recompute the activations of each block in the backward pass, to save memory.
        stage: resolution of the frames, while the network grows.
    """

    gradient_checkpointing = False
    stage = GrowthStage()

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        num_frames, num_classes = config.num_frames, config.num_classes
        self.num_frames, self.num_classes = num_frames, num_classes
        conditional = config.condition != "none" and (num_frames > 1 or num_classes > 0)
        self.condition = (
            TimeDistances(num_frames, config.condition_dim, num_classes=num_classes, max_gap=config.max_gap)
            if conditional
            else None
        )
        modulation_dim = config.condition_dim if conditional and config.condition == "modulate+project" else 0
        sizes = resolutions(config.height, config.width)[::-1]
        nominal = [channels_at(size, config.channel_base, config.channel_max) for size in sizes]
        # Frames are joined after the first block that ends at 16² or less. That block emits half of its channels; for a
        # single frame it emits them all, like StyleGAN2's.
        self.join = next((i for i, size in enumerate(sizes) if i and max(size) <= JOIN_RESOLUTION), len(sizes) - 1)
        outputs = list(nominal)
        inputs = list(nominal)
        outputs[self.join] = max(1, nominal[self.join] // 2) if num_frames > 1 else nominal[self.join]
        inputs[self.join] = outputs[self.join] * num_frames
        self.from_rgb = Conv2d(config.in_channels, nominal[0], 1)
        num_lower = count_lower(config.height, config.width, config.grow_from, minimum=max(sizes[self.join]))
        self.lower_from_rgb = nn.ModuleList(Conv2d(config.in_channels, outputs[i], 1) for i in range(1, num_lower + 1))
        self.blocks = nn.ModuleList(
            [DiscriminatorBlock(inputs[i], nominal[i], outputs[i + 1], modulation_dim) for i in range(len(sizes) - 1)]
        )
        if config.temporal_shift and num_frames > 1:
            for block in cast(list[DiscriminatorBlock], list(self.blocks[: self.join])):
                block.shifted_frames = num_frames
        self.minibatch_stddev = config.minibatch_stddev
        self.conv = Conv2d(inputs[-1] + config.minibatch_stddev, nominal[-1], 3)
        self.dense = Dense(nominal[-1] * math.prod(sizes[-1]), nominal[-1], activate=True)
        self.out = Dense(nominal[-1], config.condition_dim if conditional else 1)

    def forward(self, frames: Tensor, times: Tensor, label: Tensor | None = None) -> Tensor:
        """Return the logits of clips, `[B]`, float32 also under autocast.

        Args:
            frames: `[B, T, 3, H, W]` in −1..1.
            times: `[B, T]` in frames; only their differences matter.
            label: `[B, K]` one-hot for a class-conditional discriminator.
        """
        num_frames = frames.shape[1]
        if num_frames != self.num_frames:
            raise ValueError(f"This discriminator requires clips of {self.num_frames} frames, got {num_frames}.")
        dtype = working_dtype(frames)
        with torch.autocast(frames.device.type, enabled=False):
            condition = self.embed(times, label)
            return self.compute_logits(self.compute_features(frames.to(dtype), condition), condition)

    def embed(self, times: Tensor, label: Tensor | None) -> Tensor | None:
        """Return the condition `[B, E]`; None for a discriminator without one."""
        return None if self.condition is None else self.condition(times, label if self.num_classes else None)

    def compute_features(self, frames: Tensor, condition: Tensor | None) -> Tensor:
        """Return the joined features of separate frames, `[B, T, 3, H, W]` → `[B, T·C, h, w]`."""
        images = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        blocks = cast(list[DiscriminatorBlock], list(self.blocks[: self.join]))
        layers, stage = [self.from_rgb, *self.lower_from_rgb], self.stage
        x, blocks = layers[stage.num_skipped](images), blocks[stage.num_skipped :]
        if stage.fade < 1:
            x, blocks = self._run_frame_blocks(blocks[:1], x, condition), blocks[1:]
            x = layers[stage.num_skipped + 1](F.avg_pool2d(images, 2)).lerp(x, stage.fade)
        return join_frames(self._run_frame_blocks(blocks, x, condition), len(frames))

    def compute_logits(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Return the logits `[B]` of joined features."""
        x = self._run_blocks(self.blocks[self.join :], x, condition)
        x = x.to(self.out.weight.dtype)
        x = self.conv(append_stddev(x) if self.minibatch_stddev else x)
        x = self.out(self.dense(x.flatten(1)))
        if condition is None:
            return x.squeeze(1)
        return (x * condition).sum(dim=1) / x.shape[1] ** 0.5

    def _run_frame_blocks(self, blocks: list[DiscriminatorBlock], x: Tensor, condition: Tensor | None) -> Tensor:
        """Run blocks that process frames separately, clip by clip where that is faster."""
        num_frames = self.num_frames
        modulated = condition is not None and blocks and blocks[0].affine is not None
        if modulated and prefers_single_clips(blocks[0].conv0.weight, num_frames, x.shape[2] * x.shape[3]):
            assert condition is not None
            clips = zip(x.split(num_frames), condition.split(1), strict=True)
            shared = [sum_squares(block.conv0.weight) for block in blocks]
            return torch.cat([self._run_blocks(blocks, clip, c, shared) for clip, c in clips])
        return self._run_blocks(blocks, x, condition)

    def _run_blocks(
        self,
        blocks: Iterable[nn.Module],
        x: Tensor,
        condition: Tensor | None,
        squares: Iterable[Tensor] | None = None,
    ) -> Tensor:
        each: Iterable[Tensor | None] = squares or repeat(None)
        for block, block_squares in zip(blocks, each, strict=False):
            x = run_block(block, x, condition, block_squares, gradient_checkpointing=self.gradient_checkpointing)
        return x


def join_frames(x: Tensor, batch: int) -> Tensor:
    """Join frames along channels, `[B·T, C, h, w]` → `[B, T·C, h, w]`; output and gradient are channels-last."""
    pixels = x.permute(0, 2, 3, 1).unflatten(0, (batch, -1)).permute(0, 2, 3, 1, 4)
    return pixels.flatten(3).permute(0, 3, 1, 2)


def append_stddev(x: Tensor) -> Tensor:
    """Append the mean standard deviation over groups of 4 clips as an additional channel of `x [B, C, h, w]`.

    A group consists of clips i, i + B/4, i + B/2, … Strided parts of a batch, which processes and micro-batches use,
    therefore form the same groups as the whole batch. Groups are smaller if B is not divisible by 4.
    """
    batch = len(x)
    group = math.gcd(batch, STDDEV_GROUP)
    y = x.reshape(group, batch // group, *x.shape[1:])
    deviation = (y.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    pixels = x.permute(0, 2, 3, 1)
    channel = deviation.repeat(group)[:, None, None, None].expand(*pixels.shape[:3], 1)
    return torch.cat([pixels, channel], dim=3).permute(0, 3, 1, 2)  # channels-last
