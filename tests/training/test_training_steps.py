"""Single training steps: their memory, their losses, and every kind of model."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from settings import with_training

from styleganv.config import AugmentConfig, RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.data.prepare import prepare
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.media.writing import write_frames
from styleganv.methods import apply_method, build_trainer, get_method
from styleganv.methods.stylegan_v.inputs import DISCRIMINATOR_PHASE, GENERATOR_PHASE, scale_frames
from styleganv.methods.stylegan_v.memory import OVERHEAD, _fake_tensors, _LiveBytes, estimate_step_memory_gib
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.runs import train
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.run_log import peak_memory_gib

CPU = torch.device("cpu")
FLAGS = """--channel-base 128 --channel-max 8 --z-dim 16 --w-dim 16 --motion-dim 16
--batch-size 8 --precision float32 --r1-interval 2 --log-every 8 --augment-p 0.3"""


@pytest.fixture(scope="module")
def larger_clips(tmp_path_factory: pytest.TempPathFactory) -> ClipDataset:
    """Of 32×32, where activations outweigh everything else."""
    path = tmp_path_factory.mktemp("larger") / "data.zip"
    make_faces(path, num_videos=4, num_frames=40, resolution=(32, 32))
    return ClipDataset(VideoDataset(path), TrainingConfig(num_frames=3, max_span=32, conditional=False))


@pytest.mark.long
def test_memory_is_that_of_a_process_alone() -> None:
    """Not of the large one that started it."""
    large = np.ones(2**27)  # 1 GiB, more than a process takes that has loaded PyTorch
    assert peak_memory_gib(CPU) > 1
    code = "import torch; from styleganv.training import run_log; print(run_log.peak_memory_gib(torch.device('cpu')))"
    small = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    del large
    assert 0.05 < float(small.stdout) < 0.9


@pytest.mark.long
@pytest.mark.parametrize(
    "changes", [{}, {"micro_batch_size": 4}, {"batch_size": 6}, {"batch_size": 13}, {"gradient_checkpointing": True}]
)
def test_memory_is_estimated_before_training(
    changes: dict[str, Any], larger_clips: ClipDataset, tiny: RunConfig
) -> None:
    """Bytes of tensors without contents against those of real ones, in a step like the ones after the first."""
    config, clips = replace(tiny, model=replace(tiny.model, channel_base=512)), larger_clips
    if changes:  # the augmentations of the first case are a third of the time
        config = with_training(replace(config, augment=AugmentConfig(augment="none")), **changes)
    batch = config.training.batch_size
    real = next(iterate_batches(clips, first=0, batch_size=batch, num_workers=0, device=CPU))
    with _LiveBytes() as live:
        trainer = GanTrainer(config, *build_networks(config, clips.data))
        trainer.train_step(clips, real)
        live.peak, trainer.step = 0, 0
        trainer.train_step(clips, real)
    assert estimate_step_memory_gib(config, clips, CPU) == pytest.approx(OVERHEAD["cpu"] * live.peak / 2**30, rel=0.1)


def test_modules_without_contents_can_be_moved() -> None:
    """As the frozen network of the second discriminator is when a step with it is estimated."""
    with _fake_tensors() as mode, _LiveBytes(mode):
        torch.nn.Linear(3, 4).to(CPU, torch.float64)


@pytest.mark.slow
@pytest.mark.usefixtures("no_run_images")
def test_an_image_model_a_recurrent_one_and_a_conditional_one_train(
    faces: Path, tiny: RunConfig, tmp_path: Path
) -> None:
    image = replace(with_training(tiny, num_frames=1), model=replace(tiny.model, motion="none"))
    train(faces, tmp_path / "image", image)
    lstm = replace(with_training(tiny, max_span=2), model=replace(tiny.model, motion="lstm", condition="project"))
    train(faces, tmp_path / "lstm", lstm)  # short spans, so that clips also start late in a video
    folder = tmp_path / "classes"
    for i in range(4):
        video = draw_video(sample_face(np.random.default_rng(i)), i, 12, 16, 24)
        write_frames(folder / f"class{i % 2}" / f"video{i}", video)
    prepare(folder, tmp_path / "classes.zip", resolution=(16, 24), num_workers=1)
    train(tmp_path / "classes.zip", tmp_path / "conditional", with_training(tiny, max_span=8))
    config = json.loads((tmp_path / "conditional" / "model" / "config.json").read_text())
    assert config["data"]["class_names"] == ["class0", "class1"] and config["generator"]["num_classes"] == 2


def test_training_on_one_clip_lowers_its_loss(faces: Path, tiny: RunConfig) -> None:
    """The discriminator alone learns to tell the real clips from the untrained generator's."""
    config = with_training(tiny, r1_interval=16)
    data = VideoDataset(faces)
    trainer = GanTrainer(config, *build_networks(config, data))
    clips = ClipDataset(data, TrainingConfig(num_frames=3, max_span=32))
    real = next(iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=CPU))
    real = replace(real, frames=real.frames.float() / 127.5 - 1)
    losses = []
    for _step in range(20):
        trainer.update_d(real, trainer._sample_inputs(clips, list(range(8)), 1), list(range(8)))
        losses.append(trainer.pop_scalars()["loss_d"])
    assert losses[-1] < 0.5 * losses[0]


def test_the_relativistic_loss_penalizes_generated_clips_too(faces: Path, tiny: RunConfig) -> None:
    config = with_training(tiny, loss="relativistic", r1_interval=2)
    data = VideoDataset(faces)
    trainer = GanTrainer(config, *build_networks(config, data))
    clips = ClipDataset(data, TrainingConfig(num_frames=3, max_span=32))
    batches = iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=CPU)
    trainer.train_step(clips, next(batches))
    first = trainer.pop_scalars()
    assert first["r1"] > 0 and first["r2"] > 0 and first["r1"] != first["r2"]
    trainer.train_step(clips, next(batches))
    assert not trainer.pop_scalars().keys() & {"r1", "r2"}
    assert bool(trainer.finite)


def test_the_relativistic_loss_is_refused_where_it_is_not_defined(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    config = with_training(apply_method(tiny, "mocogan-stylegan2"), loss="relativistic")
    with pytest.raises(StyleganvError, match="--loss relativistic"):
        train(faces, tmp_path / "run", config)


def test_the_learning_rate_falls_with_the_square_root_of_the_clips(tiny: RunConfig, faces: Path) -> None:
    config = with_training(tiny, lr=0.004, lr_decay_clips=8, second_discriminator="projected", num_frames=2)
    data = VideoDataset(faces)
    trainer = GanTrainer(config, *build_networks(config, data))
    clips = ClipDataset(data, config.training)
    batches = iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=CPU)
    rates = []
    for _ in range(5):  # at 0, 8, …, 32 clips
        trainer.train_step(clips, next(batches))
        rates.append([optimizer.param_groups[0]["lr"] for optimizer, _ in trainer.optimizers])
    for now, factor in zip(rates, [1, 1, 2**-0.5, 3**-0.5, 0.5], strict=True):
        assert now == pytest.approx([rate * factor for rate in rates[0]], rel=1e-6)
    assert len(rates[0]) == 3 and rates[0][0] == pytest.approx(0.004 * 4 / 5)


@pytest.mark.parametrize("interval, lr, beta2", [(4, 0.002, 0.991992), (None, 0.0025, 0.99)])
def test_adam_of_the_generator_counts_an_interval(
    interval: int | None, lr: float, beta2: float, tiny: RunConfig, faces: Path
) -> None:
    """As released: the correction for an interval of 4, without a term that is computed so rarely."""
    config = with_training(tiny, g_interval=interval, r1_interval=16)
    trainer = GanTrainer(config, *build_networks(config, VideoDataset(faces)))
    trainer._decay_learning_rates()
    g, d = (optimizer.param_groups[0] for optimizer in (trainer.optimizer_g, trainer.optimizer_d))
    assert (g["lr"], *g["betas"]) == pytest.approx((lr, 0, beta2), abs=1e-6)
    assert (d["lr"], *d["betas"]) == pytest.approx((0.0025 * 16 / 17, 0, 0.99 ** (16 / 17)))


@pytest.mark.parametrize("motion", ["conv", "lstm"])
def test_generated_clips_of_a_long_video_have_times_below_1024(
    motion: Literal["conv", "lstm"], tiny: RunConfig, tmp_path: Path
) -> None:
    """Whatever the longest period is."""
    frame = np.zeros((16, 16, 3), np.uint8)
    write_dataset(tmp_path / "long.zip", [("a", [frame] * 5000, None, {})], height=16, width=16, fps=25)
    config = replace(tiny, model=replace(tiny.model, motion=motion, longest_period=64))
    data = VideoDataset(tmp_path / "long.zip")
    trainer = GanTrainer(config, *build_networks(config, data))
    parts = trainer._sample_inputs(ClipDataset(data, config.training), list(range(400)), GENERATOR_PHASE)
    times = torch.cat([part.times for part in parts])
    assert 900 < times.max() <= 1023 and times.min() < 100
    assert trainer.generator(parts[0].z[:2], parts[0].times[:2], parts[0].noise).isfinite().all()


@pytest.mark.parametrize("method", ["stylegan-v", "mocogan-stylegan2", "digan"])
def test_both_updates_move_the_mean_of_w(method: str, tiny: RunConfig, faces: Path) -> None:
    config = with_training(apply_method(tiny, method), micro_batch_size=4, max_span=15)
    data = VideoDataset(faces)
    trainer = build_trainer(config, data, CPU)
    assert isinstance(trainer, GanTrainer)
    clips = ClipDataset(data, config.training, frame_sampler=trainer.frame_sampler)
    real = next(iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=CPU))

    def mean_w(phase: int) -> torch.Tensor:
        parts = trainer._sample_inputs(clips, list(range(8)), phase)
        with torch.no_grad():
            return trainer.generator.mapping(torch.cat([part.z for part in parts])).mean(dim=0)

    of_generator = mean_w(GENERATOR_PHASE)
    trainer.train_step(clips, real)
    expected = 0.995 * 0.005 * of_generator + 0.005 * mean_w(DISCRIMINATOR_PHASE)  # by the updated generator
    torch.testing.assert_close(trainer.generator_ema.mapping.w_mean, expected)


def test_digan_keeps_its_own_adam(tiny: RunConfig) -> None:
    for method, interval in (("stylegan2", 4), ("mocogan-stylegan2", 4), ("digan", None)):
        assert apply_method(tiny, method).training.g_interval == interval


@pytest.mark.parametrize("clips, factor", [(8, 1), (32, 0.5)])
def test_the_penalties_fall_with_the_square_root_of_the_clips(
    clips: int, factor: float, tiny: RunConfig, faces: Path
) -> None:
    """Adam without momentum hides a factor of its first gradient, so the gradients are compared."""
    config = with_training(tiny, r1_decay_clips=8, second_discriminator="projected", num_frames=2)
    data = VideoDataset(faces)
    batch = next(iterate_batches(ClipDataset(data, config.training), first=0, batch_size=8, num_workers=0, device=CPU))
    gradients = []
    for seen in (0, clips):
        trainer = GanTrainer(config, *build_networks(config, data))
        trainer.step = seen // 8
        trainer.update_r1(scale_frames(batch), list(range(8)))
        gradients.append([p.grad for p in trainer.discriminators.parameters() if p.grad is not None])
    assert len(gradients[0]) > 10
    for start, now in zip(*gradients, strict=True):
        torch.testing.assert_close(now, start * factor)


@pytest.mark.parametrize("option", ["lr_decay_clips", "r1_decay_clips"])
def test_methods_with_losses_of_their_own_do_not_decay(option: str, tiny: RunConfig) -> None:
    config = with_training(tiny, **{option: 8})
    assert getattr(apply_method(config, "stylegan2").training, option) == 8
    changed = apply_method(config, "videogpt")
    assert getattr(changed.training, option) is None
    with pytest.raises(StyleganvError, match=f"--{option.replace('_', '-')} 8 requires --method stylegan-v"):
        get_method("videogpt").check(with_training(changed, **{option: 8}))
