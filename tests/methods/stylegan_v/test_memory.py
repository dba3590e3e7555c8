"""Estimated memory follows the settings; `test_training.py` compares it with the memory of a real step."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from settings import with_training

from styleganv.config import AugmentConfig, RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.faces.dataset import make_faces
from styleganv.methods.stylegan_v import memory
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.nn import modulated_conv
from styleganv.training.batches import ClipDataset


@pytest.mark.long
def test_estimated_memory_reflects_the_settings(
    tmp_path: Path, tiny: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modulated_conv, "CALL_ELEMENTS", -math.inf)  # run clip by clip, as large networks do on a CPU
    monkeypatch.setattr(memory, "STDDEV_GROUP", 1)  # extrapolate from one and two clips, which is faster
    make_faces(tmp_path / "data.zip", num_videos=2, num_frames=40, resolution=(64, 64))
    clips = ClipDataset(
        VideoDataset(tmp_path / "data.zip"), TrainingConfig(num_frames=3, max_span=32, conditional=False)
    )
    config = replace(tiny, model=replace(tiny.model, channel_base=512), augment=AugmentConfig(augment="none"))

    def estimate(**changes: Any) -> float:
        return estimate_step_memory_gib(with_training(config, batch_size=32, **changes), clips, torch.device("cpu"))

    whole = estimate()
    assert estimate(micro_batch_size=1) < 0.33 * whole
    assert estimate(gradient_checkpointing=True) < 0.6 * whole
