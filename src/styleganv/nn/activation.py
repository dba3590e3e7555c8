"""Bias and leaky ReLU, the only nonlinearity of StyleGAN2."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LEAKY_SLOPE = 0.2
UNIT_GAIN = 2**0.5  # keeps the variance of unit normal input at (almost) 1
HALF_PRECISION_CLAMP = 256.0


class _Guard(torch.autograd.Function):
    """In-place clamp with a straight-through gradient, so that training can leave the clamped range.

    This takes one pass over memory; clamp or hardtanh take three or four, including the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        return x.clamp_(-HALF_PRECISION_CLAMP, HALF_PRECISION_CLAMP)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def leaky_relu(x: Tensor) -> Tensor:
    """Apply leaky ReLU with slope 0.2, without a gain; bfloat16 and float16 are clamped to ±256.

    The clamp is StyleGAN2-ADA's guard against overflow. Leaky ReLU is homogeneous, so callers fold their gain into
    weights and biases.
    """
    x = F.leaky_relu(x, LEAKY_SLOPE)
    if x.element_size() > 2:
        return x
    if torch.compiler.is_compiling():  # the same; torch.compile traces nothing in place, and fuses all passes
        return x.detach().clamp(-HALF_PRECISION_CLAMP, HALF_PRECISION_CLAMP) + (x - x.detach())
    return _Guard.apply(x)


def leaky_relu_(x: Tensor) -> Tensor:
    """Apply `leaky_relu` without gradient or clamp; in place, unless `x` is a view of a larger tensor."""
    return F.leaky_relu(x, LEAKY_SLOPE, inplace=x.is_contiguous(memory_format=torch.channels_last))


def bias_act(x: Tensor, bias: Tensor | None = None, *, activate: bool = True, gain: float = UNIT_GAIN) -> Tensor:
    """Return `leaky_relu(x + bias) * gain`, or only `x + bias` without `activate`.

    Args:
        x: `[N, C, ...]`, any floating dtype.
        bias: `[C]`, cast to the dtype of `x`; None adds nothing.
        activate: apply the nonlinearity and the gain.
        gain: scale after the activation, before the clamp of half precision.
    """
    if bias is not None:
        x = x + bias.to(x.dtype).reshape([1, -1] + [1] * (x.ndim - 2))
    return leaky_relu(x * gain if gain != 1.0 else x) if activate else x
