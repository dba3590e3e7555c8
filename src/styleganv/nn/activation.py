"""Bias and leaky ReLU, the only non-linearity of StyleGAN2."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LEAKY_SLOPE = 0.2
UNIT_GAIN = 2**0.5  # keeps the variance of a unit normal input (almost) at one
HALF_PRECISION_CLAMP = 256.0


class _Guard(torch.autograd.Function):
    """Clamp in place; the gradient passes as if nothing had been clamped, so training finds its way back.

    A guard that hardly ever acts is one pass here; clamp or hardtanh take three or four, backwards included.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        return x.clamp_(-HALF_PRECISION_CLAMP, HALF_PRECISION_CLAMP)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2; half precision (bfloat16, float16) is clamped to ±256, StyleGAN2-ADA's guard
    against overflow. Without a gain: being homogeneous, it lets callers put theirs into weights and biases.
    """
    x = F.leaky_relu(x, LEAKY_SLOPE)
    return _Guard.apply(x) if x.element_size() == 2 else x


def leaky_relu_(x: Tensor) -> Tensor:
    """`leaky_relu` without gradients or guard; in place, unless `x` is a part of something larger."""
    return F.leaky_relu(x, LEAKY_SLOPE, inplace=x.is_contiguous(memory_format=torch.channels_last))


def bias_act(x: Tensor, bias: Tensor | None = None, *, activate: bool = True, gain: float = UNIT_GAIN) -> Tensor:
    """`leaky_relu(x + bias) * gain`; without `activate` only the bias is added.

    Args:
        x: `[N, C, ...]`, any floating dtype.
        bias: `[C]`, cast to the dtype of `x`; None adds nothing.
        gain: applied after the activation (before the clamp of half precision).
    """
    if bias is not None:
        x = x + bias.to(x.dtype).reshape([1, -1] + [1] * (x.ndim - 2))
    return leaky_relu(x * gain if gain != 1.0 else x) if activate else x
