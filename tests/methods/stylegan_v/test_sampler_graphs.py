"""Frames by CUDA graphs are those without: on a GPU or, without one, on a pretended one."""

from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import save

from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import CHUNK, VideoGenerator
from styleganv.nn.cuda_graph import GraphedFunction
from styleganv.video_model import Frame

pytestmark = pytest.mark.gpu


@pytest.fixture(params=["float32", "bfloat16"])
def pair(request: pytest.FixtureRequest, tmp_path: Path, gpu: torch.device) -> tuple[VideoGenerator, VideoGenerator]:
    """Return the same model twice, with and without graphs."""
    folder = save(tmp_path / "model")
    models = [load(folder, device=gpu, precision=request.param) for _ in range(2)]
    models[1].cuda_graphs = False
    return models[0], models[1]


def count_replays(model: VideoGenerator) -> int:
    return sum(graph._graph is not None for graph in model._graphs.values())


def assert_equal(pair: tuple[VideoGenerator, VideoGenerator], **arguments: Any) -> Frame:
    ours, theirs = (model.sample(**arguments) for model in pair)
    np.testing.assert_array_equal(ours, theirs)
    return ours


def test_streams_are_identical_with_a_padded_tail(pair: tuple[VideoGenerator, VideoGenerator]) -> None:
    for num_frames in (1, CHUNK - 1, 3 * CHUNK + 3):
        assert_equal(pair, seed=1, seconds=num_frames / pair[0].fps)
    assert len(pair[0]._graphs) == count_replays(pair[0]) == 1 and not pair[1]._graphs


def test_other_seeds_psi_and_rates_take_the_same_graph(pair: tuple[VideoGenerator, VideoGenerator]) -> None:
    videos = [
        assert_equal(pair, seed=seed, motion_seed=motion_seed, psi=psi, fps=fps, start=start, seconds=12 / fps)
        for seed, motion_seed, psi, fps, start in [
            (0, 0, 1.0, 25.0, 0.0),
            (0, 0, 0.5, 25.0, 0.0),
            (1, 0, 0.5, 25.0, 0.0),
            (1, 7, 0.5, 25.0, 0.0),
            (1, 7, 0.5, 60.0, 100.0),
        ]
    ]
    assert all((a != b).any() for a, b in pairwise(videos))
    assert count_replays(pair[0]) == 1


def test_streams_in_turns(pair: tuple[VideoGenerator, VideoGenerator]) -> None:
    """Two contents share a graph, and keep their frames while the other is computed."""
    number = 2 * CHUNK + 1
    expected = [pair[1].sample(seed=seed, seconds=number / pair[1].fps) for seed in (3, 4)]
    turns = list(islice(zip(*(pair[0].stream(seed=seed) for seed in (3, 4)), strict=True), number))
    for frames, video in zip(zip(*turns, strict=True), expected, strict=True):
        np.testing.assert_array_equal(np.stack(frames), video)


def test_a_shorter_first_chunk_has_a_graph_of_its_own(pair: tuple[VideoGenerator, VideoGenerator]) -> None:
    for model in pair:
        model.first_chunk_size = 2
    for seed in range(2):
        assert_equal(pair, seed=seed, seconds=1.0)
    assert count_replays(pair[0]) == 2


def test_changed_weights_take_effect(pair: tuple[VideoGenerator, VideoGenerator]) -> None:
    before = assert_equal(pair, seed=0, seconds=1.0)
    for model in pair:
        with torch.no_grad():
            for weight in model.generator.synthesis.parameters():
                weight.mul_(1.5)
    assert (assert_equal(pair, seed=0, seconds=1.0) != before).any()


def test_moved_models(pair: tuple[VideoGenerator, VideoGenerator]) -> None:
    expected = assert_equal(pair, seed=0, seconds=1.0)
    moved = pair[0].to("cpu").sample(seed=0, seconds=1.0)
    assert not pair[0]._graphs
    tolerance = 1 if pair[0].precision == "float32" else 20
    assert np.abs(moved.astype(int) - expected).max() <= tolerance


def test_images_and_cpus_take_no_graph(gpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GraphedFunction, "__call__", lambda *_: pytest.fail("a graph"))
    image = load(save(tmp_path / "image", motion="none"), device=gpu)
    video = load(save(tmp_path / "video"), device="cpu")
    for model in (image, video):
        model.sample(seed=0, seconds=1.0)
