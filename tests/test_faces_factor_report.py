"""The known-factor check of faces: the data against themselves, planted damage, and data that are no faces."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from styleganv.faces.recovery import RecoveredFace
from styleganv.metrics.factors import check_factors, has_factors, known_factors, same_motion, total_variation

from styleganv.data.dataset import VideoDataset, write_dataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import FPS, motion, sample_face
from styleganv.metrics import factors
from styleganv.videos import DatasetVideos

FRAMES = 24


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
    make_faces(path, num_videos=4, num_frames=FRAMES)
    return DatasetVideos(VideoDataset(path))


def test_the_data_against_themselves(data: DatasetVideos) -> None:
    report = known_factors(data, data, clips=4, frames=FRAMES, seed=1)
    assert report.generated == report.real and report.real.videos == 4 and report.real.valid == 1
    for match in report.factors.values():
        assert match.distance in (0, None) and match.accuracy in (1, None)
    assert json.loads(json.dumps(dataclasses.asdict(report), allow_nan=False))["frames"] == FRAMES
    assert "valid and constant" in str(report) and "100.0%" in str(report)


def test_planted_distributions_and_damage(data: DatasetVideos, tmp_path: Path) -> None:
    """All heads tall; one video of three is blank."""
    videos = [drawn(20, head="tall"), drawn(21, head="tall"), np.full((FRAMES, 64, 64, 3), 230, np.uint8)]
    report = known_factors(dataset(tmp_path / "tall.zip", videos), data, clips=4, frames=FRAMES)
    assert report.generated.valid == pytest.approx(2 / 3)
    assert report.generated.problems["no head"] == pytest.approx(1 / 3)
    match = report.factors["head"]
    assert match.generated["tall"] == 1 and match.distance == pytest.approx(1 - match.real["tall"])


def test_arrays_are_checked_without_data() -> None:
    row = check_factors(np.stack([drawn(20), np.full((FRAMES, 64, 64, 3), 230, np.uint8)]))
    assert row.valid == 0.5 and str(row).startswith("50.0 % of 2 videos valid and constant")
    blank = check_factors([np.full((FRAMES, 64, 64, 3), 230, np.uint8)])
    assert blank.valid == 0 and blank.speed is None and blank.dependence is None


def found(seed: int, speed: float) -> RecoveredFace:
    face, pose = sample_face(np.random.default_rng(seed)), motion(seed, np.arange(4))
    return RecoveredFace((), face, pose, 0.3, speed, 1.0, np.zeros(4))


def test_dependence_of_motion_on_content() -> None:
    random = np.random.default_rng(0)
    free = factors._row([found(seed, random.random()) for seed in range(200)]).dependence
    heads = [sample_face(np.random.default_rng(seed)).head for seed in range(200)]
    bound = factors._row([found(seed, 1.0 + (head == "tall")) for seed, head in enumerate(heads)]).dependence
    assert free is not None and bound is not None
    assert abs(free) < 0.02 and bound == pytest.approx(1 / len(factors.FACTORS), abs=0.02)


class Drawer:
    """Stands in for a model whose motion does, or does not, depend on its motion seed alone."""

    fps, motion_seeds = FPS, True

    def __init__(self, bound: bool) -> None:
        self.bound = bound

    def sample(self, *, seed: int, motion_seed: int, seconds: float) -> np.ndarray:
        face = sample_face(np.random.default_rng(seed))
        return draw_video(face, seed if self.bound else motion_seed, round(seconds * FPS), 64, 64)


def test_the_same_motion_with_another_content() -> None:
    kept: Any = Drawer(bound=False)
    lost: Any = Drawer(bound=True)
    assert same_motion(kept, FRAMES, pairs=1) > 0.9 > 0.8 > same_motion(lost, FRAMES, pairs=1)
    kept.motion_seeds = False
    assert same_motion(kept, FRAMES, pairs=1) is None


def test_total_variation() -> None:
    assert total_variation(np.array([0.5, 0.5, 0]), np.array([0, 0.5, 0.5])) == 0.5
    assert total_variation(np.array([1.0, 0]), np.array([0, 1.0])) == 1


def test_data_that_are_no_faces_and_short_videos_are_refused(data: DatasetVideos, tmp_path: Path) -> None:
    known = dataclasses.asdict(sample_face(np.random.default_rng(0)))
    for name, meta in (
        ("plain", {}),
        ("other", {"factors": {**known, "head": "star"}}),
        ("few", {"factors": {"hue": 0}}),
    ):
        unknown = dataset(tmp_path / f"{name}.zip", [drawn(0)], **meta)
        assert has_factors(data) and not has_factors(unknown)
        with pytest.raises(StyleganvError, match="does not say which faces its videos show"):
            known_factors(data, unknown)
    with pytest.raises(StyleganvError, match="has 100 frames"):
        known_factors(data, data, frames=100)
