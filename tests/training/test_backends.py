"""PyTorch's switches of GPU arithmetic: set during a step only, and always restored. They exist without a GPU too."""

from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from settings import with_training

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.runs import train
from styleganv.training import backends
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.video_model import choose_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
step_backends = backends.step_backends


def as_on_a_gpu(_device: torch.device, *, tf32: bool) -> AbstractContextManager[None]:
    return step_backends(CUDA, tf32=tf32)


def switches() -> dict[str, bool]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return {"benchmark": cudnn.benchmark, "convolution": cudnn.allow_tf32, "product": matmul.allow_tf32}


@pytest.mark.parametrize("tf32", [False, True])
def test_a_step_on_a_gpu_sets_the_switches_and_restores_them(tf32: bool) -> None:
    before = switches()
    with step_backends(CUDA, tf32=tf32):
        assert switches() == {"benchmark": True, "convolution": tf32, "product": tf32}
        assert torch.backends.cudnn.enabled
    with pytest.raises(KeyError), step_backends(CUDA, tf32=not before["product"]):
        raise KeyError
    assert switches() == before
    with step_backends(CPU, tf32=True):
        assert switches() == before


@pytest.mark.parametrize("tf32", [False, True])
def test_r1_is_exact_unless_tf32_is_allowed_and_keeps_the_timed_algorithms(
    tf32: bool, faces: Path, tiny: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("styleganv.methods.stylegan_v.trainer.step_backends", as_on_a_gpu)
    config, data = with_training(tiny, tf32=tf32), VideoDataset(faces)
    trainer, clips = GanTrainer(config, *build_networks(config, data)), ClipDataset(data, config.training)
    real = next(iterate_batches(clips, first=0, batch_size=8, num_workers=0, device=CPU))
    during = []

    def compute_penalty(self: GanTrainer, *arguments: Any) -> torch.Tensor:
        during.append(switches())
        return plain(self, *arguments)

    plain = GanTrainer._compute_penalty
    monkeypatch.setattr(GanTrainer, "_compute_penalty", compute_penalty)
    before = switches()
    trainer.train_step(clips, real)
    assert during == [{"benchmark": True, "convolution": tf32, "product": tf32}]
    assert switches() == before


@pytest.mark.usefixtures("no_run_images")
def test_a_run_sets_the_switches_in_every_step_and_nowhere_else(
    faces: Path, tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    during, saving = [], []
    for module in ("loop", "preflight"):
        monkeypatch.setattr(f"styleganv.training.{module}.step_backends", as_on_a_gpu)
    monkeypatch.setattr(GanTrainer, "train_step", lambda trainer, *_: (during.append(switches()), count(trainer)))
    monkeypatch.setattr("styleganv.training.loop.save_checkpoint", lambda *_: saving.append(switches()))
    # With little free memory, the dry run also estimates a step's memory, by one more step.
    monkeypatch.setattr("styleganv.training.preflight.free_memory_gib", lambda _: float("inf"))
    before = switches()
    train(faces, tmp_path / "run", with_training(tiny, total_clips=16, tf32=True))
    assert during == [{"benchmark": True, "convolution": True, "product": True}] * 5  # three of the dry run
    assert saving and all(each == before for each in saving) and switches() == before


def count(trainer: GanTrainer) -> None:
    trainer.step += 1


@pytest.mark.parametrize(
    ("card", "capability", "dtype"),
    [("V100", 7, torch.float32), ("T4", 7, torch.float32), ("A100", 8, torch.bfloat16), ("H100", 9, torch.bfloat16)],
)
def test_auto_precision_is_bfloat16_on_cards_that_have_it(
    card: str, capability: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch also emulates bfloat16 on older cards, slowly."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(major=capability, name=card))
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda _: True)
    assert choose_dtype("auto", CUDA) == dtype
    assert choose_dtype("float32", CUDA) == torch.float32
    assert choose_dtype("bfloat16", CUDA) == torch.bfloat16


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_old_cards_train_in_float32_and_others_in_bfloat16() -> None:
    major, _ = torch.cuda.get_device_capability()
    assert choose_dtype("auto", CUDA) == (torch.bfloat16 if major >= 8 else torch.float32)
