"""The built-in dataset of cartoon faces: drawing of all factors, and aperiodic, bounded motion.

Shapes: T frames, H height, W width; images are uint8 `[T, H, W, 3]` in 0..255.
"""

import colorsys
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from styleganv.data.dataset import VideoDataset
from styleganv.faces.dataset import make_faces
from styleganv.faces.drawing import background_color, draw_pose, draw_video, head_color
from styleganv.faces.factors import BLINK_PAUSE, CENTER, CHANNELS, FPS, HEADS, OPTIONS, Face, Pose, motion, sample_face

HUES = ("hue", "background_hue", "top_hue")
PLAIN = Face(
    hue=0.1,
    saturation=0.7,
    value=0.9,
    background_hue=0.6,
    head="round",
    top="hair",
    top_hue=0.4,
    eyes="round",
    lids="wide",
    iris="blue",
    brows="thick",
    brow_slope="level",
    mouth="wide",
    nose="button",
    cheeks="blush",
    glasses="none",
)
CHANNEL_NAMES = [field.name for field in dataclasses.fields(Pose)]


def some_face(seed: int) -> Face:
    return sample_face(np.random.default_rng(seed))


def still(count: int = 1, **changes: float | np.ndarray) -> Pose:
    """Return a pose at rest in the center of the frame, `count` times, except for `changes`."""
    rest = dict.fromkeys(CHANNEL_NAMES, 0.0) | {"x": CENTER[0], "y": CENTER[1], "talk": 0.5} | changes
    return Pose(**{name: np.broadcast_to(np.asarray(value, float), count) for name, value in rest.items()})


def largest(channel: str) -> float:
    """Return the bound of a channel's smooth noise: knots are clipped at twice the deviation, before scaling."""
    return CHANNELS[channel][1] * 2 / 0.48**0.5


# Content


def test_all_options_are_about_equally_frequent() -> None:
    rng = np.random.default_rng(0)
    faces = [sample_face(rng) for _ in range(3000)]
    for name, options in OPTIONS.items():
        values = [getattr(face, name) for face in faces]
        assert set(values) == set(options)
        for option in options:
            expected = 1 / len(options)
            if name == "glasses":
                expected = 0.6 if option == "none" else 0.2
            assert np.mean([value == option for value in values]) == pytest.approx(expected, abs=0.04)
    for name in HUES:
        assert np.histogram([getattr(face, name) for face in faces], 10, (0, 1))[0].min() > 200


@pytest.mark.parametrize("name", [*OPTIONS, *HUES, "saturation", "value"])
def test_every_content_factor_is_visible(name: str) -> None:
    if name in OPTIONS:
        faces = [dataclasses.replace(PLAIN, **{name: option}) for option in OPTIONS[name]]
    else:
        faces = [dataclasses.replace(PLAIN, **{name: value}) for value in (0.6, 0.8)]
    images = [draw_pose(face, still(), 32, 32).tobytes() for face in faces]
    assert len(set(images)) == len(faces)


def test_content_is_constant_within_a_video() -> None:
    for seed in range(6):
        face = dataclasses.replace(some_face(seed), cheeks="none", glasses="none")
        video = draw_video(face, seed, 60, 64, 64)
        assert np.abs(video[:, -1, 0] - np.array(background_color(face))).max() <= 1
        pose = motion(seed, np.arange(60.0))
        # Skin next to the mouth, which no other feature reaches.
        u, v = 0.22, 0.17
        x = pose.x + u * np.cos(pose.roll) - v * np.sin(pose.roll)
        y = pose.y + u * np.sin(pose.roll) + v * np.cos(pose.roll)
        skin = video[np.arange(60), (64 * y).astype(int), (64 * x).astype(int)] / 255
        wanted = colorsys.rgb_to_hsv(*head_color(face))[:2]
        for color in skin:
            assert colorsys.rgb_to_hsv(*color)[:2] == pytest.approx(wanted, abs=0.02)


def test_a_still_pose_is_a_still_video() -> None:
    video = draw_pose(some_face(3), still(20), 32, 32)
    assert (video == video[0]).all()


# Motion


@pytest.mark.parametrize("channel", CHANNEL_NAMES)
def test_every_motion_channel_is_visible(channel: str) -> None:
    changed = {"blink": 1.0, "gaze_x": 0.8, "gaze_y": 0.8, "talk": 1.0, "smile": 0.9, "roll": 0.2}.get(channel, 0.03)
    poses = still(), still(**{channel: vars(still())[channel] + changed})
    before, after = (draw_pose(PLAIN, pose, 64, 64) for pose in poses)
    assert not np.array_equal(before, after)


def test_a_seed_determines_the_video() -> None:
    face = some_face(0)
    video = draw_video(face, 5, 12, 32, 32)
    assert np.array_equal(video, draw_video(face, 5, 12, 32, 32))
    assert not np.array_equal(video, draw_video(face, 6, 12, 32, 32))
    assert not np.array_equal(video, draw_video(some_face(1), 5, 12, 32, 32))


def test_a_longer_video_begins_with_the_shorter() -> None:
    assert np.array_equal(draw_video(PLAIN, 2, 100, 24, 24)[:7], draw_video(PLAIN, 2, 7, 24, 24))


@pytest.mark.parametrize("fps, every", [(50, 2), (100, 4)])
def test_the_same_motion_at_another_frame_rate(fps: float, every: int) -> None:
    video, finer = draw_video(PLAIN, 3, 30, 32, 32), draw_video(PLAIN, 3, 30 * every, 32, 32, fps=fps)
    assert np.array_equal(video, finer[::every])
    assert not np.array_equal(finer[:-1:every], finer[1::every])


@pytest.mark.parametrize("start", [1.0, 13.0, 40.5, 5000.0])
def test_a_video_starts_at_any_time(start: float) -> None:
    part = draw_video(PLAIN, 4, 9, 32, 32, start=start)
    times = start + np.arange(9)
    assert np.array_equal(part, draw_pose(PLAIN, motion(4, times), 32, 32))
    if start == 13:
        assert np.array_equal(part, draw_video(PLAIN, 4, 22, 32, 32)[13:])
    # The pose at a time does not depend on the other times.
    longer = motion(4, np.arange(0, start + 9, 0.5))
    for name, values in vars(motion(4, times)).items():
        assert np.array_equal(values, vars(longer)[name][int(2 * start) :: 2])


def test_motion_is_bounded_and_smooth() -> None:
    for seed in range(20):
        pose = motion(seed, np.arange(0, 3000, 0.25))
        for name in ("roll", "turn", "nod", "brow"):
            assert np.abs(vars(pose)[name]).max() <= largest(name)
        assert np.abs(pose.x - CENTER[0]).max() <= largest("x") and np.abs(pose.y - CENTER[1]).max() <= largest("y")
        for values in (pose.gaze_x, pose.gaze_y, pose.smile):
            assert np.abs(values).max() < 1
        for values in (pose.blink, pose.talk):
            assert values.min() >= 0 and values.max() <= 1
        # Even the fastest channel of the head moves by less than 0.02 frame sides per frame.
        for name in ("x", "y", "turn", "nod"):
            assert np.abs(np.diff(vars(pose)[name])).max() < 0.02 / 4


@pytest.mark.parametrize("head", HEADS)
def test_the_head_stays_inside_the_frame(head: str) -> None:
    face = dataclasses.replace(PLAIN, head=head, top="none")
    corners = [
        (a * largest("x"), b * largest("y"), c * largest("roll"))
        for a in (-1, 1)
        for b in (-1, 1)
        for c in (-1, -0.5, 0, 0.5, 1)
    ]
    x, y, roll = np.array(corners).T
    frames = draw_pose(face, still(len(corners), x=CENTER[0] + x, y=CENTER[1] + y, roll=roll), 128, 128)
    border = np.concatenate([frames[:, [0, -1]].reshape(-1, 3), frames[:, :, [0, -1]].reshape(-1, 3)])
    assert np.abs(border - np.array(background_color(face))).max() <= 1


@pytest.mark.parametrize("channel", CHANNEL_NAMES)
def test_motion_is_aperiodic(channel: str) -> None:
    """No channel correlates with itself 3 to 120 seconds later."""
    for seed in range(4):
        values = vars(motion(seed, np.arange(6000.0)))[channel]
        values = values - values.mean()
        spectrum = np.abs(np.fft.rfft(values, 2 * len(values))) ** 2
        correlation = np.fft.irfft(spectrum)[: len(values)] / (len(values) - np.arange(len(values)))
        assert (correlation / correlation[0])[75:3000].max() < 0.5


def test_channels_move_independently() -> None:
    pose = np.stack(list(vars(motion(0, np.arange(20_000.0))).values()))
    assert np.abs(np.corrcoef(pose) - np.eye(len(pose))).max() < 0.15


def test_blinks_have_the_documented_rate() -> None:
    frames, blinks = 6000, 0
    for seed in range(20):
        shut = motion(seed, np.arange(float(frames))).blink > 0.99
        begins = np.flatnonzero(shut[1:] & ~shut[:-1])
        blinks += len(begins)
        assert np.diff(begins).min() >= BLINK_PAUSE[0] - 1
    assert blinks / (20 * frames) == pytest.approx(1 / sum(BLINK_PAUSE), rel=0.06)


# Resolution


def test_other_sizes_look_the_same() -> None:
    for seed in range(6):
        face = some_face(seed)
        small, medium, large = (draw_video(face, seed, 10, side, side).astype(float) for side in (32, 64, 128))
        for video, times in ((medium, 2), (large, 4)):
            shrunk = video.reshape(10, 32, times, 32, times, 3).mean(axis=(2, 4))
            assert np.abs(shrunk - small).mean() < 2


@pytest.mark.parametrize("height, width", [(64, 96), (96, 64)])
def test_a_longer_side_only_adds_background(height: int, width: int) -> None:
    square, video = draw_video(PLAIN, 1, 10, 64, 64), draw_video(PLAIN, 1, 10, height, width)
    down, across = (height - 64) // 2, (width - 64) // 2
    assert np.array_equal(video[:, down : down + 64, across : across + 64], square)
    margin = video[:, :down].reshape(-1, 3) if down else video[:, :, :across].reshape(-1, 3)
    assert np.abs(margin - np.array(background_color(PLAIN))).max() <= 1


# Files


def test_records_hold_the_ground_truth_factors(tmp_path: Path) -> None:
    make_faces(tmp_path / "faces.zip", num_videos=5, num_frames=9, resolution=(32, 48), seed=3)
    data = VideoDataset(tmp_path / "faces.zip")
    assert (len(data), data.height, data.width, data.fps, data.num_classes) == (5, 32, 48, FPS, 0)
    factors = dict(data.videos[4].meta["factors"])
    motion_seed = factors.pop("motion_seed")
    assert Face(**factors) == sample_face(np.random.default_rng([3, 4]))
    stored = data.read(4, [0, 8]).transpose(0, 2, 3, 1).astype(int)
    assert np.abs(stored - draw_video(Face(**factors), motion_seed, 9, 32, 48)[[0, 8]]).mean() < 4


def test_files_are_deterministic_and_a_larger_one_begins_with_a_smaller(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_faces(tmp_path / f"{name}.zip", num_videos=2, num_frames=3, resolution=(16, 16), seed=seed)
    a, b, c = ((tmp_path / f"{name}.zip").read_bytes() for name in "abc")
    assert a == b != c
    make_faces(tmp_path / "larger.zip", num_videos=4, num_frames=5, resolution=(16, 16))
    small, large = VideoDataset(tmp_path / "a.zip"), VideoDataset(tmp_path / "larger.zip")
    for index in range(2):
        assert small.videos[index].meta == large.videos[index].meta
        assert np.array_equal(small.read(index, [0, 2]), large.read(index, [0, 2]))
