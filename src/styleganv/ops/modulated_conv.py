"""Modulated convolution by scaling activations before and after an ordinary convolution.

`conv(x, w·s)·d` with per-clip scales `s` (input channels) and `d` (output channels) is `conv(x·s, w)·d`, so no
per-sample weights are built, and the frames of a clip, which share their style, share the scales.

Shapes: B clips, T frames a clip, N = B·T images, I input channels, O output channels, k kernel size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv.ops.resample import fir_filter2d

DEMODULATION_EPS = 1e-8


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """`rsqrt(Σ_{I,k,k} (w·s)² + 1e-8)` (StyleGAN2, eq. 3): `weight [O, I, k, k]`, `style [B, I]` → `[B, O]`."""
    return torch.rsqrt(style.square() @ weight.square().sum(dim=(2, 3)).T + DEMODULATION_EPS)


def per_image(scale: Tensor, like: Tensor) -> Tensor:
    """Per-clip scales `[B, C]` as `[N, C, 1, 1]` in the dtype of the images `like [N, …]`, N a multiple of B."""
    return scale.to(like.dtype).repeat_interleave(len(like) // len(scale), dim=0)[:, :, None, None]


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    bias: Tensor | None = None,
    up: bool = False,
    demodulate: bool = True,
    gain: float = 1.0,
) -> Tensor:
    """Convolve images with a weight whose input channels each clip scales by its style, times `gain`, plus bias.

    Args:
        x: `[N, I, H, W]`, the frames of a clip next to each other.
        weight: `[O, I, k, k]`, float32; cast to the dtype of `x` for the convolution only.
        style: `[B, I]`, float32.
        bias: `[O]`, not scaled by `gain`.
        up: double the resolution (needs k = 3): transposed convolution with stride 2, then the FIR filter.
        demodulate: scale every output channel to unit variance for unit-variance input.
        gain: with demodulation only; it rides on the demodulation's factors.

    Returns:
        `[N, O, H, W]`, or `[N, O, 2H, 2W]` with `up`, in the dtype of `x`.
    """
    shift = None if bias is None else bias.to(x.dtype)
    x = x * per_image(style, x)
    kernel = weight.to(x.dtype)
    if up:
        x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
        x = fir_filter2d(x, padding=1, gain=4.0)
    else:
        x = F.conv2d(x, kernel, None if demodulate else shift, padding=weight.shape[-1] // 2)
    if not demodulate:
        return x
    scale = per_image(demodulation(weight, style) * gain, x)
    return x * scale if shift is None else torch.addcmul(shift[:, None, None], x, scale)
