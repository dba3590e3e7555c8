"""Agreement with the authors' released networks, array by array, within 1e-4 of each array's largest value."""

import pytest
import torch
from reference import FOLDER, NAMES, Reference
from torch import Tensor

from styleganv.methods.stylegan_v.losses import discriminator_loss, generator_loss, r1_penalty

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the reference arrays are not here")


@pytest.fixture(params=NAMES)
def reference(request: pytest.FixtureRequest) -> Reference:
    return Reference(request.param)


def assert_agrees(ours: Tensor, theirs: Tensor, name: str = "") -> None:
    assert ours.numel() == theirs.numel(), name
    error = (ours.detach().reshape(theirs.shape) - theirs).abs().max()
    assert error <= 1e-4 * theirs.abs().max(), f"{name}: {error} of {theirs.abs().max()}"


def assert_gradients_agree(reference: Reference, loss: str, network: torch.nn.Module) -> None:
    theirs = reference.gradients(loss, network)
    ours = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    missing = {name for name in set(ours) - set(theirs) if ours[name].abs().max() > 0}
    assert not missing and set(theirs) <= set(ours)
    for name, gradient in theirs.items():
        assert_agrees(ours[name], gradient, f"{loss}/{name}")


def test_every_weight_of_the_reference_has_its_place(reference: Reference) -> None:
    for prefix, network in (("G", reference.generator()), ("D", reference.discriminator())):
        weights = reference.weights(prefix, network)
        assert set(weights) == set(network.state_dict())
        derived = ("resample_filter", "freqs", "phase_scales", "fourier_coefs")
        given = [key for key in reference.arrays if key.startswith(prefix + ".") and not key.endswith(derived)]
        assert len(given) == len(weights)


def test_styles(reference: Reference) -> None:
    generator = reference.generator()
    for psi, key in ((1.0, "ws"), (0.7, "ws_psi0.7")):
        w = generator.mapping(reference["z"], reference.label, psi=psi)
        assert reference[key].shape[1] == generator.synthesis.num_styles
        assert_agrees(w[:, None].expand_as(reference[key]), reference[key])


@pytest.mark.parametrize("times, codes", [("t", "motion_v"), ("t_long", "motion_v_long")])
def test_motion_codes(reference: Reference, times: str, codes: str) -> None:
    v = reference.generator().motion_codes(reference[times].double(), reference["motion_z"], reference.label)
    assert v is not None
    assert_agrees(v, reference[codes])


def test_frames_loss_and_gradients_of_the_generator(reference: Reference) -> None:
    generator, discriminator = reference.generator(), reference.discriminator()
    frames = generator(reference["z"], reference.times, reference["motion_z"], reference.label)
    assert_agrees(frames, reference["frames"])
    loss = generator_loss(discriminator(frames, reference["t_disc"], reference.label))
    assert_agrees(loss, reference["loss_G"])
    loss.backward()
    assert_gradients_agree(reference, "dlossG", generator)


def test_logits_loss_and_gradients_of_the_discriminator(reference: Reference) -> None:
    discriminator = reference.discriminator()
    shape = (4, reference.num_frames, 3, reference.resolution, reference.resolution)
    times = reference["t_disc"]
    fake = discriminator(reference["frames"].reshape(shape), times, reference.label)
    real = discriminator(reference["real"].reshape(shape), times, reference.label)
    assert_agrees(fake, reference["logits_fake"])
    assert_agrees(real, reference["logits_real"])
    loss = discriminator_loss(real, fake)
    assert_agrees(loss, reference["loss_D"])
    loss.backward()
    assert_gradients_agree(reference, "dlossD", discriminator)


def test_r1_penalty_and_its_gradients(reference: Reference) -> None:
    discriminator = reference.discriminator()
    real = reference["real"].reshape(4, reference.num_frames, 3, reference.resolution, reference.resolution)
    real.requires_grad_()
    penalty = r1_penalty(discriminator(real, reference["t_disc"], reference.label), real)
    assert_agrees(penalty, reference["r1_penalty_per_frame"].reshape(4, -1).mean(dim=1))
    penalty.mean().backward()
    assert_gradients_agree(reference, "dR1", discriminator)
