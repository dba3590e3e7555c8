"""3×3 convolution on a CPU with fewer multiplications (Winograd's algorithm).

A tile of m×m output pixels is computed from a patch of (m+2)×(m+2) input pixels with (m+2)² products instead of 9·m².
Small matrices transform the patches and the kernel. In between, a convolution is one matrix product for each of the
(m+2)² positions (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Larger tiles multiply less
but round worse:

- float32: m = 4, a quarter of the products; errors of 3e-6 of the result's standard deviation (1e-6 for direct ones).
- bfloat16: m = 2, 4/9 of the products.

Shapes: N images, I and O input and output channels, P = (m+2)² positions, T tiles per block, H height, W width.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv.nn.hardware import uses_cpu_algorithms

#: Minimum channels and pixels for which the extra passes over memory pay off, and minimum pixels per channel for which
#: transforming the kernel does (measured with 256 and 512 channels).
MIN_CHANNELS, MIN_PIXELS, MIN_PIXELS_PER_CHANNEL = 256, 256, 4
#: Bytes per position of the patches transformed at a time: together they stay in a CPU's last-level cache.
BLOCK_BYTES = 2**18

#: Set to False to use ordinary convolutions everywhere, for comparison.
enabled = True


class _Scheme(NamedTuple):
    """Tile side m and the transforms for both dimensions at once, in float64."""

    tile: int
    from_patch: Tensor  # [P, P]
    from_kernel: Tensor  # [P, 9]
    to_tile: Tensor  # [m², P]


def _build_scheme(from_patch: list[list[int]], from_kernel: list[list[float]], to_tile: list[list[int]]) -> _Scheme:
    """Return the scheme with these one-dimensional transforms."""
    matrices = (torch.tensor(matrix, dtype=torch.float64) for matrix in (from_patch, from_kernel, to_tile))
    return _Scheme(len(to_tile), *(torch.kron(matrix, matrix) for matrix in matrices))


_SMALL = _build_scheme(
    [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
    [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
    [[1, 1, 1, 0], [0, 1, -1, -1]],
)
_LARGE = _build_scheme(
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


def is_faster(
    kernel: Tensor, dtype: torch.dtype, images: int, height: int, width: int, *, reused_kernel: bool = False
) -> bool:
    """Return whether Winograd convolution with `kernel [O, I, k, k]` is supported and faster for these sizes.

    A `reused_kernel` is transformed once for many calls.
    """
    tile = _scheme_for(dtype).tile
    return (
        enabled
        and not torch.compiler.is_compiling()  # checked before the sizes, which an exported program would fix
        and uses_cpu_algorithms(kernel.device)
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and _has_bfloat16_vectors()))
        and kernel.shape[-1] == 3
        and min(kernel.shape[:2]) >= MIN_CHANNELS
        and height % tile == width % tile == 0
        and images * height * width >= (MIN_PIXELS if reused_kernel else MIN_PIXELS_PER_CHANNEL * min(kernel.shape[:2]))
        and not torch.is_autocast_enabled("cpu")  # an ordinary convolution would run in bfloat16
    )


def _has_bfloat16_vectors() -> bool:
    """Return whether the CPU multiplies bfloat16 vectors, but has no matrix instructions.

    Without vectors the products are slow; with matrix instructions the transforms would dominate.
    """
    return torch.cpu._is_avx512_bf16_supported() and not torch.cpu._is_amx_tile_supported()


def convolve_3x3(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `F.conv2d(x, kernel, bias, padding=1)`, differentiable any number of times.

    Args:
        x: `[N, I, H, W]`, H and W multiples of m. Not bfloat16, whose kernel gradient would be too inaccurate.
        kernel: `[O, I, 3, 3]`.
        bias: `[O]` or None.
    """
    return _Convolution.apply(x, kernel, bias)


@torch.autocast("cpu", enabled=False)
def transform_kernel(kernel: Tensor, dtype: torch.dtype) -> Tensor:
    """Transform `[O, I, 3, 3]` → `[P, I, O]` for convolutions in `dtype`; the result keeps the dtype of `kernel`."""
    out_channels, in_channels = kernel.shape[:2]
    taps = kernel.permute(2, 3, 1, 0).reshape(9, -1)
    return (_scheme_for(dtype).from_kernel.to(kernel.dtype) @ taps).view(-1, in_channels, out_channels)


@torch.autocast("cpu", enabled=False)
def convolve_transformed(x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `convolve_3x3`, channels-last and without gradient, for a kernel of `transform_kernel`."""
    scheme = _scheme_for(x.dtype)
    tile, to_tile = scheme.tile, scheme.to_tile.to(x.dtype)
    images, _, height, width = x.shape
    out_channels = kernel.shape[-1]
    y = x.new_empty(images, height // tile, tile, width // tile, tile, out_channels)
    for block, patches in _iterate_patches(x, scheme):
        out = y[block]
        tiles = (to_tile @ torch.bmm(patches, kernel).flatten(1)).view(tile, tile, *out.shape[:2], -1, out_channels)
        torch.add(tiles.permute(2, 3, 0, 4, 1, 5), 0 if bias is None else bias, out=out)
    return y.view(images, height, width, out_channels).permute(0, 3, 1, 2)


@torch.autocast("cpu", enabled=False)
def _kernel_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the kernel's gradient `[O, I, 3, 3]` for `x [N, I, H, W]` and the output's `gradient [N, O, H, W]`."""
    scheme = _scheme_for(x.dtype)
    tile, from_tile = scheme.tile, scheme.to_tile.T.to(x.dtype)
    images, out_channels, height, width = gradient.shape
    in_channels = x.shape[1]
    rows = gradient.permute(0, 2, 3, 1)
    rows = rows.reshape(images, height // tile, tile, width // tile, tile, out_channels)
    total = x.new_zeros(len(from_tile), in_channels, out_channels)
    for block, patches in _iterate_patches(x, scheme):
        tiles = rows[block].permute(2, 4, 0, 1, 3, 5).reshape(tile**2, -1)
        total.baddbmm_(patches.transpose(1, 2), (from_tile @ tiles).view(len(from_tile), -1, out_channels))
    taps = scheme.from_kernel.T.to(x.dtype) @ total.flatten(1)
    return taps.view(3, 3, in_channels, out_channels).permute(3, 2, 0, 1)


def _iterate_patches(x: Tensor, scheme: _Scheme) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
    """Yield the transformed patches `[P, T, I]` of a few images or rows of tiles, with the slices of both."""
    tile = scheme.tile
    images, channels, height, width = x.shape
    rows, columns = height // tile, width // tile
    num_tiles = BLOCK_BYTES // (channels * x.dtype.itemsize)
    num_images, num_rows = max(1, num_tiles // (rows * columns)), min(rows, max(1, num_tiles // columns))
    padded = F.pad(x, [1, 1, 1, 1]).permute(0, 2, 3, 1)
    for image in range(0, images, num_images):
        for row in range(0, rows, num_rows):
            block = slice(image, image + num_images), slice(row, row + num_rows)
            patches = _transform_patches(padded[block[0], tile * row : tile * (row + num_rows) + 2], scheme)
            yield block, patches.view(len(scheme.from_patch), -1, channels)


def _transform_patches(x: Tensor, scheme: _Scheme) -> Tensor:
    """Return the transformed patches of padded rows `[N, rows, columns, I]`; their P positions come first."""
    if scheme.tile == 2:
        return _transform_small_patches(x)
    tile, from_patch = scheme.tile, scheme.from_patch.to(x.dtype)
    views = x.unfold(1, tile + 2, tile).unfold(2, tile + 2, tile)  # [N, rows, columns of tiles, I, m + 2, m + 2]
    return from_patch @ views.permute(4, 5, 0, 1, 2, 3).reshape(len(from_patch), -1)


def _transform_small_patches(x: Tensor) -> Tensor:
    """Apply `_SMALL.from_patch` as sums of shifted pixels, one dimension after the other, without gathering patches."""
    images, height, width, channels = x.shape
    rows, columns = height // 2 - 1, width // 2 - 1
    first = x.new_empty(4, images, rows, width, channels)
    both = x.new_empty(4, 4, images, rows, columns, channels)
    for axis, pixels, out in ((1, x, first.unbind(0)), (3, first, both.unbind(1))):
        a, b, c, d = pixels.unfold(axis, 4, 2).unbind(-1)
        torch.sub(a, c, out=out[0])
        torch.add(b, c, out=out[1])
        torch.sub(c, b, out=out[2])
        torch.sub(b, d, out=out[3])
    return both


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return convolve_transformed(x, transform_kernel(kernel, x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, kernel = ctx.saved_tensors
        needs_x, needs_kernel, needs_bias = ctx.needs_input_grad
        return (
            _Convolution.apply(gradient, _transpose_kernel(kernel), None) if needs_x else None,
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
            _Convolution.apply(gradient, _transpose_kernel(kernel), None) if needs_x else None,
            _Convolution.apply(x, kernel, None) if needs_gradient else None,
        )


def _transpose_kernel(kernel: Tensor) -> Tensor:
    """Return the kernel `[I, O, 3, 3]` of the adjoint of the convolution with `[O, I, 3, 3]`."""
    return kernel.flip(2, 3).transpose(0, 1)
