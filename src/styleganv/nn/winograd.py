"""3×3 convolutions on a processor with fewer multiplications, after Winograd.

A square of m×m pixels ("tile") of the result comes from a patch of (m+2)×(m+2) by (m+2)² products instead of 9·m²: both
the patches and the kernel are transformed by small matrices, between which a convolution is one product of matrices for
each of the (m+2)² places (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Larger tiles
multiply less and round worse, so that m is 4 in float32 (a quarter of the products; errors of 3e-6 of the result's
standard deviation, an ordinary convolution's are up to 1e-6) and 2 in bfloat16 (4/9 of the products).

Shapes: N images, I and O input and output channels, P = (m+2)² places, T tiles at a time, H height, W width.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

#: Channels and pixels from which the passes over memory are worth it, and pixels for each channel from which
#: transforming the kernel is too (measured with 256 and 512).
LEAST_CHANNELS, LEAST_PIXELS, LEAST_PIXELS_A_CHANNEL = 256, 256, 4
#: Bytes of the patches that are transformed together, for each place: all of them stay in a processor's last cache.
TOGETHER = 2**18

#: False computes everything by ordinary convolutions, for comparison.
enabled = True


class _Scheme(NamedTuple):
    """Tiles of `tile`² pixels, and the matrices for both dimensions at once, in float64."""

    tile: int
    of_patch: Tensor  # [P, P]
    of_kernel: Tensor  # [P, 9]
    of_tile: Tensor  # [m², P]


def _scheme(of_patch: list[list[int]], of_kernel: list[list[float]], of_tile: list[list[int]]) -> _Scheme:
    """From the matrices for one dimension."""
    one = (torch.tensor(matrix, dtype=torch.float64) for matrix in (of_patch, of_kernel, of_tile))
    return _Scheme(len(of_tile), *(torch.kron(matrix, matrix) for matrix in one))


_SMALL = _scheme(
    [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
    [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
    [[1, 1, 1, 0], [0, 1, -1, -1]],
)
_LARGE = _scheme(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
)


def _scheme_for(dtype: torch.dtype) -> _Scheme:
    return _SMALL if dtype == torch.bfloat16 else _LARGE


def is_faster(kernel: Tensor, dtype: torch.dtype, images: int, height: int, width: int, *, kept: bool = False) -> bool:
    """Whether a convolution of so many images with `kernel [O, I, k, k]`, in `dtype`, is served here, and faster;
    `kept` if the kernel is transformed once for many calls."""
    tile = _scheme_for(dtype).tile
    return (
        enabled
        and not torch.compiler.is_compiling()  # before the sizes, which it would fix for an exported program
        and kernel.device.type == "cpu"
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and _has_bfloat16_vectors()))
        and kernel.shape[-1] == 3
        and min(kernel.shape[:2]) >= LEAST_CHANNELS
        and height % tile == width % tile == 0
        and images * height * width >= (LEAST_PIXELS if kept else LEAST_PIXELS_A_CHANNEL * min(kernel.shape[:2]))
        and not torch.is_autocast_enabled("cpu")  # an ordinary one would be in bfloat16
    )


def _has_bfloat16_vectors() -> bool:
    """Where there are none, products of bfloat16 are slow; where there are matrix instructions, the rest would be."""
    return torch.cpu._is_avx512_bf16_supported() and not torch.cpu._is_amx_tile_supported()


def convolve_3x3(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.conv2d(x, kernel, bias, padding=1)` for `x [N, I, H, W]`, H and W multiples of m, and `kernel [O, I, 3, 3]`;
    differentiates as often as wanted. Not for bfloat16, in which a kernel's gradient would be too rough a sum."""
    return _Convolution.apply(x, kernel, bias)


@torch.autocast("cpu", enabled=False)
def transformed(kernel: Tensor, dtype: torch.dtype) -> Tensor:
    """`[O, I, 3, 3]` → `[P, I, O]` for convolutions in `dtype`; still in its own."""
    out_channels, in_channels = kernel.shape[:2]
    taps = kernel.permute(2, 3, 1, 0).reshape(9, -1)
    return (_scheme_for(dtype).of_kernel.to(kernel.dtype) @ taps).view(-1, in_channels, out_channels)


@torch.autocast("cpu", enabled=False)
def convolve_transformed(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same as `convolve_3x3` for a `transformed` kernel, without derivatives: `[N, O, H, W]`, channels-last."""
    scheme = _scheme_for(x.dtype)
    tile, of_tile = scheme.tile, scheme.of_tile.to(x.dtype)
    images, _, height, width = x.shape
    out_channels = kernel.shape[-1]
    y = x.new_empty(images, height // tile, tile, width // tile, tile, out_channels)
    for some, patches in _patches(x, scheme):
        into = y[some]
        tiles = (of_tile @ torch.bmm(patches, kernel).flatten(1)).view(tile, tile, *into.shape[:2], -1, out_channels)
        torch.add(tiles.permute(2, 3, 0, 4, 1, 5), 0 if bias is None else bias, out=into)
    return y.view(images, height, width, out_channels).permute(0, 3, 1, 2)


@torch.autocast("cpu", enabled=False)
def _kernel_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Of the kernel `[O, I, 3, 3]`, from `x [N, I, H, W]` and the result's gradient `[N, O, H, W]`."""
    scheme = _scheme_for(x.dtype)
    tile, from_tile = scheme.tile, scheme.of_tile.T.to(x.dtype)
    images, out_channels, height, width = gradient.shape
    in_channels = x.shape[1]
    rows = gradient.permute(0, 2, 3, 1)
    rows = rows.reshape(images, height // tile, tile, width // tile, tile, out_channels)
    total = x.new_zeros(len(from_tile), in_channels, out_channels)
    for some, patches in _patches(x, scheme):
        tiles = rows[some].permute(2, 4, 0, 1, 3, 5).reshape(tile**2, -1)
        total.baddbmm_(patches.transpose(1, 2), (from_tile @ tiles).view(len(from_tile), -1, out_channels))
    taps = scheme.of_kernel.T.to(x.dtype) @ total.flatten(1)
    return taps.view(3, 3, in_channels, out_channels).permute(3, 2, 0, 1)


def _patches(x: Tensor, scheme: _Scheme) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
    """The transformed patches `[P, T, I]` of a few images or a few rows of tiles, with where those are."""
    tile = scheme.tile
    images, channels, height, width = x.shape
    rows, columns = height // tile, width // tile
    together = TOGETHER // (channels * x.dtype.itemsize)
    few_images, few_rows = max(1, together // (rows * columns)), min(rows, max(1, together // columns))
    padded = F.pad(x, [1, 1, 1, 1]).permute(0, 2, 3, 1)
    for image in range(0, images, few_images):
        for row in range(0, rows, few_rows):
            some = slice(image, image + few_images), slice(row, row + few_rows)
            places = _of_patches(padded[some[0], tile * row : tile * (row + few_rows) + 2], scheme)
            yield some, places.view(len(scheme.of_patch), -1, channels)


def _of_patches(x: Tensor, scheme: _Scheme) -> Tensor:
    """The transformed patches of padded rows `[N, rows, columns, I]`, their P places first."""
    if scheme.tile == 2:
        return _sums(x)
    tile, of_patch = scheme.tile, scheme.of_patch.to(x.dtype)
    views = x.unfold(1, tile + 2, tile).unfold(2, tile + 2, tile)  # [N, rows, columns of tiles, I, m + 2, m + 2]
    return of_patch @ views.permute(4, 5, 0, 1, 2, 3).reshape(len(of_patch), -1)


def _sums(x: Tensor) -> Tensor:
    """What `_SMALL.of_patch` would make of patches, which are never gathered: sums of shifted pixels, one dimension
    after the other."""
    images, height, width, channels = x.shape
    rows, columns = height // 2 - 1, width // 2 - 1
    first = x.new_empty(4, images, rows, width, channels)
    both = x.new_empty(4, 4, images, rows, columns, channels)
    for axis, of, into in ((1, x, first.unbind(0)), (3, first, both.unbind(1))):
        a, b, c, d = of.unfold(axis, 4, 2).unbind(-1)
        torch.sub(a, c, out=into[0])
        torch.add(b, c, out=into[1])
        torch.sub(c, b, out=into[2])
        torch.sub(b, d, out=into[3])
    return both


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return convolve_transformed(x, transformed(kernel, x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, kernel = ctx.saved_tensors
        needs_x, needs_kernel, needs_bias = ctx.needs_input_grad
        return (
            _Convolution.apply(gradient, _turned(kernel), None) if needs_x else None,
            _KernelGradient.apply(x, gradient) if needs_kernel else None,
            gradient.sum(dim=(0, 2, 3)) if needs_bias else None,
        )


class _KernelGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(x, gradient)
        return _kernel_gradient(x, gradient)

    @staticmethod
    def backward(ctx: Any, kernel: Tensor) -> Any:
        x, gradient = ctx.saved_tensors
        needs_x, needs_gradient = ctx.needs_input_grad
        return (
            _Convolution.apply(gradient, _turned(kernel), None) if needs_x else None,
            _Convolution.apply(x, kernel, None) if needs_gradient else None,
        )


def _turned(kernel: Tensor) -> Tensor:
    """What leads back: `[O, I, 3, 3]` → `[I, O, 3, 3]`."""
    return kernel.flip(2, 3).transpose(0, 1)
