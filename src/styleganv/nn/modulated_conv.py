"""Modulated convolution: by scaling the weight for one clip, by scaling the activations of several.

`conv(x, w·s)·d` with per-clip scales `s` (input channels) and `d` (output channels) is `conv(x·s, w)·d`, so
several clips go through one ordinary convolution; a single one needs no pass over its activations at all.
`fewer_elements` says which is less work.

Shapes: B clips, T frames a clip, N = B·T images, I input channels, O output channels, k kernel size.
"""

import torch
from torch import Tensor

from styleganv.nn.convolution import convolve

DEMODULATION_EPS = 1e-8
#: What the calls of one more convolution cost, in elements that are read and written meanwhile.
CALL_ELEMENTS = 1_000_000


def squared(weight: Tensor) -> Tensor:
    """`Σ_{k,k} w²`, `[O, I, k, k]` → `[O, I]`: the part of demodulation that all clips share."""
    return weight.square().sum(dim=(2, 3))


def demodulation(weight: Tensor, style: Tensor, squares: Tensor | None = None) -> Tensor:
    """`rsqrt(Σ_{I,k,k} (w·s)² + 1e-8)` (StyleGAN2, eq. 3): `weight [O, I, k, k]`, `style [B, I]` → `[B, O]`;
    `squares` is `squared(weight)`, if it is there already."""
    return torch.rsqrt(style.square() @ (squared(weight) if squares is None else squares).T + DEMODULATION_EPS)


def modulated_kernel(
    weight: Tensor, style: Tensor, *, demodulate: bool = True, gain: float = 1.0, squares: Tensor | None = None
) -> Tensor:
    """The weight of an ordinary convolution that does the same for one style: `[O, I, k, k]`, `style [I]` → like
    `weight`. Other arguments as for `modulated_conv2d`."""
    scale = style.expand(len(weight), -1)
    if demodulate:
        scale = scale * (demodulation(weight, style[None], squares) * gain).T
    return weight * scale[:, :, None, None]


def fewer_elements(weight: Tensor, images: int, pixels: int) -> bool:
    """Whether clips of so many `images` of `pixels` each are better convolved one by one, with scaled weights, than
    together, with scaled activations. On GPUs never: many small kernels cost more than passes over memory."""
    out_channels, in_channels = weight.shape[:2]
    saved = images * pixels * (in_channels + out_channels) - weight.numel()
    return weight.device.type == "cpu" and saved > CALL_ELEMENTS


def per_image(scale: Tensor, like: Tensor) -> Tensor:
    """Per-clip scales `[B, C]` as `[N, C, 1, 1]` in the dtype of the images `like [N, …]`, N a multiple of B."""
    # shape[0], here and below, since len() would fix the number of clips of an exported program.
    return scale.to(like.dtype).repeat_interleave(like.shape[0] // scale.shape[0], dim=0)[:, :, None, None]


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    bias: Tensor | None = None,
    up: bool = False,
    demodulate: bool = True,
    gain: float = 1.0,
    squares: Tensor | None = None,
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
        squares: `squared(weight)`, if it is there already.

    Returns:
        `[N, O, H, W]`, or `[N, O, 2H, 2W]` with `up`, in the dtype of `x`.
    """
    shift = None if bias is None else bias.to(x.dtype)
    if style.shape[0] == 1:
        kernel = modulated_kernel(weight, style[0], demodulate=demodulate, gain=gain, squares=squares).to(x.dtype)
        return convolve(x, kernel, shift, up)
    x = x * per_image(style, x)
    kernel = weight.to(x.dtype)
    if not demodulate:
        return convolve(x, kernel, shift, up)
    x = convolve(x, kernel, None, up)
    scale = per_image(demodulation(weight, style, squares) * gain, x)
    return x * scale if shift is None else torch.addcmul(shift[:, None, None], x, scale)
