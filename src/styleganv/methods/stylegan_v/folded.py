"""Synthesis of one video with its style folded into plain convolutions, for generation.

All frames of a video share one w, so weights are modulated and demodulated once per video instead of once per frame.
On a CPU, layers of few pixels keep their weights and scale their activations instead. They hold most of a network's
weights, so this shortens the time to the first frame of a new content.

Shapes: T frames, L style layers, C channels, O output and I input channels, H height, W width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, repeat
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from styleganv.methods.stylegan_v.synthesis import ModulatedConv, Synthesis, SynthesisBlock, ToRGB
from styleganv.nn import (
    UNIT_GAIN,
    compute_demodulation,
    convolve,
    leaky_relu_,
    prefers_phases,
    split_phases,
    sum_squares,
    upsample2d,
    winograd,
)

#: Elements of a product that stay in a CPU's cache.
MAX_CACHED_ELEMENTS = 2**17
#: Bytes of activations that stay in a CPU's caches.
MAX_ACTIVATION_BYTES = 2**24
#: Typical number of frames per call of the network; decides what is folded.
TYPICAL_FRAMES = 8


@dataclass(frozen=True)
class _Plain:
    """A convolution whose kernel has w folded in, or does not depend on w."""

    kernel: Tensor
    bias: Tensor | None
    fir: Tensor | None = None

    @property
    def up(self) -> bool:
        return self.fir is not None

    def __call__(self, x: Tensor) -> Tensor:
        return convolve(x.to(self.kernel.dtype), self.kernel, self.bias, self.fir)


@dataclass(frozen=True)
class _Transformed:
    """The same as a Winograd convolution; kernel `[P, I, O]`, up to four times as large."""

    kernel: Tensor
    bias: Tensor | None
    up: ClassVar[bool] = False

    def __call__(self, x: Tensor) -> Tensor:
        return winograd.convolve_transformed(x.to(self.kernel.dtype), self.kernel, self.bias)


@dataclass(frozen=True)
class _Scaled:
    """A convolution of float32 activations that are scaled by w before and after; all scales `[C, 1, 1]`."""

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
    """Parts of a convolution that do not depend on w.

    Attributes:
        weight: in the memory layout of the convolution.
        squares: sums of squares for demodulation.
        transformed: whether the weight is transformed for Winograd convolution.
        scaled: whether activations are scaled instead of weights.
    """

    weight: Tensor
    squares: Tensor
    transformed: bool
    scaled: bool


class StoredWeights:
    """The parts of a network that do not depend on w; with them, folding is one product per layer."""

    @torch.no_grad()
    def __init__(self, synthesis: Synthesis, dtype: torch.dtype = torch.float32) -> None:
        """Prepare the weights; `dtype` is that of the convolutions, float32 or bfloat16."""
        self.dtype = dtype
        self._versions = self._versions_of(synthesis)
        self._by_conv: dict[ModulatedConv, _Stored] = {}
        height, width = synthesis.constant.shape[1:]
        for block in synthesis.blocks:
            for conv in cast(SynthesisBlock, block).convs():
                self._by_conv[conv] = self._stored(conv, height, width)
            height, width = 2 * height, 2 * width

    def matches(self, synthesis: Synthesis) -> bool:
        """Return whether the network's weights have not changed since."""
        return self._versions == self._versions_of(synthesis)

    @staticmethod
    def _versions_of(synthesis: Synthesis) -> list[tuple[int, int]]:
        return [(weight.data_ptr(), weight._version) for weight in synthesis.parameters()]

    @torch.no_grad()
    def convolution(self, conv: ModulatedConv, w: Tensor) -> _Folded:
        """Return the convolution modulated by `w [1, w_dim]` and demodulated."""
        weight, squares, transformed, scaled = self._by_conv[conv]
        style, bias = conv.affine(w), conv.bias * UNIT_GAIN
        demodulated = compute_demodulation(conv.weight, style, squares) * UNIT_GAIN
        if scaled:
            shared = _Transformed(weight, None) if transformed else _Plain(weight, None, conv.fir)
            before, after, shift = (each.reshape(-1, 1, 1) for each in (style, demodulated, bias))
            return _Scaled(shared, before, after, shift)
        scale, bias = demodulated.T * style, bias.to(self.dtype)
        if transformed:
            return _Transformed(self._product(weight, scale.T.expand_as(weight)), bias)
        scale = scale.repeat(len(weight) // len(scale), 1)  # the same for each phase, if there are phases
        return _Plain(self._product(weight, scale[:, :, None, None]), bias, conv.fir)

    def _product(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Return stored weights times one scale per row, in the dtype of the convolutions."""
        if weight.dtype == self.dtype:
            return weight * scale
        # A few rows at a time, so that the float32 products stay in a CPU's cache.
        kernel = torch.empty_like(weight, dtype=self.dtype)
        rows = max(1, MAX_CACHED_ELEMENTS // weight[0].numel()) if weight.device.type == "cpu" else len(weight)
        for target, part, scales in zip(kernel.split(rows), weight.split(rows), scale.split(rows), strict=True):
            target.copy_(part * scales)
        return kernel

    def _stored(self, conv: ModulatedConv, height: int, width: int) -> _Stored:
        """Prepare a convolution whose output has this size."""
        weight = conv.weight.detach()
        transformed = not conv.up and winograd.is_faster(
            weight, self.dtype, TYPICAL_FRAMES, height, width, reused_kernel=True
        )
        if transformed:
            weight = winograd.transform_kernel(weight, self.dtype)
        elif conv.up and prefers_phases(weight.device, self.dtype):
            weight = channels_last(split_phases(weight))
        elif conv.up:
            # Transposed convolutions take the input channels first and would copy any other layout at every call.
            weight = channels_last(weight.transpose(0, 1)).transpose(0, 1)
        else:
            weight = channels_last(weight)
        activations = TYPICAL_FRAMES * height * width * sum(conv.weight.shape[:2])
        scaled = weight.device.type == "cpu" and activations <= weight.numel()
        return _Stored(weight.to(self.dtype) if scaled else weight, sum_squares(conv.weight), transformed, scaled)


def channels_last(kernel: Tensor) -> Tensor:
    return kernel.contiguous(memory_format=torch.channels_last)


def split_frames(factors: list[list[Tensor]], size: int) -> Iterator[list[list[Tensor]]]:
    """Yield these lists of tensors endlessly, each time with the following `size` frames of every tensor."""
    for start in count(0, size):
        yield [[each[start : start + size] for each in block] for block in factors]


class FoldedSynthesis:
    """`Synthesis` for a single style: motion codes of a video's frames → frames.

    It agrees with `Synthesis.forward` up to rounding until the network's weights change. It does not clamp activations
    as that does, since bfloat16 has the range of float32.
    """

    @torch.no_grad()
    def __init__(self, synthesis: Synthesis, styles: Tensor, stored: StoredWeights) -> None:
        """Fold `styles [L, w_dim]`, one per layer, into the `stored` weights of this network."""
        self.dtype = stored.dtype
        self.input = synthesis.input
        self.styled_blocks = partial(synthesis.styled_blocks, styles[None])
        self.fir = cast(SynthesisBlock, synthesis.blocks[0]).fir
        self.layers: list[tuple[list[_Folded], _Plain]] = []
        for block, style, _ in self.styled_blocks():
            *convs, rgb = style.unbind(dim=1)
            self.layers.append(
                (
                    [stored.convolution(conv, w) for conv, w in zip(block.convs(), convs, strict=True)],
                    self._rgb(block.to_rgb, rgb),
                )
            )

    @torch.no_grad()
    def __call__(self, codes: Tensor | None) -> Iterator[Tensor]:
        """Yield the frames `[T, 3, H, W]` of `codes [T, v_dim]`, float32, roughly in −1..1, in parts as they are ready.

        None as `codes` (an image model) gives one frame.
        """
        yield from self._run_blocks(0, self.input(codes, 1), None, self._modulations(codes))

    def _modulations(self, codes: Tensor | None) -> list[list[Tensor]]:
        """Return the factors of the input of each block's convolutions, `[T, C, 1, 1]`, if motion enters all layers."""
        return [
            [] if motion is None else [attend(motion[:, i]) for i, attend in enumerate(block.attentions)]
            for block, _, motion in self.styled_blocks(codes)
        ]

    def _run_blocks(self, first: int, x: Tensor, image: Tensor | None, factors: list[list[Tensor]]) -> Iterator[Tensor]:
        """Yield frames from the activations `x` and the `image` so far, which enter block `first`."""
        for i, (convs, to_rgb) in enumerate(self.layers[first:], start=first):
            if (size := self._frames_per_call(x, convs, to_rgb)) < len(x):
                images = repeat(None) if image is None else image.split(size)
                parts = list(zip(x.split(size), images, split_frames(factors, size), strict=False))
                del x, image, images  # as below
                while parts:
                    yield from self._run_blocks(i, *parts.pop(0))
                return
            for conv, factor in zip(convs, factors[i] or repeat(None), strict=False):
                x = leaky_relu_(conv(x if factor is None else x * factor.to(x.dtype)))
            rgb = to_rgb(x).float()
            image = rgb if image is None else upsample2d(image, self.fir) + rgb
        assert image is not None
        ready = [image]
        del x, rgb, image  # nothing is kept while the caller uses the frames
        yield ready.pop()

    def _frames_per_call(self, x: Tensor, convs: list[_Folded], to_rgb: _Plain) -> int:
        """Return how many of the frames `x` pass a block at once for activations of at most `MAX_ACTIVATION_BYTES`.

        All parts have the same size, since rounding may depend on it.
        """
        if x.device.type != "cpu":
            return len(x)
        pixels = x[0, 0].numel() * (4 if convs[0].up else 1)
        limit = MAX_ACTIVATION_BYTES // (pixels * to_rgb.kernel.shape[1] * self.dtype.itemsize)
        return max((size for size in range(1, min(limit, len(x)) + 1) if len(x) % size == 0), default=1)

    def _rgb(self, to_rgb: ToRGB, w: Tensor) -> _Plain:
        kernel = to_rgb.weight * (to_rgb.affine(w)[0] * to_rgb.style_gain)[:, None, None]
        return _Plain(channels_last(kernel.to(self.dtype)), to_rgb.bias.to(self.dtype))


def fold_and_run(synthesis: Synthesis, stored: StoredWeights, styles: Tensor, codes: Tensor) -> Tensor:
    """Return frames `[T, 3, H, W]` for `styles [L, w_dim]` and `codes [T, v_dim]`; for GPUs, which take them whole."""
    (frames,) = FoldedSynthesis(synthesis, styles, stored)(codes)
    return frames
