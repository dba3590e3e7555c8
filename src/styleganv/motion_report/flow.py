"""Dense optical flow between grayscale images: a small estimator that measures speeds to a few percent.

Shapes: N pairs of images, H height, W width. Flow is `[N, 2, H, W]`, x to the right then y down, in pixels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: In squared gray levels per pixel: weaker gradients count as noise, and their flow tends to zero.
NOISE = 1.0
#: Shorter side of the coarsest image in pixels; at least the window's width.
COARSEST = 8
WINDOW = 5
STEPS = 3


def optical_flow(first: Tensor, second: Tensor) -> Tensor:
    """Return the flow v with `second(x + v) = first(x)`: least squares in windows, coarse to fine (Lucas–Kanade).

    Images are float gray levels `[N, H, W]` in 0..255, the flow is `[N, 2, H, W]` in pixels: zero without structure; at
    an edge, only the component across it.
    """
    levels = max(0, int(math.log2(max(1.0, min(first.shape[1:]) / COARSEST))))
    pyramid = [(first[:, None], second[:, None])]
    for _ in range(levels):
        pyramid.append(tuple(F.avg_pool2d(image, 2, ceil_mode=True) for image in pyramid[-1]))  # type: ignore[arg-type]
    flow = torch.zeros(len(first), 2, *pyramid[-1][0].shape[2:])
    for before, after in reversed(pyramid):
        if flow.shape[2:] != before.shape[2:]:
            flow = 2 * F.interpolate(flow, size=before.shape[2:], mode="bilinear", align_corners=False)
        for _ in range(STEPS):
            flow = flow + _increment(before, warp(after, flow))
    return flow


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Sample `images [N, C, H, W]` at x + flow, bilinearly; outside the frame, repeat its edge."""
    height, width = images.shape[2:]
    down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x = (flow[:, 0] + right) * (2 / max(1, width - 1)) - 1
    y = (flow[:, 1] + down) * (2 / max(1, height - 1)) - 1
    return F.grid_sample(images, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=True)


def smooth(images: Tensor, width: int = WINDOW) -> Tensor:
    """Average `images [N, C, H, W]` twice over squares of `width` (odd) pixels, which is nearly a Gaussian blur."""
    for _ in range(2):
        padded = F.pad(images, [width // 2] * 4, mode="replicate")
        # avg_pool2d adds up every window anew, which takes six times as long on a CPU (64² frames, one thread).
        images = padded.unfold(2, width, 1).mean(-1).unfold(3, width, 1).mean(-1)
    return images


def _increment(before: Tensor, after: Tensor) -> Tensor:
    """Return the remaining small flow between two images, at most a pixel: It + u Ix + v Iy = 0 in every window."""
    middle = F.pad((before + after) / 2, [1] * 4, mode="replicate")
    along = (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) / 2
    down = (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) / 2
    change = after - before
    xx, xy, yy, xt, yt = smooth(
        torch.cat([along * along, along * down, down * down, along * change, down * change], dim=1)
    ).split(1, dim=1)
    xx, yy = xx + NOISE, yy + NOISE
    determinant = xx * yy - xy * xy
    flow = torch.cat([xy * yt - yy * xt, xy * xt - xx * yt], dim=1) / determinant
    return flow.clamp(-1, 1)
