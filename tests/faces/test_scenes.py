"""Scenes of several heads: drawing, and recognition of number, colors and positions on good and damaged videos."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from styleganv.data.dataset import VideoDataset
from styleganv.faces.drawing import pale_color
from styleganv.faces.scene_recognition import recognize_scene
from styleganv.faces.scenes import COLORS, RADII, Head, Scene, draw_scene, make_scenes, sample_scene, scene_positions

Video = NDArray[np.uint8]
FRAMES = 48
#: Three heads that stay apart, of two colors.
APART = Scene(0.6, (Head("red", 0.14, 0.25, 0.3), Head("green", 0.13, 0.75, 0.35), Head("red", 0.12, 0.5, 0.75)))


def draw(scene: Scene = APART, seed: int = 0, side: int = 32) -> Video:
    return draw_scene(scene, seed, FRAMES, side, side)


def test_scenes_vary_in_everything_and_start_apart() -> None:
    scenes = [sample_scene(np.random.default_rng(i), 2 + i % 3) for i in range(300)]
    heads = [head for scene in scenes for head in scene.heads]
    shares = [sum(head.color == color for head in heads) / len(heads) for color in COLORS]
    assert min(shares) > 0.7 / len(COLORS)
    assert min(h.radius for h in heads) < RADII[0] + 0.005 and max(h.radius for h in heads) > RADII[1] - 0.005
    for scene in scenes:
        for i, a in enumerate(scene.heads):
            for b in scene.heads[:i]:
                assert np.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius


def test_a_head_is_drawn_where_it_should_be() -> None:
    still = Scene(0.3, (Head("blue", 0.25, 0.5, 0.5),))
    center = scene_positions(still, 3, np.zeros(1))[0, 0]
    frame = draw_scene(still, 3, 1, 64, 96)[0].astype(int)
    is_blue = np.abs(frame - COLORS["blue"]).max(axis=-1) < 2
    rows, columns = np.nonzero(is_blue)
    assert (rows.max() - rows.min() + columns.max() - columns.min()) / 2 + 1 == pytest.approx(2 * 0.25 * 64, abs=1.5)
    middle = (columns.max() + columns.min() + 1) / 2, (rows.max() + rows.min() + 1) / 2
    assert middle == pytest.approx(((center[0] - 0.5) * 64 + 48, center[1] * 64), abs=1)
    assert np.abs(frame[0, 0] - pale_color(0.3)).max() < 1


def test_heads_move_independently_and_the_front_one_covers() -> None:
    positions = scene_positions(APART, 0, np.arange(40_000.0))
    steps = np.diff(positions.reshape(40_000, -1), axis=0)
    assert np.abs(np.corrcoef(steps.T) - np.eye(6)).max() < 0.08
    assert positions.std(axis=0).ravel() == pytest.approx(np.full(6, 0.05), rel=0.1)
    both = Scene(0.6, (Head("red", 0.2, 0.5, 0.5), Head("blue", 0.2, 0.5, 0.5)))
    frames = draw(both, seed=1)
    blue = (np.abs(frames.astype(int) - COLORS["blue"]).max(axis=-1) < 30).sum(axis=(1, 2))
    assert blue.max() - blue.min() < 0.1 * blue.max()  # always whole


def test_the_dataset_holds_scenes_that_redraw_it(tmp_path: Path) -> None:
    path = tmp_path / "scenes.zip"
    make_scenes(path, num_videos=12, num_frames=4, num_heads=(2, 3), resolution=(16, 24), jpeg_quality=None)
    data = VideoDataset(path)
    assert (data.height, data.width, data.fps, len(data.videos)) == (16, 24, 25.0, 12)
    records = json.loads(zipfile.ZipFile(path).read("dataset.json"))["videos"]
    scenes = [record["scene"] for record in records]
    assert {len(scene["heads"]) for scene in scenes} == {2, 3}
    first = Scene(scenes[0]["background_hue"], tuple(Head(**head) for head in scenes[0]["heads"]))
    drawn = draw_scene(first, scenes[0]["motion_seed"], 4, 16, 24)
    assert np.array_equal(data.read(0, [0, 1, 2, 3]), drawn.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("side", "count"), [(32, 15), (48, 3)])
def test_drawn_scenes_are_recognized(side: int, count: int) -> None:
    for i in range(count):
        scene = sample_scene(np.random.default_rng([7, i]), 2 + i % 3)
        found = recognize_scene(draw(scene, i, side))
        assert sorted(found.colors) == sorted(head.color for head in scene.heads)
        assert found.is_valid(2, 4) and found.is_valid(len(scene.heads), len(scene.heads))
        assert not found.is_valid(len(scene.heads) + 1, 9)
        truth = scene_positions(scene, i, np.arange(float(FRAMES)))
        for k, color in enumerate(found.colors):
            same = [j for j, head in enumerate(scene.heads) if head.color == color]
            errors = [np.nanmedian(np.abs(found.positions[:, k] - truth[:, j])) for j in same]
            assert min(errors) < 0.012


def test_tracks_of_equal_heads_do_not_swap() -> None:
    found = recognize_scene(draw())
    assert found.colors == ("red", "red", "green")
    truth = scene_positions(APART, 0, np.arange(float(FRAMES)))
    order = [0, 2, 1] if np.abs(found.positions[0, 0] - truth[0, 0]).max() < 0.1 else [2, 0, 1]
    np.testing.assert_allclose(found.positions, truth[:, order], atol=0.03)


def _blended(video: Video) -> Video:
    """Return the video with another one shining through."""
    other = draw(Scene(0.6, (Head("blue", 0.15, 0.3, 0.35), Head("yellow", 0.15, 0.7, 0.4))), seed=9)
    return ((video.astype(int) + other) // 2).astype(np.uint8)


def _vanishing(video: Video) -> Video:
    """Return the video without the green head in the last 70 %."""
    fewer = draw(Scene(APART.background_hue, (APART.heads[0], Head("green", 0.001, 0.75, 0.35), APART.heads[2])))
    return np.concatenate([video[:14], fewer[14:]])


def _recolored(video: Video) -> Video:
    """Return the video with a head that changes its color in the middle."""
    other = draw(Scene(APART.background_hue, (APART.heads[0], Head("blue", 0.13, 0.75, 0.35), APART.heads[2])))
    return np.concatenate([video[: FRAMES // 2], other[FRAMES // 2 :]])


def _gray(video: Video) -> Video:
    """Return the video with half of its saturation, darkened."""
    return (0.5 * video + 0.3 * video.mean(axis=-1, keepdims=True)).astype(np.uint8)


def _noisy(video: Video) -> Video:
    return np.random.default_rng(0).integers(0, 256, video.shape, dtype=np.uint8)


def _empty(video: Video) -> Video:
    return np.broadcast_to(video[:, :1, :1], video.shape).copy()


@pytest.mark.parametrize("damage", [_blended, _vanishing, _recolored, _gray, _noisy, _empty])
def test_damaged_scenes_are_not_valid(damage: Callable[[Video], Video]) -> None:
    assert recognize_scene(draw()).is_valid(2, 4)
    assert not recognize_scene(damage(draw())).is_valid(2, 4)


def test_too_many_and_too_few_heads() -> None:
    grid = [(x, y) for y in (0.2, 0.8) for x in (0.2, 0.5, 0.8)]
    for count, valid in ((1, False), (2, True), (4, True), (5, False), (6, False)):
        heads = tuple(Head("red" if k % 2 else "blue", 0.12, *grid[k]) for k in range(count))
        found = recognize_scene(draw(Scene(0.3, heads), seed=4))
        assert (len(found.colors), found.is_valid(2, 4)) == (count, valid)
