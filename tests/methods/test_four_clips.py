"""Every GAN memorizes four clips. VideoGPT has a stricter test in `videogpt/test_videogpt_training.py`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from shapes import make_shapes

from styleganv.config import AugmentConfig, ModelConfig, RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.methods import apply_method, build_trainer
from styleganv.training.batches import ClipDataset, iterate_batches

CPU = torch.device("cpu")
MAX_STEPS = 600


def nearest(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Return the mean over frames `a [N, H, W, 3]` of the RMS distance to the nearest of `b`, in levels of 255."""
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
    return float(np.sqrt(((a[:, None] - b[None]) ** 2).mean(axis=2)).min(axis=1).mean())


@pytest.mark.long
@pytest.mark.parametrize(
    "kind, side, channels, lr, batch",
    [
        ("stylegan-v", 8, 24, 0.02, 4),
        ("stylegan2", 8, 24, 0.02, 4),
        ("mocogan", 16, 24, 0.002, 8),
        ("mocogan-stylegan2", 8, 16, 0.02, 4),
        ("digan", 8, 24, 0.02, 4),
    ],
)
def test_four_clips_are_memorized(kind: str, side: int, channels: int, lr: float, batch: int, tmp_path: Path) -> None:
    """Generated and real frames become nearer to each other than to the mean of all frames, by a tenth.

    Each method takes about half of the steps that it may take.
    """
    make_shapes(tmp_path / "four.zip", num_videos=4, num_frames=16, resolution=(side, side))
    data = VideoDataset(tmp_path / "four.zip")
    config = apply_method(
        RunConfig(
            model=ModelConfig(z_dim=16, w_dim=16, channel_base=512, channel_max=channels, motion_dim=32),
            training=TrainingConfig(num_frames=2, max_span=15, precision="float32", num_workers=0, ema_half_life=40),
            augment=AugmentConfig(augment="none"),
        ),
        kind,
    )
    training = replace(config.training, lr=lr, batch_size=batch, r1_gamma=1.0, r1_interval=8)
    trainer = build_trainer(replace(config, training=training), data, CPU)
    clips = ClipDataset(
        data,
        TrainingConfig(num_frames=training.num_frames, max_span=training.max_span, conditional=False),
        frame_sampler=trainer.frame_sampler,
    )
    batches = iterate_batches(clips, first=0, batch_size=batch, num_workers=0, device=CPU)
    real = np.concatenate([data.read(i, range(16)).transpose(0, 2, 3, 1) for i in range(4)])
    distance_of_mean = nearest(real, real.mean(axis=0, keepdims=True))

    def distances() -> tuple[float, float]:
        videos = trainer.video_model(data)
        generated = np.concatenate([videos.sample(seed=seed, seconds=16 / data.fps) for seed in range(16)])
        return nearest(generated, real), nearest(real, generated)

    assert min(distances()) > 1.5 * distance_of_mean
    for step in range(1, MAX_STEPS + 1):
        trainer.train_step(clips, next(batches))
        if step % 50 == 0 and max(distances()) < 0.9 * distance_of_mean:
            return
    pytest.fail(f"The distances are {distances()} after {MAX_STEPS} steps; that of the mean is {distance_of_mean}")
