"""A training step is channels-last from end to end, on a pretended CUDA device."""

from pathlib import Path

import pytest
import torch
from fake_cuda_tensors import TransferLog
from memory_formats import FormatLog
from settings import with_training

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.faces.dataset import make_faces
from styleganv.methods import build_trainer
from styleganv.training.batches import ClipDataset, iterate_batches

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [(16, 16), (32, 32)])
def test_convolutions_take_and_return_channels_last(
    size: tuple[int, int], precision: str, tiny: RunConfig, tmp_path: Path, transfers: TransferLog
) -> None:
    make_faces(tmp_path / "faces.zip", num_videos=2, num_frames=40, resolution=size)
    data, device = VideoDataset(tmp_path / "faces.zip"), torch.device("cuda", 0)
    config = with_training(tiny, batch_size=4, precision=precision)
    trainer, clips = build_trainer(config, data, device), ClipDataset(data, config.training)
    real = next(iterate_batches(clips, first=0, batch_size=4, num_workers=0, device=device))
    trainer.step = 1  # without R1
    with FormatLog() as log:
        trainer.train_step(clips, real)
    # Weights of a few KiB may be copied: transposed ones, and FIR filters.
    assert {kind for kind, _ in log.sites} == {"conversion", "weight"}
    conversions = sorted(place.split(":")[0] for kind, place in log.sites.elements() if kind == "conversion")
    assert conversions == [
        "methods/stylegan_v/discriminator.py",  # frames, for the generator's loss
        "methods/stylegan_v/discriminator.py",  # frames, for the discriminator's
        "methods/stylegan_v/discriminator.py",  # 4×4 features, to one row per clip; for each of these losses
        "methods/stylegan_v/discriminator.py",
        "methods/stylegan_v/synthesis.py",  # gradient of the frames
    ]
