"""Convolution as the machine at hand does it fastest, and to twice the resolution.

Shapes: N images, I input channels, O output channels, k kernel size, H height, W width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv.nn import winograd
from styleganv.nn.resample import fir_filter2d


def convolve(x: Tensor, kernel: Tensor, bias: Tensor | None, up: bool = False) -> Tensor:
    """An ordinary convolution, kernel `[O, I, k, k]`, plus `bias [O]`; with `up` (k = 3, or its phases) to twice the
    resolution: transposed, stride 2, then the FIR filter."""
    if not up:
        if x.dtype == torch.float32 and winograd.is_faster(kernel, x.dtype, x.shape[0], *x.shape[2:]):
            return winograd.convolve_3x3(x, kernel, bias)
        return F.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)
    if in_phases(x.device, x.dtype):
        if kernel.shape[-1] == 3:
            kernel = phases(kernel)
        x = fir_filter2d(_convolve_phases(x, kernel), padding=1, gain=4.0, bias=bias)
        # Cut off by padding, whose gradient stays channels-last; that of a slice would not, and be much slower.
        return F.pad(x, [0, -1, 0, -1])
    return fir_filter2d(F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2), padding=1, gain=4.0, bias=bias)


def in_phases(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a transposed convolution is faster as an ordinary one to four phases: a processor's matrix instructions
    (AMX) serve ordinary convolutions only, which makes up for 16 multiplications instead of 9."""
    return device.type == "cpu" and dtype == torch.bfloat16 and torch.cpu._is_amx_tile_supported()


def phases(kernel: Tensor) -> Tensor:
    """Of a transposed 3×3 convolution with stride 2, kernel `[O, I, 3, 3]`: the ordinary 2×2 convolutions that make
    the four pixels of each 2×2 square, `[4·O, I, 2, 2]`."""
    out_channels, in_channels = kernel.shape[:2]
    # [phase, pixel, tap]: of the pixel before and this one, an even place takes taps 2 and 0, an odd one none and 1.
    one = kernel.new_tensor([[[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 0]]])
    both = torch.einsum("aby,cdx->acbdyx", one, one).reshape(16, 9)
    # A product of matrices moves whole rows of channels, where picking taps apart would move single numbers.
    made = both @ kernel.permute(2, 3, 0, 1).reshape(9, -1)
    made = made.reshape(2, 2, 2, 2, out_channels, in_channels).permute(0, 1, 4, 2, 3, 5)
    return made.reshape(4 * out_channels, 2, 2, in_channels).permute(0, 3, 1, 2)


def _convolve_phases(x: Tensor, kernel: Tensor) -> Tensor:
    """`[N, I, H, W]` → `[N, O, 2H + 2, 2W + 2]`, the last row and column zero."""
    images, _, height, width = x.shape
    x = F.conv2d(x, kernel, padding=1).permute(0, 2, 3, 1)
    x = x.reshape(images, height + 1, width + 1, 2, 2, -1).transpose(2, 3)
    return x.reshape(images, 2 * height + 2, 2 * width + 2, -1).permute(0, 3, 1, 2)
