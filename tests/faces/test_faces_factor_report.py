"""Report on ground-truth factors: a dataset against itself, planted damage, and datasets without factors."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.errors import StyleganvError
from styleganv.faces import factor_report
from styleganv.faces.dataset import make_faces
from styleganv.faces.drawing import draw_video
from styleganv.faces.factor_report import check_factors, compare_factors, has_factors, same_motion, total_variation
from styleganv.faces.factors import FPS, motion, sample_face
from styleganv.faces.recognition import RecognizedFace
from styleganv.videos import DatasetVideos

FRAMES, NUM_VIDEOS = 16, 3


def drawn(seed: int, **changes: Any) -> np.ndarray:
    face = dataclasses.replace(sample_face(np.random.default_rng(seed)), **changes)
    return draw_video(face, seed, FRAMES, 64, 64)


def dataset(path: Path, videos: list[np.ndarray], **meta: Any) -> DatasetVideos:
    records = [(f"v{i}", video, None, meta) for i, video in enumerate(videos)]
    write_dataset(path, records, height=64, width=64, fps=FPS)
    return DatasetVideos(VideoDataset(path))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DatasetVideos:
    path = tmp_path_factory.mktemp("factors") / "data.zip"
    make_faces(path, num_videos=NUM_VIDEOS, num_frames=FRAMES)
    return DatasetVideos(VideoDataset(path))


@pytest.mark.long
def test_a_dataset_against_itself(data: DatasetVideos) -> None:
    report = compare_factors(data, data, num_clips=NUM_VIDEOS, num_frames=FRAMES, seed=1)
    assert report.generated == report.real and report.real.num_videos == NUM_VIDEOS and report.real.valid == 1
    for match in report.factors.values():
        assert match.distance in (0, None) and match.accuracy in (1, None)
    assert json.loads(json.dumps(dataclasses.asdict(report), allow_nan=False))["num_frames"] == FRAMES
    assert "valid and constant" in str(report) and "100.0%" in str(report)


@pytest.mark.long
def test_planted_distributions_and_damage(data: DatasetVideos, tmp_path: Path) -> None:
    """All heads are tall, and one of three videos is blank."""
    videos = [drawn(20, head="tall"), drawn(21, head="tall"), np.full((FRAMES, 64, 64, 3), 230, np.uint8)]
    report = compare_factors(dataset(tmp_path / "tall.zip", videos), data, num_clips=NUM_VIDEOS, num_frames=FRAMES)
    assert report.generated.valid == pytest.approx(2 / 3)
    assert report.generated.failure_modes["no head"] == pytest.approx(1 / 3)
    match = report.factors["head"]
    assert match.generated["tall"] == 1 and match.distance == pytest.approx(1 - match.real["tall"])


@pytest.mark.slow
def test_arrays_are_checked_without_a_dataset() -> None:
    row = check_factors(np.stack([drawn(20), np.full((FRAMES, 64, 64, 3), 230, np.uint8)]))
    assert row.valid == 0.5 and str(row).startswith("50.0% of 2 videos valid and constant")
    blank = check_factors([np.full((FRAMES, 64, 64, 3), 230, np.uint8)])
    assert blank.valid == 0 and blank.speed is None and blank.dependence is None


def recognized(seed: int, speed: float) -> RecognizedFace:
    face, pose = sample_face(np.random.default_rng(seed)), motion(seed, np.arange(4))
    return RecognizedFace((), face, pose, 0.3, speed, 1.0, np.zeros(4))


def test_dependence_of_motion_on_content() -> None:
    random = np.random.default_rng(0)
    free = factor_report._row([recognized(seed, random.random()) for seed in range(200)]).dependence
    heads = [sample_face(np.random.default_rng(seed)).head for seed in range(200)]
    bound = factor_report._row([recognized(seed, 1.0 + (head == "tall")) for seed, head in enumerate(heads)]).dependence
    assert free is not None and bound is not None
    assert abs(free) < 0.02 and bound == pytest.approx(1 / len(factor_report.FACTORS), abs=0.02)


class Drawer:
    """Stub of a model whose motion depends on its content seed (`bound`) or on its motion seed."""

    fps, supports_motion_seed = FPS, True

    def __init__(self, bound: bool) -> None:
        self.bound = bound

    def sample(self, *, seed: int, motion_seed: int, seconds: float) -> np.ndarray:
        face = sample_face(np.random.default_rng(seed))
        return draw_video(face, seed if self.bound else motion_seed, round(seconds * FPS), 64, 64)


@pytest.mark.long
def test_the_same_motion_with_another_content() -> None:
    independent: Any = Drawer(bound=False)
    dependent: Any = Drawer(bound=True)
    assert same_motion(independent, FRAMES, num_pairs=1) > 0.9 > 0.8 > same_motion(dependent, FRAMES, num_pairs=1)
    independent.supports_motion_seed = False
    assert same_motion(independent, FRAMES, num_pairs=1) is None


def test_total_variation() -> None:
    assert total_variation(np.array([0.5, 0.5, 0]), np.array([0, 0.5, 0.5])) == 0.5
    assert total_variation(np.array([1.0, 0]), np.array([0, 1.0])) == 1


def test_datasets_without_factors_and_short_videos_are_rejected(data: DatasetVideos, tmp_path: Path) -> None:
    known = dataclasses.asdict(sample_face(np.random.default_rng(0)))
    for name, meta in (
        ("plain", {}),
        ("other", {"factors": {**known, "head": "star"}}),
        ("few", {"factors": {"hue": 0}}),
    ):
        unknown = dataset(tmp_path / f"{name}.zip", [drawn(0)], **meta)
        assert has_factors(data) and not has_factors(unknown)
        with pytest.raises(StyleganvError, match="has no ground-truth factors"):
            compare_factors(data, unknown)
    with pytest.raises(StyleganvError, match="has the 100 frames"):
        compare_factors(data, data, num_frames=100)
