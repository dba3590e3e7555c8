"""Settings chosen by memory: the first that fits, only on GPUs, and only where the user chose nothing."""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from settings import with_training

from styleganv import distributed
from styleganv.config import AugmentConfig, RunConfig, load_settings
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.methods.stylegan_v import memory
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.nn.convolution import prefers_phases
from styleganv.nn.hardware import gpu_algorithms
from styleganv.runs import train
from styleganv.training import fitting
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.fitting import choose_memory, memory_errors, memory_options, smaller_steps

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def supports_all(_: RunConfig) -> bool:
    return True


def estimate(config: RunConfig, *_: Any) -> float:
    """A GiB per clip, a quarter with checkpointing."""
    training = config.training
    clips = training.micro_batch_size or training.batch_size
    return clips / 4 if training.gradient_checkpointing else clips


@pytest.mark.parametrize(
    ("batch", "start", "expected"),
    [
        (64, {}, [(32, False), (16, False), (8, False), (4, False), (4, True)]),
        (64, {"micro_batch_size": 16}, [(8, False), (4, False), (4, True)]),
        (64, {"micro_batch_size": 8, "gradient_checkpointing": True}, [(4, True)]),
        (24, {}, [(12, False), (12, True)]),  # 6 would change the groups
        (4, {}, [(None, True)]),
        (4, {"gradient_checkpointing": True}, []),
    ],
)
def test_steps_become_smaller(
    batch: int, start: dict[str, Any], expected: list[tuple[int | None, bool]], tiny: RunConfig
) -> None:
    config = with_training(tiny, batch_size=batch, **start)
    steps = [step.training for step in smaller_steps(config, supports_all)]
    assert [(step.micro_batch_size, step.gradient_checkpointing) for step in steps] == expected


@pytest.mark.parametrize(
    ("free", "options"),
    [
        (72, ""),  # 64 is 0.9 of 71.1
        (71, "--micro-batch-size 32"),
        (18, "--micro-batch-size 16"),
        (5, "--micro-batch-size 4"),
        (2, "--micro-batch-size 4 --gradient-checkpointing"),
        (1, ""),  # nothing fits: training reports it
    ],
)
def test_the_first_settings_that_fit_are_chosen(
    free: float, options: str, faces: Path, tiny: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_training(tiny, batch_size=64)
    clips = ClipDataset(VideoDataset(faces), config.training)
    monkeypatch.setattr(fitting, "available_memory_gib", lambda _: free)
    monkeypatch.setattr(fitting, "ample_memory_gib", lambda *_: 1000.0)
    chosen = choose_memory(config, clips, estimate, CUDA, supports_all)
    assert memory_options(chosen, config) == options
    assert choose_memory(config, clips, estimate, CPU, supports_all) == config
    assert choose_memory(config, clips, None, CUDA, supports_all) == config
    for own in ({"micro_batch_size": 64}, {"gradient_checkpointing": True}):
        config = with_training(tiny, batch_size=64, **own)
        assert choose_memory(config, clips, estimate, CUDA, supports_all) == config


def test_the_card_with_the_least_memory_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "available_memory_gib", lambda _: 24.0)
    monkeypatch.setattr(distributed, "all_reduce_max", lambda value: max(value, -11.0))  # the other's
    assert fitting.free_memory_gib(CUDA) == 11


def test_a_gpu_that_reports_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 * 2**30, 24 * 2**30))
    assert fitting.free_memory_gib(CUDA) == 3


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("can't allocate memory")]
)
def test_running_out_of_memory_names_the_next_smaller_settings(error: Exception, tiny: RunConfig) -> None:
    config = with_training(tiny, batch_size=64, micro_batch_size=16)
    expected = r"ran out of it\): add --micro-batch-size 8\.$"
    with pytest.raises(StyleganvError, match=expected), memory_errors(config, supports_all):
        raise error
    expected = r": lower --channel-base or --batch-size\.$"
    with pytest.raises(StyleganvError, match=expected), memory_errors(config, lambda _: False):
        raise error
    with pytest.raises(RuntimeError, match="another"), memory_errors(config, supports_all):
        raise RuntimeError("another error")


@pytest.mark.slow
@pytest.mark.usefixtures("no_run_images")
def test_a_run_stores_and_logs_what_was_chosen(
    faces: Path, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def choose(config: RunConfig, clips: ClipDataset, _: Any, device: torch.device, is_supported: Any) -> RunConfig:
        return choose_memory(config, clips, estimate, CUDA, is_supported)

    monkeypatch.setattr("styleganv.runs.choose_memory", choose)
    monkeypatch.setattr(fitting, "available_memory_gib", lambda _: 5.0)
    monkeypatch.setattr(fitting, "ample_memory_gib", lambda *_: 1000.0)
    with caplog.at_level(logging.INFO, "styleganv"):
        train(faces, tmp_path / "run", tiny)
    assert load_settings(tmp_path / "run" / "settings.yaml").training.micro_batch_size == 4
    assert "To fit in the memory of the GPU, added --micro-batch-size 4." in caplog.messages


@pytest.mark.skipif("SC_AVPHYS_PAGES" not in getattr(os, "sysconf_names", {}), reason="the system must report it")
def test_the_free_memory_of_this_machine() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    assert 0.01 < fitting.free_memory_gib(CPU) < total


@pytest.mark.slow
def test_a_step_that_needs_more_memory_than_is_free_is_refused(
    faces: Path, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "available_memory_gib", lambda _: 0.0)
    with pytest.raises(StyleganvError, match=r"Not enough memory .* GiB needed, 0\.0 GiB free\): lower --channel-base"):
        train(faces, tmp_path / "run", with_training(tiny, micro_batch_size=4, gradient_checkpointing=True))


def test_the_error_before_training_names_what_would_fit(
    faces: Path, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_measure_live_bytes", lambda config, *_: config.training.batch_size * 2**30)
    monkeypatch.setattr("styleganv.training.preflight.ample_memory_gib", lambda *_: 1000.0)
    monkeypatch.setattr(fitting, "available_memory_gib", lambda _: 8 * memory.OVERHEAD["cpu"] / fitting.USABLE + 0.1)
    with pytest.raises(StyleganvError, match=r"about 80.0 GiB needed, 11.2 GiB free\): add --micro-batch-size 8\.$"):
        train(faces, tmp_path / "run", with_training(tiny, batch_size=64))


@pytest.mark.long
def test_a_step_on_a_gpu_is_estimated_without_it(tmp_path: Path, tiny: RunConfig, monkeypatch: Any) -> None:
    """By the same step with its precision and algorithms; each is measured once."""
    make_faces(tmp_path / "data.zip", num_videos=4, num_frames=40, resolution=(32, 32))
    config = replace(tiny, model=replace(tiny.model, channel_base=512), augment=AugmentConfig(augment="none"))
    clips = ClipDataset(VideoDataset(tmp_path / "data.zip"), config.training)
    steps, measure = [], memory._measure_live_bytes

    def record(*arguments: Any) -> float:
        steps.append(arguments)
        assert not prefers_phases(CPU, torch.bfloat16)
        return measure(*arguments)

    monkeypatch.setattr(memory, "_measure_live_bytes", record)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    exact = estimate_step_memory_gib(config, clips, CUDA)
    assert estimate_step_memory_gib(with_training(config, micro_batch_size=4), clips, CUDA) < 0.7 * exact
    assert len(steps) == 2  # of four and of eight clips
    half = estimate_step_memory_gib(with_training(config, precision="auto"), clips, CUDA)
    assert 0.5 * exact < half < exact and len(steps) == 3


def test_networks_can_use_the_algorithms_for_gpus_on_a_cpu(monkeypatch: pytest.MonkeyPatch, faces: Path) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert prefers_phases(CPU, torch.bfloat16) and not prefers_phases(CUDA, torch.bfloat16)
    with gpu_algorithms():
        assert not prefers_phases(CPU, torch.bfloat16)
    assert prefers_phases(CPU, torch.bfloat16)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_estimate_for_a_gpu_is_near_what_a_step_takes(tmp_path: Path) -> None:
    make_faces(tmp_path / "data.zip", num_videos=4, num_frames=40, resolution=(128, 128))
    config = with_training(RunConfig(), batch_size=8)
    clips = ClipDataset(VideoDataset(tmp_path / "data.zip"), config.training)
    estimated = estimate_step_memory_gib(config, clips, CUDA)
    torch.cuda.reset_peak_memory_stats()
    trainer = GanTrainer(config, *build_networks(config, clips.data, CUDA))
    real = next(iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=CUDA))
    for _ in range(2):
        trainer.step = 0
        trainer.train_step(clips, real)
    assert estimated == pytest.approx(torch.cuda.max_memory_reserved() / 2**30, rel=0.3)
