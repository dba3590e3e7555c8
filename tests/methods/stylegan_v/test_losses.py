"""Losses against their formulas, number by number, and R1 against a gradient known in closed form."""

import math

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.losses import (
    discriminator_loss,
    generator_loss,
    r1_penalty,
    r1_penalty_clip_by_clip,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
)


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def test_logistic_losses_number_by_number() -> None:
    real, fake = [0.3, -1.2, 4.0], [0.5, 2.5, -3.0]
    expected = sum(map(softplus, fake)) / 3 + sum(softplus(-x) for x in real) / 3
    assert float(discriminator_loss(torch.tensor(real), torch.tensor(fake))) == pytest.approx(expected)
    expected = sum(softplus(-x) for x in fake) / 3
    assert float(generator_loss(torch.tensor(fake))) == pytest.approx(expected)


def test_relativistic_losses_number_by_number() -> None:
    real, fake = [0.3, -1.2, 4.0], [0.5, 2.5, -3.0]
    pairs = list(zip(real, fake, strict=True))
    both = torch.tensor(real), torch.tensor(fake)
    expected = sum(softplus(f - r) for r, f in pairs) / 3
    assert float(relativistic_discriminator_loss(*both)) == pytest.approx(expected)
    expected = sum(softplus(r - f) for r, f in pairs) / 3
    assert float(relativistic_generator_loss(both[1], both[0])) == pytest.approx(expected)


def test_relativistic_losses_ignore_a_common_offset() -> None:
    real, fake = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).unbind()
    for loss in (relativistic_discriminator_loss, relativistic_generator_loss):
        torch.testing.assert_close(loss(real + 7, fake + 7), loss(real, fake))


def test_losses_and_gradients_are_correct_at_extreme_logits() -> None:
    logits = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    for loss, signs in ((generator_loss(logits), [-1, -1, 0]), (discriminator_loss(logits, logits * 0), [-1, -1, 0])):
        assert torch.isfinite(loss)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.sign(gradient).tolist() == signs
    (gradient,) = torch.autograd.grad(discriminator_loss(torch.zeros(3), logits), logits)
    assert torch.sign(gradient).tolist() == [0, 1, 1]


def test_losses_are_differentiable_twice() -> None:
    a, b = torch.randn(2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()
    inputs = (a.requires_grad_(), b.requires_grad_())
    pairs = (relativistic_discriminator_loss, relativistic_generator_loss)
    for f in (discriminator_loss, lambda a, b: generator_loss(a * b), *pairs):
        assert gradcheck(f, inputs) and gradgradcheck(f, inputs)


def test_r1_of_a_linear_discriminator_in_closed_form() -> None:
    """logit = Σ w_t · frame_t has the gradient w_t in every frame: the penalty is the mean over T of |w_t|²."""
    weight = torch.randn(1, 3, 3, 4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    x = torch.randn(2, 3, 3, 4, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    penalty = r1_penalty((weight * x).sum(dim=(1, 2, 3, 4)), x)
    expected = weight.square().sum() / 3
    torch.testing.assert_close(penalty, expected.detach().expand(2))
    (gradient,) = torch.autograd.grad(penalty.mean(), weight)
    torch.testing.assert_close(gradient, 2 * weight.detach() / 3)


def test_r1_of_a_nonlinear_discriminator_against_differences() -> None:
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 2 * 2, 4), nn.Softplus(), nn.Linear(4, 1)).double()
    x = torch.randn(2, 2, 3, 2, 2, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    penalty = r1_penalty(discriminator(x).squeeze(1), x)
    step = 1e-5
    for clip in range(2):
        squares = 0.0
        for i in range(x[clip].numel()):
            e = torch.zeros_like(x[clip]).flatten()
            e[i] = step
            e = e.view_as(x[clip])
            slope = (discriminator((x[clip] + e)[None]) - discriminator((x[clip] - e)[None])) / (2 * step)
            squares += slope.item() ** 2
        assert penalty[clip].item() == pytest.approx(squares / 2, rel=1e-6)


@pytest.mark.parametrize("condition", ["modulate+project", "project", "none"])
def test_r1_clip_by_clip_equals_r1(condition: str) -> None:
    config = DiscriminatorConfig(32, 32, condition=condition, channel_base=256, channel_max=8, condition_dim=16)  # type: ignore[arg-type]
    discriminator = Discriminator(config).double()
    frames = torch.randn(8, 3, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    times = torch.arange(8)[:, None] * torch.tensor([0, 1, 3])
    whole = r1_penalty(discriminator(frames, times), frames)
    expected = torch.autograd.grad(whole.mean(), list(discriminator.parameters()), allow_unused=True)
    for discriminator.gradient_checkpointing in (False, True):
        discriminator.zero_grad()
        parts = r1_penalty_clip_by_clip(discriminator, frames.detach(), times, None)
        torch.testing.assert_close(parts, whole.detach())
        parts.mean().backward()
        for parameter, gradient in zip(discriminator.parameters(), expected, strict=True):
            assert (parameter.grad is None) == (gradient is None)
            if gradient is not None:
                torch.testing.assert_close(parameter.grad, gradient)


def test_r1_without_a_second_derivative_is_an_error() -> None:
    x = torch.randn(2, 1, 3, 2, 2).requires_grad_()
    with pytest.raises(RuntimeError, match="detached"):
        r1_penalty(x.sum(dim=(1, 2, 3, 4)), x)
