"""Leaky ReLU between two Kaiser-windowed low-pass filters: the nonlinearity of StyleGAN3.

Shapes: N images, C channels, H height, W width. Rates and frequencies have the same unit, e.g. per image side.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from styleganv.nn.activation import LEAKY_SLOPE
from styleganv.nn.hardware import uses_cpu_algorithms

#: Bytes at the raised rate that a CPU processes at once in training; larger blocks of memory are slow to allocate.
MAX_BYTES = 2**24


def kaiser_lowpass(num_taps: int, cutoff: float, half_width: float, rate: float) -> NDArray[np.float64]:
    """Return the taps `[num_taps]` of a low-pass filter whose gain is 1 at frequency 0.

    The window has the shape that attenuates the stopband most for this length (Kaiser 1974; Karras et al. 2021,
    appendix C).

    Args:
        num_taps: length of the filter.
        cutoff: frequency at the center of the transition band.
        half_width: half the width of the transition band.
        rate: sampling rate.
    """
    t = np.arange(num_taps) - (num_taps - 1) / 2
    beta = kaiser_beta(kaiser_attenuation(num_taps, 4 * half_width / rate))
    taps = np.sinc(2 * cutoff / rate * t) * np.kaiser(num_taps, beta)
    return taps / taps.sum()


def kaiser_attenuation(num_taps: int, width: float) -> float:
    """Return the attenuation of the stopband in dB, for a transition band of `width` × half the sampling rate."""
    return 2.285 * (num_taps - 1) * np.pi * width + 7.95


def kaiser_beta(attenuation: float) -> float:
    """Return the shape parameter of the Kaiser window for an attenuation in dB."""
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    excess = max(attenuation - 21, 0)
    return 0.5842 * excess**0.4 + 0.07886 * excess


class Resampling(NamedTuple):
    """Rates and padding of a filtered leaky ReLU, the same along both axes.

    Attributes:
        up: factor by which the rate is raised before it, even.
        down: factor by which it is lowered after it.
        pad_up: padding of the transposed convolution that raises the rate, which crops its output.
        pad_down: padding of the convolution that lowers it.
    """

    up: int
    down: int
    pad_up: int
    pad_down: int


def plan_resampling(up: int, down: int, num_samples: int, margin_in: int, margin_out: int) -> Resampling:
    """Return what maps an image with margins to one with margins around the same picture.

    Args:
        up, down: even factors of the rate.
        num_samples: length of both filters, in samples of the input's and of the output's rate; even.
        margin_in, margin_out: pixels around the picture, at the input's and at the output's rate.
    """
    beyond = margin_in * up - margin_out * down  # at the raised rate
    read = min(beyond, num_samples // 2 * down - 1)  # by the second filter
    return Resampling(up, down, (num_samples - 1) * up // 2 + beyond - read, (num_samples - 1) * down // 2 - read)


def filtered_leaky_relu(x: Tensor, up_taps: Tensor, down_taps: Tensor, plan: Resampling) -> Tensor:
    """Raise the rate, apply leaky ReLU with slope 0.2, and lower the rate; without gain.

    Beyond its border, the input is zero. Half precision is not clamped: bfloat16 has the range of float32.

    Args:
        x: `[N, C, H, W]`, in any floating dtype.
        up_taps: low-pass filter at the raised rate, symmetric, with sum `up`, as zeros are inserted.
        down_taps: likewise, with sum 1.
        plan: factors and padding.

    Returns:
        `[N, C, H', W']`. Its gradient is differentiable no further, and needs only `x` in memory.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return _FilteredLeakyReLU.apply(x, up_taps, down_taps, plan)
    return _lower_rate(F.leaky_relu_(_raise_rate(x, up_taps, plan), LEAKY_SLOPE), down_taps, plan)


class _FilteredLeakyReLU(torch.autograd.Function):
    """The function with a gradient that computes the activations at the raised rate again: they are large.

    It only runs forward convolutions: on a CPU, the backward passes of depthwise convolutions are slow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, up_taps: Tensor, down_taps: Tensor, plan: Resampling) -> Tensor:
        ctx.save_for_backward(x, up_taps, down_taps)
        ctx.plan = plan
        parts = x.split(_images_per_call(x, plan.up))
        return torch.cat([filtered_leaky_relu(part, up_taps, down_taps, plan) for part in parts])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, up_taps, down_taps = ctx.saved_tensors
        size, results = _images_per_call(x, ctx.plan.up), []
        for part, gradient in zip(x.split(size), gradients[0].split(size), strict=True):
            # The two ways to change a rate are adjoint to each other.
            swapped = Resampling(ctx.plan.down, ctx.plan.up, ctx.plan.pad_down, ctx.plan.pad_up)
            gradient = _raise_rate(gradient, down_taps, swapped)
            before = _raise_rate(part, up_taps, ctx.plan)
            gradient = torch.ops.aten.leaky_relu_backward(gradient, before, LEAKY_SLOPE, False)
            results.append(_lower_rate(gradient, up_taps, swapped))
        return torch.cat(results), None, None, None


def _images_per_call(x: Tensor, up: int) -> int:
    if not uses_cpu_algorithms(x.device):
        return len(x)
    return max(1, MAX_BYTES // (x[0].numel() * up**2 * x.element_size()))


def _raise_rate(x: Tensor, taps: Tensor, plan: Resampling) -> Tensor:
    """Insert zeros and filter, along one axis after the other."""
    columns, rows = (_depthwise(taps, x, axis) for axis in (2, 3))
    x = F.conv_transpose2d(x, columns, stride=(plan.up, 1), padding=(plan.pad_up, 0), groups=x.shape[1])
    return F.conv_transpose2d(x, rows, stride=(1, plan.up), padding=(0, plan.pad_up), groups=x.shape[1])


def _lower_rate(x: Tensor, taps: Tensor, plan: Resampling) -> Tensor:
    """Filter and keep every `down`-th pixel, along one axis after the other."""
    columns, rows = (_depthwise(taps, x, axis) for axis in (2, 3))
    x = F.conv2d(x, rows, stride=(1, plan.down), padding=(0, plan.pad_down), groups=x.shape[1])
    return F.conv2d(x, columns, stride=(plan.down, 1), padding=(plan.pad_down, 0), groups=x.shape[1])


def _depthwise(taps: Tensor, x: Tensor, axis: int) -> Tensor:
    """Return the filter along an axis for each channel of x, `[C, 1, L, 1]` or `[C, 1, 1, L]`."""
    shape = [x.shape[1], 1, 1, 1]
    shape[axis] = len(taps)
    return taps.to(x.dtype).view([1, *shape[1:]]).expand(shape)
