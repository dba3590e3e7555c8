"""Comparing the states of runs."""

from pathlib import Path

import torch
from torch import Tensor

from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.methods import build_trainer
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.checkpoint import load_checkpoint, save_checkpoint
from styleganv.training.trainer import Trainer


def flatten(state: object, prefix: str = "") -> dict[str, Tensor]:
    """Return every tensor and number of a nested state by its path."""
    if isinstance(state, Tensor):
        return {prefix: state}
    if isinstance(state, dict):
        pairs = state.items()
    elif isinstance(state, (list, tuple)):
        pairs = dict(enumerate(state)).items()
    else:
        return {prefix: torch.tensor(state)} if isinstance(state, (int, float, bool)) else {}
    return {key: value for name, part in pairs for key, value in flatten(part, f"{prefix}/{name}").items()}


def assert_same_state(a: Path, b: Path) -> None:
    """Assert that two checkpoints are equal, except for the training time."""
    ours, theirs = flatten(load_checkpoint(a)), flatten(load_checkpoint(b))
    assert ours.pop("/minutes") >= 0 and theirs.pop("/minutes") >= 0
    assert ours.keys() == theirs.keys() and len(ours) > 100
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def train_with_pauses(config: RunConfig, data: VideoDataset, checkpoint: Path, steps: list[int]) -> Trainer:
    """Train the given numbers of steps; between them, a new trainer continues from the checkpoint."""
    device, batch_size = torch.device("cpu"), config.training.batch_size
    for num_steps in steps:
        trainer = build_trainer(config, data, device)
        clips = ClipDataset(data, config.training, frame_sampler=trainer.frame_sampler)
        if checkpoint.exists():
            trainer.load_state_dict(load_checkpoint(checkpoint))
        first = trainer.clips_seen
        batches = iterate_batches(clips, first=first, batch_size=batch_size, num_workers=0, device=device)
        for _ in range(num_steps):
            trainer.train_step(clips, next(batches))
        save_checkpoint(checkpoint, trainer.state_dict())
    return trainer
