"""Logits of pairs of clips, and losses as pure functions of logits.

Shapes: B clips, T frames per clip, L logits per clip.

Logits are `[B]`, or `[B, L]` from a discriminator that judges several cells of a clip; losses average over all.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from styleganv.clip import Clip
from styleganv.config import STDDEV_GROUP
from styleganv.methods.stylegan_v.discriminator import Discriminator


def generator_loss(fake: Tensor) -> Tensor:
    """Return the non-saturating logistic loss (Goodfellow et al. 2014): mean of `softplus(−D(fake))`."""
    return F.softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the logistic loss: mean of `softplus(D(fake))` + mean of `softplus(−D(real))`."""
    return F.softplus(fake).mean() + F.softplus(-real).mean()


def relativistic_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Return the relativistic pairing loss (R3GAN, Huang et al. 2024): mean of `softplus(D(real) − D(fake))`."""
    return F.softplus(real - fake).mean()


def relativistic_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the relativistic pairing loss: mean of `softplus(D(fake) − D(real))`.

    It converges locally only with gradient penalties on real and generated clips.
    """
    return F.softplus(fake - real).mean()


def compute_logits(network: nn.Module, fake: Clip, real: Clip) -> tuple[Tensor, Tensor]:
    """Return the logits of both, in one pass if the groups of the minibatch standard deviation allow it.

    Generated and real clips are interleaved. Groups of strided clips then hold only clips of one kind, as in separate
    passes.
    """
    if len(fake.frames) % STDDEV_GROUP:
        logits_fake, logits_real = (network(x.frames, x.times, x.label) for x in (fake, real))
        return logits_fake, logits_real
    label = None if fake.label is None or real.label is None else _interleave(fake.label, real.label)
    both = network(_interleave(fake.frames, real.frames), _interleave(fake.times, real.times), label)
    return both[::2], both[1::2]


def _interleave(a: Tensor, b: Tensor) -> Tensor:
    """Return a₀, b₀, a₁, b₁, …"""
    return torch.stack([a, b.to(a.dtype)], dim=1).flatten(0, 1)


def r1_penalty(logits: Tensor, frames: Tensor) -> Tensor:
    """Return the squared norm of the mean logit's gradient at frames (R1 at real ones, Mescheder et al. 2018), `[B]`.

    It is summed over the pixels of a frame and averaged over the T frames of a clip. The regularizer is `gamma / 2`
    times its mean. Compute it in float32: bfloat16 is 2 % off.

    Args:
        logits: `[B]` or `[B, L]`.
        frames: `[B, T, 3, H, W]`.

    Raises:
        RuntimeError: if the gradient is not differentiable (e.g. under `torch.compile`). Training would otherwise
            silently continue without the penalty.
    """
    (gradient,) = torch.autograd.grad(logits.mean() * len(logits), frames, create_graph=True)
    return _square_norm(gradient)


def r1_penalty_clip_by_clip(
    discriminator: Discriminator, frames: Tensor, times: Tensor, label: Tensor | None
) -> Tensor:
    """Return `r1_penalty`, `[B]`, in the memory of a single clip.

    Clips interact only in the small network after the joined features. Its gradient at the features determines the
    gradient at each clip's frames separately; the activations for that are recomputed in the backward pass.
    """
    condition = discriminator.embed(times, label)
    features = discriminator.compute_features(frames, condition)
    (slope,) = torch.autograd.grad(discriminator.compute_logits(features, condition).sum(), features, create_graph=True)

    def compute_penalty(clip: Tensor, condition: Tensor | None, slope: Tensor) -> Tensor:
        with torch.enable_grad():
            clip = clip.detach().requires_grad_()
            features = discriminator.compute_features(clip, condition)
            return _square_norm(*torch.autograd.grad(features, clip, slope, create_graph=True))

    def checkpoint_penalty(b: int) -> Tensor:
        own = slice(b, b + 1)  # a list would be copied to a GPU
        part = None if condition is None else condition[own]
        return checkpoint(compute_penalty, frames[own], part, slope[own], use_reentrant=True)

    return torch.cat([checkpoint_penalty(b) for b in range(len(frames))])


def _square_norm(gradient: Tensor) -> Tensor:
    if not gradient.requires_grad:
        raise RuntimeError("The R1 gradient is detached from the discriminator's weights.")
    return gradient.square().sum(dim=(2, 3, 4)).mean(dim=1)
