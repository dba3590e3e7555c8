"""Distances as a torchmetrics `Metric`: the same numbers as `evaluate`, in any batches and over processes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from stub_extractors import ArrayVideos, drawn
from torch.utils.data import DataLoader

import styleganv
from styleganv.errors import StyleganvError
from styleganv.metrics.clip_distance import ClipDistance
from styleganv.metrics.evaluate import evaluate
from styleganv.options import EvaluateOptions


@pytest.fixture(scope="module")
def clips() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(drawn(0, 12, 16, 16)), torch.from_numpy(drawn(20, 12, 16, 16))


def updated(metric: Any, real: torch.Tensor, fake: torch.Tensor, size: int) -> Any:
    for name, frames in (("real", real), ("fake", fake)):
        for batch in frames.split(size):
            metric.update(batch, real=name == "real")
    return metric


@pytest.mark.parametrize("name", ["fvd2048_16f", "kvd2048_16f", "precision_recall_i3d2048_16f"])
def test_batches_give_the_number_of_evaluate(name: str, clips: Any, weights: Path, tmp_path: Path) -> None:
    """Twelve real videos are all in both halves of the real clips, whatever their order."""
    sets = [ArrayVideos(frames.numpy(), f"{i}") for i, frames in enumerate(clips)]
    options = EvaluateOptions(weights=weights, cache=tmp_path, num_resamples=0)
    (result,) = evaluate(*sets, protocols=[name], options=options).results
    metric = ClipDistance(name, weights=weights)
    found = updated(metric, *clips, size=5).compute()
    found = found if isinstance(found, dict) else {result.protocol["key"]: found}
    for key, estimate in result.measures.items():
        assert float(found[key]) == pytest.approx(estimate.mean, rel=1e-4), key
    metric.reset()
    with pytest.raises(ValueError, match="at least"):
        metric.compute()


@pytest.mark.parametrize("name", ["fvd2048_16f", "kvd2048_16f"])
def test_processes_are_reduced(name: str, clips: Any, weights: Path) -> None:
    """A pretended second process has the other clips."""
    whole = updated(ClipDistance(name, weights=weights), *clips, size=4).compute()
    other = updated(ClipDistance(name, weights=weights), *(x[7:] for x in clips), size=4)
    theirs = iter(
        [other.real, other.fake] if name.startswith("fvd") else [torch.cat(other.real), torch.cat(other.fake)]
    )
    mine = ClipDistance(
        name,
        weights=weights,
        distributed_available_fn=lambda: True,
        dist_sync_fn=lambda state, group=None: [state, next(theirs)],
    )
    assert float(updated(mine, *(x[:7] for x in clips), size=4).compute()) == pytest.approx(float(whole), rel=1e-6)


def test_wrong_clips_are_rejected(clips: Any, weights: Path) -> None:
    metric = ClipDistance("fvd2048_16f", weights=weights)
    for wrong in (clips[0].float(), clips[0][:, :8], clips[0][0]):
        with pytest.raises(StyleganvError, match=r"requires clips of uint8 \[B, 16, 3, H, W\], got"):
            metric.update(wrong, real=True)
    with pytest.raises(StyleganvError, match="Unknown protocol"):
        ClipDistance("fvd")


def test_a_dataset_is_one_of_pytorch(faces: Path) -> None:
    """One clip per video and epoch."""
    dataset = styleganv.ClipDataset(styleganv.VideoDataset(faces), styleganv.TrainingConfig(num_frames=4))
    batches = list(DataLoader(dataset, batch_size=6))
    assert [tuple(frames.shape) for frames, _, _ in batches] == [(6, 4, 3, 16, 16)] * 2 + [(4, 4, 3, 16, 16)]
    assert batches[0][1].shape == (6, 4) and batches[0][0].dtype == torch.uint8
