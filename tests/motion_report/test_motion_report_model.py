"""Measures that require a model: real networks, sound and with a planted fault."""

import numpy as np
import pytest
from motion_faults import (
    FPS,
    ContentOfMotion,
    RateDependent,
    drawn_grid,
    drift_on,
    hold_frames,
    ignore_noise,
    jump_at_slots,
    model,
    network,
    stray_between,
)

from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.motion_report import model_motion

THREE = range(3)


def rates(videos: VideoGenerator) -> np.ndarray:
    """Return the mean of same, between and even, `[3]`."""
    return np.mean([model_motion.frame_rate(videos, seed, start=7 + 13 * seed, count=4) for seed in THREE], axis=0)


def jumps(videos: VideoGenerator) -> float:
    return float(np.mean([model_motion.slot_jump(model_motion.slot_profile(videos, seed, slots=6)) for seed in THREE]))


def test_frames_equal_those_of_the_model() -> None:
    videos = model()
    frames = model_motion.video(videos, 1, 2, start=10, count=5, step=0.5)
    true = videos.sample(seed=1, motion_seed=2, start=10 / FPS, seconds=0.1, fps=2 * FPS)
    np.testing.assert_array_equal(frames, true.transpose(0, 3, 1, 2))
    assert model_motion.video(videos, 1, 2, start=10, count=8, step=64).shape == (8, 3, 32, 32)


def test_a_model_that_ignores_motion_noise_has_no_diversity() -> None:
    sound, fault = (
        model_motion.grid(videos, THREE, THREE, count=24) for videos in (model(), model(before=ignore_noise))
    )
    assert (model_motion.motion_diversity(sound) > 0.7).all()
    assert (fault[:, :, 0] != fault[:, :, -1]).any()  # the video moves
    np.testing.assert_array_equal(model_motion.motion_diversity(fault), 0)


def test_static_videos_have_undefined_diversity() -> None:
    assert np.isnan(model_motion.motion_diversity(np.zeros((2, 2, 8, 3, 32, 32), np.uint8))).all()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_shared_motion_differs_from_individual_motion(seed: int) -> None:
    assert model_motion.motion_transfer(drawn_grid(shared=True, seed=seed)).mean() > 0.5
    assert abs(model_motion.motion_transfer(drawn_grid(shared=False, seed=seed)).mean()) < 0.2


def test_static_videos_have_undefined_transfer() -> None:
    grid = drawn_grid(shared=True, seed=0)
    assert np.isnan(model_motion.motion_transfer(np.repeat(grid[:, :, :1], 8, axis=2))).all()


def test_a_motion_seed_that_changes_the_content() -> None:
    sound = model_motion.entanglement(model_motion.grid(model(), THREE, THREE, count=16))
    fault = model_motion.entanglement(
        model_motion.grid(ContentOfMotion(network(), fps=FPS, device="cpu"), THREE, THREE, count=16)
    )
    assert sound.mean() < 0.5 and fault.mean() > 0.9
    assert model_motion.entanglement(drawn_grid(shared=True)).mean() < 0.1


def test_content_that_drifts() -> None:
    times = [64.0, 1000.0, 3600 * FPS]
    sound, fault = (
        model_motion.drift(videos, range(4), times, span=64).mean(axis=0) for videos in (model(), model(drift_on))
    )
    assert (sound < 0.4).all()
    assert fault[0] < 0.4 < 0.8 < fault[1] and fault[2] > 0.8


def test_a_sound_model_is_consistent_at_any_frame_rate() -> None:
    same, between, even = rates(model())
    assert same == 0 and between < 1 and even < 1.4


def test_frames_that_depend_on_the_frame_rate() -> None:
    assert rates(RateDependent(network(), fps=FPS, device="cpu"))[0] > 0


def test_interpolated_frames_that_deviate() -> None:
    same, between, _even = rates(model(stray_between))
    assert same == 0 and between > 2


def test_frames_that_are_held() -> None:
    same, _between, even = rates(model(before=hold_frames))
    assert same == 0 and even == pytest.approx(4)


def test_jumps_at_slot_boundaries() -> None:
    assert 0.3 < jumps(model()) < 1.1
    assert jumps(model(jump_at_slots)) > 5


def test_models_without_slots_or_motion() -> None:
    still = model(motion="none")
    assert model_motion.slot_profile(still, 0) is None
    assert np.isnan(rates(still)[1:]).all() and rates(still)[0] == 0
    assert model(motion="lstm").slot_distance == 1 and 0.3 < jumps(model(motion="lstm")) < 1.5
