"""Latents: those of a seed, saved, loaded and rendered like the model's own videos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny import save

from styleganv.editing.edits import blend_motions
from styleganv.editing.latents import (
    MotionLatents,
    latents_from_seed,
    load_latents,
    render_differentiably,
    render_latents,
    save_latents,
    truncate,
)
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator
from styleganv.noise import MOTION, normal


@pytest.fixture(scope="module", params=[{}, {"num_classes": 3, "width": 24}, {"motion": "lstm"}, {"motion": "none"}])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VideoGenerator:
    return load_video_generator(save(tmp_path_factory.mktemp("latents") / "model", **request.param), device="cpu")


def frames_of(video: VideoGenerator, *arguments: object, **more: object) -> np.ndarray:
    return np.stack(list(render_latents(video, *arguments, **more)))  # type: ignore[arg-type]


def recorded(seed: int, slots: int, noise_dim: int = 16) -> torch.Tensor:
    return torch.from_numpy(np.stack([normal(seed, MOTION, slot, noise_dim) for slot in range(slots)]))


def test_latents_of_a_seed_render_as_the_seed(video: VideoGenerator) -> None:
    motion_seed = 5 if video.supports_motion_seed else None
    latents = latents_from_seed(video, 3, motion_seed=motion_seed, psi=0.7)
    expected = video.sample(seed=3, motion_seed=motion_seed, psi=0.7, start=1.5, seconds=0.5)
    assert np.array_equal(frames_of(video, latents, start=1.5, seconds=0.5), expected)


def test_differentiable_frames_equal_the_frames(video: VideoGenerator) -> None:
    latents = latents_from_seed(video, 3)
    times = [0.0, 0.52, 3.2]
    frames = render_differentiably(video, latents.styles, latents.motion, times)
    if video.generator.motion is None:
        frames = frames.expand(3, -1, -1, -1)
    unrounded = (frames * 127.5 + 127.5).permute(0, 2, 3, 1)
    for frame, time in zip(unrounded, times, strict=True):
        expected = video.sample(seed=3, start=time, seconds=0.01)[0]
        assert np.abs(frame.numpy().clip(0, 255) - expected).max() <= 0.501  # the rounding to uint8


def test_gradients_reach_styles_noise_and_shift(plain: VideoGenerator) -> None:
    latents = latents_from_seed(plain, 0)
    styles, noise, shift = latents.styles.requires_grad_(), recorded(0, 23).requires_grad_(), torch.zeros(16)
    shift.requires_grad_()
    motion = MotionLatents(0, noise, shift=shift)
    render_differentiably(plain, styles, motion, [0.0, 0.1]).square().sum().backward()
    for tensor in (styles, noise, shift):
        assert tensor.grad is not None and tensor.grad.abs().max() > 0


def test_recorded_noise_continues_with_the_seed(plain: VideoGenerator) -> None:
    """Noise recorded from the same seed changes nothing: at the start, across its end, or far later."""
    latents = latents_from_seed(plain, 4)
    same = replace(latents, motion=MotionLatents(4, recorded(4, 30)))
    other = replace(latents, motion=MotionLatents(4, recorded(9, 30)))
    for start in (0.0, 9.0, 1000.0):
        expected = frames_of(plain, latents, start=start, seconds=0.4)
        assert np.array_equal(frames_of(plain, same, start=start, seconds=0.4), expected)
    assert not np.array_equal(frames_of(plain, other, seconds=0.4), frames_of(plain, latents, seconds=0.4))
    assert np.array_equal(
        frames_of(plain, other, start=1000, seconds=0.4), frames_of(plain, latents, start=1000, seconds=0.4)
    )


def test_a_shift_changes_the_motion_at_all_times(plain: VideoGenerator) -> None:
    latents = latents_from_seed(plain, 4)
    shifted = replace(latents, motion=replace(latents.motion, shift=torch.ones(16)))
    for start in (0.0, 5000.0):
        before, after = (frames_of(plain, each, start=start, seconds=0.2) for each in (latents, shifted))
        assert (before != after).any(axis=(1, 2, 3)).all()


def test_changing_content_and_a_time_map(plain: VideoGenerator) -> None:
    latents, other = latents_from_seed(plain, 1), latents_from_seed(plain, 2)
    slow = frames_of(plain, latents, time_map=lambda seconds: seconds / 2, seconds=1, fps=25)
    assert np.array_equal(slow, frames_of(plain, latents, seconds=0.5, fps=50))
    changing = frames_of(plain, latents, styles=lambda s: torch.lerp(latents.styles, other.styles, s), seconds=1)
    assert np.abs(changing[0].astype(int) - frames_of(plain, latents, seconds=0.1)[0]).max() <= 1


def test_saved_loaded_and_truncated(video: VideoGenerator, tmp_path: Path) -> None:
    latents = latents_from_seed(video, 6)
    motion_dim = 0 if video.generator.motion is None else 16
    if motion_dim:
        latents = replace(latents, motion=replace(latents.motion, noise=recorded(2, 25), shift=torch.ones(16) / 3))
    save_latents(tmp_path / "latents.safetensors", latents)
    again = load_latents(video, tmp_path)
    assert torch.equal(again.styles, latents.styles) and again.motion.label == latents.motion.label
    assert np.array_equal(frames_of(video, again, seconds=0.3), frames_of(video, latents, seconds=0.3))
    assert torch.allclose(truncate(video, again, 0.5).styles, latents_from_seed(video, 6, psi=0.5).styles, atol=1e-6)
    assert truncate(video, again, 1) is again


@pytest.mark.parametrize(
    "name, message",
    [
        ("nowhere", "not found"),
        ("text.txt", "Cannot read latents"),
        ("directions.safetensors", "is not a latents file"),
        ("other.safetensors", "do not match this model"),
    ],
)
def test_invalid_latents_fail(name: str, message: str, plain: VideoGenerator, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("hello")
    save_latents(tmp_path / "other.safetensors", latents_from_seed(plain, 0))
    bigger = load_video_generator(save(tmp_path / "model", height=32, width=32, w_dim=24), device="cpu")
    save_file({"styles": torch.zeros(1)}, tmp_path / "directions.safetensors", {"format": "styleganv-directions-1"})
    with pytest.raises(StyleganvError, match=message):
        load_latents(bigger, tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"styles": torch.full((8, 16), torch.nan)}, "styles contains values that are not finite numbers"),
        ({"motion_noise": torch.full((25, 16), torch.inf)}, "motion_noise contains values that are not finite"),
        ({"motion_shift": torch.full((16,), torch.nan)}, "motion_shift contains values that are not finite"),
        ({"styles": torch.zeros(8, 16, dtype=torch.int64)}, "styles contains values that are not finite numbers"),
        ({"motion_noise": torch.zeros(0, 16)}, r"their motion noise is \[0, 16\]"),
        ({"motion_shift": torch.zeros(5)}, r"their motion shift is \[5\]"),
        ({"label": "0"}, "only one of the two has classes"),
        ({"motion_seed": "nan"}, "Cannot read latents"),
        ({"motion_seed": "9" * 30}, "motion_seed must be an integer"),
    ],
)
def test_latents_that_are_no_numbers_are_named(
    changes: dict, message: str, plain: VideoGenerator, tmp_path: Path
) -> None:
    styles = latents_from_seed(plain, 0).styles
    tensors = {"styles": styles} | {name: value for name, value in changes.items() if isinstance(value, torch.Tensor)}
    metadata = {"format": "styleganv-latents-1", "motion_seed": "0"}
    metadata |= {name: value for name, value in changes.items() if isinstance(value, str)}
    save_file(tensors, tmp_path / "latents.safetensors", metadata)
    with pytest.raises(StyleganvError, match=message) as caught:
        load_latents(plain, tmp_path / "latents.safetensors")
    assert str(tmp_path) in str(caught.value)


def test_a_class_that_the_model_lacks_is_refused(classes: VideoGenerator, tmp_path: Path) -> None:
    latents = latents_from_seed(classes, 0)
    save_latents(tmp_path / "latents.safetensors", replace(latents, motion=replace(latents.motion, label=3)))
    with pytest.raises(StyleganvError, match="their label 3 is none of the 3 classes"):
        load_latents(classes, tmp_path / "latents.safetensors")


def test_blended_motion_is_gaussian_and_saved(video: VideoGenerator, tmp_path: Path) -> None:
    latents = latents_from_seed(video, 3)
    if not video.supports_motion_seed:
        return
    shifted = replace(latents.motion, noise=recorded(2, 25), shift=torch.ones(16))
    blend = blend_motions([(3.0, shifted), (-4.0, MotionLatents(8)), (1.0, replace(latents.motion, seed=8))])
    assert [weight for weight, _ in blend.terms] == pytest.approx([1 / 2**0.5, -1 / 2**0.5])
    assert blend.shift is not None and blend.shift[0] == pytest.approx(9 / 26)
    address = torch.zeros(1, dtype=torch.long), torch.tensor([[0, 24, 25, 900]])
    parts = [(weight, motion.slot_noise(16)(*address)) for weight, motion in blend.terms]
    expected = sum(weight * part for weight, part in parts)
    torch.testing.assert_close(blend.slot_noise(16)(*address), expected)
    save_latents(tmp_path / "latents.safetensors", replace(latents, motion=blend))
    again = load_latents(video, tmp_path).motion
    assert again.label == blend.label and [weight for weight, _ in again.terms] == [w for w, _ in blend.terms]
    assert torch.equal(again.slot_noise(16)(*address), blend.slot_noise(16)(*address))
    alone = blend_motions([(2.0, latents.motion)])
    assert alone == latents.motion and blend_motions([(1.0, blend)]).terms[1][0] == pytest.approx(blend.terms[1][0])
    with pytest.raises(StyleganvError, match="weights that do not cancel each other"):
        blend_motions([(1.0, latents.motion), (-1.0, latents.motion)])


@pytest.mark.parametrize("weights", ["[0.6]", "[0.6, 0.6]", '["a", 1]', "[]", "7"])
def test_a_damaged_blend_is_refused(weights: str, plain: VideoGenerator, tmp_path: Path) -> None:
    metadata = {
        "format": "styleganv-latents-2",
        "motion_seed": "0",
        "motion_weights": weights,
        "motion_seeds": "[0, 1]",
    }
    save_file({"styles": latents_from_seed(plain, 0).styles}, tmp_path / "latents.safetensors", metadata)
    with pytest.raises(StyleganvError, match=r"motion_weights|Cannot read latents"):
        load_latents(plain, tmp_path / "latents.safetensors")
