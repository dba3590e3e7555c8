"""Tiny random models for editors."""

import pytest
from tiny import save

from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> VideoGenerator:
    return load_video_generator(save(tmp_path_factory.mktemp("plain") / "model"), device="cpu")


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> VideoGenerator:
    return load_video_generator(save(tmp_path_factory.mktemp("classes") / "model", num_classes=3), device="cpu")


@pytest.fixture(scope="session")
def lstm(tmp_path_factory: pytest.TempPathFactory) -> VideoGenerator:
    return load_video_generator(save(tmp_path_factory.mktemp("lstm") / "model", motion="lstm"), device="cpu")


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> VideoGenerator:
    return load_video_generator(save(tmp_path_factory.mktemp("image") / "model", motion="none"), device="cpu")
