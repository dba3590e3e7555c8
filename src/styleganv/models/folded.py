"""Synthesis of one video with its style folded into plain convolutions: for generating, where every frame has the
same w, so that modulation and demodulation are done once a video instead of once a frame.

Shapes: T frames, L style layers, C channels, H height, W width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from styleganv.models.synthesis import ModulatedConv, Synthesis, ToRGB
from styleganv.ops import UNIT_GAIN, convolve, in_phases, leaky_relu_, modulated_kernel, phases, upsample2d


@dataclass(frozen=True)
class _Plain:
    """A convolution that no longer depends on w."""

    kernel: Tensor
    bias: Tensor
    up: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        return convolve(x, self.kernel, self.bias, self.up)


class FoldedSynthesis:
    """`Synthesis` for a single style: motion codes of a video's frames → frames.

    Agrees with `Synthesis.forward` up to rounding. The kernels are copies: later training of the network does not
    reach them.
    """

    @torch.no_grad()
    def __init__(self, synthesis: Synthesis, styles: Tensor, *, dtype: torch.dtype = torch.float32) -> None:
        """`styles [L, w_dim]`, one for each layer; `dtype` of the convolutions, float32 or bfloat16."""
        self.dtype = dtype
        self.input = synthesis.input
        self.layers: list[tuple[list[_Plain], _Plain]] = []
        for block, style in synthesis.styled_blocks(styles[None]):
            *convs, rgb = style.unbind(dim=1)
            self.layers.append(
                (
                    [self._conv(conv, w) for conv, w in zip(block.convs(), convs, strict=True)],
                    self._rgb(block.to_rgb, rgb),
                )
            )

    @torch.no_grad()
    def __call__(self, codes: Tensor | None) -> Tensor:
        """`codes [T, v_dim]` → frames `[T, 3, H, W]` float32, roughly in −1..1; None (a model of images): T = 1."""
        x = self.input(codes, 1).to(dtype=self.dtype, memory_format=torch.channels_last)
        image = None
        for convs, to_rgb in self.layers:
            for conv in convs:
                x = leaky_relu_(conv(x))
            colours = to_rgb(x).float()
            image = colours if image is None else upsample2d(image) + colours
        assert image is not None
        return image

    def _conv(self, conv: ModulatedConv, w: Tensor) -> _Plain:
        kernel = modulated_kernel(conv.weight, conv.affine(w)[0], gain=UNIT_GAIN)
        bias = (conv.bias * UNIT_GAIN).to(self.dtype)
        if not conv.up:
            return _Plain(self._stored(kernel), bias)
        if in_phases(kernel.device, self.dtype):
            return _Plain(self._stored(phases(kernel)), bias, up=True)
        # Transposed convolutions want the input channels first, and would copy any other order at every call.
        return _Plain(self._stored(kernel.transpose(0, 1)).transpose(0, 1), bias, up=True)

    def _rgb(self, to_rgb: ToRGB, w: Tensor) -> _Plain:
        kernel = modulated_kernel(to_rgb.weight, to_rgb.affine(w)[0] * to_rgb.style_gain, demodulate=False)
        return _Plain(self._stored(kernel), to_rgb.bias.to(self.dtype))

    def _stored(self, kernel: Tensor) -> Tensor:
        return kernel.to(self.dtype).contiguous(memory_format=torch.channels_last)
