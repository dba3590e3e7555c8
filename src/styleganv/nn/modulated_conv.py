"""Modulated convolution, by scaling the weights of one clip or the activations of several clips.

`conv(x, w·s)·d` with per-clip scales `s` (input channels) and `d` (output channels) equals `conv(x·s, w)·d`. Several
clips therefore share one ordinary convolution, while a single clip needs no pass over its activations.
`prefers_single_clips` estimates which is faster.

Shapes: B clips, T frames per clip, N = B·T images, I input channels, O output channels, k kernel size.
"""

import torch
from torch import Tensor

from styleganv.nn.convolution import convolve
from styleganv.nn.hardware import uses_cpu_algorithms

DEMODULATION_EPS = 1e-8
#: Overhead of one more convolution call, in elements that could be read and written in the same time.
CALL_ELEMENTS = 1_000_000


def sum_squares(weight: Tensor) -> Tensor:
    """Return `Σ_{k,k} w²`, `[O, I, k, k]` → `[O, I]`: the part of demodulation that all clips share."""
    return weight.square().sum(dim=(2, 3))


def compute_demodulation(weight: Tensor, style: Tensor, squares: Tensor | None = None) -> Tensor:
    """Return the scales `rsqrt(Σ_{I,k,k} (w·s)² + 1e-8)`, `[B, O]`, for `style [B, I]` (StyleGAN2, eq. 3).

    `squares` is `sum_squares(weight)`, if already computed.
    """
    return torch.rsqrt(style.square() @ (sum_squares(weight) if squares is None else squares).T + DEMODULATION_EPS)


def modulate_kernel(
    weight: Tensor, style: Tensor, *, demodulate: bool = True, gain: float | Tensor = 1.0, squares: Tensor | None = None
) -> Tensor:
    """Return the kernel `[O, I, k, k]` of the ordinary convolution that is equivalent for one style `[I]`.

    The other arguments are those of `modulated_conv2d`.
    """
    scale = style.expand(len(weight), -1)
    if demodulate:
        scale = scale * (compute_demodulation(weight, style[None], squares) * gain).T
    return weight * scale[:, :, None, None]


def prefers_single_clips(weight: Tensor, images: int, pixels: int) -> bool:
    """Return whether it is faster to convolve clips of so many `images` of `pixels` each one by one, not together.

    On GPUs it never is: many small kernels cost more than the passes over memory.
    """
    out_channels, in_channels = weight.shape[:2]
    saved = images * pixels * (in_channels + out_channels) - weight.numel()
    return saved > CALL_ELEMENTS and uses_cpu_algorithms(weight.device)


def _expand_to_images(scale: Tensor, like: Tensor) -> Tensor:
    """Return per-clip scales `[B, C]` as `[N, C, 1, 1]` in the dtype of the images `like [N, …]`, N a multiple of B."""
    # shape[0], here and below, since len() would fix the number of clips of an exported program.
    return scale.to(like.dtype).repeat_interleave(like.shape[0] // scale.shape[0], dim=0)[:, :, None, None]


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    bias: Tensor | None = None,
    fir: Tensor | None = None,
    demodulate: bool = True,
    gain: float | Tensor = 1.0,
    squares: Tensor | None = None,
) -> Tensor:
    """Convolve images with a weight whose input channels are scaled by the style of each clip.

    Args:
        x: `[N, I, H, W]`, the frames of a clip next to each other.
        weight: `[O, I, k, k]`, float32; cast to the dtype of `x` for the convolution only.
        style: `[B, I]`, float32.
        bias: `[O]`, not scaled by `gain`.
        fir: `fir_kernel(4.0)`, to double the resolution (needs k = 3): transposed convolution with stride 2, then this.
        demodulate: scale every output channel to unit variance for unit-variance input.
        gain: scale of the result before the bias, a number or `[]`; only with demodulation, whose scales include it.
        squares: `sum_squares(weight)`, if already computed.

    Returns:
        `[N, O, H, W]`, or `[N, O, 2H, 2W]` with `fir`, in the dtype of `x`.
    """
    shift = None if bias is None else bias.to(x.dtype)
    if style.shape[0] == 1:
        kernel = modulate_kernel(weight, style[0], demodulate=demodulate, gain=gain, squares=squares).to(x.dtype)
        return convolve(x, kernel, shift, fir)
    x = x * _expand_to_images(style, x)
    kernel = weight.to(x.dtype)
    if not demodulate:
        return convolve(x, kernel, shift, fir)
    x = convolve(x, kernel, None, fir)
    scale = _expand_to_images(compute_demodulation(weight, style, squares) * gain, x)
    return x * scale if shift is None else torch.addcmul(shift[:, None, None], x, scale)
