"""Synthesis of one video with its style folded into plain convolutions: for generating, where every frame has the
same w, so that modulation and demodulation are done once a video instead of once a frame.

Shapes: T frames, L style layers, C channels, O output and I input channels, H height, W width.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from styleganv.models.synthesis import ModulatedConv, Synthesis, SynthesisBlock, ToRGB
from styleganv.ops import UNIT_GAIN, convolve, demodulation, in_phases, leaky_relu_, phases, squared, upsample2d

#: Numbers of a product that stay in a processor's cache.
CACHED = 2**17


@dataclass(frozen=True)
class _Plain:
    """A convolution that no longer depends on w."""

    kernel: Tensor
    bias: Tensor
    up: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        return convolve(x, self.kernel, self.bias, self.up)


class StoredWeights:
    """What all contents of a network share: its weights in the order of the folded convolutions, and the sums of
    squares for demodulation. Folding is then one product a layer."""

    @torch.no_grad()
    def __init__(self, synthesis: Synthesis, dtype: torch.dtype = torch.float32) -> None:
        """`dtype` of the convolutions, float32 or bfloat16."""
        self.dtype = dtype
        self._versions = self._versions_of(synthesis)
        convs: list[ModulatedConv] = [
            conv for block in synthesis.blocks for conv in cast(SynthesisBlock, block).convs()
        ]
        self._of = {conv: (self._in_order(conv), squared(conv.weight)) for conv in convs}

    def fit(self, synthesis: Synthesis) -> bool:
        """Whether the network's weights are still those that were stored."""
        return self._versions == self._versions_of(synthesis)

    @staticmethod
    def _versions_of(synthesis: Synthesis) -> list[tuple[int, int]]:
        return [(weight.data_ptr(), weight._version) for weight in synthesis.parameters()]

    @torch.no_grad()
    def kernel(self, conv: ModulatedConv, w: Tensor) -> Tensor:
        """Modulated by `w [1, w_dim]` and demodulated: `[O, I, 3, 3]`, or `[4·O, I, 2, 2]` of phases."""
        weight, squares = self._of[conv]
        style = conv.affine(w)
        scale = (demodulation(conv.weight, style, squares) * UNIT_GAIN).T * style
        if len(weight) > len(scale):
            scale = scale.repeat(4, 1)  # the same for each phase
        scale = scale[:, :, None, None]
        if weight.dtype == self.dtype:
            return weight * scale
        # A few rows at a time, so that a processor's float32 products do not leave its cache.
        kernel = torch.empty_like(weight, dtype=self.dtype)
        rows = max(1, CACHED // weight[0].numel()) if weight.device.type == "cpu" else len(weight)
        for into, some, scales in zip(kernel.split(rows), weight.split(rows), scale.split(rows), strict=True):
            into.copy_(some * scales)
        return kernel

    def _in_order(self, conv: ModulatedConv) -> Tensor:
        weight = conv.weight.detach()
        if conv.up and in_phases(weight.device, self.dtype):
            weight = phases(weight)
        elif conv.up:
            # Transposed convolutions want the input channels first, and would copy any other order at every call.
            return channels_last(weight.transpose(0, 1)).transpose(0, 1)
        return channels_last(weight)


def channels_last(kernel: Tensor) -> Tensor:
    return kernel.contiguous(memory_format=torch.channels_last)


class FoldedSynthesis:
    """`Synthesis` for a single style: motion codes of a video's frames → frames.

    Agrees with `Synthesis.forward` up to rounding. The kernels are copies: later training of the network does not
    reach them.
    """

    @torch.no_grad()
    def __init__(self, synthesis: Synthesis, styles: Tensor, stored: StoredWeights) -> None:
        """`styles [L, w_dim]`, one for each layer; `stored` of this network."""
        self.stored, self.dtype = stored, stored.dtype
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
        return _Plain(self.stored.kernel(conv, w), (conv.bias * UNIT_GAIN).to(self.dtype), conv.up)

    def _rgb(self, to_rgb: ToRGB, w: Tensor) -> _Plain:
        kernel = to_rgb.weight * (to_rgb.affine(w)[0] * to_rgb.style_gain)[:, None, None]
        return _Plain(channels_last(kernel.to(self.dtype)), to_rgb.bias.to(self.dtype))
