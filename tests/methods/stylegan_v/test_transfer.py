"""Finetuning from models of other sizes.

Matching weights are copied bit for bit, new ones start harmlessly, frozen ones stay.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_state import assert_same_state
from safetensors.torch import load_file
from settings import with_training
from torch import Tensor

from styleganv.config import RunConfig, TrainingConfig, load_settings
from styleganv.data.dataset import VideoDataset
from styleganv.data.prepare import prepare
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.media.writing import write_frames
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.finetune import copy_matching_weights, load_pretrained, match_pretrained
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.losses import r1_penalty, r1_penalty_clip_by_clip
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks, frozen_parameters
from styleganv.methods.stylegan_v.transfer import copy_discriminator_weights, copy_generator_weights, summarize
from styleganv.model_folder import save_model
from styleganv.runs import resume, train
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.usefixtures("no_run_images")
SIZES: dict[str, Any] = dict(z_dim=16, w_dim=16, channel_base=256, channel_max=16)
MOTION: dict[str, Any] = dict(motion_noise_dim=16, motion_code_dim=16, num_frequencies=8, slot_distance=8)


def generator(height: int = 32, width: int = 32, seed: int = 0, **changes: Any) -> Generator:
    torch.manual_seed(seed)
    network = Generator(GeneratorConfig(height, width, **(SIZES | MOTION | changes))).requires_grad_(False)
    network.mapping.w_mean.normal_()
    return network


def discriminator(height: int = 64, width: int = 64, seed: int = 0, **changes: Any) -> Discriminator:
    torch.manual_seed(seed)
    return Discriminator(
        DiscriminatorConfig(height, width, **(dict(channel_base=512, channel_max=16, condition_dim=16) | changes))
    )


def equal_weights(ours: torch.nn.Module, theirs: torch.nn.Module) -> set[str]:
    """Return the names of equal weights."""
    there = theirs.state_dict()
    return {n for n, value in ours.state_dict().items() if n in there and torch.equal(value, there[n])}


def inputs(num_classes: int = 0) -> tuple[Tensor, Tensor]:
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    return z, torch.eye(num_classes)[:2] if num_classes else torch.zeros(0)


def test_from_images_to_videos_starts_with_the_images() -> None:
    """The new motion channels start at weight zero, so v has no effect at first, but its weights have gradients."""
    image, video = generator(motion="none"), generator(seed=1)
    new = copy_generator_weights(video, image)
    assert summarize(video, new) == (
        "motion, synthesis.blocks.0.conv1.weight (in part), synthesis.blocks.0.conv1.affine.weight (in part), "
        "synthesis.blocks.0.conv1.affine.bias (in part)"
    )
    z, _ = inputs()
    frames = video(z, torch.tensor([[0.0, 3.5, 40.0]] * 2))
    torch.testing.assert_close(frames, image(z, torch.zeros(2, 1)).expand_as(frames), rtol=1e-5, atol=1e-5)
    weight = video.synthesis.blocks[0].conv1.weight.requires_grad_()  # type: ignore[union-attr]
    video(z, torch.tensor([[0.0, 3.5, 40.0]] * 2)).square().sum().backward()
    assert weight.grad is not None and weight.grad[:, 16:].abs().min() > 0  # type: ignore[index]


def test_from_videos_to_images_keeps_the_constant() -> None:
    image, video = generator(motion="none"), generator(seed=1)
    assert copy_generator_weights(image, video) == []
    assert torch.equal(image.synthesis.blocks[0].conv1.weight, video.synthesis.blocks[0].conv1.weight[:, :16])  # type: ignore[union-attr,index]


@pytest.mark.parametrize("before, after", [(0, 3), (3, 0), (3, 5)])
def test_other_classes(before: int, after: int) -> None:
    """New classes start without a difference; z, motion noise and all later layers are copied."""
    source, target = generator(num_classes=before), generator(seed=1, num_classes=after)
    copy_generator_weights(target, source)
    for name in ("mapping.layers.0", "motion.convs.0"):
        ours, theirs = (network.get_submodule(name) for network in (target, source))
        torch.testing.assert_close(
            ours.weight[:, :16] * ours.weight_gain, theirs.weight[:, :16] * theirs.weight_gain, rtol=1e-6, atol=0
        )
    assert {n for n in target.state_dict() if n.startswith("synthesis")} <= equal_weights(target, source)
    if before == 0:
        (z, label), noise, times = inputs(after), torch.randn(2, 60, 16), torch.tensor([[0.0, 30.0]] * 2)
        torch.testing.assert_close(target(z, times, noise, label), source(z, times, noise), rtol=1e-5, atol=1e-5)


def test_a_larger_resolution_starts_with_the_enlarged_image() -> None:
    small, large = generator(16, 16), generator(64, 64, seed=1)
    new = copy_generator_weights(large, small)
    assert summarize(large, new) == "synthesis.blocks.3, synthesis.blocks.4"
    (z, _), noise = inputs(), torch.randn(2, 60, 16)
    times = torch.tensor([[0.0, 30.0]] * 2)
    image = small(z, times, noise).flatten(0, 1)
    pooled = torch.nn.functional.avg_pool2d(large(z, times, noise).flatten(0, 1), 4)
    assert (pooled - image)[..., 2:-2, 2:-2].abs().mean() < 0.25 * image.abs().mean()
    assert copy_generator_weights(generator(16, 16, seed=2), large) == []


def test_blocks_are_matched_by_resolution() -> None:
    """From square to wide: blocks of 4² and 8² have no counterpart, those of 16² to 32² have."""
    square, wide = generator(64, 64, channel_base=512), generator(36, 64, channel_base=512, seed=1)
    copy_generator_weights(wide, square)
    for ours, theirs in ((1, 3), (2, 4)):
        a, b = wide.synthesis.blocks[ours].state_dict(), square.synthesis.blocks[theirs].state_dict()
        assert all(torch.equal(value, b[name]) for name, value in a.items())


def test_from_an_image_discriminator_the_upper_blocks_are_copied() -> None:
    image, video = discriminator(num_frames=1), discriminator(num_frames=3, seed=1)
    new = copy_discriminator_weights(video, (64, 64), image.state_dict(), (64, 64))
    equal = equal_weights(video, image)
    assert {n for n in equal if n.startswith(("from_rgb", "blocks.0", "blocks.3"))} == {
        n for n in video.state_dict() if n.startswith(("from_rgb", "blocks.0", "blocks.3")) and "affine" not in n
    }
    assert {"blocks.1.conv1.weight", "blocks.1.skip.weight", "blocks.2.conv0.weight"} <= set(
        new
    )  # the block that ends at 16²
    assert {"blocks.1.conv0.weight", "blocks.2.conv1.weight", "conv.weight", "dense.weight"} <= equal
    assert not video.state_dict()["blocks.0.affine.weight"].any()  # so that it does not modulate yet
    assert "condition" in summarize(video, new)


def test_from_a_discriminator_of_another_resolution() -> None:
    small, large = discriminator(32, 32), discriminator(64, 64, seed=1)
    new = copy_discriminator_weights(large, (64, 64), small.state_dict(), (32, 32))
    assert summarize(large, new) == "from_rgb, blocks.0"


def build_clips(path: Path) -> ClipDataset:
    return ClipDataset(VideoDataset(path), TrainingConfig(num_frames=3, max_span=32, conditional=False))


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("larger") / "faces.zip"
    make_faces(path, num_videos=8, num_frames=40, resolution=(32, 32))
    return path


@pytest.mark.parametrize("half_life, ramp_up", [(None, None), (10_000, 0.1)])
def test_the_ema_of_a_short_finetuning_is_no_longer_the_pretrained_model(
    half_life: float | None, ramp_up: float | None, finished_run: Path, tiny: RunConfig
) -> None:
    config = with_training(tiny, ema_half_life=half_life, ema_rampup=0.1)
    assert match_pretrained(config, load_pretrained(finished_run)).training.ema_rampup == ramp_up


def test_from_a_run_both_networks_are_copied_with_the_settings_of_its_model(
    finished_run: Path, faces: Path, tiny: RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "styleganv")
    other = replace(with_training(tiny, total_clips=8, lr=1e-12), model=replace(tiny.model, condition="project"))
    train(faces, tmp_path / "second", other, finetune=finished_run)
    assert load_settings(tmp_path / "second" / "settings.yaml").model == tiny.model
    replaced = f"--condition {tiny.model.condition} (given: project)"
    assert f"Settings of the pretrained model replace those given: {replaced}." in caplog.text
    before, after = (
        load_checkpoint(run / "checkpoint.pt")["discriminator"] for run in (finished_run, tmp_path / "second")
    )
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-9, msg=name)


def test_from_an_image_run_to_larger_videos_with_classes(
    faces: Path, tiny: RunConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "styleganv")
    image = replace(with_training(tiny, num_frames=1, total_clips=8), model=replace(tiny.model, motion="none"))
    train(faces, tmp_path / "image", image)
    for i in range(4):
        video = draw_video(sample_face(np.random.default_rng(i)), i, 12, 32, 32)
        write_frames(tmp_path / "classes" / f"class{i % 2}" / f"video{i}", video)
    prepare(tmp_path / "classes", tmp_path / "classes.zip", resolution=(32, 32), num_workers=1)
    frozen = with_training(tiny, max_span=8, total_clips=8, lr=1e-12)
    train(tmp_path / "classes.zip", tmp_path / "videos", frozen, finetune=tmp_path / "image")
    assert (
        "Copied the generator from" in caplog.text
        and "except (newly initialized): " in caplog.text
        and "motion" in caplog.text
        and "Copied the discriminator from" in caplog.text
    )
    before, after = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("image", "videos"))
    name = "synthesis.blocks.2.conv1.weight"
    torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    assert load_settings(tmp_path / "videos" / "settings.yaml").model.motion == "conv"


def test_from_an_imported_folder_the_discriminator_is_copied(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    model = generator(16, 16, channel_max=8, channel_base=128)
    d = discriminator(16, 16, channel_max=8, channel_base=128, condition="project", temporal_shift=True)
    save_model(tmp_path / "model", model, data={"fps": 25, "class_names": []}, training={}, discriminator=d)
    train(faces, tmp_path / "run", with_training(tiny, total_clips=8, lr=1e-12), finetune=tmp_path / "model")
    config = load_settings(tmp_path / "run" / "settings.yaml")
    assert config.model.condition == "project" and config.model.channel_max == 8 and config.model.temporal_shift
    weights = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["discriminator"]
    for name, value in d.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-9, msg=name)


KERNEL = "motion.convs.0.weight, motion.convs.1.weight"
JOIN = "condition.embed.weight, blocks.1.conv0.weight, blocks.1.skip"


@pytest.mark.parametrize(
    "kernel, num_frames, new_generator, new_discriminator",
    [
        (11, 3, None, None),
        (3, 3, KERNEL, None),
        (11, 2, None, JOIN),
        (11, 5, None, JOIN),
        (3, 1, KERNEL, "condition, blocks.0.conv1, blocks.0.skip, blocks.1.conv0.weight, blocks.1.skip, out"),
    ],
)
def test_what_an_imported_model_lacks_is_listed(
    kernel: int,
    num_frames: int,
    new_generator: str | None,
    new_discriminator: str | None,
    larger: Path,
    tiny: RunConfig,
    tmp_path: Path,
) -> None:
    """Training has a kernel size of its own and the number of frames of its settings; all other weights are copied."""
    model = generator(motion_kernel=kernel, shortest_period=4, amplitude=False)
    critic = discriminator(32, 32, channel_base=256, condition="project", num_frames=num_frames)
    save_model(tmp_path / "m", model, data={"fps": 25, "class_names": []}, training={}, discriminator=critic)
    source = load_pretrained(tmp_path / "m")
    config = match_pretrained(replace(tiny, model=replace(tiny.model, condition="project")), source)
    networks = build_networks(config, VideoDataset(larger))
    lists = [f", except (newly initialized): {new}." if new else "." for new in (new_generator, new_discriminator)]
    assert copy_matching_weights(source, config, *networks) == [
        f"Copied the generator from {tmp_path / 'm'}{lists[0]}",
        f"Copied the discriminator from {tmp_path / 'm'}{lists[1]}",
    ]
    assert networks[0].config.shortest_period == 4 and networks[0].config.slot_distance == 8
    for network, theirs, new in zip(networks, (model, critic), (new_generator, new_discriminator), strict=True):
        different = network.state_dict().keys() - equal_weights(network, theirs)
        listed = tuple((new or "-").split(", "))
        assert all(name.startswith(listed) for name in different), different


def test_a_model_without_matching_layers_is_rejected(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    model = generator(8, 8, channel_max=8)
    save_model(tmp_path / "model", model, data={"fps": 25, "class_names": []}, training={})
    wide = tmp_path / "wide.zip"
    make_faces(wide, num_videos=8, num_frames=40, resolution=(16, 26))
    with pytest.raises(StyleganvError, match="No layer of the model"):
        train(wide, tmp_path / "run", tiny, finetune=tmp_path / "model")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_resumed_frozen_run_equals_an_uninterrupted_one(
    finished_run: Path, faces: Path, tiny: RunConfig, tmp_path: Path
) -> None:
    frozen = with_training(tiny, freeze_d=1)
    train(faces, tmp_path / "whole", with_training(frozen, total_clips=16), finetune=finished_run)
    train(faces, tmp_path / "halves", with_training(frozen, total_clips=8), finetune=finished_run)
    halves = load_settings(tmp_path / "halves" / "settings.yaml")
    resume(tmp_path / "halves", config=with_training(halves, total_clips=16))
    assert_same_state(tmp_path / "whole" / "checkpoint.pt", tmp_path / "halves" / "checkpoint.pt")
    before, after = (
        load_checkpoint(run / "checkpoint.pt")["discriminator"] for run in (finished_run, tmp_path / "whole")
    )
    same = {name for name, value in before.items() if torch.equal(after[name], value)}
    assert same == {name for name in before if name.startswith(("from_rgb.", "blocks.0."))}


@pytest.mark.parametrize("blocks", [1, 2])
def test_freezing_the_frame_blocks_does_not_change_r1(blocks: int, tiny: RunConfig) -> None:
    d = discriminator(32, 32, channel_base=256)
    for parameter in frozen_parameters(d, blocks):
        parameter.requires_grad_(False)
    frames, times = torch.randn(4, 3, 3, 32, 32, requires_grad=True), torch.tensor([[0, 3, 9]] * 4)
    gradients = []
    for penalty in (
        r1_penalty(d(frames, times), frames),
        r1_penalty_clip_by_clip(d, frames.detach().requires_grad_(), times, None),
    ):
        learning = [p for p in d.parameters() if p.requires_grad]
        d.zero_grad()
        penalty.sum().backward()
        gradients.append([None if p.grad is None else p.grad.clone() for p in learning])
    for whole, apart in zip(*gradients, strict=True):
        assert (whole is None) == (apart is None)
        if whole is not None:
            torch.testing.assert_close(apart, whole, rtol=1e-3, atol=1e-5 * float(whole.abs().max()))


@pytest.mark.parametrize("options", [{"gradient_checkpointing": True}, {"micro_batch_size": 4}])
def test_a_step_with_frozen_blocks(options: dict[str, Any], larger: Path, tiny: RunConfig) -> None:
    config = with_training(tiny, freeze_d=3, **options)
    trainer = GanTrainer(config, *build_networks(config, VideoDataset(larger)))
    before = {name: value.clone() for name, value in trainer.discriminator.state_dict().items()}
    clips = build_clips(larger)
    device = torch.device("cpu")
    trainer.train_step(clips, next(iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=device)))
    after = trainer.discriminator.state_dict()
    assert all(torch.equal(after[n], before[n]) for n in before if n.startswith(("from_rgb.", "blocks.")))
    assert not torch.equal(after["dense.weight"], before["dense.weight"])
    assert not any(p.requires_grad for p in frozen_parameters(trainer.discriminator, 3))


@pytest.mark.parametrize(
    "blocks, message",
    [(-1, "--freeze-d must be an integer of at least 0"), (3, "exceeds the 2 discriminator blocks at 16x16")],
)
def test_invalid_numbers_of_frozen_blocks_are_rejected(
    blocks: int, message: str, finished_run: Path, faces: Path, tiny: RunConfig, tmp_path: Path
) -> None:
    with pytest.raises(StyleganvError, match=message):
        train(faces, tmp_path / "run", with_training(tiny, freeze_d=blocks), finetune=finished_run)


def test_newly_initialized_weights_cannot_be_frozen(
    finished_run: Path, larger: Path, faces: Path, tiny: RunConfig, tmp_path: Path
) -> None:
    frozen = with_training(tiny, freeze_d=1)
    with pytest.raises(StyleganvError, match="pass --finetune"):
        train(faces, tmp_path / "run", frozen)
    with pytest.raises(StyleganvError, match="newly initialized weights"):
        train(larger, tmp_path / "run", frozen, finetune=finished_run)
    with pytest.raises(StyleganvError, match="newly initialized weights"):
        train(faces, tmp_path / "run", frozen, finetune=finished_run / "model")
    assert not (tmp_path / "run").exists()
