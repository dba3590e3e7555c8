"""The generator: what depends on what, for every shape and option.

Shapes: B clips, T frames per clip, L style layers, K classes.
"""

import copy
import json
import math
from dataclasses import asdict
from typing import Any

import pytest
import torch
from small_networks import count_calls, discriminator, generator, noise, randn, times
from torch import Tensor

from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.losses import discriminator_loss, generator_loss
from styleganv.methods.stylegan_v.mapping import W_MEAN_DECAY
from styleganv.nn import modulated_conv
from styleganv.noise import SeededNoise


@pytest.mark.parametrize("height, width", [(32, 32), (24, 40), (72, 96), (8, 16)])
def test_both_networks_support_every_shape(height: int, width: int) -> None:
    g, d = generator(height, width), discriminator(height, width)
    frames = g(randn(2, 8), times(), noise())
    assert frames.shape == (2, 3, 3, height, width) and torch.isfinite(frames).all()
    assert d(frames, times()).shape == (2,)


def test_both_networks_support_144x256() -> None:
    g = generator(144, 256, channel_base=256, channel_max=2)
    d = discriminator(144, 256, num_frames=2, channel_base=256, channel_max=2)
    frames = g(randn(1, 8), times(1, 2), noise(1))
    assert frames.shape == (1, 2, 3, 144, 256) and d(frames, times(1, 2)).shape == (1,)


def test_without_motion_and_condition_it_is_an_image_model() -> None:
    g, d = generator(motion="none"), discriminator(num_frames=1, condition="none")
    assert g.motion is None and d.condition is None and g.num_slots(1e6) == 0
    image = g(randn(4, 8), torch.zeros(4, 1))
    assert image.shape == (4, 1, 3, 32, 32)
    assert torch.equal(image, g(randn(4, 8), torch.full((4, 1), 99.0)))
    assert (image[0] - image[1]).abs().max() > 1e-3
    assert torch.equal(d(image, torch.zeros(4, 1)), d(image, torch.full((4, 1), 99.0)))
    # Without classes, one frame has nothing to condition on, whatever the setting.
    assert discriminator(num_frames=1).condition is None


def test_frames_depend_only_on_their_own_times() -> None:
    g = generator()
    z, t = randn(2, 8), times()
    whole = g(z, t, noise())
    for i in range(3):
        torch.testing.assert_close(g(z, t[:, i : i + 1], noise())[:, 0], whole[:, i], atol=1e-5, rtol=1e-4)
    assert (whole[:, 0] - whole[:, 1]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_noise_as_tensor_as_function_or_random() -> None:
    g, z, t = generator(), randn(2, 8), times()
    slots = g.num_slots(float(t.max()))
    tensor = noise()(torch.arange(2), torch.arange(slots).expand(2, -1))
    torch.testing.assert_close(g(z, t, tensor), g(z, t, noise()))
    with pytest.raises(ValueError, match="motion noise of slots"):
        g(z, t, tensor[:, :-1])
    torch.manual_seed(0)
    first, second = g(z, t), g(z, t)
    assert not torch.equal(first, second)
    torch.manual_seed(0)
    assert torch.equal(g(z, t), first)


def test_one_style_per_layer() -> None:
    g = generator().eval()
    w = g.mapping(randn(2, 8))
    layers = g.synthesis.num_styles
    assert layers == 2 * 4  # 2 log2(32) − 2
    whole = g.synthesize(w, times(), noise())
    repeated = w[:, None].repeat(1, layers, 1)
    torch.testing.assert_close(g.synthesize(repeated, times(), noise()), whole)
    for layer in range(layers):
        changed = repeated.clone()
        changed[0, layer] += 1
        difference = (g.synthesize(changed, times(), noise()) - whole).abs().amax(dim=(1, 2, 3, 4))
        assert difference[0] > 1e-5 and difference[1] == 0
    with pytest.raises(ValueError, match=r"styles must be \[B, 8, w_dim\]"):
        g.synthesize(repeated[:, 1:], times(), noise())


def test_truncation_interpolates_towards_the_mean() -> None:
    g, z = generator(), randn(3, 8)
    g.mapping.w_mean.copy_(randn(8, seed=5))
    w = g.mapping(z)
    assert torch.equal(g.mapping(z, psi=0.0), g.mapping.w_mean.expand(3, -1))
    torch.testing.assert_close(g.mapping(z, psi=0.7), g.mapping.w_mean + 0.7 * (w - g.mapping.w_mean))
    same = SeededNoise([1, 1, 1], 6)
    frames = g(z, times(1).expand(3, -1), same, psi=0.0)
    torch.testing.assert_close(frames[0], frames[1])  # one content, in motion
    assert (frames[0, 0] - frames[0, 1]).abs().max() > 1e-4


def test_running_mean_of_w() -> None:
    mapping = generator().mapping
    expected = torch.zeros(8)
    for seed in range(3):
        batch_mean = randn(8, seed=seed)
        mapping.update_mean(batch_mean)
        expected = 0.995 * expected + 0.005 * batch_mean
    torch.testing.assert_close(mapping.w_mean, expected)
    before = mapping.w_mean.clone()
    mapping(randn(4, 8))
    assert torch.equal(mapping.w_mean, before) and W_MEAN_DECAY == 0.995


def test_the_norm_of_z_does_not_matter() -> None:
    mapping = generator().mapping
    torch.testing.assert_close(mapping(randn(2, 8)), mapping(7 * randn(2, 8)), atol=1e-5, rtol=1e-4)


def test_classes_affect_content_motion_and_logits() -> None:
    g, d = generator(num_classes=3), discriminator(num_classes=3)
    one, two = torch.eye(3)[[0, 1]], torch.eye(3)[[0, 2]]
    z, t = randn(2, 8), times()
    for f in (
        lambda label: g.mapping(z, label),
        lambda label: g.motion_codes(t, noise(), label),
        lambda label: torch.stack([d(randn(1, 3, 3, 32, 32), t[:1], x[None]) for x in label]),
    ):
        difference = (f(one) - f(two)).detach().flatten(1).abs().amax(dim=1)
        assert difference[0] < 1e-6 < 1e-4 < difference[1]
    with pytest.raises(ValueError, match="class-conditional"):
        g(z, t, noise())


@pytest.mark.parametrize(
    "motion, condition", [("conv", "modulate+project"), ("conv", "project"), ("lstm", "none"), ("none", "none")]
)
def test_every_parameter_receives_a_gradient(motion: str, condition: str) -> None:
    num_frames = 1 if motion == "none" else 3
    g = generator(16, 16, motion=motion, num_classes=2)
    d = discriminator(16, 16, num_frames=num_frames, num_classes=2, condition=condition)
    t, label = times(4, num_frames) + 1.3, torch.eye(2)[[0, 1, 1, 0]]
    fake = g(randn(4, 8), t, noise(4), label)
    generator_loss(d(fake, t, label)).backward()
    assert [n for n, p in g.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []
    d.zero_grad()
    real = randn(4, num_frames, 3, 16, 16)
    discriminator_loss(d(real, t, label), d(fake.detach(), t, label)).backward()
    assert [n for n, p in d.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_bfloat16_is_close_to_float32_and_returns_float32() -> None:
    options = {"channel_max": 32, "channel_base": 1024}
    g, d, z = generator(**options), discriminator(**options), randn(4, 8)
    with torch.no_grad():
        exact = g(z, times(4), noise(4))
        logits = d(exact, times(4))
        with torch.autocast("cpu", torch.bfloat16):
            half, half_logits = g(z, times(4), noise(4)), d(exact, times(4))
    assert half.dtype == half_logits.dtype == torch.float32
    assert 0 < (half - exact).norm() < 0.03 * exact.norm()
    assert 0 < (half_logits - logits).norm() < 0.05 * logits.norm()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_classes": 3, "mapping_layers": 4, "amplitude": False, "slot_distance": 2.5},
        {"motion_path": "bspline", "motion_noise": "multiscale", "motion_layers": "all"},
        {"motion": "lstm"},
        {"motion": "none"},
    ],
)
def test_config_builds_the_same_network_again(options: dict[str, Any]) -> None:
    g = generator(24, 40, **options)
    again = Generator(GeneratorConfig(**json.loads(json.dumps(asdict(g.config)))))
    again.load_state_dict(g.state_dict())
    label = torch.eye(3)[:2] if g.num_classes else None
    t = times(2, 1 if g.motion is None else 3)
    assert torch.equal(again(randn(2, 8), t, noise(), label), g(randn(2, 8), t, noise(), label))
    assert again.config == g.config


def test_a_copy_is_independent_and_equal() -> None:
    g = generator()
    copied = copy.deepcopy(g)
    assert torch.equal(copied(randn(2, 8), times(), noise()), g(randn(2, 8), times(), noise()))
    with torch.no_grad():
        copied.synthesis.constant.add_(1)
    assert not torch.equal(copied.synthesis.constant, g.synthesis.constant)


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_clip_by_clip_equals_the_batch(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways through the large blocks; each machine uses the faster one."""

    def results() -> list[Tensor]:
        g, d = generator(*size), discriminator(*size)
        frames = g(randn(3, 8), times(3), noise(3))
        logits = d(frames, times(3))
        # As in R1: the gradient at the frames, and its own gradient at the weights.
        (slope,) = torch.autograd.grad(logits.sum(), frames, create_graph=True)
        slope.square().sum().backward()
        weights = [p.grad for network in (g, d) for p in network.parameters() if p.grad is not None]
        return [frames.detach(), logits.detach(), slope.detach(), *weights]

    together = results()
    monkeypatch.setattr(modulated_conv, "CALL_ELEMENTS", -math.inf)
    calls = count_calls(monkeypatch, modulated_conv, "modulate_kernel")
    apart = results()
    assert len(calls) > 3 * 4  # so it ran clip by clip
    for a, b in zip(together, apart, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-5 * float(a.abs().max()))
