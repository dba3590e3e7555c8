"""Resampling with the FIR kernel [1, 3, 3, 1], the low-pass filter of all of StyleGAN2.

Shapes: N images, C channels, H height, W width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

FIR_TAPS = (1.0, 3.0, 3.0, 1.0)


def _depthwise_kernel(x: Tensor, gain: float) -> Tensor:
    """The separable kernel as `[C, 1, 4, 4]` with sum `gain`, in the dtype and on the device of `x`."""
    taps = torch.tensor(FIR_TAPS, dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps) * (gain / sum(FIR_TAPS) ** 2)
    return kernel.expand(x.shape[1], 1, 4, 4)


def fir_filter2d(x: Tensor, *, padding: int, stride: int = 1, gain: float = 1.0, bias: Tensor | None = None) -> Tensor:
    """Low-pass filter `[N, C, H, W]` with zero padding on every side, keeping every `stride`-th pixel; plus
    `bias [C]`.

    A depthwise convolution: on channels-last memory it is faster than sums of shifted copies, forwards and
    backwards. (The backward pass of a strided one is ten times slower than dropping pixels afterwards, and that of
    one with a bias that learns twenty times slower than adding it.)
    The output has `ceil((H + 2·padding − 3) / stride)` rows.
    """
    learns = bias is not None and bias.requires_grad
    x = F.conv2d(x, _depthwise_kernel(x, gain), None if learns else bias, padding=padding, groups=x.shape[1])
    if learns and bias is not None:
        x = x + bias[:, None, None]
    return x if stride == 1 else x[:, :, ::stride, ::stride]


def upsample2d(x: Tensor) -> Tensor:
    """`[N, C, H, W]` → `[N, C, 2H, 2W]`: zeros between the pixels, then the low-pass filter with gain 4."""
    return F.conv_transpose2d(x, _depthwise_kernel(x, 4.0), stride=2, padding=1, groups=x.shape[1])
