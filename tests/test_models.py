"""The networks as wholes: what depends on what, for every shape and option.

Shapes: B clips, T frames a clip, L style layers, K classes.
"""

import copy
import itertools
import json
import math
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v import folded as folded_module
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.folded import FoldedSynthesis, StoredWeights
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.losses import discriminator_loss, generator_loss
from styleganv.methods.stylegan_v.mapping import W_MEAN_DECAY
from styleganv.nn import convolution, modulated_conv, winograd
from styleganv.nn.layers import resolutions
from styleganv.noise import SeededNoise

SMALL_G = {
    "z_dim": 8,
    "w_dim": 8,
    "channel_base": 128,
    "channel_max": 8,
    "motion_noise_dim": 6,
    "motion_code_dim": 8,
    "num_frequencies": 4,
    "motion_kernel": 3,
    "slot_distance": 4,
    "longest_period": 64,
}
SMALL_D = {"channel_base": 128, "channel_max": 8, "condition_dim": 8, "max_gap": 64}


def generator(height: int = 32, width: int = 32, **options: Any) -> Generator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Generator(GeneratorConfig(height, width, **(SMALL_G | options)))


def discriminator(height: int = 32, width: int = 32, **options: Any) -> Discriminator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Discriminator(DiscriminatorConfig(height, width, **(SMALL_D | options)))


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def times(batch: int = 2, num_frames: int = 3) -> Tensor:
    gaps = torch.tensor([0.0, 3.0, 10.0, 17.0], dtype=torch.float64)[:num_frames]
    return torch.arange(batch, dtype=torch.float64)[:, None] * 2.5 + gaps


def noise(batch: int = 2) -> SeededNoise:
    return SeededNoise(list(range(batch)), 6)


@pytest.mark.parametrize(
    "size, smallest, count",
    [
        ((64, 64), (4, 4), 5),
        ((72, 96), (9, 12), 4),
        ((144, 256), (9, 16), 5),
        ((24, 40), (6, 10), 3),
        ((8, 8), (4, 4), 2),
        ((32, 256), (4, 32), 4),
        ((1024, 1024), (4, 4), 9),
    ],
)
def test_levels_by_hand(size: tuple[int, int], smallest: tuple[int, int], count: int) -> None:
    levels = resolutions(*size)
    assert levels[0] == smallest and levels[-1] == size and len(levels) == count
    assert all(b == (2 * a[0], 2 * a[1]) for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize(
    "size", [(100, 270), (7, 7), (33, 64), (4, 4), (127, 129), (272, 272), (300, 273), (1080, 1920), (1, 1)]
)
def test_impossible_resolutions_name_a_possible_one(size: tuple[int, int]) -> None:
    with pytest.raises(StyleganvError, match=f"{size[0]}x{size[1]} cannot be halved") as refusal:
        resolutions(*size)
    suggestion = str(refusal.value).rstrip(".").split()[-1]
    resolutions(*map(int, suggestion.split("x")))


@pytest.mark.parametrize("height, width", [(32, 32), (24, 40), (72, 96), (8, 16)])
def test_every_shape_goes_through_both_networks(height: int, width: int) -> None:
    g, d = generator(height, width), discriminator(height, width)
    frames = g(randn(2, 8), times(), noise())
    assert frames.shape == (2, 3, 3, height, width) and torch.isfinite(frames).all()
    assert d(frames, times()).shape == (2,)


def test_144x256_goes_through_both_networks() -> None:
    g = generator(144, 256, channel_base=256, channel_max=2)
    d = discriminator(144, 256, num_frames=2, channel_base=256, channel_max=2)
    frames = g(randn(1, 8), times(1, 2), noise(1))
    assert frames.shape == (1, 2, 3, 144, 256) and d(frames, times(1, 2)).shape == (1,)


def test_one_frame_without_motion_and_condition_is_an_image_model() -> None:
    g, d = generator(motion="none"), discriminator(num_frames=1, condition="none")
    assert g.motion is None and d.condition is None and g.num_slots(1e6) == 0
    image = g(randn(4, 8), torch.zeros(4, 1))
    assert image.shape == (4, 1, 3, 32, 32)
    assert torch.equal(image, g(randn(4, 8), torch.full((4, 1), 99.0)))
    assert (image[0] - image[1]).abs().max() > 1e-3
    assert torch.equal(d(image, torch.zeros(4, 1)), d(image, torch.full((4, 1), 99.0)))
    # Without classes one frame has nothing to condition on, whatever was asked for.
    assert discriminator(num_frames=1).condition is None


def test_frames_of_a_clip_are_those_of_their_times_alone() -> None:
    g = generator()
    z, t = randn(2, 8), times()
    whole = g(z, t, noise())
    for i in range(3):
        torch.testing.assert_close(g(z, t[:, i : i + 1], noise())[:, 0], whole[:, i], atol=1e-5, rtol=1e-4)
    assert (whole[:, 0] - whole[:, 1]).abs().amax(dim=(1, 2, 3)).min() > 1e-3


def test_noise_as_tensor_function_or_drawn() -> None:
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


def test_one_style_for_each_layer() -> None:
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


def test_truncation_goes_to_the_mean() -> None:
    g, z = generator(), randn(3, 8)
    g.mapping.w_mean.copy_(randn(8, seed=5))
    w = g.mapping(z)
    assert torch.equal(g.mapping(z, psi=0.0), g.mapping.w_mean.expand(3, -1))
    torch.testing.assert_close(g.mapping(z, psi=0.7), g.mapping.w_mean + 0.7 * (w - g.mapping.w_mean))
    same = SeededNoise([1, 1, 1], 6)
    frames = g(z, times(1).expand(3, -1), same, psi=0.0)
    torch.testing.assert_close(frames[0], frames[1])  # one content, moving
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


def test_size_of_z_does_not_matter() -> None:
    mapping = generator().mapping
    torch.testing.assert_close(mapping(randn(2, 8)), mapping(7 * randn(2, 8)), atol=1e-5, rtol=1e-4)


def test_classes_reach_content_and_motion_and_judge() -> None:
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


def condition_changes(d: Discriminator, t: Tensor) -> float:
    frames = randn(2, 3, 3, 32, 32)
    return float((d(frames, times()) - d(frames, t)).detach().abs().max())


@pytest.mark.parametrize("condition", ["modulate+project", "project", "none"])
def test_time_distances_matter_only_where_they_condition(condition: str) -> None:
    d = discriminator(condition=condition)
    stretched = times() * 2
    assert (condition_changes(d, stretched) > 1e-4) == (condition != "none")
    fractional = times() + torch.tensor([0.0, 0.3, 0.4])
    assert (condition_changes(d, fractional) > 1e-5) == (condition != "none")
    assert condition_changes(d, times() + 1024) < 1e-6  # only differences count


def test_modulation_acts_inside_the_blocks() -> None:
    """With the projection taken out of the way, distances still change what the blocks emit."""
    t, features = times(), {}
    frames = randn(2, 3, 3, 32, 32)
    for condition in ("modulate+project", "project"):
        d = discriminator(condition=condition)
        out: list[Tensor] = []
        d.dense.register_forward_hook(lambda module, given, result, out=out: out.append(result.detach()))
        d(frames, t), d(frames, 2 * t)
        features[condition] = float((out[0] - out[1]).abs().max())
    assert features["project"] == 0 and features["modulate+project"] > 1e-4


def test_the_order_of_frames_matters_to_the_judge() -> None:
    d, frames = discriminator(condition="none"), randn(2, 3, 3, 32, 32)
    assert (d(frames, times()) - d(frames.flip(1), times())).detach().abs().max() > 1e-4
    with pytest.raises(ValueError, match="clips of 3 frames, got 2"):
        d(frames[:, :2], times()[:, :2])


def test_gaps_beyond_the_longest_still_work() -> None:
    d = discriminator()
    assert torch.isfinite(d(randn(2, 3, 3, 32, 32), times() * 1e4)).all()


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


def test_without_minibatch_deviation_clips_are_judged_alone() -> None:
    frames = torch.randn(4, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    times = torch.arange(3.0).expand(4, 3)
    for minibatch_stddev in (True, False):
        judge = Discriminator(DiscriminatorConfig(16, 16, **SMALL_D, minibatch_stddev=minibatch_stddev))
        alone = torch.cat([judge(frames[[i]], times[[i]]) for i in range(4)])
        assert torch.allclose(judge(frames, times), alone, atol=1e-5) == (not minibatch_stddev)


def test_strided_parts_of_a_batch_are_judged_as_the_whole() -> None:
    d, frames, t = discriminator().double(), randn(8, 3, 3, 32, 32).double(), times(8)
    whole = d(frames, t)
    for part in range(2):
        torch.testing.assert_close(d(frames[part::2], t[part::2]), whole[part::2], atol=1e-12, rtol=0)
    # Contiguous halves are other groups, so the test above can fail.
    assert (d(frames[:4], t[:4]) - whole[:4]).detach().abs().max() > 1e-6


def test_bfloat16_is_close_to_float32_and_comes_out_as_float32() -> None:
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


def synthesised(g: Generator, styles: Tensor, codes: Tensor | None, dtype: torch.dtype) -> Tensor:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        return g.synthesis(styles[None], None if codes is None else codes[None])[0]


@pytest.mark.parametrize("size", [(32, 32), (24, 40), (8, 16)])
@pytest.mark.parametrize("motion", ["conv", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_folded_synthesis_gives_the_frames_of_the_network(
    size: tuple[int, int], motion: str, dtype: torch.dtype
) -> None:
    g = generator(*size, motion=motion)
    styles = randn(g.synthesis.num_styles, 8)  # another one for each layer
    codes = None if motion == "none" else randn(5, 8, seed=1)
    expected = synthesised(g, styles, codes, torch.float32)
    folded = torch.cat(list(FoldedSynthesis(g.synthesis, styles, StoredWeights(g.synthesis, dtype))(codes)))
    assert folded.dtype == torch.float32 and folded.shape == expected.shape
    if dtype == torch.float32:
        torch.testing.assert_close(folded, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    else:  # as far from the exact frames as half precision itself
        error = (synthesised(g, styles, codes, dtype) - expected).abs().mean()
        assert 0 < (folded - expected).abs().mean() < 1.5 * error


@pytest.mark.parametrize("phases", [False, True])
def test_folded_synthesis_takes_a_few_frames_at_a_time_through_wide_blocks(
    phases: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = generator(32, 32)
    styles, codes = randn(g.synthesis.num_styles, 8), randn(6, 8, seed=1)
    expected, seen = synthesised(g, styles, codes, torch.float32), []
    rgb = folded_module.upsample2d
    monkeypatch.setattr(folded_module, "upsample2d", lambda image: (seen.append(image.shape[::3]), rgb(image))[1])
    # At 16² four frames would fit: of equal parts that is three. At 32² nothing does.
    monkeypatch.setattr(
        folded_module, "MAX_ACTIVATION_BYTES", 4 * 16**2 * g.synthesis.blocks[2].conv1.weight.shape[0] * 4 + 1
    )
    for module in (folded_module, convolution):
        monkeypatch.setattr(module, "in_phases", lambda device, dtype: phases)
    parts = FoldedSynthesis(g.synthesis, styles, StoredWeights(g.synthesis))(codes)
    first = next(parts)
    assert seen == [(6, 4), (3, 8), (1, 16)]  # shown as soon as it is ready
    shown = torch.cat([first, *parts])
    torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert seen == [(6, 4), (3, 8), (1, 16), (1, 16), (1, 16), (3, 8), (1, 16), (1, 16), (1, 16)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scaled", [False, True])
def test_folded_synthesis_after_winograd(dtype: torch.dtype, scaled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    g = generator(24, 40)
    styles, codes = randn(g.synthesis.num_styles, 8), randn(3, 8, seed=1)
    expected, half = (synthesised(g, styles, codes, each) for each in (torch.float32, torch.bfloat16))
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)
    monkeypatch.setattr(winograd, "LEAST_PIXELS", 0)
    monkeypatch.setattr(winograd, "_has_bfloat16_vectors", lambda: True)
    # As if all frames had no activations, or more than any kernel has weights.
    monkeypatch.setattr(folded_module, "TYPICAL_FRAMES", 0 if scaled else 1000)
    folded = FoldedSynthesis(g.synthesis, styles, StoredWeights(g.synthesis, dtype))
    convs = [conv for each, _ in folded.layers for conv in each]
    assert all(isinstance(conv, folded_module._Scaled) is scaled for conv in convs)
    kinds = [type(getattr(conv, "convolution", conv)) for conv in convs]
    # Of 3×5, 6×10, 12×20 and 24×40, those that tiles of 4 or 2 pixels fill.
    assert kinds.count(folded_module._Transformed) == (2 if dtype == torch.float32 else 3)
    error = (torch.cat(list(folded(codes))) - expected).abs()
    if dtype == torch.float32:
        assert error.max() < 1e-5 * expected.abs().max()
    else:
        assert error.mean() < 2 * (half - expected).abs().mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stored_weights_keep_their_order_and_know_when_they_are_old(dtype: torch.dtype) -> None:
    g = generator()
    stored = StoredWeights(g.synthesis, dtype)
    for block in g.synthesis.blocks:
        for conv in block.convs():
            weight, kernel = stored._by_conv[conv][0], stored.convolution(conv, randn(1, 8)).kernel
            assert kernel.stride() == weight.stride() and kernel.dtype == dtype
    assert stored.matches(g.synthesis)
    with torch.no_grad():
        g.synthesis.blocks[0].conv1.weight.mul_(2)
    assert not stored.matches(g.synthesis)


def test_folded_synthesis_wants_one_style_a_layer() -> None:
    g = generator()
    with pytest.raises(ValueError, match="styles must be"):
        FoldedSynthesis(g.synthesis, randn(3, 8), StoredWeights(g.synthesis))


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_clip_by_clip_gives_the_frames_logits_and_gradients_of_the_batch(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways through the large blocks, of which each machine takes the one that is less work."""

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
    calls = count_calls(monkeypatch, modulated_conv, "modulated_kernel")
    apart = results()
    assert len(calls) > 3 * 4  # clip by clip, that is
    for a, b in zip(together, apart, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-5 * float(a.abs().max()))


def count_calls(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[None]:
    """Grows by one with every call of the function, which still does its work."""
    calls: list[None] = []
    function = getattr(module, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(None)
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, counted)
    return calls
