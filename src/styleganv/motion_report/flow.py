"""Dense optical flow between grey pictures: the smallest estimator that measures speeds to a few per cent.

Shapes: N pairs of pictures, H height, W width. Flow is `[N, 2, H, W]`, x to the right then y down, in pixels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Squared grey levels a pixel: gradients weaker than this are taken for noise, and their flow goes to zero.
NOISE = 1.0
#: Pixels of the shorter side of the coarsest picture; at least the window's width.
COARSEST = 8
WINDOW = 5
STEPS = 3


def optical_flow(first: Tensor, second: Tensor) -> Tensor:
    """The flow v that makes `second(x + v) = first(x)`, by least squares in windows, coarse to fine (Lucas–Kanade).

    Args:
        first, second: `[N, H, W]` float grey levels in 0..255.

    Returns:
        `[N, 2, H, W]` in pixels. Where there is no structure it is zero; along an edge, whose shift cannot be
        seen, it is the part across the edge.
    """
    levels = max(0, int(math.log2(max(1.0, min(first.shape[1:]) / COARSEST))))
    pyramid = [(first[:, None], second[:, None])]
    for _ in range(levels):
        pyramid.append(tuple(F.avg_pool2d(picture, 2, ceil_mode=True) for picture in pyramid[-1]))  # type: ignore[arg-type]
    flow = torch.zeros(len(first), 2, *pyramid[-1][0].shape[2:])
    for before, after in reversed(pyramid):
        if flow.shape[2:] != before.shape[2:]:
            flow = 2 * F.interpolate(flow, size=before.shape[2:], mode="bilinear", align_corners=False)
        for _ in range(STEPS):
            flow = flow + _increment(before, warp(after, flow))
    return flow


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """`pictures [N, C, H, W]` read at x + flow, between pixels bilinearly, beyond the frame from its edge."""
    height, width = pictures.shape[2:]
    down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = (flow[:, 0] + right) * (2 / max(1, width - 1)) - 1
    y = (flow[:, 1] + down) * (2 / max(1, height - 1)) - 1
    return F.grid_sample(pictures, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=True)


def smooth(pictures: Tensor, width: int = WINDOW) -> Tensor:
    """`pictures [N, C, H, W]` averaged twice over squares of `width` (odd) pixels, which is nearly a Gaussian."""
    for _ in range(2):
        padded = F.pad(pictures, [width // 2] * 4, mode="replicate")
        pictures = F.avg_pool2d(padded, width, stride=1)
    return pictures


def _increment(before: Tensor, after: Tensor) -> Tensor:
    """The small flow left between two pictures: It + u Ix + v Iy = 0 in every window, at most a pixel."""
    middle = F.pad((before + after) / 2, [1] * 4, mode="replicate")
    along, down = (
        (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) / 2,
        (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) / 2,
    )
    change = after - before
    xx, xy, yy, xt, yt = smooth(
        torch.cat([along * along, along * down, down * down, along * change, down * change], dim=1)
    ).split(1, dim=1)
    xx, yy = xx + NOISE, yy + NOISE
    determinant = xx * yy - xy * xy
    flow = torch.cat([xy * yt - yy * xt, xy * xt - xx * yt], dim=1) / determinant
    return flow.clamp(-1, 1)
