"""Folded synthesis equals the network, on every path of its convolutions."""

import pytest
import torch
from small_networks import generator, randn
from torch import Tensor

from styleganv.methods.stylegan_v import folded as folded_module
from styleganv.methods.stylegan_v.folded import FoldedSynthesis, StoredWeights
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.nn import convolution, winograd


def synthesize(g: Generator, styles: Tensor, codes: Tensor | None, dtype: torch.dtype) -> Tensor:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        return g.synthesis(styles[None], None if codes is None else codes[None])[0]


@pytest.mark.parametrize("size", [(32, 32), (24, 40), (8, 16)])
@pytest.mark.parametrize("motion", ["conv", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_folded_synthesis_equals_the_network(size: tuple[int, int], motion: str, dtype: torch.dtype) -> None:
    g = generator(*size, motion=motion)
    styles = randn(g.synthesis.num_styles, 8)  # a different one per layer
    codes = None if motion == "none" else randn(5, 8, seed=1)
    expected = synthesize(g, styles, codes, torch.float32)
    folded = torch.cat(list(FoldedSynthesis(g.synthesis, styles, StoredWeights(g.synthesis, dtype))(codes)))
    assert folded.dtype == torch.float32 and folded.shape == expected.shape
    if dtype == torch.float32:
        torch.testing.assert_close(folded, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    else:  # as accurate as half precision itself
        error = (synthesize(g, styles, codes, dtype) - expected).abs().mean()
        assert 0 < (folded - expected).abs().mean() < 1.5 * error


@pytest.mark.parametrize("phases", [False, True])
def test_wide_blocks_process_a_few_frames_at_a_time(phases: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    g = generator(32, 32)
    styles, codes = randn(g.synthesis.num_styles, 8), randn(6, 8, seed=1)
    expected, seen = synthesize(g, styles, codes, torch.float32), []
    rgb = folded_module.upsample2d
    monkeypatch.setattr(
        folded_module, "upsample2d", lambda image, fir: (seen.append(image.shape[::3]), rgb(image, fir))[1]
    )
    # At 16² four frames would fit, which gives equal parts of three. At 32² only one does.
    monkeypatch.setattr(
        folded_module, "MAX_ACTIVATION_BYTES", 4 * 16**2 * g.synthesis.blocks[2].conv1.weight.shape[0] * 4 + 1
    )
    for module in (folded_module, convolution):
        monkeypatch.setattr(module, "prefers_phases", lambda device, dtype: phases)
    parts = FoldedSynthesis(g.synthesis, styles, StoredWeights(g.synthesis))(codes)
    first = next(parts)
    assert seen == [(6, 4), (3, 8), (1, 16)]  # yielded as soon as it is ready
    shown = torch.cat([first, *parts])
    torch.testing.assert_close(shown, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert seen == [(6, 4), (3, 8), (1, 16), (1, 16), (1, 16), (3, 8), (1, 16), (1, 16), (1, 16)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scaled", [False, True])
def test_folded_synthesis_with_winograd(dtype: torch.dtype, scaled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    g = generator(24, 40)
    styles, codes = randn(g.synthesis.num_styles, 8), randn(3, 8, seed=1)
    expected, half = (synthesize(g, styles, codes, each) for each in (torch.float32, torch.bfloat16))
    monkeypatch.setattr(winograd, "MIN_CHANNELS", 1)
    monkeypatch.setattr(winograd, "MIN_PIXELS", 0)
    monkeypatch.setattr(winograd, "_has_bfloat16_vectors", lambda: True)
    # As if activations were free, or more than the weights of any kernel.
    monkeypatch.setattr(folded_module, "TYPICAL_FRAMES", 0 if scaled else 1000)
    folded = FoldedSynthesis(g.synthesis, styles, StoredWeights(g.synthesis, dtype))
    convs = [conv for each, _ in folded.layers for conv in each]
    assert all(isinstance(conv, folded_module._Scaled) is scaled for conv in convs)
    kinds = [type(getattr(conv, "convolution", conv)) for conv in convs]
    # Of 3×5, 6×10, 12×20 and 24×40, those divisible into tiles of 4 or 2 pixels.
    assert kinds.count(folded_module._Transformed) == (2 if dtype == torch.float32 else 3)
    error = (torch.cat(list(folded(codes))) - expected).abs()
    if dtype == torch.float32:
        assert error.max() < 1e-5 * expected.abs().max()
    else:
        assert error.mean() < 2 * (half - expected).abs().mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stored_weights_keep_their_layout_and_detect_changes(dtype: torch.dtype) -> None:
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


def test_folded_synthesis_requires_one_style_per_layer() -> None:
    g = generator()
    with pytest.raises(ValueError, match="styles must be"):
        FoldedSynthesis(g.synthesis, randn(3, 8), StoredWeights(g.synthesis))
