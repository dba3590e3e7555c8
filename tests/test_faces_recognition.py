"""Recovery of drawn faces: content and motion come back, and damage is named."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from styleganv.faces.judging import PROBLEMS
from styleganv.faces.recovery import RecoveredFace, recover

from styleganv.faces.drawing import draw_pose, draw_video, head_color
from styleganv.faces.factors import FPS, Face, Pose, motion, sample_face
from styleganv.faces.movement import blink_rate, reversals, speed

FRAMES = 32
SIDE = 64


def known(index: int) -> tuple[Face, int]:
    rng = np.random.default_rng([3, index])
    return sample_face(rng), int(rng.integers(2**31))


def drawn(index: int, frames: int = FRAMES, size: tuple[int, int] = (SIDE, SIDE), **changes: Any) -> np.ndarray:
    face, seed = known(index)
    return draw_video(replace(face, **changes), seed, frames, *size)


@pytest.fixture(scope="module")
def recovered() -> list[tuple[Face, Pose, RecoveredFace]]:
    found = []
    for index in range(3):
        face, seed = known(index)
        found.append((face, motion(seed, np.arange(FRAMES)), recover(drawn(index))))
    return found


def test_content_comes_back(recovered: list[tuple[Face, Pose, RecoveredFace]]) -> None:
    for face, _, found in recovered:
        assert found.valid and found.face is not None, found.problems
        for name, value in vars(face).items():
            got = getattr(found.face, name)
            if (name == "brow_slope" and face.brows == "none") or (name == "top_hue" and face.top == "none"):
                continue
            if name.endswith("hue"):
                assert abs((got - value + 0.5) % 1 - 0.5) < 0.03
            elif isinstance(value, float):
                assert got == pytest.approx(value, abs=0.06)
            else:
                assert got == value, name


def test_motion_comes_back(recovered: list[tuple[Face, Pose, RecoveredFace]]) -> None:
    for _, pose, found in recovered:
        for name, least in {"x": 0.5 / SIDE, "y": 0.5 / SIDE, "roll": 0.05}.items():
            assert np.abs(getattr(found.pose, name) - getattr(pose, name)).max() < least, name
        clear = np.abs(pose.blink - 0.5) > 0.2
        assert ((found.pose.blink > 0.5) == (pose.blink > 0.5))[clear].all()
        assert found.blink_rate == blink_rate(pose)
        assert found.speed == pytest.approx(speed(pose), rel=0.1)
        assert abs(found.reversals - reversals(pose)) < 1.1 * FPS / FRAMES


def test_time_reversed_and_slower_clips_have_the_same_speed(
    recovered: list[tuple[Face, Pose, RecoveredFace]],
) -> None:
    _, _, found = recovered[0]
    back = recover(drawn(0)[::-1])
    assert (back.speed == pytest.approx(found.speed, rel=0.1) and back.face == found.face) or back.valid
    coarse = recover(drawn(0)[::2], FPS / 2)
    assert coarse.valid and coarse.speed == pytest.approx(found.speed, rel=0.2)


def feature(index: int, u: float, v: float, radius: float, color: tuple[float, float, float]) -> np.ndarray:
    """A video with a disc painted where features are, following the head."""
    _, seed = known(index)
    pose, video = motion(seed, np.arange(FRAMES)), drawn(index)
    u, v = u + pose.turn, v + pose.nod
    x, y = (
        pose.x + np.cos(pose.roll) * u - np.sin(pose.roll) * v,
        pose.y + np.sin(pose.roll) * u + np.cos(pose.roll) * v,
    )
    row, column = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    for t in range(FRAMES):
        video[t][np.hypot(column - x[t], row - y[t]) < radius] = color
    return video


def second_head() -> np.ndarray:
    video = drawn(1)
    row, column = np.mgrid[:SIDE, :SIDE]
    video[:, np.hypot(row - 8, column - 8) < 7] = head_color(known(1)[0])
    return video


def color_drift() -> np.ndarray:
    face, seed = known(1)
    pose = motion(seed, np.arange(FRAMES))
    frames = []
    for t in range(FRAMES):
        still = Pose(**{name: values[t : t + 1] for name, values in vars(pose).items()})
        frames.append(draw_pose(replace(face, hue=(face.hue + 0.15 * t / FRAMES) % 1), still, SIDE, SIDE)[0])
    return np.stack(frames)


def half_way(index: int, **changes: Any) -> np.ndarray:
    return np.concatenate([drawn(index)[: FRAMES // 2], drawn(index, **changes)[FRAMES // 2 :]])


def eyes_half_way() -> np.ndarray:
    return half_way(1, eyes="small" if known(1)[0].eyes != "small" else "large")


def mixed() -> np.ndarray:
    return np.where((np.arange(FRAMES) % 2 == 0)[:, None, None, None], drawn(1), drawn(2))


def blurred(video: np.ndarray, times: int) -> np.ndarray:
    """Blurred by a standard deviation of √(times / 2) pixels."""
    soft = video.astype(float)
    for _ in range(times):
        for axis in (1, 2):
            soft = (np.roll(soft, 1, axis) + 2 * soft + np.roll(soft, -1, axis)) / 4
    return (soft + 0.5).astype(np.uint8)


def soft_and_noisy(video: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, video.shape)
    return (blurred(video, 1) + noise + 0.5).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("index", range(3, 7))
def test_soft_videos_stay_valid(index: int) -> None:
    found = recover(soft_and_noisy(drawn(index, 16)))
    assert found.valid, found.problems


@pytest.mark.parametrize("size", [(128, 128), (64, 96), (96, 64)])
def test_other_sizes_come_back(size: tuple[int, int]) -> None:
    face, seed = known(0)
    found = recover(drawn(0, 12, size))
    assert found.valid and found.face is not None, found.problems
    for name, value in vars(face).items():
        if isinstance(value, str) and not (name == "brow_slope" and face.brows == "none"):
            assert getattr(found.face, name) == value, name
    pose = motion(seed, np.arange(12))
    assert np.abs(found.pose.x - pose.x).max() < 0.5 / SIDE and np.abs(found.pose.y - pose.y).max() < 0.5 / SIDE


def test_a_video_of_closed_eyes_is_judged() -> None:
    face, seed = known(0)
    shut = replace(motion(seed, np.arange(8)), blink=np.ones(8))
    assert recover(draw_pose(face, shut, SIDE, SIDE)).face is not None


OTHER_DETAILS = [
    {"nose": {"none": "button", "button": "none"}},
    {"cheeks": {"none": "blush", "blush": "none"}},
    {"iris": {"black": "blue", "brown": "blue", "blue": "brown", "green": "brown"}},
]


@pytest.mark.parametrize("details", OTHER_DETAILS, ids=lambda details: next(iter(details)))
@pytest.mark.parametrize("finish", [np.asarray, lambda video: blurred(video, 1)], ids=["sharp", "soft"])
def test_small_changes_half_way_are_named(details: dict[str, dict[str, str]], finish: Any) -> None:
    [(name, others)] = details.items()
    changed = half_way(1, **{name: others[getattr(known(1)[0], name)]})
    assert "content changes" in recover(finish(changed)).problems


@pytest.mark.parametrize(
    "damaged, problems",
    [
        (second_head, {"several heads"}),
        (lambda: feature(1, -0.142, -0.055, 0.125, head_color(known(1)[0])), {"not two eyes"}),
        (lambda: feature(1, 0, -0.12, 0.06, (250, 250, 250)), {"not two eyes"}),
        (lambda: feature(1, 0, 0.2, 0.15, head_color(known(1)[0])), {"no mouth"}),
        (color_drift, {"head color changes"}),
        (eyes_half_way, {"content changes", "not two eyes"}),
        (mixed, {"head color changes", "content changes", "no drawn face"}),
        (lambda: blurred(drawn(1), 30), set(PROBLEMS)),
        (lambda: np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 3), np.uint8), set(PROBLEMS)),
        (lambda: np.full((FRAMES, SIDE, SIDE, 3), 230, np.uint8), {"no head"}),
    ],
)
def test_damage_is_named(damaged: Any, problems: set[str]) -> None:
    found = recover(damaged())
    assert not found.valid and set(found.problems) & problems, found.problems


def test_numbers_of_motion() -> None:
    still = np.zeros(100)
    time = np.arange(100) / 25
    channels = {name: still for name in vars(motion(0, [0.0]))}
    pose = Pose(**{**channels, "x": 0.5 + 0.1 * np.sin(2 * np.pi * time), "blink": (np.arange(100) % 50 < 4) * 1.0})
    assert blink_rate(pose) == 0.5
    assert reversals(pose) == 2
    assert reversals(pose, 50) == 4
    noisy = replace(pose, x=0.5 + 0.001 * np.random.default_rng(0).standard_normal(100))
    assert reversals(noisy) == 0
    line = replace(pose, x=0.1 * time)
    assert speed(line) == pytest.approx(0.1) and speed(line, 50) == pytest.approx(0.2)
