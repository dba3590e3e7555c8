"""Synthesis of one video with its style folded into plain convolutions: for generating, where every frame has the
same w, so that modulation and demodulation are done once a video instead of once a frame.

On a processor, layers of few pixels keep their weights: scaling their activations is less than scaling those, which are
most of a network's, so that another content is soon seen.

Shapes: T frames, L style layers, C channels, O output and I input channels, H height, W width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from styleganv.methods.stylegan_v.synthesis import ModulatedConv, Synthesis, SynthesisBlock, ToRGB
from styleganv.nn import (
    UNIT_GAIN,
    convolve,
    demodulation,
    in_phases,
    leaky_relu_,
    phases,
    squared,
    upsample2d,
    winograd,
)

#: Numbers of a product that stay in a processor's cache.
CACHED = 2**17
#: Bytes of activations up to which a processor's memory is fast: larger ones leave its caches.
FITS = 2**24
#: As many as go through the network together, about; for the choice of what is folded.
FRAMES = 8


@dataclass(frozen=True)
class _Plain:
    """A convolution that does not depend on w any more, or not yet."""

    kernel: Tensor
    bias: Tensor | None
    up: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        return convolve(x.to(self.kernel.dtype), self.kernel, self.bias, self.up)


@dataclass(frozen=True)
class _Transformed:
    """The same after Winograd; kernel `[P, I, O]`, up to four times as large."""

    kernel: Tensor
    bias: Tensor | None
    up: ClassVar[bool] = False

    def __call__(self, x: Tensor) -> Tensor:
        return winograd.convolve_transformed(x.to(self.kernel.dtype), self.kernel, self.bias)


@dataclass(frozen=True)
class _Scaled:
    """A convolution whose activations, in and out in float32, are scaled by w before and after; all `[C, 1, 1]`."""

    convolution: _Plain | _Transformed
    before: Tensor
    after: Tensor
    bias: Tensor

    @property
    def up(self) -> bool:
        return self.convolution.up

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, self.convolution(x * self.before).float(), self.after)


_Folded = _Plain | _Transformed | _Scaled


class _Stored(NamedTuple):
    """What all contents share of a convolution: its weights in the order that it wants them, the sums of squares for
    demodulation, and whether activations are scaled instead of weights."""

    weight: Tensor
    squares: Tensor
    transformed: bool
    scaled: bool


class StoredWeights:
    """What all contents of a network share: its weights in the order of the convolutions, and the sums of squares for
    demodulation. Folding is then one product a layer."""

    @torch.no_grad()
    def __init__(self, synthesis: Synthesis, dtype: torch.dtype = torch.float32) -> None:
        """`dtype` of the convolutions, float32 or bfloat16."""
        self.dtype = dtype
        self._versions = self._versions_of(synthesis)
        self._of: dict[ModulatedConv, _Stored] = {}
        height, width = synthesis.constant.shape[1:]
        for block in synthesis.blocks:
            for conv in cast(SynthesisBlock, block).convs():
                self._of[conv] = self._stored(conv, height, width)
            height, width = 2 * height, 2 * width

    def fit(self, synthesis: Synthesis) -> bool:
        """Whether the network's weights are still those that were stored."""
        return self._versions == self._versions_of(synthesis)

    @staticmethod
    def _versions_of(synthesis: Synthesis) -> list[tuple[int, int]]:
        return [(weight.data_ptr(), weight._version) for weight in synthesis.parameters()]

    @torch.no_grad()
    def convolution(self, conv: ModulatedConv, w: Tensor) -> _Folded:
        """Modulated by `w [1, w_dim]` and demodulated."""
        weight, squares, transformed, scaled = self._of[conv]
        style, bias = conv.affine(w), conv.bias * UNIT_GAIN
        demodulated = demodulation(conv.weight, style, squares) * UNIT_GAIN
        if scaled:
            shared = _Transformed(weight, None) if transformed else _Plain(weight, None, conv.up)
            before, after, shift = (each.reshape(-1, 1, 1) for each in (style, demodulated, bias))
            return _Scaled(shared, before, after, shift)
        scale, bias = demodulated.T * style, bias.to(self.dtype)
        if transformed:
            return _Transformed(self._product(weight, scale.T.expand_as(weight)), bias)
        of_phases = scale.repeat(len(weight) // len(scale), 1)  # the same for each, if there are any
        return _Plain(self._product(weight, of_phases[:, :, None, None]), bias, conv.up)

    def _product(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Of stored weights and a scale for each row, in the dtype of the convolutions."""
        if weight.dtype == self.dtype:
            return weight * scale
        # A few rows at a time, so that a processor's float32 products do not leave its cache.
        kernel = torch.empty_like(weight, dtype=self.dtype)
        rows = max(1, CACHED // weight[0].numel()) if weight.device.type == "cpu" else len(weight)
        for into, some, scales in zip(kernel.split(rows), weight.split(rows), scale.split(rows), strict=True):
            into.copy_(some * scales)
        return kernel

    def _stored(self, conv: ModulatedConv, height: int, width: int) -> _Stored:
        """For results of this size."""
        weight = conv.weight.detach()
        transformed = not conv.up and winograd.is_faster(weight, self.dtype, FRAMES, height, width, kept=True)
        if transformed:
            weight = winograd.transformed(weight, self.dtype)
        elif conv.up and in_phases(weight.device, self.dtype):
            weight = channels_last(phases(weight))
        elif conv.up:
            # Transposed convolutions want the input channels first, and would copy any other order at every call.
            weight = channels_last(weight.transpose(0, 1)).transpose(0, 1)
        else:
            weight = channels_last(weight)
        activations = FRAMES * height * width * sum(conv.weight.shape[:2])
        scaled = weight.device.type == "cpu" and activations <= weight.numel()
        return _Stored(weight.to(self.dtype) if scaled else weight, squared(conv.weight), transformed, scaled)


def channels_last(kernel: Tensor) -> Tensor:
    return kernel.contiguous(memory_format=torch.channels_last)


class FoldedSynthesis:
    """`Synthesis` for a single style: motion codes of a video's frames → frames.

    Agrees with `Synthesis.forward` up to rounding, as long as the network is not trained on. In bfloat16, which has the
    range of float32, activations are not clamped as they are there.
    """

    @torch.no_grad()
    def __init__(self, synthesis: Synthesis, styles: Tensor, stored: StoredWeights) -> None:
        """`styles [L, w_dim]`, one for each layer; `stored` of this network."""
        self.dtype = stored.dtype
        self.input = synthesis.input
        self.layers: list[tuple[list[_Folded], _Plain]] = []
        for block, style in synthesis.styled_blocks(styles[None]):
            *convs, rgb = style.unbind(dim=1)
            self.layers.append(
                (
                    [stored.convolution(conv, w) for conv, w in zip(block.convs(), convs, strict=True)],
                    self._rgb(block.to_rgb, rgb),
                )
            )

    @torch.no_grad()
    def __call__(self, codes: Tensor | None) -> Iterator[Tensor]:
        """`codes [T, v_dim]` → frames `[T, 3, H, W]` float32, roughly in −1..1, in parts as they are ready; None (a
        model of images): T = 1."""
        yield from self._draw(0, self.input(codes, 1).contiguous(memory_format=torch.channels_last), None)

    def _draw(self, first: int, x: Tensor, image: Tensor | None) -> Iterator[Tensor]:
        """The rest of the way, from block `first` on, of what is there so far."""
        for i, (convs, to_rgb) in enumerate(self.layers[first:], start=first):
            if (few := self._together(x, convs, to_rgb)) < len(x):
                parts = list(zip(x.split(few), repeat(None) if image is None else image.split(few), strict=False))
                del x, image  # as below
                while parts:
                    yield from self._draw(i, *parts.pop(0))
                return
            for conv in convs:
                x = leaky_relu_(conv(x))
            colours = to_rgb(x).float()
            image = colours if image is None else upsample2d(image) + colours
        assert image is not None
        ready = [image]
        del x, colours, image  # nothing is kept while somebody looks at the frames
        yield ready.pop()

    def _together(self, x: Tensor, convs: list[_Folded], to_rgb: _Plain) -> int:
        """How many of the frames `x` go through a block at a time, so that activations have `FITS` bytes at most.

        All parts are of the same size, since rounding may depend on it.
        """
        if x.device.type != "cpu":
            return len(x)
        pixels = x[0, 0].numel() * (4 if convs[0].up else 1)
        most = FITS // (pixels * to_rgb.kernel.shape[1] * self.dtype.itemsize)
        return max((few for few in range(1, min(most, len(x)) + 1) if len(x) % few == 0), default=1)

    def _rgb(self, to_rgb: ToRGB, w: Tensor) -> _Plain:
        kernel = to_rgb.weight * (to_rgb.affine(w)[0] * to_rgb.style_gain)[:, None, None]
        return _Plain(channels_last(kernel.to(self.dtype)), to_rgb.bias.to(self.dtype))
