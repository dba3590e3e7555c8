"""Truncation: towards the running mean of w, or with classes towards the mean w of the class."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import count_calls
from tiny import save

from styleganv import noise
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v import mapping
from styleganv.methods.stylegan_v.sampler import VideoGenerator


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> VideoGenerator:
    return load(save(tmp_path_factory.mktemp("plain") / "model"), device="cpu")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("classes") / "model", num_classes=3, height=16, width=24)


def test_truncation(videos: VideoGenerator) -> None:
    mean = [videos.sample(seed=seed, motion_seed=0, seconds=0.2, psi=0) for seed in (1, 2)]
    np.testing.assert_array_equal(*mean)


def test_truncation_without_classes_is_that_of_the_network(
    videos: VideoGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, since no seed may give other frames."""
    monkeypatch.setattr(mapping, "compute_label_means", None)
    z = torch.from_numpy(noise.normal(3, noise.CONTENT, 0, 16))[None]
    w_mean = videos.generator.mapping.w_mean
    monkeypatch.setattr(videos.generator.mapping, "w_mean", torch.randn_like(w_mean))
    for psi in (-1, 0, 0.3, 0.7, 1, 1.5):
        assert torch.equal(videos.styles_from_seed(3, psi=psi)[0], videos.generator.mapping(z, psi=psi)[0])


def test_truncation_with_classes_is_towards_the_mean_of_the_class(classes: Path) -> None:
    videos = load(classes, device="cpu")
    means = [videos.styles_from_seed(1, psi=0, label=k)[0] for k in range(3)]
    for k in range(3):
        z = torch.randn(20_000, 16, generator=torch.Generator().manual_seed(k))
        w = videos.generator.mapping(z, torch.eye(3)[k].expand(len(z), -1))
        deviations = (means[k] - w.mean(dim=0)) / (w.std(dim=0) * (1 / 4096 + 1 / 20_000) ** 0.5)
        assert deviations.abs().max() < 4  # standard errors, of 16 numbers
        assert torch.equal(videos.styles_from_seed(2, psi=0, label=k)[0], means[k])
        half, whole = (videos.styles_from_seed(5, psi=psi, label=k)[0] for psi in (0.5, 1))
        torch.testing.assert_close(half, (means[k] + whole) / 2)
    assert (means[0] - means[1]).abs().max() > 0.1
    mean_frames = [videos.sample(seed=seed, motion_seed=0, seconds=0.2, psi=0, label=1) for seed in (1, 2)]
    np.testing.assert_array_equal(*mean_frames)


def test_the_mean_of_a_class_is_computed_once_and_again_for_other_weights(
    classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = load(classes, device="cpu")
    calls = count_calls(monkeypatch, mapping, "compute_label_means")
    first = [videos.styles_from_seed(seed, psi=0, label=k) for seed in (1, 2) for k in (0, 1)]
    assert len(calls) == 2
    for copied in (copy.deepcopy(videos), pickle.loads(pickle.dumps(videos))):
        assert torch.equal(copied.styles_from_seed(7, psi=0, label=0), first[0])
    with torch.no_grad():
        videos.generator.mapping.layers[1].bias.add_(1 / 0.01)
    assert (videos.styles_from_seed(1, psi=0, label=0) - first[0]).abs().mean() > 0.1
