"""DIGAN: its parts in closed form, gradients, exact resumption, sampling, commands."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from run_state import assert_same_state, train_with_pauses

from styleganv import noise
from styleganv.clip import Clip
from styleganv.config import RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.data.sampling import draw_pair_offsets, draw_real_pair
from styleganv.errors import StyleganvError
from styleganv.label_space import LabelSpace
from styleganv.methods import apply_method, build_trainer
from styleganv.methods.digan.networks import RANK, DiganConfig, DiganGenerator, DiganVideos, LowRankLayer
from styleganv.methods.digan.trainer import DiganTrainer, PairDiscriminator
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.mapping import compute_label_means
from styleganv.model_folder import save_model
from styleganv.runs import train
from styleganv.training.batches import ClipDataset, iterate_batches

CPU = torch.device("cpu")
SMALL = dict(z_dim=16, w_dim=16, channel_base=128, channel_max=8, motion_dim=16)


@pytest.fixture
def small(tiny: RunConfig) -> RunConfig:
    return apply_method(tiny, "digan")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> DiganVideos:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("digan") / "model"
    generator = DiganGenerator(DiganConfig(64, 64, num_classes=3, **SMALL))
    data = {"fps": 25.0, "class_names": ["a", "b", "c"]}
    save_model(folder, generator, method="digan", data=data, training={})
    loaded = load(folder, device="cpu")
    assert isinstance(loaded, DiganVideos)
    return loaded


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(2, 100), max_span=st.integers(1, 64))
def test_every_pair_lies_in_its_window(seed: int, length: int, max_span: int) -> None:
    early, late = draw_pair_offsets(np.random.default_rng(seed), length, max_span)
    assert 0 <= early < late <= min(length - 1, max_span)
    pair = draw_real_pair(np.random.default_rng(seed), 2, length, max_span)
    assert 0 <= pair[0] < pair[1] < length and pair[1] - pair[0] == late - early


def test_pairs_follow_the_two_beta_distributions() -> None:
    """Over a window of length 1, times are uniform and the gap |a − b| has mean 2/5 (by integration)."""
    random = np.random.default_rng(0)
    pairs = np.stack([draw_pair_offsets(random, 1000, 999) for _ in range(8000)])
    histogram = np.histogram(pairs, bins=10, range=(0, 1000))[0]
    assert abs(histogram - 1600).max() < 150
    assert np.diff(pairs).mean() / 1000 == pytest.approx(0.4, abs=0.01)
    starts = np.array([draw_real_pair(random, 2, 12, 1)[0] for _ in range(5500)])
    assert abs(np.bincount(starts, minlength=11) - 500).max() < 100


def test_kernels_are_modulated_by_a_matrix_of_low_rank() -> None:
    torch.manual_seed(0)
    layer, w = LowRankLayer(24, 32, 16), torch.randn(2, 16)
    kernel = layer.compute_kernel(w)
    assert torch.allclose(kernel.square().sum(dim=2), torch.tensor(2.0), atol=1e-4)  # a unit gain for leaky ReLU
    factors = (w @ layer.affine.weight.T / 4).double()
    u, v = factors[:, : 32 * RANK].reshape(2, 32, RANK), factors[:, 32 * RANK :].reshape(2, RANK, 24)
    expected = layer.weight * (1 + u @ v / math.sqrt(10))
    expected = expected / expected.norm(dim=2, keepdim=True) * math.sqrt(2)
    torch.testing.assert_close(kernel.double(), expected, atol=1e-5, rtol=1e-4)


def test_frames_are_a_continuous_function_of_time() -> None:
    torch.manual_seed(0)
    net = DiganGenerator(DiganConfig(36, 64, **SMALL)).double()
    z, motion = torch.randn(2, 16).double(), torch.randn(2, 16).double()
    times = torch.tensor([[0.0, 1.0, 1.001, 15.0]] * 2).double()
    frames = net(z, times, motion)
    assert frames.shape == (2, 4, 3, 36, 64)
    # Motion has no effect at time 0, an effect later, and changes little in little time.
    other = net(z, times, torch.randn(2, 16).double())
    torch.testing.assert_close(frames[:, 0], other[:, 0])
    assert (frames[:, 3] - other[:, 3]).std() > 0.01
    assert (frames[:, 1] - frames[:, 2]).abs().max() < 0.01 < (frames[:, 0] - frames[:, 3]).std()


def test_one_discriminator_gets_pair_and_gap_the_other_one_frame() -> None:
    torch.manual_seed(0)
    config = DiscriminatorConfig(16, 16, channel_base=128, channel_max=8, condition_dim=16)
    pair = PairDiscriminator(config, window=15)
    frames = torch.randn(3, 2, 3, 16, 16, requires_grad=True)
    for gap, used in ((3, 1), (4, 0)):
        times = torch.tensor([[5.0, 5.0 + gap]]).expand(3, 2)
        assert pair(frames, times).shape == (6,)
        (of_pair,) = torch.autograd.grad(pair.compute_pair_logits(frames, times, None).sum(), frames)
        (frame,) = torch.autograd.grad(pair.compute_frame_logits(frames, times, None).sum(), frames)
        assert (of_pair.abs().sum(dim=(0, 2, 3, 4)) > 0).all()
        assert frame[:, used].abs().sum() > 0 and not frame[:, 1 - used].any()
        moved = pair(frames, times + 2 * torch.tensor([0.0, 1.0])) - pair(frames, times)
        assert (moved[:3].abs() > 1e-6).all() and not moved[3:].any()


def test_r1_is_computed_for_each_discriminator(faces: Path, small: RunConfig) -> None:
    trainer = build_trainer(small, VideoDataset(faces), CPU)
    assert isinstance(trainer, DiganTrainer)
    frames, times = torch.randn(1, 2, 3, 16, 16, requires_grad=True), torch.tensor([[0.0, 3.0]])
    pair = trainer.discriminator
    expected = []
    for compute in (pair.compute_pair_logits, pair.compute_frame_logits):  # type: ignore[attr-defined]
        (slope,) = torch.autograd.grad(compute(frames, times, None).sum(), frames)
        expected.append(slope.square().sum())
    torch.testing.assert_close(
        trainer._compute_penalty(trainer.discriminator, Clip(frames, times)), torch.stack(expected)
    )


@pytest.mark.slow
def test_micro_batches_give_the_gradients_of_the_batch_with_classes(tmp_path: Path, small: RunConfig) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 20, 64, 64, 3), dtype=np.uint8)
    videos = [(f"video{i}", frames[i], i % 2, {}) for i in range(4)]
    write_dataset(tmp_path / "two.zip", videos, height=64, width=64, fps=25, class_names=["a", "b"])
    data, after = VideoDataset(tmp_path / "two.zip"), []
    for changes in (dict(), dict(micro_batch_size=4), dict(micro_batch_size=4, gradient_checkpointing=True)):
        trainer = build_trainer(replace(small, training=replace(small.training, **changes)), data, CPU)
        clips = ClipDataset(data, TrainingConfig(num_frames=2, max_span=15), frame_sampler=trainer.frame_sampler)
        batches = iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=CPU)
        trainer.train_step(clips, next(batches))
        gradients = {name: p.grad for name, p in trainer.generator.named_parameters()}  # type: ignore[attr-defined]
        assert gradients["mapping.embed.weight"].any() and gradients["motion.code.embed.weight"].any()
        assert gradients["synthesis.grids.1.waves.phase"].any()
        after.append(gradients)
    for other in after[1:]:
        for name, value in after[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()), msg=name)


def test_a_resumed_run_equals_an_uninterrupted_one(faces: Path, small: RunConfig, tmp_path: Path) -> None:
    data, paths = VideoDataset(faces), (tmp_path / "whole.pt", tmp_path / "halves.pt")
    trainer, _ = (train_with_pauses(small, data, path, steps) for path, steps in zip(paths, ([2], [1, 1]), strict=True))
    assert_same_state(*paths)
    assert trainer.inference_network().mapping.w_mean.any()  # type: ignore[union-attr]


def test_frames_do_not_depend_on_the_request(videos: DiganVideos) -> None:
    whole = videos.sample(seed=1, seconds=2, fps=50)
    assert len(whole) == 100 and (whole[0] != whole[-1]).any()
    np.testing.assert_array_equal(videos.sample(seed=1, seconds=2), whole[::2])
    np.testing.assert_array_equal(videos.sample(seed=1, start=0.22, seconds=0.3, fps=50), whole[11:26])
    np.testing.assert_array_equal(videos.sample(seed=1, start=1.1, seconds=0.01)[0], whole[55])
    label = videos.label_from_seed(1)
    np.testing.assert_array_equal(videos.sample(seed=1, motion_seed=1, seconds=0.2, label=label), whole[:10:2])
    for other in (dict(motion_seed=2), dict(seed=2), dict(label=(label + 1) % 3), dict(psi=0.5)):
        assert (videos.sample(**({"seed": 1, "start": 1.0, "seconds": 0.04} | other))[0] != whole[50]).any(), other


def test_frames_equal_the_network_output(videos: DiganVideos) -> None:
    sampled = videos.sample(seed=3, motion_seed=4, start=0.4, seconds=0.8, label="b")
    z, motion = (torch.from_numpy(noise.normal(s, stream, 0, 16))[None] for s, stream in ((3, 1), (4, 2)))
    times = torch.arange(10, 30, dtype=torch.float64)[None]
    with torch.no_grad():
        frames = videos.generator(z, times, motion, torch.eye(3)[[1]])[0].permute(0, 2, 3, 1)
    assert np.abs(sampled - (frames * 127.5 + 127.5).clamp(0, 255).numpy()).max() <= 0.5 + 127.5e-4


def test_truncation_and_half_precision(videos: DiganVideos) -> None:
    mean = [videos.sample(seed=seed, motion_seed=0, seconds=0.04, psi=0, label="a") for seed in (1, 2)]
    np.testing.assert_array_equal(*mean)
    w = compute_label_means(videos.generator.mapping, torch.eye(3)[:1])
    motion = torch.from_numpy(noise.normal(0, noise.MOTION, 0, 16))[None]
    with torch.no_grad():
        frame = videos.generator.synthesize(w, torch.zeros(1, 1).double(), motion, torch.eye(3)[[0]])[0, 0]
    assert np.abs(mean[0][0] - (frame.permute(1, 2, 0) * 127.5 + 127.5).clamp(0, 255).numpy()).max() <= 0.52
    half = DiganVideos(videos.generator, fps=25, labels=LabelSpace(("a", "b", "c")), device="cpu", precision="bfloat16")
    a, b = (each.sample(seed=1, seconds=0.4).astype(float) for each in (videos, half))
    assert 0 < np.abs(a - b).mean() < 0.05 * a.std()


def test_more_than_two_frames_are_rejected(faces: Path, small: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(StyleganvError, match="--num-frames 2"):
        train(faces, tmp_path / "run", replace(small, training=replace(small.training, num_frames=3)))
