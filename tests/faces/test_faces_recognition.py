"""Recognition of drawn faces: content, motion, and failure modes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from styleganv.faces.drawing import draw_pose, draw_video, head_color
from styleganv.faces.factors import FPS, Face, Pose, motion, sample_face
from styleganv.faces.failures import FAILURE_MODES
from styleganv.faces.movement import blink_rate, reversals, speed
from styleganv.faces.recognition import RecognizedFace, recognize_factors

FRAMES = 12
SIDE = 64


def face_and_seed(index: int) -> tuple[Face, int]:
    rng = np.random.default_rng([3, index])
    return sample_face(rng), int(rng.integers(2**31))


def drawn(index: int, frames: int = FRAMES, size: tuple[int, int] = (SIDE, SIDE), **changes: Any) -> np.ndarray:
    face, seed = face_and_seed(index)
    return draw_video(replace(face, **changes), seed, frames, *size)


@pytest.fixture(scope="module")
def recognized() -> list[tuple[Face, Pose, RecognizedFace]]:
    found = []
    for index in range(3):
        face, seed = face_and_seed(index)
        found.append((face, motion(seed, np.arange(FRAMES)), recognize_factors(drawn(index))))
    return found


def test_content_is_recognized(recognized: list[tuple[Face, Pose, RecognizedFace]]) -> None:
    for face, _, found in recognized:
        assert found.valid and found.face is not None, found.failure_modes
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


def test_motion_is_recognized(recognized: list[tuple[Face, Pose, RecognizedFace]]) -> None:
    for _, pose, found in recognized:
        for name, least in {"x": 0.5 / SIDE, "y": 0.5 / SIDE, "roll": 0.05}.items():
            assert np.abs(getattr(found.pose, name) - getattr(pose, name)).max() < least, name
        clear = np.abs(pose.blink - 0.5) > 0.2
        assert ((found.pose.blink > 0.5) == (pose.blink > 0.5))[clear].all()
        assert found.blink_rate == blink_rate(pose)
        assert found.speed == pytest.approx(speed(pose), rel=0.1)
        assert abs(found.reversals - reversals(pose)) < 1.1 * FPS / FRAMES


@pytest.mark.slow
def test_time_reversed_and_slower_clips_have_the_same_speed(
    recognized: list[tuple[Face, Pose, RecognizedFace]],
) -> None:
    _, _, found = recognized[0]
    back = recognize_factors(drawn(0)[::-1])
    assert (back.speed == pytest.approx(found.speed, rel=0.1) and back.face == found.face) or back.valid
    coarse = recognize_factors(drawn(0)[::2], FPS / 2)
    assert coarse.valid and coarse.speed == pytest.approx(found.speed, rel=0.2)


def feature(index: int, u: float, v: float, radius: float, color: tuple[float, float, float]) -> np.ndarray:
    """Draw a video with a disc in feature coordinates, which follows the head."""
    _, seed = face_and_seed(index)
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
    video[:, np.hypot(row - 8, column - 8) < 7] = head_color(face_and_seed(1)[0])
    return video


def color_drift() -> np.ndarray:
    face, seed = face_and_seed(1)
    pose = motion(seed, np.arange(FRAMES))
    frames = []
    for t in range(FRAMES):
        still = Pose(**{name: values[t : t + 1] for name, values in vars(pose).items()})
        frames.append(draw_pose(replace(face, hue=(face.hue + 0.15 * t / FRAMES) % 1), still, SIDE, SIDE)[0])
    return np.stack(frames)


def changed_halfway(index: int, **changes: Any) -> np.ndarray:
    return np.concatenate([drawn(index)[: FRAMES // 2], drawn(index, **changes)[FRAMES // 2 :]])


def eyes_halfway() -> np.ndarray:
    return changed_halfway(1, eyes="small" if face_and_seed(1)[0].eyes != "small" else "large")


def mixed() -> np.ndarray:
    return np.where((np.arange(FRAMES) % 2 == 0)[:, None, None, None], drawn(1), drawn(2))


def blurred(video: np.ndarray, times: int) -> np.ndarray:
    """Blur by a standard deviation of √(times / 2) pixels."""
    soft = video.astype(float)
    for _ in range(times):
        for axis in (1, 2):
            soft = (np.roll(soft, 1, axis) + 2 * soft + np.roll(soft, -1, axis)) / 4
    return (soft + 0.5).astype(np.uint8)


def soft_and_noisy(video: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, video.shape)
    return (blurred(video, 1) + noise + 0.5).clip(0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("index", [3, 4, *(pytest.param(each, marks=pytest.mark.long) for each in (5, 6))])
def test_soft_videos_stay_valid(index: int) -> None:
    found = recognize_factors(soft_and_noisy(drawn(index, 16)))
    assert found.valid, found.failure_modes


@pytest.mark.slow
@pytest.mark.parametrize("size", [(128, 128), (64, 96), (96, 64)])
def test_other_sizes_are_recognized(size: tuple[int, int]) -> None:
    face, seed = face_and_seed(0)
    found = recognize_factors(drawn(0, 12, size))
    assert found.valid and found.face is not None, found.failure_modes
    for name, value in vars(face).items():
        if isinstance(value, str) and not (name == "brow_slope" and face.brows == "none"):
            assert getattr(found.face, name) == value, name
    pose = motion(seed, np.arange(12))
    assert np.abs(found.pose.x - pose.x).max() < 0.5 / SIDE and np.abs(found.pose.y - pose.y).max() < 0.5 / SIDE


def test_a_video_of_closed_eyes_is_recognized() -> None:
    face, seed = face_and_seed(0)
    closed = replace(motion(seed, np.arange(8)), blink=np.ones(8))
    assert recognize_factors(draw_pose(face, closed, SIDE, SIDE)).face is not None


CHANGED_DETAILS = [
    {"nose": {"none": "button", "button": "none"}},
    pytest.param({"cheeks": {"none": "blush", "blush": "none"}}, marks=pytest.mark.long),
    {"iris": {"black": "blue", "brown": "blue", "blue": "brown", "green": "brown"}},
]


@pytest.mark.slow
@pytest.mark.parametrize("details", CHANGED_DETAILS, ids=["nose", "cheeks", "iris"])
@pytest.mark.parametrize("finish", [np.asarray, lambda video: blurred(video, 1)], ids=["sharp", "soft"])
def test_small_changes_halfway_are_reported(details: dict[str, dict[str, str]], finish: Any) -> None:
    [(name, others)] = details.items()
    changed = changed_halfway(1, **{name: others[getattr(face_and_seed(1)[0], name)]})
    assert "content changes" in recognize_factors(finish(changed)).failure_modes


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "damaged, failure_modes",
    [
        slow(second_head, {"several heads"}),
        slow(lambda: feature(1, -0.142, -0.055, 0.125, head_color(face_and_seed(1)[0])), {"not two eyes"}),
        slow(lambda: feature(1, 0, -0.12, 0.06, (250, 250, 250)), {"not two eyes"}),
        slow(lambda: feature(1, 0, 0.2, 0.15, head_color(face_and_seed(1)[0])), {"no mouth"}),
        slow(color_drift, {"head color changes"}),
        slow(eyes_halfway, {"content changes", "not two eyes"}),
        slow(mixed, {"head color changes", "content changes", "no drawn face"}),
        slow(lambda: blurred(drawn(1), 30), set(FAILURE_MODES)),
        slow(lambda: np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 3), np.uint8), set(FAILURE_MODES)),
        (lambda: np.full((FRAMES, SIDE, SIDE, 3), 230, np.uint8), {"no head"}),
    ],
)
def test_damage_is_reported(damaged: Any, failure_modes: set[str]) -> None:
    found = recognize_factors(damaged())
    assert not found.valid and set(found.failure_modes) & failure_modes, found.failure_modes


def test_measures_of_motion() -> None:
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
