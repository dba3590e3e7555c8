"""Training steps on a CUDA device (a pretended one without it) equal those on the CPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_cuda import any_gpu, fake_cuda
from fake_cuda_tensors import TransferLog
from settings import with_training
from shapes_only import shapes_only
from torch import Tensor, nn

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.methods import METHODS, apply_method, build_trainer
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.trainer import Trainer

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

CPU = torch.device("cpu")
#: Largest difference of a weight after two steps. A real device rounds differently, and Adam divides small gradients
#: by their size; its steps are at most about 0.0025 per update.
EXACT, ROUNDED = 1e-6, 2e-2
#: Variants of StyleGAN-V's step.
VARIANTS: dict[str, dict[str, Any]] = {
    "micro-batches": {"batch_size": 8, "micro_batch_size": 4},
    "checkpointing": {"gradient_checkpointing": True},
    "bfloat16": {"precision": "bfloat16"},
}


def train_two_steps(config: RunConfig, data: VideoDataset, device: torch.device, *, resume: bool) -> Trainer:
    """Train with R1 in the first step; with `resume`, another trainer takes the second step."""
    trainer = build_trainer(config, data, device)
    clips = ClipDataset(data, config.training, frame_sampler=trainer.frame_sampler)
    batch_size = config.training.batch_size
    batches = iterate_batches(clips, first=0, batch_size=batch_size, num_workers=0, device=device)
    trainer.train_step(clips, next(batches))
    if resume:
        state = trainer.state_dict()
        trainer = build_trainer(config, data, device)
        trainer.load_state_dict(state)
    trainer.progress = 0.6  # VideoGPT's second stage
    trainer.train_step(clips, next(batches))
    return trainer


def weights(trainer: Trainer) -> dict[str, Tensor]:
    """Return the weights and buffers of all networks, on their device."""
    networks = {name: part for name, part in trainer.state_parts().items() if isinstance(part, nn.Module)}
    return {f"{name}.{key}": x for name, part in networks.items() for key, x in part.state_dict().items()}


def assert_equal_on_gpu(config: RunConfig, faces: Path) -> None:
    data = VideoDataset(faces)
    expected = weights(train_two_steps(config, data, CPU, resume=False))
    with any_gpu() as gpu:
        trained = weights(train_two_steps(config, data, gpu, resume=True))
        assert {x.device.type for x in trained.values()} == {"cuda"} and trained.keys() == expected.keys()
        trained = {name: x.cpu() for name, x in trained.items()}
    rounded = torch.version.cuda is not None or config.training.precision == "bfloat16"
    for name, value in expected.items():
        difference = (trained[name].double() - value.double()).abs().max()
        assert difference <= (ROUNDED if rounded else EXACT), (name, float(difference))


@pytest.mark.parametrize("method", METHODS)
def test_methods_train_as_on_the_cpu(method: str, tiny: RunConfig, faces: Path) -> None:
    assert_equal_on_gpu(apply_method(with_training(tiny, batch_size=4), method), faces)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_train_as_on_the_cpu(variant: str, tiny: RunConfig, faces: Path) -> None:
    assert_equal_on_gpu(with_training(tiny, **({"batch_size": 4} | VARIANTS[variant])), faces)


def test_a_projected_discriminator_trains_as_on_the_cpu(tiny: RunConfig, faces: Path) -> None:
    training = {"loss": "relativistic", "second_discriminator": "projected"}
    assert_equal_on_gpu(with_training(tiny, batch_size=4, **training), faces)


def with_all_variants_of_motion(config: RunConfig) -> RunConfig:
    motion = {"motion_noise": "multiscale", "motion_layers": "all", "temporal_shift": True}
    return replace(with_training(config, batch_size=4), model=replace(config.model, **motion))


def test_variants_of_motion_train_as_on_the_cpu(tiny: RunConfig, faces: Path) -> None:
    assert_equal_on_gpu(with_all_variants_of_motion(tiny), faces)


def count_transfers(config: RunConfig, data: VideoDataset, log: TransferLog) -> list[dict[str, int]]:
    """Return the counts of a step with and one without gradient penalties; VideoGPT takes the second in stage 2."""
    device, counts = torch.device("cuda", 0), []
    trainer = build_trainer(config, data, device)
    clips = ClipDataset(data, config.training, frame_sampler=trainer.frame_sampler)
    batch_size = config.training.batch_size
    batches = iterate_batches(clips, first=0, batch_size=batch_size, num_workers=0, device=device)
    for trainer.progress in (0.0, 0.6):
        log.clear()
        trainer.train_step(clips, next(batches))
        assert not [site for site in log.sites if site[0] in ("sync", "h2d", "d2h")]
        counts.append({kind: count for kind, count in log.counts.items() if kind != "ops"})
    return counts


@pytest.mark.parametrize("method", METHODS)
def test_a_step_never_waits_for_the_gpu(method: str, tiny: RunConfig, faces: Path, transfers: TransferLog) -> None:
    config = apply_method(with_training(tiny, batch_size=4), method)
    for counts in count_transfers(config, VideoDataset(faces), transfers):
        assert counts["h2d async"] == counts["pinned"] <= 15 and counts.get("generators", 0) <= 9


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_never_wait_for_the_gpu(variant: str, tiny: RunConfig, faces: Path, transfers: TransferLog) -> None:
    count_transfers(with_training(tiny, **({"batch_size": 4} | VARIANTS[variant])), VideoDataset(faces), transfers)


def test_variants_of_motion_never_wait_for_the_gpu(tiny: RunConfig, faces: Path, transfers: TransferLog) -> None:
    count_transfers(with_all_variants_of_motion(tiny), VideoDataset(faces), transfers)


def test_transfers_do_not_grow_with_the_batch(tiny: RunConfig, faces: Path, transfers: TransferLog) -> None:
    data = VideoDataset(faces)
    small, large = (count_transfers(with_training(tiny, batch_size=n), data, transfers) for n in (4, 64))
    assert small == large
    assert [counts["generators"] for counts in small] == [6, 5]


def test_layers_are_compiled_on_gpus(tiny: RunConfig, faces: Path, transfers: TransferLog) -> None:
    data = VideoDataset(faces)
    num_layers = 2 * 3 - 1 + 2  # convolutions of the generator, blocks of the discriminator
    for config, device, expected in (
        (tiny, torch.device("cuda", 0), num_layers),
        (with_training(tiny, compile=False), torch.device("cuda", 0), 0),
        (tiny, CPU, 0),
    ):
        transfers.clear()
        build_trainer(config, data, device)
        assert transfers.counts["compiled"] == expected


@pytest.mark.long
def test_a_step_of_64_clips_at_256_never_waits(tiny: RunConfig, faces: Path, tmp_path: Path) -> None:
    """The counts are those of the smallest step: no generator or copy per clip, frame or resolution."""
    frames = np.zeros((40, 256, 256, 3), np.uint8)
    write_dataset(tmp_path / "black.zip", [(n, frames, None, {}) for n in "ab"], height=256, width=256, fps=25)
    narrow = replace(tiny.model, channel_base=256, channel_max=4)  # one channel at 256²
    large = with_training(replace(tiny, model=narrow), batch_size=64)
    with shapes_only(), fake_cuda() as log:
        expected = count_transfers(with_training(tiny, batch_size=4), VideoDataset(faces), log)
        counts = count_transfers(large, VideoDataset(tmp_path / "black.zip"), log)
    assert counts == expected
    assert [(step["generators"], step["h2d async"]) for step in counts] == [(6, 12), (5, 10)]
