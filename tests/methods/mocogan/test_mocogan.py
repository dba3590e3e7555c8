"""MoCoGAN, as published and with StyleGAN2's networks: shapes, exact resumption, sampling, commands."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from run_state import assert_same_state, train_with_pauses

from styleganv.clip import Clip
from styleganv.config import RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.prepare import prepare
from styleganv.errors import StyleganvError
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.media.writing import write_frames
from styleganv.methods import apply_method, build_trainer, get_method
from styleganv.methods.loading import load
from styleganv.methods.mocogan.networks import ClipDiscriminator, Mocogan, MocoganConfig
from styleganv.methods.mocogan.trainer import sample_frames
from styleganv.methods.mocogan_stylegan2.networks import MocoganStylegan2, MocoganStylegan2Config
from styleganv.model_folder import save_model
from styleganv.runs import train
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.video_model import VideoModel

CPU = torch.device("cpu")
KINDS = ["mocogan", "mocogan-stylegan2"]
SIZES = {"z_dim": 8, "motion_dim": 6, "channel_max": 8}


def tiny_config(kind: str, tiny: RunConfig) -> RunConfig:
    config = apply_method(tiny, kind)
    return replace(config, training=replace(config.training, batch_size=4, total_clips=8))


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoModel:
    """Load a model of random weights from a model folder."""
    torch.manual_seed(0)
    implementation = get_method(request.param).implementation()
    network = implementation.network(implementation.config(height=16, width=24, num_classes=2, **SIZES))
    folder = tmp_path_factory.mktemp(request.param)
    save_model(
        folder / "model", network, method=request.param, data={"fps": 10, "class_names": ["a", "b"]}, training={}
    )
    return load(folder / "model")


def test_the_published_layout() -> None:
    with torch.device("meta"):
        generator = Mocogan(MocoganConfig(64, 64))
        image, video = (ClipDiscriminator(64, 64, num_frames=n) for n in (1, 16))
    widths = [layer.weight.shape[:2] for layer in generator.layers if isinstance(layer, torch.nn.ConvTranspose2d)]
    assert widths == [(60, 512), (512, 256), (256, 128), (128, 64), (64, 3)]
    for network, kernel in ((image, 1), (video, 4)):
        assert [conv.weight.shape[:3] for conv in network.convs] == [
            (64, 3, kernel), (128, 64, kernel), (256, 128, kernel), (512, 256, kernel)
        ]  # fmt: skip


@pytest.mark.parametrize("height, width", [(8, 8), (16, 24), (32, 32), (36, 64), (64, 64), (128, 128)])
def test_shapes_at_any_size(height: int, width: int) -> None:
    random = torch.Generator().manual_seed(0)
    label = torch.eye(2)
    frames = Mocogan(MocoganConfig(height, width, num_classes=2, **SIZES))(
        torch.randn(2, 8), torch.randn(2, 16, 6), label
    )
    assert frames.shape == (2, 16, 3, height, width) and frames.abs().max() <= 1
    for num_frames, noise_std in ((1, 0.0), (16, 0.1)):
        network = ClipDiscriminator(
            height, width, num_frames=num_frames, num_classes=2, channel_max=8, noise_std=noise_std
        )
        logits = network(frames[:, :num_frames], label, random)
        assert len(logits) == 2 and logits.isfinite().all()
        assert not torch.equal(logits, network(frames[:, :num_frames], label[[1, 0]], random))


def test_style_and_motion_modulate_every_layer() -> None:
    torch.manual_seed(0)
    network = MocoganStylegan2(MocoganStylegan2Config(16, 16, w_dim=8, channel_base=64, **SIZES))
    noise, times = torch.randn(2, 5, 6), torch.arange(4.0).expand(2, -1)
    frames = network(torch.randn(2, 8), times, noise)
    assert frames.shape == (2, 4, 3, 16, 16)
    assert all(block.conv1.affine.weight.shape[1] == 8 + 6 for block in network.synthesis.blocks)
    later = noise.clone()
    later[:, 2] += 1
    moved = network(torch.randn(2, 8, generator=torch.Generator().manual_seed(1)), times, later)
    same = network(torch.randn(2, 8, generator=torch.Generator().manual_seed(1)), times, noise)
    assert torch.equal(moved[:, :2], same[:, :2]) and not torch.equal(moved[:, 2], same[:, 2])


def test_sampled_frames_belong_to_their_clips() -> None:
    frames = torch.arange(4 * 16.0).reshape(4, 16, 1, 1, 1).expand(-1, -1, 3, 2, 2)
    sampled = sample_frames(Clip(frames, torch.arange(16).expand(4, -1)), [0, 1, 2, 3], seed=0)
    assert sampled.frames.shape == (4, 1, 3, 2, 2)
    assert torch.equal(sampled.frames[:, 0, 0, 0, 0], torch.arange(4) * 16 + sampled.times[:, 0])
    assert len(set(sampled.times[:, 0].tolist())) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_equals_an_uninterrupted_one(kind: str, faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    config, data = tiny_config(kind, tiny), VideoDataset(faces)
    paths = tmp_path / "whole.pt", tmp_path / "halves.pt"
    trainers = [train_with_pauses(config, data, path, steps) for path, steps in zip(paths, ([2], [1, 1]), strict=True)]
    assert_same_state(*paths)
    assert np.array_equal(*[trainer.video_model(data).sample(seed=0, seconds=0.4) for trainer in trainers])


def test_classes_condition_training(tiny: RunConfig, tmp_path: Path) -> None:
    for i in range(4):
        video = draw_video(sample_face(np.random.default_rng(i)), i, 16, 16, 16)
        write_frames(tmp_path / "classes" / f"class{i % 2}" / f"video{i}", video)
    prepare(tmp_path / "classes", tmp_path / "classes.zip", resolution=(16, 16), num_workers=1)
    data = VideoDataset(tmp_path / "classes.zip")
    for kind in KINDS:
        trainer = build_trainer(tiny_config(kind, tiny), data, CPU)
        clips = ClipDataset(data, TrainingConfig(num_frames=16, max_span=15))
        batches = iterate_batches(clips, first=0, batch_size=4, num_workers=0, device=CPU)
        trainer.train_step(clips, next(batches))
        videos = trainer.video_model(data)
        assert videos.class_names == ["class0", "class1"] and bool(trainer.finite)
        one, other = (videos.sample(seed=0, seconds=0.2, label=name) for name in videos.class_names)
        assert (one != other).any()


def test_frames_do_not_depend_on_the_request(model: VideoModel) -> None:
    whole = model.sample(seed=3, seconds=2.0)
    assert whole.shape == (20, 16, 24, 3)
    assert np.array_equal(whole, model.sample(seed=3, seconds=2.0))
    for start, count in ((0, 1), (3, 2), (5, 9), (8, 8), (19, 1)):
        part = model.sample(seed=3, start=start / 10, seconds=count / 10)
        assert np.array_equal(part, whole[start : start + count]), start
    assert np.array_equal(np.stack(list(model.stream(seed=3, start=1.1, seconds=0.4))), whole[11:15])


def test_content_and_motion_have_separate_seeds(model: VideoModel) -> None:
    grid = model.grid([0, 1], [0, 1], seconds=0.3, label="a")
    assert grid.shape == (2, 2, 3, 16, 24, 3)
    assert np.array_equal(grid[1, 1], model.sample(seed=1, seconds=0.3, label="a"))
    assert (grid[0, 0] != grid[1, 0]).any() and (grid[0, 0] != grid[0, 1]).any()


def test_unsupported_requests_are_rejected(model: VideoModel) -> None:
    with pytest.raises(StyleganvError, match="only the frame rate of its dataset"):
        model.sample(seed=0, seconds=1, fps=20)
    with pytest.raises(StyleganvError, match="whole number of frames"):
        model.sample(seed=0, seconds=1, start=0.05)
    with pytest.raises(StyleganvError, match="must end within"):
        model.sample(seed=0, seconds=1, start=2000)
    with pytest.raises(StyleganvError, match="must end within"):
        next(model.stream(seed=0))
    if model.supports_truncation:
        mean = [model.sample(seed=s, motion_seed=0, seconds=0.1, psi=0, label="a") for s in (0, 1)]
        assert np.array_equal(*mean)  # the mean content for every seed
    else:
        with pytest.raises(StyleganvError, match="MoCoGAN does not support truncation"):
            model.sample(seed=0, seconds=1, psi=0.5)


@pytest.mark.parametrize(
    "kind, group, changes, message",
    [
        ("mocogan", "training", {"num_frames": 8, "max_span": 7}, "--num-frames must be at least 10"),
        ("mocogan-stylegan2", "training", {"num_frames": 3, "max_span": 2}, "--num-frames must be at least 10"),
        ("mocogan", "training", {"max_span": 32}, "--max-span 15"),
        ("mocogan-stylegan2", "model", {"motion": "conv"}, "set --motion lstm"),
        ("mocogan", "augment", {"augment": "ada"}, "--augment none"),
        ("mocogan", "training", {"micro_batch_size": 2}, "does not support --micro-batch-size"),
    ],
)
def test_unsupported_settings_are_rejected(
    kind: str, group: str, changes: dict[str, object], message: str, faces: Path, tiny: RunConfig, tmp_path: Path
) -> None:
    config = tiny_config(kind, tiny)
    changed = replace(config, **{group: replace(getattr(config, group), **changes)})
    with pytest.raises(StyleganvError, match=message):
        train(faces, tmp_path / "run", changed)


def test_baselines_do_not_support_finetuning(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match="got mocogan: omit --finetune"):
        train(faces, tmp_path / "run", tiny_config("mocogan", tiny), finetune=tmp_path)
