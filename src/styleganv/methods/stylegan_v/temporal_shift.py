"""Temporal shift (Lin, Gan and Han, ICCV 2019): frames exchange channels, so that per-frame layers see motion.

Without it, the discriminator compares frames only after it has reduced them to 16², where small and fast changes are
gone. StyleSV (Zhang et al., ICLR 2023) adds it to StyleGAN-V's discriminator.

Shapes: B clips, T frames per clip, N = B·T images, C channels, H height, W width.
"""

from typing import Any

import torch
from torch import Tensor

#: Reciprocal of the fraction of the channels that come from the previous frame, and as many from the next one.
SHARE = 8


def shift_channels(x: Tensor, num_frames: int) -> Tensor:
    """Return `x [N, C, H, W]` with its first C/8 channels from the previous frame and the following C/8 from the next.

    Beyond the ends of a clip, the frames are zero. Fewer than 8 channels stay as they are. Output and gradient are
    channels-last.
    """
    return _Shift.apply(x, num_frames, 1)


class _Shift(torch.autograd.Function):
    """One copy, forward and backward; padding and joining parts would take two, 4% of a training step instead of 2%.

    The shift is linear, and its gradient is the shift with the directions swapped.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, num_frames: int, step: int) -> Tensor:
        """Shift by `step` (1 or −1) frames forward in the first channels, and backward in the following ones."""
        ctx.num_frames, ctx.step = num_frames, step
        count = x.shape[1] // SHARE
        given = x.permute(0, 2, 3, 1)
        shifted = given.clone(memory_format=torch.contiguous_format)
        source, target = (each.unflatten(0, (-1, num_frames)) for each in (given, shifted))
        forward, backward = (slice(0, count), slice(count, 2 * count))[::step]
        target[:, 1:, ..., forward] = source[:, :-1, ..., forward]
        target[:, 0, ..., forward] = 0
        target[:, :-1, ..., backward] = source[:, 1:, ..., backward]
        target[:, -1, ..., backward] = 0
        return shifted.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Shift.apply(gradients[0], ctx.num_frames, -ctx.step), None, None
