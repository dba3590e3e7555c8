"""The embedded dataset: its factors are what is drawn, and what is drawn can be measured again."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from shapes import (
    ANGLES,
    COLORS,
    PATHS,
    REACH,
    RHYTHMS,
    SHAPES,
    SIZES,
    SPEEDS,
    TEXTURES,
    Factors,
    _distance,
    draw_video,
    make_shapes,
    measure,
    plain_factors,
    position,
    sample_factors,
)

from styleganv.data.dataset import VideoDataset


def speeds(factors: Factors, times: np.ndarray) -> np.ndarray:
    """Frame widths a frame, by central differences."""
    before, after = position(factors, times - 1e-4), position(factors, times + 1e-4)
    return np.hypot(after[0] - before[0], after[1] - before[1]) / 2e-4


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("texture", TEXTURES)
@pytest.mark.parametrize("height, width", [(32, 32), (48, 64), (64, 40)])
def test_the_drawn_shape_is_measured_where_and_as_what_it_is(shape: str, texture: str, height: int, width: int) -> None:
    for index, (color, size) in enumerate((c, s) for c in COLORS for s in SIZES):
        rng = np.random.default_rng([7, index])
        factors = dataclasses.replace(sample_factors(rng), shape=shape, texture=texture, color=color, size=size)
        found = measure(draw_video(factors, 12, height, width))
        x, y = position(factors, np.arange(12))
        error = np.hypot((found.center[:, 0] - x) * width, (found.center[:, 1] - y) * height)
        assert error.max() < 0.7 * min(height, width) / 32
        assert found.color_name == color


@pytest.mark.parametrize("resolution", [(32, 32), (48, 64)])
def test_area_tells_the_sizes_apart_whatever_the_shape_and_texture(resolution: tuple[int, int]) -> None:
    def areas(size: str) -> list[float]:
        videos = (plain_factors(shape=s, texture=t, size=size) for s in SHAPES for t in TEXTURES)
        return [float(measure(draw_video(factors, 8, *resolution)).area.mean()) for factors in videos]

    assert min(areas("large")) > 1.05 * max(areas("small"))


def test_measure_reports_nothing_where_there_is_nothing() -> None:
    empty = measure(np.full((3, 32, 32, 3), 230, np.uint8))
    assert np.isnan(empty.center).all() and (empty.area == 0).all() and empty.color_name is None


@pytest.mark.parametrize("shape", SHAPES)
def test_the_largest_shape_at_the_ends_of_its_reach_is_still_inside_the_frame(shape: str) -> None:
    along = np.linspace(-0.5, 0.5, 1001)
    wall = np.full_like(along, 0.5 - REACH)
    for across, down in ((along, wall), (along, -wall), (wall, along), (-wall, along)):
        assert _distance(shape, across, down, max(SIZES.values())).min() > -0.002  # of the frame


@pytest.mark.parametrize("shape", SHAPES)
def test_edges_are_smooth(shape: str) -> None:
    reds = np.unique(draw_video(plain_factors(shape=shape, color="cyan"), 1, 32, 32)[..., 0])
    assert ((reds > reds.min()) & (reds < reds.max())).sum() >= 3  # mixtures of the shape and the background


def test_position_is_the_same_at_every_frame_rate_and_video_follows_it() -> None:
    factors = plain_factors(path="pendulum", rhythm="pulsing", speed="fast")
    slow, fast = draw_video(factors, 16, 32, 32), draw_video(factors, 32, 32, 32, fps=50)
    assert np.array_equal(slow, fast[::2])
    assert not np.array_equal(fast[0], fast[1])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("speed", SPEEDS)
def test_speed_is_the_mean_speed_and_centers_stay_within_reach(path: str, speed: str) -> None:
    times = np.linspace(-500, 5000, 200_001)
    for rhythm in RHYTHMS:
        factors = plain_factors(path=path, speed=speed, rhythm=rhythm, angle=30)
        assert speeds(factors, times).mean() * 32 == pytest.approx(SPEEDS[speed], rel=0.01)
        centers = np.stack(position(factors, times))
        assert np.abs(centers - 0.5).max() <= REACH + 1e-12


@pytest.mark.parametrize("path", ["line", "circle", "zigzag"])
def test_rhythm_modulates_the_speed(path: str) -> None:
    times = np.linspace(0.013, 16.013, 400)
    steady = speeds(plain_factors(path=path, rhythm="steady"), times)
    pulsing = speeds(plain_factors(path=path, rhythm="pulsing"), times)
    assert np.median(np.abs(steady / np.median(steady) - 1)) < 1e-3
    assert pulsing.min() < 0.1 * steady.mean() and pulsing.max() > 1.8 * np.median(steady)


@pytest.mark.parametrize("path", ["line", "zigzag"])
def test_direction_mirrors_the_motion_and_a_line_starts_at_its_angle(path: str) -> None:
    for angle in ANGLES:
        right = plain_factors(path=path, direction=1, angle=angle, start=0.4)
        left = dataclasses.replace(right, direction=-1)
        x, y = position(right, np.array([0.0, 0.1]))
        mirrored_x, mirrored_y = position(left, np.array([0.0, 0.1]))
        assert x[1] > x[0] and np.allclose(mirrored_x, 1 - x) and np.array_equal(mirrored_y, y)
        if path == "line":
            assert math.degrees(math.atan2(y[1] - y[0], x[1] - x[0])) == pytest.approx(angle, abs=1e-6)


def test_a_circle_turns_clockwise_for_direction_1() -> None:
    for direction in (1, -1):
        x, y = position(plain_factors(direction=direction), np.array([0.0, 0.1]))
        turn = (x[0] - 0.5) * (y[1] - 0.5) - (y[0] - 0.5) * (x[1] - 0.5)
        assert np.sign(turn) == direction  # y points down, so a positive cross product is clockwise


def test_factors_are_sampled_independently_and_completely() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_factors(rng) for _ in range(3000)]
    for content, options in (("shape", SHAPES), ("color", COLORS), ("texture", TEXTURES), ("size", SIZES)):
        for motion, moves in (
            ("path", PATHS),
            ("speed", SPEEDS),
            ("rhythm", RHYTHMS),
            ("direction", (-1, 1)),
        ):
            for option in options:
                for move in moves:
                    share = np.mean([getattr(f, content) == option and getattr(f, motion) == move for f in drawn])
                    assert share == pytest.approx(1 / len(options) / len(moves), abs=0.04)


def test_make_shapes_writes_a_readable_dataset_with_its_factors(tmp_path: Path) -> None:
    make_shapes(tmp_path / "shapes.zip", num_videos=5, num_frames=9, resolution=(32, 48), seed=3)
    data = VideoDataset(tmp_path / "shapes.zip")
    assert (len(data), data.height, data.width, data.fps, data.num_classes) == (5, 32, 48, 25, 0)
    factors = Factors(**data.videos[4].meta["factors"])
    assert factors == sample_factors(np.random.default_rng([3, 4]))
    stored = data.read(4, [0, 8]).transpose(0, 2, 3, 1).astype(int)
    assert np.abs(stored - draw_video(factors, 9, 32, 48)[[0, 8]]).mean() < 4


def test_make_shapes_is_deterministic_and_seeded(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_shapes(tmp_path / f"{name}.zip", num_videos=2, num_frames=3, seed=seed)
    a, b, c = ((tmp_path / f"{name}.zip").read_bytes() for name in "abc")
    assert a == b != c
