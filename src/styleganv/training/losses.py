"""Losses as pure functions of logits. Shapes: B clips, T frames a clip."""

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating logistic loss (Goodfellow et al. 2014): mean of `softplus(−D(fake))`, logits `[B]`."""
    return F.softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss: mean of `softplus(D(fake))` + mean of `softplus(−D(real))`, logits `[B]` each."""
    return F.softplus(fake).mean() + F.softplus(-real).mean()


def r1_penalty(logits: Tensor, frames: Tensor) -> Tensor:
    """Squared norm of the logits' gradient at real frames (Mescheder et al. 2018), summed over a frame's
    pixels and averaged over the clip's T frames: logits `[B]`, frames `[B, T, 3, H, W]` → `[B]`.

    The regulariser is `gamma / 2` times its mean. Compute it in float32: bfloat16 is 2 % off.

    Raises:
        RuntimeError: if the gradient cannot be differentiated again (as under `torch.compile`), since training
            would then silently go on without the penalty.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), frames, create_graph=True)
    if not gradient.requires_grad:
        raise RuntimeError("the R1 gradient is detached from the discriminator's weights")
    return gradient.square().sum(dim=(2, 3, 4)).mean(dim=1)
