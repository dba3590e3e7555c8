"""Motion in all layers: its formula, its place in the network, and agreement of all ways to run the network.

Shapes: N images, L style layers, J motion styles of width D, C channels.
"""

import math
from typing import Any

import pytest
import torch
from small_networks import count_calls, generator, noise, randn, times
from torch import Tensor

from styleganv.methods.stylegan_v import folded as folded_module
from styleganv.methods.stylegan_v.folded import FoldedSynthesis, StoredWeights
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.motion_layers import (
    MOTION_STYLE_DIM,
    NUM_MOTION_STYLES,
    ChannelAttention,
    MotionStyles,
)
from styleganv.methods.stylegan_v.synthesis import ModulatedConv
from styleganv.methods.stylegan_v.transfer import copy_generator_weights
from styleganv.nn import UNIT_GAIN, modulated_conv


def moving(height: int = 32, width: int = 32, **options: Any) -> Generator:
    """Return a network whose motion styles have an effect, as after training."""
    g = generator(height, width, motion_layers="all", **options)
    with torch.no_grad():
        for i, attention in enumerate(attentions(g)):
            attention.readout.copy_(randn(*attention.readout.shape, seed=i))
    return g


def attentions(g: Generator) -> list[ChannelAttention]:
    return [attention for block in g.synthesis.blocks for attention in block.attentions]


def test_channel_by_channel() -> None:
    attention = ChannelAttention(3).double()
    attention.readout.data = randn(3, MOTION_STYLE_DIM).double()
    styles = randn(2, NUM_MOTION_STYLES, MOTION_STYLE_DIM, seed=1).double()
    factors, root = attention(styles), math.sqrt(MOTION_STYLE_DIM)
    for image in range(2):
        expected = []
        for query, readout in zip(attention.query.detach(), attention.readout.detach(), strict=True):
            logits = [float(query @ style) / root for style in styles[image]]
            weights = [math.exp(logit) / sum(map(math.exp, logits)) for logit in logits]
            values = [float(readout @ style) / root for style in styles[image]]
            expected.append(1 + sum(w * value for w, value in zip(weights, values, strict=True)))
        rms = math.sqrt(sum(factor**2 for factor in expected) / 3)
        torch.testing.assert_close(factors[image].flatten().tolist(), [factor / rms for factor in expected])


def test_motion_styles_of_a_layer_depend_on_its_own_content_and_on_the_motion_of_the_frame() -> None:
    styles_of, w, v = MotionStyles(8, 6), randn(2, 5, 8), randn(6, 6, seed=1)
    before = styles_of(w, v)
    assert before.shape == (6, 5, NUM_MOTION_STYLES, MOTION_STYLE_DIM)
    w_changed, v_changed = w.clone(), v.clone()
    w_changed[1, 3] += 1
    v_changed[2] += 1
    by_content = (styles_of(w_changed, v) != before).flatten(2).any(dim=2).nonzero().tolist()
    assert by_content == [[image, 3] for image in (3, 4, 5)]  # the three frames of clip 1
    by_motion = (styles_of(w, v_changed) != before).flatten(2).any(dim=2).nonzero().tolist()
    assert by_motion == [[2, layer] for layer in range(5)]


def test_gradients_by_finite_differences() -> None:
    styles_of, attention = MotionStyles(2, 2).double(), ChannelAttention(2).double()
    attention.readout.data = randn(2, MOTION_STYLE_DIM).double()
    w, v = randn(1, 1, 2).double().requires_grad_(), randn(2, 2, seed=1).double().requires_grad_()
    compute = lambda w, v: attention(styles_of(w, v)[:, 0])  # noqa: E731
    assert torch.autograd.gradcheck(compute, (w, v))
    assert torch.autograd.gradgradcheck(compute, (w, v))


def test_an_untrained_network_is_the_papers() -> None:
    plain, g = generator(), generator(motion_layers="all")
    new = g.load_state_dict(plain.state_dict(), strict=False)
    assert new.unexpected_keys == []
    assert {name.split(".")[1] for name in new.missing_keys} == {"motion_styles", "blocks"}
    inputs = randn(2, 8), times(), noise()
    torch.testing.assert_close(g(*inputs), plain(*inputs), rtol=0, atol=1e-6)
    assert (moving()(*inputs) - plain(*inputs)).abs().max() > 0.1


def test_factors_modulate_the_weights_of_every_convolution() -> None:
    """Scaling the input of a convolution equals scaling its demodulated weights, one image at a time."""
    g = moving(16, 16)
    block, x, w = g.synthesis.blocks[1], randn(3, 8, 4, 4), randn(1, 8)
    styles = g.synthesis.motion_styles(w[:, None].expand(-1, g.synthesis.num_styles, -1), randn(3, 8, seed=2))
    conv: ModulatedConv = block.conv1
    result = conv(block.modulate(1, x, styles[:, 1:4]), w)
    weight = conv.weight * conv.affine(w)[0][:, None, None]
    weight = weight * torch.rsqrt(weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
    for i in range(3):
        factors = block.attentions[1](styles[:, 2])[i]
        y = torch.nn.functional.conv2d(x[[i]], weight * factors, padding=1)
        expected = torch.nn.functional.leaky_relu((y + conv.bias[:, None, None]) * UNIT_GAIN, 0.2)
        torch.testing.assert_close(result[[i]], expected, atol=1e-5, rtol=1e-4)


def test_motion_reaches_every_layer() -> None:
    """Each of them, on its own, changes what two frames have in common."""
    g = moving()
    styles = randn(1, g.synthesis.num_styles, 8)
    codes = randn(1, 2, 8, seed=1)

    def difference() -> float:
        frames = g.synthesis(styles, codes)[0]
        return float((frames[0] - frames[1]).detach().abs().mean())

    whole = difference()
    for attention in attentions(g):
        kept = attention.readout.data
        attention.readout.data = torch.zeros_like(kept)
        assert abs(difference() - whole) > 1e-5
        attention.readout.data = kept
    g(randn(2, 8), times(), noise()).square().sum().backward()
    assert [name for name, p in g.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_clip_by_clip_and_recomputed_activations_equal_the_batch(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def results(gradient_checkpointing: bool = False) -> list[Tensor]:
        g = moving(*size)
        g.synthesis.gradient_checkpointing = gradient_checkpointing
        frames = g(randn(3, 8), times(3), noise(3))
        frames.square().sum().backward()
        return [frames.detach(), *(p.grad for p in g.parameters() if p.grad is not None)]

    together = results()
    others = [results(gradient_checkpointing=True)]
    monkeypatch.setattr(modulated_conv, "CALL_ELEMENTS", -math.inf)
    calls = count_calls(monkeypatch, modulated_conv, "modulate_kernel")
    others.append(results())
    assert len(calls) > 3 * 4  # so it ran clip by clip
    for other in others:
        for a, b in zip(together, other, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=2e-5 * float(a.abs().max()))


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bytes_at_once", [None, 4 * 16**2 * 8 * 4])
def test_folded_synthesis_equals_the_network(
    bytes_at_once: int | None, dtype: torch.dtype, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where wide blocks process a few frames at a time."""
    g = moving(*size)
    styles, codes = randn(g.synthesis.num_styles, 8), randn(6, 8, seed=1)
    if bytes_at_once is not None:
        monkeypatch.setattr(folded_module, "MAX_ACTIVATION_BYTES", bytes_at_once)
    with torch.no_grad():
        expected = g.synthesis(styles[None], codes[None])[0]
        with torch.autocast("cpu", torch.bfloat16):
            half = g.synthesis(styles[None], codes[None])[0]
    parts = list(FoldedSynthesis(g.synthesis, styles, StoredWeights(g.synthesis, dtype))(codes))
    assert (len(parts) > 1) == (bytes_at_once is not None)
    error = (torch.cat(parts) - expected).abs()
    if dtype == torch.float32:
        assert error.max() < 1e-5 * expected.abs().max()
    else:
        assert 0 < error.mean() < 1.5 * (half - expected).abs().mean()


def test_frames_move_continuously_in_every_layer() -> None:
    g, step = moving(), 1e-4
    t = torch.tensor([[8 - step, 8, 8 + step, 9]], dtype=torch.float64)  # around a slot
    frames = g(randn(1, 8), t, noise(1))[0].detach()
    assert frames[:3].diff(dim=0).abs().max() < 0.01 * (frames[3] - frames[1]).abs().max()


def test_a_network_that_grows_leaves_the_highest_layers_out() -> None:
    g = moving()
    g.synthesis.num_skipped = 1
    g(randn(2, 8), times(), noise()).sum().backward()
    unused = {name for name, p in g.named_parameters() if p.grad is None}
    assert unused == {name for name, _ in g.named_parameters() if name.startswith("synthesis.blocks.3.")}


@pytest.mark.parametrize("source_options", [{}, {"motion": "none"}, {"motion_layers": "all"}])
def test_a_pretrained_network_starts_as_it_was(source_options: dict[str, Any]) -> None:
    source, g = generator(16, 16, **source_options), generator(32, 32, motion_layers="all")
    if source_options.get("motion_layers"):
        source = moving(16, 16)
    copy_generator_weights(g, source)
    styles, codes = randn(2, g.synthesis.num_styles, 8), randn(2, 3, 8, seed=1)
    g.synthesis.num_skipped = 1
    is_image = source.motion is None
    expected = source.synthesis(styles[:, : source.synthesis.num_styles], None if is_image else codes)
    torch.testing.assert_close(g.synthesis(styles, codes), expected.expand(-1, 3, -1, -1, -1), atol=1e-5, rtol=0)
