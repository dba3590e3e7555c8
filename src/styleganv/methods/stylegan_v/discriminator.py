"""The discriminator: one network that sees the frames, their motion, and the time between them.

Each frame goes down to 16² by itself; there the frames' features are joined along channels, and one network
judges the clip. Time distances (and class) condition it by modulation of every block and by projection.

Shapes: B clips, T frames a clip, N images (B·T above 16², B below), K classes, E condition width.
"""

import math
from collections.abc import Iterable
from itertools import repeat
from typing import cast

import torch
from torch import Tensor, nn

from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.nn import UNIT_GAIN, fewer_elements, leaky_relu, modulated_conv2d, squared
from styleganv.nn.layers import Conv2d, Dense, channels_at, normalize, resolutions, run_block, working_dtype

JOIN_RESOLUTION = 16
STDDEV_GROUP = 4


class TimeDistances(nn.Module):
    """Gaps between neighbouring frames, and the class → condition e (StyleGAN-V, section 3.3)."""

    frequency: Tensor

    def __init__(self, num_frames: int, out_dim: int, *, num_classes: int = 0, max_gap: int = 1024) -> None:
        super().__init__()
        self.max_gap = max_gap
        num_waves = math.ceil(math.log2(max_gap))
        periods = 2.0 ** torch.arange(num_waves + 1, 1, -1)
        self.register_buffer("frequency", 2 * math.pi / periods, persistent=False)
        self.embedding = nn.Embedding(max_gap, 256)
        self.embed = Dense((num_frames - 1) * (256 + 2 * num_waves) + num_classes, out_dim)
        self.layers = nn.Sequential(*[Dense(out_dim, out_dim, activate=True, lr_multiplier=0.01) for _ in range(2)])

    def forward(self, times: Tensor, label: Tensor | None) -> Tensor:
        """`times [B, T]` in frames, `label [B, K]` or None → e `[B, E]`. Gaps beyond `max_gap` share a row."""
        gap = times.diff(dim=1).to(self.frequency.dtype)
        row = gap.round().long().clamp(0, self.max_gap - 1)
        angle = gap[..., None] * self.frequency
        waves = torch.cat([self.embedding(row), angle.sin(), angle.cos()], dim=2).flatten(1)
        x = waves if label is None else torch.cat([label.to(waves.dtype), waves], dim=1)
        return self.layers(normalize(self.embed(x)))


class DiscriminatorBlock(nn.Module):
    """Residual block to half the resolution; its first convolution is modulated if `condition_dim` > 0."""

    def __init__(self, in_channels: int, channels: int, out_channels: int, condition_dim: int) -> None:
        super().__init__()
        self.affine = Dense(condition_dim, in_channels, bias_init=1.0) if condition_dim else None
        self.conv0 = Conv2d(in_channels, channels, 3)
        self.conv1 = Conv2d(channels, out_channels, 3, down=True)
        self.skip = Conv2d(in_channels, out_channels, 1, bias=False, activate=False, down=True)

    def forward(self, x: Tensor, condition: Tensor | None, squares: Tensor | None = None) -> Tensor:
        """`x [N, C_in, H, W]`, `condition [B, E]` (N a multiple of B) → `[N, C_out, H/2, W/2]`; `squares` is
        `squared(self.conv0.weight)`, if it is there already."""
        if self.affine is None:
            y = self.conv0(x)
        else:
            assert self.conv0.bias is not None
            bias = self.conv0.bias * UNIT_GAIN
            style = self.affine(condition)
            y = modulated_conv2d(x, self.conv0.weight, style, bias=bias, gain=UNIT_GAIN, squares=squares)
            y = leaky_relu(y)
        return (self.conv1(y) + self.skip(x)) * 0.5**0.5


class Discriminator(nn.Module):
    """Judges clips of T frames; with T = 1, StyleGAN2's discriminator of images.

    Attributes:
        checkpointing: compute each block again in the backward pass instead of keeping what it computed: less memory.
    """

    gradient_checkpointing = False

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
        levels = resolutions(config.height, config.width)[::-1]
        nominal = [channels_at(level, config.channel_base, config.channel_max) for level in levels]
        # Frames are joined where a block first ends at 16² or less; that block emits half of its channels, unless
        # there is a single frame, where StyleGAN2's emits them all.
        self.join = next((i for i, level in enumerate(levels) if i and max(level) <= JOIN_RESOLUTION), len(levels) - 1)
        outputs = list(nominal)
        inputs = list(nominal)
        outputs[self.join] = max(1, nominal[self.join] // 2) if num_frames > 1 else nominal[self.join]
        inputs[self.join] = outputs[self.join] * num_frames
        self.from_rgb = Conv2d(config.in_channels, nominal[0], 1)
        self.blocks = nn.ModuleList(
            [DiscriminatorBlock(inputs[i], nominal[i], outputs[i + 1], modulation_dim) for i in range(len(levels) - 1)]
        )
        self.minibatch_stddev = config.minibatch_stddev
        self.conv = Conv2d(inputs[-1] + config.minibatch_stddev, nominal[-1], 3)
        self.dense = Dense(nominal[-1] * math.prod(levels[-1]), nominal[-1], activate=True)
        self.out = Dense(nominal[-1], config.condition_dim if conditional else 1)

    def forward(self, frames: Tensor, times: Tensor, label: Tensor | None = None) -> Tensor:
        """Realness of clips.

        Args:
            frames: `[B, T, 3, H, W]` in −1..1.
            times: `[B, T]` in frames; only their differences matter.
            label: `[B, K]` one-hot for a class-conditional discriminator.

        Returns:
            logits `[B]`, float32 also under autocast.
        """
        num_frames = frames.shape[1]
        if num_frames != self.num_frames:
            raise ValueError(f"this discriminator judges clips of {self.num_frames} frames, got {num_frames}")
        dtype = working_dtype(frames)
        with torch.autocast(frames.device.type, enabled=False):
            condition = self.embed(times, label)
            return self.compute_logits(self.features(frames.to(dtype), condition), condition)

    def embed(self, times: Tensor, label: Tensor | None) -> Tensor | None:
        """The condition `[B, E]`; None for a discriminator without one."""
        return None if self.condition is None else self.condition(times, label if self.num_classes else None)

    def features(self, frames: Tensor, condition: Tensor | None) -> Tensor:
        """What is seen in each frame by itself, joined: `[B, T, 3, H, W]` → `[B, T·C, h, w]`."""
        batch, num_frames = frames.shape[:2]
        x = self.from_rgb(frames.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        return _join_frames(self._see_frames(x, condition, num_frames), batch)

    def compute_logits(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Joined features → logits `[B]`."""
        x = self._through(self.blocks[self.join :], x, condition)
        x = x.to(self.out.weight.dtype)
        x = self.conv(append_stddev(x) if self.minibatch_stddev else x)
        x = self.out(self.dense(x.flatten(1)))
        if condition is None:
            return x.squeeze(1)
        return (x * condition).sum(dim=1) / x.shape[1] ** 0.5

    def _see_frames(self, x: Tensor, condition: Tensor | None, num_frames: int) -> Tensor:
        """Through the blocks that see each frame by itself; where that is less work, clip by clip."""
        blocks = cast(list[DiscriminatorBlock], list(self.blocks[: self.join]))
        modulated = condition is not None and blocks and blocks[0].affine is not None
        if modulated and fewer_elements(blocks[0].conv0.weight, num_frames, x.shape[2] * x.shape[3]):
            assert condition is not None
            clips = zip(x.split(num_frames), condition.split(1), strict=True)
            shared = [squared(block.conv0.weight) for block in blocks]
            return torch.cat([self._through(blocks, clip, c, shared) for clip, c in clips])
        return self._through(blocks, x, condition)

    def _through(
        self,
        blocks: Iterable[nn.Module],
        x: Tensor,
        condition: Tensor | None,
        squares: Iterable[Tensor] | None = None,
    ) -> Tensor:
        of_blocks: Iterable[Tensor | None] = squares or repeat(None)
        for block, of_block in zip(blocks, of_blocks, strict=False):
            x = run_block(block, x, condition, of_block, gradient_checkpointing=self.gradient_checkpointing)
        return x


def _join_frames(x: Tensor, batch: int) -> Tensor:
    """`[B·T, C, h, w]` → `[B, T·C, h, w]`, frame-major; channels-last, as its gradient."""
    pixels = x.permute(0, 2, 3, 1).unflatten(0, (batch, -1)).permute(0, 2, 3, 1, 4)
    return pixels.flatten(3).permute(0, 3, 1, 2)


def append_stddev(x: Tensor) -> Tensor:
    """Append the mean standard deviation over groups of 4 clips as one more channel of `x [B, C, h, w]`.

    A group holds clips i, i + B/4, i + B/2, …, so that strided parts of a batch (as processes and
    micro-batches take them) see the groups that the whole batch would. Groups are smaller where 4 does not
    divide B.
    """
    batch = len(x)
    group = math.gcd(batch, STDDEV_GROUP)
    y = x.reshape(group, batch // group, *x.shape[1:])
    deviation = (y.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    channel = deviation.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, channel], dim=1)
