"""Stub weights files, and a dataset with classes."""

from pathlib import Path

import pytest
import torch
from stub_extractors import I3D, STUBS, drawn

from styleganv.data.dataset_writer import write_dataset


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a stub for each weights file."""
    folder = tmp_path_factory.mktemp("weights")
    for name, module in STUBS.items():
        torch.jit.script(module()).save(str(folder / name))
    return folder


@pytest.fixture(scope="session")
def narrow_i3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File with the right interface and the wrong number of features."""
    path = tmp_path_factory.mktemp("narrow") / "i3d_torchscript.pt"
    torch.jit.script(I3D(features=399)).save(str(path))
    return path


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dataset of 24 videos of 20 frames, in two classes."""
    path = tmp_path_factory.mktemp("classes") / "classes.zip"
    videos = [(f"v{i}", x.transpose(0, 2, 3, 1), i % 2, {}) for i, x in enumerate(drawn(0, 24, 20, side=16))]
    write_dataset(path, videos, height=16, width=16, fps=25, class_names=["even", "odd"])
    return path
