"""The known-factor check: drawn videos recover their factors, planted faults are named, distances are as planted."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from styleganv.data.dataset import VideoDataset, write_dataset
from styleganv.data.shapes import FPS, Factors, draw_video, make_shapes, position, sample_factors
from styleganv.errors import StyleganvError
from styleganv.metrics.factors import has_factors, known_factors, total_variation
from styleganv.metrics.paths import fit_path
from styleganv.metrics.recover import FACTORS, FAULTS, Recovered, recover
from styleganv.metrics.videos import DatasetVideos, FileVideos

FRAMES = 64


def drawn(seed: int, resolution: int = 32, frames: int = FRAMES, fps: float = FPS, **changes: Any) -> np.ndarray:
    factors = dataclasses.replace(sample_factors(np.random.default_rng(seed)), **changes)
    return draw_video(factors, frames, resolution, resolution, fps)


def blurred(video: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(f).filter(ImageFilter.GaussianBlur(sigma))) for f in video])


def names(found: Recovered) -> dict[str, str | None]:
    return {factor: getattr(found, factor) for factor in FACTORS}


@pytest.mark.parametrize("resolution, sigma", [(16, 0), (32, 1), (64, 2)])
def test_a_drawn_or_blurred_video_recovers_its_factors(resolution: int, sigma: float) -> None:
    for seed in range(5):
        factors = sample_factors(np.random.default_rng(seed))
        found = recover(blurred(drawn(seed, resolution), sigma))
        assert found.valid and names(found) == {factor: getattr(factors, factor) for factor in FACTORS}


def test_a_clip_may_begin_at_any_time_and_have_another_rate() -> None:
    for seed in range(4):
        factors = sample_factors(np.random.default_rng(seed))
        later = recover(drawn(seed, frames=FRAMES + 21)[21:])
        slower = recover(drawn(seed, frames=FRAMES // 2, fps=FPS / 2), fps=FPS / 2)
        assert names(later) == names(slower) == {factor: getattr(factors, factor) for factor in FACTORS}


def test_a_speed_between_the_data_s_is_measured_but_not_valid() -> None:
    factors = Factors("circle", "red", "large", "plain", 0.3, "line", "medium", 1, 30, 0.1, "steady")
    for faster, named in ((0.73, None), (0.95, "medium"), (1.05, "medium"), (1.29, None)):
        x, y = position(factors, np.arange(FRAMES) * faster)
        fit = fit_path(np.stack([x, y], axis=-1))
        assert fit is not None and fit.path == "line" and fit.residual < 1e-4
        assert fit.speed == pytest.approx(0.55 * faster, rel=1e-3)
        found = recover(draw_video(factors, FRAMES, 32, 32, FPS / faster))
        assert found.speed == named and found.faults == (() if named else ("speed",))


def colour_changes() -> np.ndarray:
    return np.concatenate([drawn(1, colour="red")[:32], drawn(1, colour="blue")[32:]])


def shape_changes() -> np.ndarray:
    return np.concatenate([drawn(1, shape="bar")[:32], drawn(1, shape="triangle")[32:]])


def two_shapes() -> np.ndarray:
    """A small second circle of the same colour stands in a corner."""
    video = drawn(2, shape="circle", colour="red", texture="plain")
    row, column = np.mgrid[:32, :32]
    video[:, np.hypot(row - 4, column - 4) < 3.5] = (222, 36, 40)
    return video


def ellipse() -> np.ndarray:
    """Between a circle and a bar."""
    x, y = position(sample_factors(np.random.default_rng(2)), np.arange(FRAMES))
    row, column = np.mgrid[:32, :32] + 0.5
    inside = np.hypot((column - 32 * x[:, None, None]) / 9, (row - 32 * y[:, None, None]) / 5) < 1
    return np.where(inside[..., None], (222, 36, 40), (240, 225, 230)).astype(np.uint8)


def two_colours() -> np.ndarray:
    """The lower half of the shape is of another colour."""
    video, other = (drawn(3, shape="circle", colour=colour, texture="plain") for colour in ("yellow", "blue"))
    factors = sample_factors(np.random.default_rng(3))
    _, y = position(factors, np.arange(FRAMES))
    lower = (np.arange(32) + 0.5) / 32 > y[:, None]
    return np.where(lower[:, :, None, None], other, video)


def orange() -> np.ndarray:
    """Half way between red and yellow."""
    red, yellow = (drawn(3, colour=colour, texture="plain").astype(int) for colour in ("red", "yellow"))
    return ((red + yellow) // 2).astype(np.uint8)


def grey_shape() -> np.ndarray:
    video = drawn(4, texture="plain")
    return np.where(np.ptp(video.astype(int), axis=-1, keepdims=True) > 60, 60, video).astype(np.uint8)


def teleports() -> np.ndarray:
    """From frame 32 on, the same shape goes on from another place on its path."""
    return np.concatenate([drawn(5, path="circle", start=0.0)[:32], drawn(5, path="circle", start=0.4)[32:]])


def other_path() -> np.ndarray:
    """Along a line for one second, then around a circle."""
    return np.concatenate([drawn(5, path="line", speed="fast")[:25], drawn(5, path="circle", speed="fast")[25:]])


def shuffled() -> np.ndarray:
    return drawn(6)[np.random.default_rng(0).permutation(FRAMES)]


def still() -> np.ndarray:
    return np.repeat(drawn(7)[:1], FRAMES, axis=0)


def vanishes() -> np.ndarray:
    """The shape is gone in a quarter of the frames."""
    video = drawn(8)
    video[40:56] = video[0, 0, 0]
    return video


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (FRAMES, 32, 32, 3), np.uint8)


def background() -> np.ndarray:
    return np.full((FRAMES, 32, 32, 3), (240, 225, 230), np.uint8)


@pytest.mark.parametrize(
    "plant, faults",
    [
        (colour_changes, {"colour changes"}),
        (shape_changes, {"shape changes"}),
        (two_shapes, {"no shape"}),
        (ellipse, {"no shape"}),
        (two_colours, {"no colour"}),
        (orange, {"no colour"}),
        (grey_shape, {"no colour"}),
        (teleports, {"path"}),
        (other_path, {"path"}),
        (shuffled, {"path"}),
        (still, {"path"}),
        (vanishes, {"empty", "no shape", "no colour"}),
        (noise, {"no shape", "no colour"}),
        (background, {"empty", "no shape", "no colour", "path"}),
    ],
)
def test_a_planted_fault_is_named(plant: Any, faults: set[str]) -> None:
    found = recover(plant())
    assert not found.valid and set(found.faults) <= set(FAULTS)
    assert faults <= set(found.faults)
    if plant not in (noise, background, two_shapes, grey_shape):  # the rest of the video is as it was
        assert faults == set(found.faults)


def test_a_slip_of_a_few_frames_is_no_fault_but_is_reported() -> None:
    video = drawn(9, shape="bar", colour="green")
    video[10:13] = drawn(9, shape="bar", colour="red")[10:13]
    found = recover(video)
    assert found.valid and found.colour == "green" and found.colour_share == pytest.approx(61 / 64)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DatasetVideos:
    path = tmp_path_factory.mktemp("factors") / "data.zip"
    make_shapes(path, num_videos=16, num_frames=FRAMES + 4, resolution=(16, 16))
    return DatasetVideos(VideoDataset(path))


def write(path: Path, **changes: Any) -> DatasetVideos:
    """12 other drawn videos, all with the changes."""
    videos = [(f"v{i}", drawn(100 + i, 16, **changes), None, {}) for i in range(12)]
    write_dataset(path, videos, height=16, width=16, fps=FPS)
    return DatasetVideos(VideoDataset(path))


def test_the_data_against_itself(data: DatasetVideos) -> None:
    report = known_factors(data, data, clips=100, frames=FRAMES, seed=1)
    assert report.generated.videos == report.real.videos == len(data.data)
    assert report.real.valid == report.real.shape_share == report.real.colour_share == 1
    for match in report.factors.values():
        assert match.accuracy == match.found == 1
        assert match.distance == 0 and 0 < match.floor < 0.4
    assert json.loads(json.dumps(dataclasses.asdict(report), allow_nan=False))["frames"] == FRAMES
    assert "valid" in str(report) and "100.0%" in str(report)
    assert report == known_factors(data, data, clips=100, frames=FRAMES, seed=1)


def test_planted_distributions_have_their_total_variation(data: DatasetVideos, tmp_path: Path) -> None:
    """All slow: what the data have of other speeds is the distance. Other factors differ by chance only."""
    report = known_factors(write(tmp_path / "slow.zip", speed="slow", shape="bar"), data, clips=16)
    for factor, name in (("speed", "slow"), ("shape", "bar")):
        match = report.factors[factor]
        assert match.generated[name] == 1 and match.found == 1
        assert match.distance == pytest.approx(1 - match.real[name])
        assert match.distance > 2 * match.floor
    for factor in ("path", "rhythm"):
        assert report.factors[factor].distance < 2 * report.factors[factor].floor


def test_the_floor_is_the_expected_distance_of_two_real_draws(data: DatasetVideos) -> None:
    match = known_factors(data, data, clips=8).factors["rhythm"]
    share = next(iter(match.real.values()))
    draws = np.random.default_rng(5).binomial(8, share, size=(20_000, 2)) / 8
    assert match.floor == pytest.approx(np.abs(draws[:, 0] - draws[:, 1]).mean(), rel=0.05)


def test_nothing_valid_leaves_distances_out(data: DatasetVideos, tmp_path: Path) -> None:
    empty = [("empty", background()[:, :16, :16], None, {})]
    write_dataset(tmp_path / "empty.zip", empty, height=16, width=16, fps=FPS)
    report = known_factors(DatasetVideos(VideoDataset(tmp_path / "empty.zip")), data, clips=4)
    assert report.generated.valid == 0 and report.generated.faults["empty"] == 1
    assert report.generated.residual is None
    assert all(match.distance is None and match.found == 0 for match in report.factors.values())
    assert "–" in str(report)


def test_total_variation() -> None:
    assert total_variation(np.array([0.5, 0.5, 0]), np.array([0, 0.5, 0.5])) == 0.5
    assert total_variation(np.array([1.0, 0]), np.array([0, 1.0])) == 1


def test_data_without_factors_and_short_videos_are_refused(data: DatasetVideos, tmp_path: Path) -> None:
    known = dataclasses.asdict(sample_factors(np.random.default_rng(0)))
    for name, meta in (("plain", {}), ("other", {"factors": {**known, "shape": "star"}})):
        videos = [("v", background()[:, :16, :16], None, meta)]
        write_dataset(tmp_path / f"{name}.zip", videos, height=16, width=16, fps=FPS)
        unknown = DatasetVideos(VideoDataset(tmp_path / f"{name}.zip"))
        assert has_factors(data) and not has_factors(unknown)
        with pytest.raises(StyleganvError, match="does not say what its videos show"):
            known_factors(data, unknown)
    with pytest.raises(StyleganvError, match="has 100 frames"):
        known_factors(data, data, frames=100)


def test_folders_of_images_are_judged_too(data: DatasetVideos, tmp_path: Path) -> None:
    for video in range(2):
        folder = tmp_path / "videos" / f"v{video}"
        folder.mkdir(parents=True)
        for number, frame in enumerate(drawn(video, frames=FRAMES)):
            Image.fromarray(frame).save(folder / f"{number:03d}.png")
    report = known_factors(FileVideos(tmp_path / "videos"), data, clips=2)
    assert report.generated.videos == 2 and report.generated.valid == 1
