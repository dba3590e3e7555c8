"""Suggestions on synthetic data with known directions, speeds and periods."""

import warnings

import numpy as np
import pytest
from PIL import Image

from styleganv.data.dataset_writer import write_dataset
from styleganv.data.inspect import inspect, suggest_slot_distance, write_contact_sheet
from styleganv.errors import StyleganvError


def texture(rng, height, width, coarse):
    """Draw random smooth colors that wrap around, with features of about `coarse` pixels."""
    small = rng.integers(40, 216, (height // coarse, width // coarse, 3)).astype(np.uint8)
    tiled = np.tile(small, (3, 3, 1))
    image = Image.fromarray(tiled).resize((3 * width, 3 * height), Image.Resampling.BICUBIC)
    return np.asarray(image)[height : 2 * height, width : 2 * width]


def write(path, videos, **settings):
    height, width = videos[0][0].shape[:2]
    records = [(f"v{index}", video, None, {}) for index, video in enumerate(videos)]
    write_dataset(path, records, height=height, width=width, fps=25, **settings)
    return path


def moving(count, length, speed_of, seed=0, size=32):
    """Draw textures that slide by `speed_of(index)` pixels per frame and wrap around; right is positive."""
    rng = np.random.default_rng(seed)
    videos = []
    for index in range(count):
        image = texture(rng, size, size, 8)
        videos.append([np.roll(image, round(t * speed_of(index)), axis=1) for t in range(length)])
    return videos


def test_motion_to_one_side_forbids_mirroring(tmp_path):
    for name, speed in (("left", -1), ("right", 1)):
        report = inspect(write(tmp_path / f"{name}.zip", moving(12, 20, lambda i, s=speed: s)))
        assert not report.mirror and f"to the {name}" in report.mirror_reason


def test_motion_to_both_sides_allows_mirroring(tmp_path):
    report = inspect(write(tmp_path / "d.zip", moving(12, 20, lambda i: 1 if i % 2 else -1)))
    assert report.mirror and "favors a side" in report.mirror_reason


def test_a_one_sided_mean_frame_forbids_mirroring(tmp_path):
    videos = [[frame // 2 for frame in video] for video in moving(12, 12, lambda i: 1 if i % 2 else -1)]
    for video in videos:
        for frame in video:
            frame[:, :8] = 250
    report = inspect(write(tmp_path / "d.zip", videos))
    assert not report.mirror and "mean frame" in report.mirror_reason


def test_a_slow_crossing_forbids_mirroring(tmp_path):
    """A soft light crosses from left to right while finer texture moves both ways."""
    videos = moving(12, 40, lambda i: 1 if i % 2 else -1)
    columns = np.arange(32)
    for video in videos:
        for t, frame in enumerate(video):
            light = 120 * np.exp(-(((columns - 31 * t / 39) / 8) ** 2))
            video[t] = np.clip(frame * 0.5 + light[None, :, None], 0, 255).astype(np.uint8)
    assert not inspect(write(tmp_path / "d.zip", videos)).mirror


def test_too_few_videos_forbid_mirroring(tmp_path):
    report = inspect(write(tmp_path / "d.zip", moving(3, 12, lambda i: 1)))
    assert not report.mirror and "too few" in report.mirror_reason


# All frames are read, and bursts of them.
@pytest.mark.parametrize("length", [60, pytest.param(400, marks=pytest.mark.slow)])
def test_decorrelation_follows_the_period(tmp_path, length):
    """Frames of a sine of period P differ by 1 − cos(2πd/P): half as much as distant ones at d = P/6."""
    suggestions = []
    for period in (12, 48):
        rng = np.random.default_rng(0)
        videos = []
        for _ in range(8):
            image, phase = texture(rng, 32, 32, 8).astype(float) - 128, rng.uniform(0, 2 * np.pi)
            waves = np.sin(2 * np.pi * np.arange(length) / period + phase)
            videos.append([(128 + wave * image).clip(0, 255).astype(np.uint8) for wave in waves])
        report = inspect(write(tmp_path / f"{period}.zip", videos))
        assert report.tau == pytest.approx(period / 6, rel=0.25)
        suggestions.append(report.slot_distance)
    assert suggestions == [pytest.approx(period / 3, abs=1) for period in (12, 48)]


@pytest.mark.slow
def test_faster_motion_gets_closer_slots(tmp_path):
    slow, fast = (
        inspect(write(tmp_path / f"{speed}.zip", moving(8, 300, lambda i, s=speed: s * (-1) ** i, size=64)))
        for speed in (0.1, 1.0)
    )
    assert slow.tau == pytest.approx(10 * fast.tau, rel=0.4)
    assert slow.slot_distance > fast.slot_distance


@pytest.mark.parametrize(("tau", "distance"), [(None, 16), (1, 4), (5, 10), (8.6, 17), (100, 200), (999, 256)])
def test_slot_distance_rule(tau, distance):
    assert suggest_slot_distance(tau) == distance


def test_still_and_one_frame_videos(tmp_path):
    image = texture(np.random.default_rng(0), 32, 32, 8)
    report = inspect(write(tmp_path / "d.zip", [[image] * 5, [image], [image] * 40, [image] * 31]))
    assert report.tau is None and report.slot_distance == 16 and "nothing moves" in str(report)
    assert report.lengths == (5, 1, 40, 31) and report.long_enough == 0.25
    assert "25% of the videos" in str(report)
    assert report.still == tuple(f"v{i}" for i in (0, 2, 3)) and "3 of 4 videos do not move (v0, v2, v3)" in str(report)


def test_a_frozen_recording_among_moving_ones_is_named(tmp_path):
    videos = moving(5, 40, lambda i: 1)
    videos[3] = [videos[3][0]] * 40
    report = inspect(write(tmp_path / "d.zip", videos))
    assert report.still == ("v3",) and "1 of 5 videos do not move (v3)" in str(report)


@pytest.mark.parametrize("flash", [0, 255])
def test_a_still_video_does_not_change_the_estimate(tmp_path, flash):
    """Only the long still video has frames 100 apart; a flash in it is between the frames that show its variance."""
    videos = moving(3, 10, lambda i: 1)
    still = [np.zeros_like(videos[0][0])] * 200
    still[1] = still[1] + np.uint8(flash)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with_still = inspect(write(tmp_path / "with.zip", [*videos, still]))
    assert with_still.still == ("v3",) and with_still.tau == inspect(write(tmp_path / "d.zip", videos)).tau


def test_classes_are_counted(tmp_path):
    frames = moving(3, 4, lambda i: 1)
    videos = [("a", frames[0], 0, {}), ("b", frames[1], 1, {}), ("c", frames[2], 1, {})]
    write_dataset(tmp_path / "d.zip", videos, height=32, width=32, fps=25, class_names=["x", "y"])
    assert inspect(tmp_path / "d.zip").class_counts == {"x": 1, "y": 2}


def test_contact_sheet_shows_videos_by_rows_and_times_by_columns(tmp_path, gray_frames):
    path = write(tmp_path / "d.zip", [gray_frames(9), 255 - gray_frames(5)], jpeg_quality=None)
    write_contact_sheet(path, tmp_path / "sheet.png", rows=8, columns=3)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert sheet.shape == (2 * 34 - 2, 3 * 50 - 2)
    cells = [[int(sheet[34 * row + 16, 50 * column + 24]) for column in range(3)] for row in range(2)]
    assert cells == [[5, 45, 85], [250, 230, 210]]


def test_what_is_no_dataset_is_named(tmp_path):
    with pytest.raises(StyleganvError, match="nowhere"):
        inspect(tmp_path / "nowhere.zip")
