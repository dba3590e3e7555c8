"""Resampling with the FIR kernel [1, 3, 3, 1], StyleGAN2's only low-pass filter.

Shapes: N images, C channels, H height, W width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FIR_TAPS = (1.0, 3.0, 3.0, 1.0)


def fir_kernel(gain: float = 1.0) -> Tensor:
    """Return the separable filter `[4, 4]` with sum `gain`.

    Modules keep it as a buffer, on their device. With gain 1 or 4 it is exact in every floating-point type.
    """
    taps = torch.tensor(FIR_TAPS)
    return torch.outer(taps, taps) * (gain / sum(FIR_TAPS) ** 2)


def _depthwise(fir: Tensor, x: Tensor) -> Tensor:
    """Return the filter for each channel, `[C, 1, 4, 4]`, in the dtype of `x`."""
    return fir.to(x.dtype).expand(x.shape[1], 1, 4, 4)


class _Filter(torch.autograd.Function):
    """The filter at every `stride`-th pixel, with `_Spread` as its gradient.

    Both only run forward convolutions: on a CPU, the backward passes of depthwise convolutions are slow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, fir: Tensor, padding: int, stride: int) -> Tensor:
        ctx.save_for_backward(fir)
        ctx.rest = padding, stride, x.shape[2:]
        return F.conv2d(x, _depthwise(fir, x), None, stride, padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Spread.apply(gradients[0], *ctx.saved_tensors, *ctx.rest), None, None, None


class _Spread(torch.autograd.Function):
    """The adjoint of `_Filter`, and vice versa: `stride` − 1 zeros between the pixels, then the filter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fir: Tensor, padding: int, stride: int, size: torch.Size) -> Tensor:
        ctx.save_for_backward(fir)
        ctx.rest = padding, stride
        kernel = _depthwise(fir, x)
        if stride == 1:
            return F.conv2d(x, kernel, padding=3 - padding, groups=x.shape[1])
        missing = [side - (stride * (n - 1) + 4 - 2 * padding) for side, n in zip(size, x.shape[2:], strict=True)]
        return F.conv_transpose2d(x, kernel, None, stride, padding, missing, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Filter.apply(gradients[0], *ctx.saved_tensors, *ctx.rest), None, None, None, None


def fir_filter2d(x: Tensor, fir: Tensor, *, padding: int, stride: int = 1, bias: Tensor | None = None) -> Tensor:
    """Filter `x [N, C, H, W]` with a `fir_kernel`, keep every `stride`-th pixel, and add `bias [C]`.

    Zero padding of up to 3 pixels is added on every side; the output has `ceil((H + 2·padding − 3) / stride)` rows.
    The depthwise convolution is faster on channels-last memory than sums of shifted copies, forward and backward.
    """
    if not (torch.is_grad_enabled() and (x.requires_grad or (bias is not None and bias.requires_grad))):
        return F.conv2d(x, _depthwise(fir, x), bias, stride, padding, groups=x.shape[1])
    x = _Filter.apply(x, fir, padding, stride)
    return x if bias is None else x + bias[:, None, None]


def upsample2d(x: Tensor, fir: Tensor) -> Tensor:
    """Double the resolution, `[N, C, H, W]` → `[N, C, 2H, 2W]`: zeros between pixels, then `fir_kernel(4.0)`."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return F.conv_transpose2d(x, _depthwise(fir, x), stride=2, padding=1, groups=x.shape[1])
    return _Spread.apply(x, fir, 1, 2, torch.Size([2 * x.shape[2], 2 * x.shape[3]]))
