"""Agreement with the reference arrays of the slow twins, within 1e-4 of each array's largest value."""

import pytest
import torch
from reference import CONFIGS, Reference
from torch import Tensor

from styleganv.methods.stylegan_v.losses import discriminator_loss, generator_loss, r1_penalty


@pytest.fixture(params=CONFIGS)
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(request.param)


def assert_agrees(value: Tensor, expected: Tensor, name: str = "") -> None:
    assert value.shape == expected.shape, name
    error = (value.detach() - expected).abs().max()
    assert error <= 1e-4 * expected.abs().max(), f"{name}: {error} of {expected.abs().max()}"


def assert_gradients_agree(reference: Reference, loss: str, network: torch.nn.Module) -> None:
    expected = reference.read(loss)
    for name, parameter in network.named_parameters():
        if name in expected:
            assert parameter.grad is not None, name
            assert_agrees(parameter.grad, expected[name], f"{loss}/{name}")
        else:
            assert parameter.grad is None or not parameter.grad.any(), name


def test_styles(reference: Reference) -> None:
    generator = reference.generator()
    for psi, key in ((1.0, "w"), (0.7, "w_psi0.7")):
        assert_agrees(generator.mapping(reference["z"], reference.label, psi=psi), reference[key])


@pytest.mark.parametrize("times, codes", [("times", "v"), ("times_long", "v_long")])
def test_motion_codes(reference: Reference, times: str, codes: str) -> None:
    v = reference.generator().motion_codes(reference[times], reference["motion_noise"], reference.label)
    assert v is not None
    assert_agrees(v, reference[codes])


def test_frames_loss_and_gradients_of_the_generator(reference: Reference) -> None:
    generator, discriminator = reference.generator(), reference.discriminator()
    frames = generator(reference["z"], reference["times"], reference["motion_noise"], reference.label)
    assert_agrees(frames, reference["frames"])
    loss = generator_loss(discriminator(frames, reference["times"].round(), reference.label))
    assert_agrees(loss, reference["loss_g"])
    loss.backward()
    assert_gradients_agree(reference, "loss_g", generator)


def test_logits_loss_and_gradients_of_the_discriminator(reference: Reference) -> None:
    discriminator, times = reference.discriminator(), reference["times"].round()
    fake = discriminator(reference["frames"], times, reference.label)
    real = discriminator(reference["real"], times, reference.label)
    assert_agrees(fake, reference["logits_fake"])
    assert_agrees(real, reference["logits_real"])
    loss = discriminator_loss(real, fake)
    assert_agrees(loss, reference["loss_d"])
    loss.backward()
    assert_gradients_agree(reference, "loss_d", discriminator)


def test_r1_penalty_and_its_gradients(reference: Reference) -> None:
    # In float64, since the gradients of the biases are as small as rounding errors of float32.
    discriminator, real = reference.discriminator().double(), reference["real"].double().requires_grad_()
    label = None if reference.label is None else reference.label.double()
    penalty = r1_penalty(discriminator(real, reference["times"].round(), label), real)
    assert_agrees(penalty, reference["r1_penalty"])
    penalty.mean().backward()
    assert_gradients_agree(reference, "r1", discriminator)
