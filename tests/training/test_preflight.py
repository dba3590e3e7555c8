"""Warnings before a training, which do not stop it."""

from dataclasses import replace
from pathlib import Path

import pytest
from settings import with_training

from styleganv.config import AugmentConfig, RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.training.preflight import check_data


@pytest.fixture(scope="module")
def unequal(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> VideoDataset:
    """Three videos of 2, 8 and 40 frames."""
    data, path = VideoDataset(faces), tmp_path_factory.mktemp("unequal") / "data.zip"
    frames = data.read(0, range(40)).transpose(0, 2, 3, 1)
    videos = [(f"video{length}", frames[:length], None, {}) for length in (2, 8, 40)]
    write_dataset(path, videos, height=16, width=16, fps=25)
    return VideoDataset(path)


def test_what_may_harm_a_training_is_named(unequal: VideoDataset, tiny: RunConfig) -> None:
    config = replace(with_training(tiny, batch_size=2), augment=AugmentConfig(augment="none"))
    assert check_data(config, unequal) == [
        "Skipping 1 of 3 videos with fewer than 3 frames.",
        "Videos shorter than --max-span 32: 1. Their clips span less.",
        "Only 3 videos and no augmentation: expect overfitting.",
        "Only 2 clips per process: the minibatch standard deviation compares 2 clips instead of 4. Raise --batch-size, "
        "or use fewer processes.",
    ]


def test_a_batch_of_one_clip_and_a_network_without_deviation_need_no_warning(faces: Path, tiny: RunConfig) -> None:
    data, without = VideoDataset(faces), replace(tiny, model=replace(tiny.model, minibatch_stddev=False))
    for config in (tiny, with_training(tiny, batch_size=1), with_training(without, batch_size=2)):
        assert check_data(config, data) == []
