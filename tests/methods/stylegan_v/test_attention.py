"""Attention synthesis: masks of several objects, each with content and motion of its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_state import assert_same_state, train_with_pauses
from small_networks import generator, noise, randn, times
from tiny import save
from torch import Tensor

from styleganv.config import ModelConfig, RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.editing.direction_search import compute_motion_effect
from styleganv.errors import StyleganvError
from styleganv.interop.program import build_programs
from styleganv.interop.swap import swap_layers
from styleganv.methods import METHODS
from styleganv.methods.stylegan_v.attention import AttentionSynthesis, attend, blend
from styleganv.methods.stylegan_v.finetune import copy_matching_weights, load_pretrained, match_pretrained
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.methods.stylegan_v.sampler import load_video_generator
from styleganv.methods.stylegan_v.synthesis import ModulatedConv
from styleganv.methods.stylegan_v.trainer import build_networks
from styleganv.model_folder import save_model
from styleganv.nn import UNIT_GAIN, leaky_relu
from styleganv.training.batches import ClipDataset

#: Three objects and the background.
PARTS = 4


def network(height: int = 32, width: int = 32, **options: Any) -> tuple[Generator, AttentionSynthesis]:
    g = generator(height, width, synthesis="attention", **options)
    assert isinstance(g.synthesis, AttentionSynthesis)
    return g, g.synthesis


def parts_of(g: Generator, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Return styles `[N, L, w_dim]` and motion codes `[N, v_dim]` of three frames of each clip."""
    w = g.mapping(randn(batch, g.z_dim)).repeat_interleave(3, dim=0)
    codes = g.motion_codes(times(batch), noise(batch))
    assert codes is not None
    return w[:, None].expand(-1, g.synthesis.num_styles, -1), codes.flatten(0, 1)


@pytest.mark.parametrize("size", [(16, 16), (32, 48)])
@torch.no_grad()
def test_masks_sum_to_one_at_every_resolution(size: tuple[int, int]) -> None:
    g, synthesis = network(*size)
    w, v = synthesis.split(*parts_of(g))
    maps = synthesis.layouts(w[:, 0], v)
    assert [tuple(masks.shape) for masks, _ in maps] == [(6, PARTS, *each) for each in synthesis.sizes]
    for masks, coordinates in maps:
        assert masks.min() >= 0 and coordinates.abs().max() <= 2
        torch.testing.assert_close(masks.sum(dim=1), torch.ones_like(masks[:, 0]))
    assert torch.equal(maps[0][0][:, 1:], torch.zeros_like(maps[0][0][:, 1:]))
    assert all(0.02 < float(masks[:, 1:].sum(dim=1).mean()) < 0.9 for masks, _ in maps[1:])


@torch.no_grad()
def test_a_layout_number_by_number() -> None:
    layout = network()[1].layout
    for parameter in layout.parameters():
        parameter.zero_()
    layout.anchors[0] = torch.tensor([0.25, 0.0])  # a quarter of the side to the right
    layout.anchors[1:] = 10.0
    masks, coordinates = layout(torch.zeros(1, PARTS, 2), torch.zeros(1, PARTS, 2), 32, 32)
    # Pixel (row 16, column 24): half a pixel below and to the right of the anchor.
    score = 4.0 + float(torch.nn.functional.logsigmoid(torch.tensor(6 * (1 - 2 * (0.5 / 32 / 0.17) ** 2))))
    inside = 1 / (1 + np.exp(-score))
    assert float(masks[0, 1, 16, 24]) == pytest.approx(inside, rel=1e-5)
    expected = inside * (0.5 / 32 / 0.17) + (1 - inside) * 2 * (8.5 / 32)
    assert float(coordinates[0, 0, 16, 24]) == pytest.approx(expected, rel=1e-5)
    assert float(masks[0, 0, 16, 4]) > 0.99


@torch.no_grad()
def test_the_deeper_object_is_covered() -> None:
    layout = network()[1].layout
    layout.anchors.zero_()
    layout.content.weight.zero_()
    layout.content.weight[5, 0] = 1.0
    w = torch.zeros(1, PARTS, 2)
    w[0, 1:, 0] = torch.tensor([0.0, 3.0, -3.0])
    masks, _ = layout(w, None, 32, 32)
    assert float(masks[0, 2, 16, 16]) > 0.9


@torch.no_grad()
def test_permuting_the_objects_permutes_the_masks_and_keeps_the_frames() -> None:
    g, synthesis = network()
    styles, codes = parts_of(g)
    order = [0, 3, 1, 2]
    before, frames = masks_of(synthesis, styles, codes), synthesis.compute_images(styles, codes)
    styles = styles.unflatten(2, (PARTS, -1))[:, :, order].flatten(2)
    codes = codes.unflatten(1, (-1, PARTS))[..., order].flatten(1)
    synthesis.layout.anchors.copy_(synthesis.layout.anchors[torch.tensor(order[1:]) - 1])
    after = masks_of(synthesis, styles, codes)
    torch.testing.assert_close(after, before[:, order])
    torch.testing.assert_close(synthesis.compute_images(styles, codes), frames, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-2)


def masks_of(synthesis: AttentionSynthesis, styles: Tensor, codes: Tensor) -> Tensor:
    """Return the masks `[N, P, H, W]` at the highest resolution."""
    w, v = synthesis.split(styles, codes)
    return synthesis.layouts(w[:, 0], v)[-1][0]


@torch.no_grad()
def test_a_convolution_with_styles_by_place_equals_one_per_place() -> None:
    conv = ModulatedConv(6, 5, 3)
    x, w, masks = randn(1, 6, 4, 4), randn(1, PARTS, 3, seed=1), randn(1, PARTS, 4, 4, seed=2).softmax(dim=1)
    style = conv.affine(w)[0]
    demodulation = (style.square() @ conv.weight.square().sum(dim=(2, 3)).T).rsqrt()
    scaled = torch.stack([sum(masks[0, p] * style[p, c] for p in range(PARTS)) * x[0, c] for c in range(6)])  # type: ignore[misc]
    slow = torch.nn.functional.conv2d(scaled[None], conv.weight, padding=1)[0]
    slow = torch.stack([sum(masks[0, p] * demodulation[p, c] for p in range(PARTS)) * slow[c] for c in range(5)])  # type: ignore[misc]
    torch.testing.assert_close(attend(conv, x, w, masks, masks)[0], leaky_relu(slow * UNIT_GAIN), rtol=1e-4, atol=1e-5)
    assert blend(masks, style[None]).is_contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def test_with_equal_parts_it_modulates_as_the_paper_does() -> None:
    conv = ModulatedConv(6, 5, 3, up=True)
    x, w, masks = randn(2, 6, 4, 4), randn(2, 3, seed=1), randn(2, PARTS, 8, 8, seed=2).softmax(dim=1)
    before = torch.nn.functional.avg_pool2d(masks, 2)
    ours = attend(conv, x, w[:, None].expand(-1, PARTS, -1), before, masks)
    torch.testing.assert_close(ours, conv(x, w), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_latent_changes_its_region_most() -> None:
    """In an untrained network; the layout stays, and so do the regions."""
    g, synthesis = network(channel_base=256, channel_max=16, w_dim=32, z_dim=32)
    torch.nn.init.zeros_(synthesis.layout.content.weight)
    styles, codes = parts_of(g, 4)
    masks, frames = masks_of(synthesis, styles, codes), synthesis.compute_images(styles, codes)
    other = g.mapping(randn(4, 32, seed=5)).repeat_interleave(3, dim=0).unflatten(1, (PARTS, -1))
    for part in range(1, PARTS):
        changed = styles.unflatten(2, (PARTS, -1)).clone()
        changed[:, :, part] = other[:, None, part]
        change = (synthesis.compute_images(changed.flatten(2), codes) - frames).abs().mean(dim=1)
        inside, outside = masks[:, part], 1 - masks[:, part]
        assert (change * inside).sum() / inside.sum() > 1.5 * (change * outside).sum() / outside.sum()


def test_parts_of_z_are_independent() -> None:
    g, _ = network()
    z = randn(1, 8)
    changed = z.clone()
    changed[:, 2:4] += 1
    same = (g.mapping(changed) == g.mapping(z)).unflatten(1, (PARTS, -1)).all(dim=2)[0]
    assert same.tolist() == [True, False, True, True]
    assert torch.equal(g.mapping(z[:, [2, 3, 0, 1, 4, 5, 6, 7]])[:, :2], g.mapping(z)[:, 2:4])


@pytest.mark.parametrize("motion", ["conv", "none"])
def test_every_parameter_gets_a_gradient(motion: str) -> None:
    g, synthesis = network(motion=motion, num_classes=3, motion_kernel=3)
    label = torch.eye(3)[[0, 2]]
    frames = g(randn(2, 8), times(2, 3 if motion == "conv" else 1), None if motion == "none" else noise(), label)
    assert frames.shape == (2, 3 if motion == "conv" else 1, 3, 32, 32)
    (frames * randn(*frames.shape, seed=3)).sum().backward()
    for name, parameter in g.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    synthesis.gradient_checkpointing = True
    again = torch.autograd.grad(
        (g(randn(2, 8), times(2, frames.shape[1]), None if motion == "none" else noise(), label) ** 2).sum(),
        synthesis.layout.anchors,
    )[0]
    assert again.abs().sum() > 0


@torch.no_grad()
def test_bfloat16_is_close_to_float32() -> None:
    g, _ = network()
    exact = g(randn(2, 8), times(), noise())
    with torch.autocast("cpu", torch.bfloat16):
        half = g(randn(2, 8), times(), noise())
    assert half.dtype == torch.float32
    assert float((half - exact).abs().mean() / exact.abs().mean()) < 0.03


def test_videos_are_the_same_from_any_start_and_after_saving(tmp_path: Path) -> None:
    model = load_video_generator(save(tmp_path / "model", synthesis="attention"))
    video = model.sample(seed=1, seconds=1.0)
    assert video.std() > 1
    assert np.array_equal(model.sample(seed=1, start=12 / 25, seconds=5 / 25), video[12:17])
    assert np.array_equal(model.sample(seed=1, seconds=0.5, fps=50)[::2], video[:13])
    save_model(tmp_path / "again", model.generator, data={"fps": 25.0, "class_names": []}, training={})
    assert np.array_equal(load_video_generator(tmp_path / "again").sample(seed=1, seconds=0.2), video[:5])
    styles = model.styles_from_seed(1)
    assert np.array_equal(np.stack(list(model.render(styles, 1, seconds=0.2))), video[:5])
    mean = model.sample(seed=1, seconds=0.04, psi=0.0)
    assert np.array_equal(mean, model.sample(seed=2, motion_seed=1, seconds=0.04, psi=0.0))


@torch.no_grad()
def test_the_exported_program_gives_the_frames() -> None:
    g, _ = network()
    mapping, video = build_programs(g)
    z, window = randn(2, 8), randn(2, 12, 6, seed=1)
    styles = mapping(z, torch.ones(2))
    frames = video(styles, times(), window, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(frames, g(z, times(), window), rtol=1e-4, atol=1e-4)


@pytest.fixture
def config(tiny: RunConfig) -> RunConfig:
    return replace(tiny, model=replace(tiny.model, synthesis="attention"))


def test_a_resumed_training_is_the_same(config: RunConfig, faces: Path, tmp_path: Path) -> None:
    data = VideoDataset(faces)
    train_with_pauses(config, data, tmp_path / "whole.pt", [2])
    train_with_pauses(config, data, tmp_path / "halves.pt", [1, 1])
    assert_same_state(tmp_path / "whole.pt", tmp_path / "halves.pt")


def test_finetuning_copies_all_of_it_and_its_number_of_objects(config: RunConfig, faces: Path, tmp_path: Path) -> None:
    source = load_pretrained(save(tmp_path / "model", synthesis="attention", num_objects=1))
    matched = match_pretrained(config, source)
    assert (config.model.num_objects, matched.model.num_objects) == (3, 1)
    networks = build_networks(matched, VideoDataset(faces))
    messages = copy_matching_weights(source, matched, *networks)
    assert messages[0] == f"Copied the generator from {source.path}."
    assert torch.equal(networks[0].get_parameter("synthesis.layout.anchors"), torch.tensor([[0.0, -0.22]]))


def test_memory_and_motion_directions(config: RunConfig, faces: Path, tmp_path: Path) -> None:
    clips = ClipDataset(VideoDataset(faces), config.training)
    assert 0 < estimate_step_memory_gib(config, clips, torch.device("cpu")) < 1
    model, codes = load_video_generator(save(tmp_path / "model", synthesis="attention")), randn(5, 16)
    effect = compute_motion_effect(model, codes)
    assert effect.shape == (5, PARTS * (5 + 4))
    torch.testing.assert_close(compute_motion_effect(model, 2 * codes), 2 * effect)


@pytest.mark.parametrize(
    ("model", "training", "message"),
    [
        ({"w_dim": 18}, {}, "--w-dim must be a multiple of --num-objects + 1 = 4, got 18: change one of them."),
        ({"num_objects": 4}, {}, "--z-dim must be a multiple of --num-objects + 1 = 5, got 16: change one of them."),
        (
            {"motion_dim": 18},
            {},
            "--motion-dim must be a multiple of --num-objects + 1 = 4, got 18: change one of them.",
        ),
        ({}, {"grow_from": 8}, "--grow-from requires --synthesis skip, got attention: omit it."),
    ],
)
def test_impossible_settings_are_refused(
    config: RunConfig, model: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    changed = replace(config, model=replace(config.model, **model), training=replace(config.training, **training))
    with pytest.raises(StyleganvError) as error:
        METHODS["stylegan-v"].check(changed)
    assert str(error.value) == message
    METHODS["stylegan-v"].check(replace(changed, model=ModelConfig(), training=config.training))
    images = replace(config.model, motion="none", motion_dim=18)
    METHODS["stylegan2"].check(replace(config, model=images))


def test_other_numbers_of_styles_and_swapping_are_refused() -> None:
    g, synthesis = network()
    with pytest.raises(ValueError, match=r"styles must be \[B, 8, w_dim\], got \[1, 3, 8\]"):
        synthesis(randn(1, 3, 8), None)
    with pytest.raises(ValueError, match=r"w_dim must be a multiple of num_objects \+ 1 = 4, got 6"):
        AttentionSynthesis([(8, 8)], num_objects=3, w_dim=6, motion_dim=8, channel_base=64, channel_max=4)
    with pytest.raises(StyleganvError, match="Only layers of models with --synthesis skip can be swapped"):
        swap_layers(g, g, 16)
