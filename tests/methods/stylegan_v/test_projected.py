"""The projected discriminator: what it judges, what it trains, and what it leaves alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_state import assert_same_state, flatten, train_with_pauses
from settings import with_training

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.methods import METHODS, apply_method, build_trainer, get_method
from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.projected import DEPTHS, FEATURE_GAIN, ProjectedDiscriminator
from styleganv.methods.stylegan_v.trainer import GanTrainer
from styleganv.nn.imagenet import efficientnet, extract_maps, fold_batch_norm, normalize_imagenet, offline_weights
from styleganv.training.batches import ClipDataset, iterate_batches

CPU = torch.device("cpu")
TIMES = torch.tensor([[0.0, 4.0]])


@pytest.fixture(scope="module")
def projected() -> ProjectedDiscriminator:
    return build()


def build(seed: int = 0, **changes: Any) -> ProjectedDiscriminator:
    config = DiscriminatorConfig(**({"height": 64, "width": 64, "num_frames": 2} | changes))
    return ProjectedDiscriminator(config, seed=seed, device=CPU)


@pytest.mark.parametrize("side", [4, 40, 64])
def test_only_the_heads_are_trained_and_saved(side: int, projected: ProjectedDiscriminator) -> None:
    frames = (torch.rand(3, 2, 3, side, side) * 2 - 1).requires_grad_()
    logits = projected(frames, TIMES.expand(len(frames), -1))
    cells = 5 if side == 40 else 4  # of 80 or 64 pixels
    assert logits.shape == (3, 4 * cells**2)
    logits.mean().backward()
    assert frames.grad is not None and (frames.grad.abs().amax(dim=(2, 3, 4)) > 0).all()
    assert all(parameter.grad is not None for parameter in projected.parameters())
    assert all(name.startswith(("heads.", "condition.")) for name in projected.state_dict())
    projected.zero_grad()


def test_it_judges_the_motion_of_a_clip_and_how_clips_differ(projected: ProjectedDiscriminator) -> None:
    frames = torch.rand(4, 2, 3, 64, 64) * 2 - 1
    one = frames[:1].expand(4, -1, -1, -1, -1)
    for changed in (frames.flip(1), torch.cat([frames[:1], one[1:]])):  # other motion; clips that are all alike
        before, after = (projected(x, TIMES.expand(4, -1))[0].unflatten(0, (4, -1)) for x in (frames, changed))
        assert ((before - after).abs().amax(dim=1) > 1e-3).all()  # at each depth


def test_it_judges_a_clip_by_its_time_distances_and_class() -> None:
    frames = torch.rand(1, 2, 3, 64, 64) * 2 - 1
    apart, label = torch.tensor([[0.0, 16.0]]), torch.eye(3)
    plain, with_classes, unconditional = build(), build(num_classes=3), build(num_classes=3, condition="none")
    for projected, changed, same in (
        (plain, [(apart, None)], [(TIMES + 5, None)]),
        (with_classes, [(apart, label[:1]), (TIMES, label[1:2])], [(TIMES + 5, label[:1])]),
        (unconditional, [], [(apart, label[:1]), (TIMES, label[1:2])]),
    ):
        before = projected(frames, TIMES, None if projected is plain else label[:1])
        for times, classes in changed:
            after = projected(frames, times, classes)
            assert ((before - after).unflatten(1, (4, -1)).abs().amax(dim=2) > 1e-3).all()
        for times, classes in same:
            torch.testing.assert_close(before, projected(frames, times, classes))


def test_images_without_classes_have_no_condition() -> None:
    images = build(num_frames=1)
    assert images.condition is None
    assert images(torch.rand(2, 1, 3, 64, 64), torch.zeros(2, 1)).shape == (2, 64)


def test_without_the_deviation_other_clips_change_nothing() -> None:
    alone = build(minibatch_stddev=False)
    frames = torch.rand(4, 2, 3, 64, 64) * 2 - 1
    every = alone(frames, TIMES.expand(4, -1))
    torch.testing.assert_close(alone(frames[:1], TIMES), every[:1], rtol=1e-4, atol=1e-4)


def test_heads_use_float32(projected: ProjectedDiscriminator) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        logits = projected(torch.rand(4, 2, 3, 64, 64), TIMES.expand(4, -1))
    assert logits.dtype == torch.float32


def test_clips_of_other_groups_change_nothing(projected: ProjectedDiscriminator) -> None:
    frames = torch.rand(8, 2, 3, 16, 16) * 2 - 1
    halves = [projected(half, TIMES.expand(4, -1)) for half in (frames[::2], frames[1::2])]
    whole = projected(frames, TIMES.expand(8, -1))
    torch.testing.assert_close(torch.stack(halves, dim=1).flatten(0, 1), whole, rtol=1e-4, atol=1e-4)


def test_the_frozen_network_has_the_derivatives_of_plain_convolutions() -> None:
    network = efficientnet(offline_weights(), CPU).double()
    frames = torch.rand(2, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    results = []
    for fold in (False, True):
        if fold:
            fold_batch_norm(network)
        maps = extract_maps(network, normalize_imagenet(frames), tuple(DEPTHS))
        weights = [torch.ones_like(x, requires_grad=True) for x in maps]
        total = sum((x * weight).sum() for x, weight in zip(maps, weights, strict=True))
        (slope,) = torch.autograd.grad(total, frames, create_graph=True)
        results.append([*maps, slope, *torch.autograd.grad(slope.square().sum(), weights)])
    for plain, folded in zip(*results, strict=True):
        torch.testing.assert_close(
            plain.detach(), folded.detach(), rtol=1e-9, atol=1e-9 * float(plain.detach().abs().max())
        )


def test_the_frozen_network_follows_autocast() -> None:
    network = efficientnet(offline_weights(), CPU)
    fold_batch_norm(network)
    frames = torch.rand(1, 3, 64, 64, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        maps = extract_maps(network, normalize_imagenet(frames), tuple(DEPTHS))
    assert {x.dtype for x in maps} == {torch.bfloat16}
    torch.stack([x.float().mean() for x in maps]).sum().backward()
    assert frames.grad is not None and frames.grad.dtype == torch.float32 and frames.grad.abs().sum() > 0


def test_the_frozen_network_has_features_of_deviation_ten() -> None:
    network = efficientnet(offline_weights(), CPU)
    faces = [draw_video(sample_face(np.random.default_rng(seed)), seed, 1, 64, 64)[0] for seed in range(8)]
    frames = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2) / 255
    for features in extract_maps(network, normalize_imagenet(frames), tuple(DEPTHS)):
        assert 0.7 < float((features * FEATURE_GAIN).std()) < 1.5


@pytest.fixture
def config(tiny: RunConfig) -> RunConfig:
    return with_training(tiny, loss="relativistic", second_discriminator="projected", batch_size=8)


def train_one_step(config: RunConfig, data: VideoDataset) -> GanTrainer:
    trainer = build_trainer(config, data, CPU)
    assert isinstance(trainer, GanTrainer)
    clips = ClipDataset(data, config.training, frame_sampler=trainer.frame_sampler)
    trainer.train_step(clips, next(iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=CPU)))
    return trainer


@pytest.mark.slow
def test_a_resumed_training_is_the_same(config: RunConfig, faces: Path, tmp_path: Path) -> None:
    data = VideoDataset(faces)
    trainer = train_with_pauses(config, data, tmp_path / "whole.pt", [2])
    train_with_pauses(config, data, tmp_path / "halves.pt", [1, 1])
    assert_same_state(tmp_path / "whole.pt", tmp_path / "halves.pt")
    assert any("projected" in name for name in flatten(trainer.state_dict()))


def test_a_step_trains_the_heads_and_changes_the_generator(config: RunConfig, faces: Path) -> None:
    data = VideoDataset(faces)
    ours = train_one_step(config, data)
    plain = train_one_step(with_training(config, second_discriminator="none"), data)
    assert ours.projected is not None and plain.projected is None
    fresh = ProjectedDiscriminator(ours.discriminator.config, seed=config.training.seed, device=CPU)
    for name, parameter in ours.projected.named_parameters():
        assert not torch.equal(parameter, fresh.get_parameter(name)), name
    moved = zip(ours.generator.parameters(), plain.generator.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in moved)


def test_both_discriminators_are_penalized(config: RunConfig, faces: Path) -> None:
    scalars = train_one_step(config, VideoDataset(faces)).pop_scalars()
    names = ("r1", "r2", "loss_g", "loss_d", "logits_real", "logits_fake")
    assert all(name + suffix in scalars for name in names for suffix in ("", "_projected"))
    assert scalars["r1_projected"] > 0 and scalars["r2_projected"] > 0


@pytest.mark.slow
def test_micro_batches_accumulate_to_the_whole_batch(config: RunConfig, faces: Path) -> None:
    gradients = []
    config = with_training(config, lr=1e-12)  # Adam would turn rounding into another generator before
    for micro in (8, 4):
        trainer = train_one_step(with_training(config, micro_batch_size=micro), VideoDataset(faces))
        assert trainer.projected is not None
        gradients.append([p.grad.clone() for p in trainer.projected.parameters() if p.grad is not None])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-3, atol=1e-4 * float(whole.abs().max()) + 1e-7)


def test_methods_with_losses_of_their_own_leave_it_out(config: RunConfig) -> None:
    for name in METHODS:
        changed = apply_method(config, name)
        get_method(name).check(changed)
        assert (changed.training.second_discriminator == "projected") == (name in ("stylegan-v", "stylegan2"))
    with pytest.raises(StyleganvError, match="--second-discriminator projected requires --method stylegan-v"):
        get_method("digan").check(with_training(apply_method(config, "digan"), second_discriminator="projected"))
