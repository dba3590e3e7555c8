"""Layers with an equalized learning rate, and the resolutions of both networks.

Weights are stored as N(0, 1) / lr_multiplier and used × lr_multiplier / sqrt(fan_in). Adam's steps do not depend on the
size of a gradient, so all layers learn at the same relative speed (Karras et al. 2018, section 4.1).
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from styleganv.errors import StyleganvError
from styleganv.nn import UNIT_GAIN, bias_act, convolve, fir_filter2d, fir_kernel, leaky_relu

MIN_BASE, MAX_BASE = 4, 16


class Dense(nn.Module):
    """Linear layer `[..., in] → [..., out]`; with `activate`, followed by leaky ReLU with unit gain."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        bias_init: float = 0.0,
        activate: bool = False,
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([out_features], bias_init / lr_multiplier)) if bias else None
        self.activate = activate
        self.weight_gain = lr_multiplier / in_features**0.5
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias * self.bias_gain
        x = F.linear(x, self.weight * self.weight_gain, bias)
        return bias_act(x) if self.activate else x


class Conv2d(nn.Module):
    """Convolution `[N, in, H, W] → [N, out, H, W]`; with `down`, low-pass filtered and at half the size."""

    fir: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        activate: bool = True,
        down: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.activate = activate
        self.register_buffer("fir", fir_kernel() if down else None, persistent=False)
        self.weight_gain = 1 / (in_channels * kernel_size**2) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        gain = UNIT_GAIN if self.activate else 1.0
        weight = (self.weight * (self.weight_gain * gain)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * gain).to(x.dtype)
        if self.fir is None:
            x = convolve(x, weight, bias)
        elif weight.shape[-1] == 1:
            x = F.conv2d(fir_filter2d(x, self.fir, padding=1, stride=2), weight, bias)
        else:
            x = F.conv2d(fir_filter2d(x, self.fir, padding=2), weight, bias, stride=2)
        return leaky_relu(x) if self.activate else x


def run_block(block: nn.Module, *inputs: Tensor | None, gradient_checkpointing: bool) -> Any:
    """Return `block(*inputs)`; with `gradient_checkpointing`, activations are recomputed in the backward pass."""
    if gradient_checkpointing and torch.is_grad_enabled():
        return checkpoint(block, *inputs, use_reentrant=False)
    return block(*inputs)


def normalize(x: Tensor) -> Tensor:
    """Scale `[..., C]` to unit root mean square: `x / sqrt(mean(x²) + 1e-8)`."""
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-8)


def resolutions(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes (height, width) from the smallest to the full one, each twice the previous one.

    The full size is halved while all sides are even and stay at 4 pixels or more: 64×64 gives 4, 8, 16, 32, 64;
    144×256 gives 9×16 … 144×256.

    Raises:
        StyleganvError: if halving does not reach a shorter side of 16 pixels or fewer.
    """
    sizes = [(height, width)]
    while all(side % 2 == 0 and side // 2 >= MIN_BASE for side in sizes[0]):
        sizes.insert(0, (sizes[0][0] // 2, sizes[0][1] // 2))
    if len(sizes) < 2 or min(sizes[0]) > MAX_BASE:
        step = max(16, 2 ** math.ceil(math.log2(min(height, width) / MAX_BASE)))
        nearest = [max(8, step * round(side / step)) for side in (height, width)]
        raise StyleganvError(
            f"Resolution {height}x{width} cannot be halved down to between {MIN_BASE} and {MAX_BASE} pixels: "
            f"choose sides that are multiples of {step}, e.g. {nearest[0]}x{nearest[1]}."
        )
    return sizes


def channels_at(size: tuple[int, int], channel_base: int, channel_max: int) -> int:
    """Return `min(channel_base / resolution, channel_max)`; the resolution is the longer side of `size`."""
    return max(1, min(channel_base // max(size), channel_max))


def working_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of convolutions: that of the surrounding `torch.autocast`, else that of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
