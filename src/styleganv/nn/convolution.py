"""Convolution by the fastest algorithm for the hardware, at the same or twice the resolution.

Shapes: N images, I input channels, O output channels, k kernel size, H height, W width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv.nn import winograd
from styleganv.nn.resample import fir_filter2d


def convolve(x: Tensor, kernel: Tensor, bias: Tensor | None, fir: Tensor | None = None) -> Tensor:
    """Convolve `x [N, I, H, W]` with `kernel [O, I, k, k]` and add `bias [O]`.

    With `fir`, which is `fir_kernel(4.0)`, the resolution doubles: a transposed convolution with stride 2, then that
    filter. `kernel` then has k = 3, or is the result of `split_phases`.
    """
    if fir is None:
        if x.dtype == torch.float32 and winograd.is_faster(kernel, x.dtype, x.shape[0], *x.shape[2:]):
            return winograd.convolve_3x3(x, kernel, bias)
        return F.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)
    if prefers_phases(x.device, x.dtype):
        if kernel.shape[-1] == 3:
            kernel = split_phases(kernel)
        x = fir_filter2d(_convolve_phases(x, kernel), fir, padding=1, bias=bias)
        # Negative padding crops with a channels-last gradient; the gradient of a slice is not, and much slower.
        return F.pad(x, [0, -1, 0, -1])
    return fir_filter2d(F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2), fir, padding=1, bias=bias)


def prefers_phases(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether a transposed convolution is faster as an ordinary one to four phases.

    A CPU's matrix instructions (AMX) support ordinary convolutions only. Their speed makes up for 16 multiplications
    instead of 9.
    """
    return device.type == "cpu" and dtype == torch.bfloat16 and torch.cpu._is_amx_tile_supported()


def split_phases(kernel: Tensor) -> Tensor:
    """Return the kernel of the ordinary convolution that computes a transposed one phase by phase.

    Args:
        kernel: `[O, I, 3, 3]`, of a transposed convolution with stride 2.

    Returns:
        `[4·O, I, 2, 2]`: one 2×2 convolution per pixel of each 2×2 square of the output.
    """
    out_channels, in_channels = kernel.shape[:2]
    # [phase, pixel, tap]: of the previous and the current pixel, even outputs use taps 2 and 0, odd ones none and 1.
    taps = kernel.new_tensor([[[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 0]]])
    both = torch.einsum("aby,cdx->acbdyx", taps, taps).reshape(16, 9)
    # A matrix product moves whole rows of channels; indexing the taps would move single elements.
    phases = both @ kernel.permute(2, 3, 0, 1).reshape(9, -1)
    phases = phases.reshape(2, 2, 2, 2, out_channels, in_channels).permute(0, 1, 4, 2, 3, 5)
    return phases.reshape(4 * out_channels, 2, 2, in_channels).permute(0, 3, 1, 2)


def _convolve_phases(x: Tensor, kernel: Tensor) -> Tensor:
    """Return `[N, O, 2H + 2, 2W + 2]` for `x [N, I, H, W]`; the last row and column are zero."""
    images, _, height, width = x.shape
    x = F.conv2d(x, kernel, padding=1).permute(0, 2, 3, 1)
    x = x.reshape(images, height + 1, width + 1, 2, 2, -1).transpose(2, 3)
    return x.reshape(images, 2 * height + 2, 2 * width + 2, -1).permute(0, 3, 1, 2)
