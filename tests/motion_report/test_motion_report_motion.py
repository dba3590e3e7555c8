"""Every measure of one video: high with its planted fault, low without."""

import numpy as np
import pytest
import torch
from motion_faults import FPS, SIDE, drawn, grain_on_disc, grain_on_pan, looped, pan, ping_pong, shape
from PIL import Image

from styleganv.motion_report import motion
from styleganv.motion_report.flow import optical_flow, warp

SEEDS = range(4)


def still(frames: int = 40) -> np.ndarray:
    return np.repeat(pan(0, frames=1), frames, axis=0)


def loop_score(video: np.ndarray) -> float:
    return float(motion.loop_curve(motion.histograms(video))[1:].mean())


def periodicity(video: np.ndarray) -> float:
    return motion.second_peak(motion.autocorrelation(video))


# Optical flow


def landscape(seed: int, size: int = 64) -> torch.Tensor:
    small = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8)).astype(np.uint8)
    image = Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(image, np.float32))[None]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.2), (1.5, 0.7), (-3.0, 2.0), (5.0, -4.0)])
def test_flow_measures_a_shift(shift: tuple[float, float]) -> None:
    first = landscape(0)
    back = -torch.tensor(shift)[None, :, None, None].expand(1, 2, 64, 64)
    second = warp(first[:, None], back)[:, 0]
    found = optical_flow(first, second)[0, :, 12:-12, 12:-12].flatten(1)
    assert torch.allclose(found.median(dim=1).values, torch.tensor(shift), atol=0.05)


def test_flow_is_zero_without_structure() -> None:
    flat = torch.full((2, 32, 40), 90.0)
    assert optical_flow(flat, flat + 10).abs().max() == 0


# Loops


def test_histograms_count_every_pixel() -> None:
    counts = motion.histograms(pan(0, frames=3))
    np.testing.assert_allclose(counts.sum(axis=2), 1)
    levels = np.array([0, 12, 13, 255], np.uint8)
    video = np.broadcast_to(levels.reshape(1, 1, 2, 2), (1, 3, 2, 2))
    assert motion.histograms(video)[0, 0, [0, 1, 19]].tolist() == [0.5, 0.25, 0.25]


@pytest.mark.parametrize("seed", SEEDS)
def test_loops_keep_the_first_colors(seed: int) -> None:
    video = pan(seed)
    assert motion.loop_curve(motion.histograms(video))[0] == 1
    assert loop_score(looped(video, 12)) > loop_score(video) + 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_periods_are_measured(seed: int) -> None:
    video = pan(seed)
    assert periodicity(video) < 0.15
    assert periodicity(looped(video, 24)) > 0.99
    assert periodicity(ping_pong(video, 20)) > 0.95
    curve = motion.autocorrelation(looped(video, 24))
    assert curve[0] == pytest.approx(1) and curve[24] == pytest.approx(1) and 20 + curve[20:30].argmax() == 24


# Motion reversal


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("stroke", [12, 24, 40])
def test_ping_pong_reverses_once_per_stroke(seed: int, stroke: int) -> None:
    video = pan(seed)
    assert motion.reversal_rate(video) == 0
    # Reversals near the ends of a clip are not counted.
    assert motion.reversal_rate(ping_pong(video, stroke)) == pytest.approx(1 / (stroke - 1), rel=0.6)


def test_loops_and_brightness_changes_are_no_reversal() -> None:
    video = pan(0)
    assert motion.reversal_rate(looped(video, 24)) == 0
    wave = 40 * np.sin(np.arange(96) / 6)[:, None, None, None]
    assert motion.reversal_rate(video * 0.5 + 64 + wave) == 0


def test_flashes_and_cuts_are_no_reversal() -> None:
    video = still(96)
    video[40] = pan(1, frames=1)[0]
    assert motion.reversal_rate(video) == 0
    video[40:] = pan(2, frames=1)
    assert motion.reversal_rate(video) == 0


def test_a_pendulum_reverses_and_a_wheel_does_not() -> None:
    pendulum, wheel = (drawn(shape(path=path, speed="fast"), frames=96) for path in ("pendulum", "circle"))
    assert motion.reversal_rate(pendulum) * FPS > 0.5
    assert motion.reversal_rate(wheel) == 0


def test_mirror_ratios_are_undefined_without_motion() -> None:
    assert np.isnan(motion.mirror_ratios(motion.frame_distances(still()), 4)).all()
    ratios = motion.mirror_ratios(motion.frame_distances(ping_pong(pan(0), 24)), 8)
    assert ratios[23 - 8] == pytest.approx(0, abs=1e-6) and ratios[12 - 8] > 1


# Speed


@pytest.mark.parametrize("speed", [0.25, 0.5, 1, 2, 3])
def test_speed_of_a_camera_pan(speed: float) -> None:
    """In frame sides per frame; 10% too fast on average, since the frame's edge hides where things come from."""
    found = [motion.speeds(pan(seed, speed=speed)).mean() * SIDE for seed in SEEDS]
    assert np.mean(found) == pytest.approx(speed, rel=0.25)


@pytest.mark.parametrize("path", ["circle", "line", "zigzag"])
def test_speed_of_a_moving_object(path: str) -> None:
    """Speed is proportional to a disc's speed, and halves at twice the frame rate."""
    slow, fast = (motion.speeds(drawn(shape(path=path, speed=s, texture="stripes"))).mean() for s in ("slow", "fast"))
    assert fast == pytest.approx(3 * slow, rel=0.35)
    finer = motion.speeds(drawn(shape(path=path, speed="fast", texture="stripes"), fps=2 * FPS)).mean()
    assert finer == pytest.approx(fast / 2, rel=0.25)
    assert fast == pytest.approx(0.9 / 32, rel=0.15)


def test_distribution_distance_is_the_shift() -> None:
    numbers = np.random.default_rng(0).gamma(2, size=500)
    assert motion.distribution_distance(numbers, numbers[::-1]) == 0
    assert motion.distribution_distance(numbers, numbers + 0.5) == pytest.approx(0.5)


# Flicker


@pytest.mark.parametrize("shape_of_noise", [(64, 1, 1, 1), (64, 1, SIDE, SIDE)], ids=["brightness", "pixels"])
def test_flicker_is_the_noise_in_static_parts(shape_of_noise: tuple[int, ...]) -> None:
    video = drawn(shape()).astype(np.float64)
    assert motion.flicker(video) == 0
    noise = np.random.default_rng(0).normal(0, 2, shape_of_noise)
    assert motion.flicker(video + noise) == pytest.approx(2, rel=0.25)


def test_slow_changes_are_no_flicker() -> None:
    video = drawn(shape()) * np.linspace(0.6, 1, 64)[:, None, None, None]
    assert motion.flicker(video) < 0.05


# Sticking


@pytest.mark.parametrize("seed", SEEDS)
def test_grain_on_the_lens_sticks(seed: int) -> None:
    assert motion.sticking(pan(seed)) < 0.2
    assert motion.sticking(grain_on_pan(seed, stuck=False)) < 0.1
    assert motion.sticking(grain_on_pan(seed, stuck=True)) > 0.95


def test_grain_sticks_over_a_moving_disc() -> None:
    assert motion.sticking(grain_on_disc(stuck=False)) < 0.15
    assert motion.sticking(grain_on_disc(stuck=True)) > 0.3


# Appearance


def test_appearance_depends_on_colors_and_not_on_positions() -> None:
    here, there = motion.appearance(drawn(shape(start=0.1))), motion.appearance(drawn(shape(start=0.6)))
    other = motion.appearance(drawn(shape(color="green", background_hue=0.3)))
    assert motion.distance(here, here) == 0
    assert motion.distance(here, there) < 0.1 * motion.distance(here, other)


def test_static_videos() -> None:
    video = still()
    assert loop_score(video) == 1 and periodicity(video) == 0 and motion.reversal_rate(video) == 0
    assert not motion.speeds(video).any() and motion.flicker(video) == 0 and np.isnan(motion.sticking(video))


@pytest.mark.parametrize("size", [(16, 16), (16, 40), (33, 21)])
def test_small_and_odd_sizes(size: tuple[int, int]) -> None:
    video = np.random.default_rng(0).integers(0, 256, (16, 3, *size)).astype(np.uint8)
    numbers = [loop_score(video), periodicity(video), motion.reversal_rate(video), motion.flicker(video)]
    assert np.isfinite([*numbers, *motion.speeds(video)]).all()
