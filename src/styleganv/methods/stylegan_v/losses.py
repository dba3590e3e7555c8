"""Losses as pure functions of logits. Shapes: B clips, T frames a clip."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from styleganv.methods.stylegan_v.discriminator import Discriminator


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating logistic loss (Goodfellow et al. 2014): mean of `softplus(−D(fake))`, logits `[B]`."""
    return F.softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss: mean of `softplus(D(fake))` + mean of `softplus(−D(real))`, logits `[B]` each."""
    return F.softplus(fake).mean() + F.softplus(-real).mean()


def relativistic_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Relativistic pairing (R3GAN, Huang et al. 2024): mean of `softplus(−(D(fake) − D(real)))`, logits `[B]` each."""
    return F.softplus(real - fake).mean()


def relativistic_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic pairing: mean of `softplus(−(D(real) − D(fake)))`, logits `[B]` each. It converges locally only with
    gradient penalties on real and generated clips."""
    return F.softplus(fake - real).mean()


def r1_penalty(logits: Tensor, frames: Tensor) -> Tensor:
    """Squared norm of the logits' gradient at real frames (Mescheder et al. 2018), summed over a frame's
    pixels and averaged over the clip's T frames: logits `[B]`, frames `[B, T, 3, H, W]` → `[B]`.

    The regulariser is `gamma / 2` times its mean. Compute it in float32: bfloat16 is 2 % off.

    Raises:
        RuntimeError: if the gradient cannot be differentiated again (as under `torch.compile`), since training
            would then silently go on without the penalty.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), frames, create_graph=True)
    return _square_norm(gradient)


def r1_penalty_clip_by_clip(
    discriminator: Discriminator, frames: Tensor, times: Tensor, label: Tensor | None
) -> Tensor:
    """`r1_penalty` in the memory that a single clip takes: `[B]`.

    The clips meet only in the small network that judges the joined features. From its slope there, each clip's
    slope at its frames follows by itself, and what that needs is computed again for the backward pass.
    """
    condition = discriminator.embed(times, label)
    features = discriminator.features(frames, condition)
    (slope,) = torch.autograd.grad(discriminator.compute_logits(features, condition).sum(), features, create_graph=True)

    def penalty(clip: Tensor, condition: Tensor | None, slope: Tensor) -> Tensor:
        with torch.enable_grad():
            clip = clip.detach().requires_grad_()
            seen = discriminator.features(clip, condition)
            return _square_norm(*torch.autograd.grad(seen, clip, slope, create_graph=True))

    def one(b: int) -> Tensor:
        return checkpoint(
            penalty, frames[[b]], None if condition is None else condition[[b]], slope[[b]], use_reentrant=True
        )

    return torch.cat([one(b) for b in range(len(frames))])


def _square_norm(gradient: Tensor) -> Tensor:
    if not gradient.requires_grad:
        raise RuntimeError("the R1 gradient is detached from the discriminator's weights")
    return gradient.square().sum(dim=(2, 3, 4)).mean(dim=1)
