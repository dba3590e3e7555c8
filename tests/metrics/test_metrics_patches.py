"""Patch sliced-Wasserstein distances: closed forms, and planted faults at their scale and in their frames."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from stub_extractors import ArrayVideos, drawn
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.patches import (
    clip_patches,
    distance_of_features,
    laplacian_pyramid,
    level_distance,
    patch_distance,
    patch_features,
    random_directions,
    reconstruct,
    sample_patches,
    sliced_wasserstein,
    wasserstein,
)
from styleganv.metrics.protocols import named_protocol
from styleganv.options import EvaluateOptions

NAMES = ["patch_swd512_1f", "patch_swd512_3f"]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def shapes_64() -> np.ndarray:
    """192 clips of 3 frames with film grain, so that every level has detail to lose, `[192, 3, 64, 64, 3]`."""
    clips = drawn(0, 192, 9, side=64)[:, ::3].transpose(0, 1, 3, 4, 2)
    grain = np.random.default_rng(0).normal(0, 6, clips.shape)
    return np.clip(clips + grain, 0, 255).astype(np.uint8)


def test_wasserstein_is_the_cheapest_assignment() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=5), random.normal(1, 2, size=5)
    cheapest = min(np.abs(a - b[list(order)]).mean() for order in itertools.permutations(range(5)))
    assert wasserstein(a, b) == pytest.approx(cheapest, rel=1e-12)
    assert wasserstein(np.stack([a, b]), np.stack([a, a])) == pytest.approx([0, cheapest])


@pytest.mark.parametrize("n, m", [(3, 4), (4, 6), (1, 5), (7, 2)])
def test_wasserstein_of_unequal_counts(n: int, m: int) -> None:
    """Repeating every number changes no distribution, and makes the counts equal."""
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, n)), random.normal(1, 2, size=(2, m))
    expected = np.abs(np.sort(a.repeat(m, axis=-1)) - np.sort(b.repeat(n, axis=-1))).mean(axis=-1)
    assert wasserstein(a, b) == pytest.approx(expected, rel=1e-12)


def test_a_shift_costs_its_length_along_each_direction() -> None:
    x, shift, directions = normal(500, 10), normal(10, seed=1), random_directions(40, 10, seed=2)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(40))
    found = sliced_wasserstein(x, (x + shift).flip(0), directions)
    assert found == pytest.approx(float((directions @ shift).abs().mean()), rel=1e-5)
    assert sliced_wasserstein(x, x.flip(0), directions) == 0


def test_gaussians_of_different_width() -> None:
    """Projections are Gaussian again: |σ₁ − σ₂| √(2/π), the same in every direction."""
    x, y = normal(40_000, 6), 1.5 * normal(40_000, 6, seed=1)
    found = sliced_wasserstein(x, y, random_directions(64, 6))
    assert found == pytest.approx(0.5 * (2 / np.pi) ** 0.5, rel=0.03)


def test_both_sets_are_normalized_by_the_real_one() -> None:
    real = 5 + torch.tensor([1.0, 10, 100])[:, None, None] * normal(300, 1, 3, 7, 7)
    fake = 2 * real + 1
    mean, deviation = (f(real.transpose(1, 2).flatten(2), dim=(0, 2)) for f in (torch.mean, torch.std))
    a, b = ((x - mean[:, None, None]) / deviation[:, None, None] for x in (real, fake))
    expected = 1000 * sliced_wasserstein(a.flatten(1), b.flatten(1), random_directions(256, 147, seed=3))
    assert level_distance(real, fake, seed=3) == pytest.approx(expected, rel=1e-3)
    assert level_distance(real / 127.5 - 1, fake / 127.5 - 1, seed=3) == pytest.approx(expected, rel=1e-3)
    assert level_distance(torch.zeros(4, 1, 3, 7, 7), torch.zeros(4, 1, 3, 7, 7)) == 0


@pytest.mark.parametrize(
    "size, sides", [((64, 64), [64, 32, 16]), ((37, 50), [37, 19]), ((20, 90), [20]), ((31, 33), [31, 16])]
)
def test_the_pyramid_sums_to_the_image(size: tuple[int, int], sides: list[int]) -> None:
    frames = 255 * torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    levels = laplacian_pyramid(frames)
    assert [min(level.shape[-2:]) for level in levels] == sides
    torch.testing.assert_close(reconstruct(levels), frames, rtol=0, atol=1e-3)


def test_the_pyramid_separates_scales() -> None:
    """A plain image and a gentle slope have no detail; the low-pass image keeps the mean color."""
    plain = laplacian_pyramid(torch.full((1, 3, 64, 64), 70.0))
    assert all(float(level.abs().max()) < 1e-4 for level in plain[:-1])
    torch.testing.assert_close(plain[-1], torch.full((1, 3, 16, 16), 70.0))
    slope = laplacian_pyramid(torch.arange(64.0).expand(1, 1, 64, 64))[0]
    assert float(slope[..., 8:-8].abs().max()) < 1e-4
    checkers = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 2.0 - 1
    finest, *others = laplacian_pyramid(checkers.expand(1, 1, 64, 64))
    assert float(finest.abs().mean()) > 0.9 and all(float(level.abs().max()) < 0.1 for level in others)


def test_patches_are_sampled_at_their_positions() -> None:
    level = torch.arange(2 * 4 * 3 * 9 * 11.0).view(2, 4, 3, 9, 11)
    first = np.array([[[0, 0, 0], [2, 2, 4]], [[1, 1, 3], [2, 0, 4]]])  # the last of 3 times, 3 rows and 5 columns
    found = sample_patches(level, (first + 0.5) / [3, 3, 5], num_frames=2)
    assert found.shape == (2, 2, 2, 3, 7, 7)
    for clip, patch in itertools.product(range(2), range(2)):
        t, y, x = first[clip, patch]
        assert torch.equal(found[clip, patch], level[clip, t : t + 2, :, y : y + 7, x : x + 7])


def test_equal_sets_have_zero_distance(shapes_64: np.ndarray) -> None:
    for num_frames in (1, 3):
        found = patch_distance(shapes_64[:40], shapes_64[:40][::-1], num_frames=num_frames)
        assert list(found.levels) == [64, 32, 16]
        assert found.mean == 0 and set(found.levels.values()) == {0.0}


def test_the_distance_depends_on_the_seed_alone(shapes_64: np.ndarray) -> None:
    one, again, other = (patch_distance(shapes_64[:20], shapes_64[20:40], seed=seed) for seed in (0, 0, 1))
    assert one == again != other
    assert one.mean == pytest.approx(np.mean(list(one.levels.values())))


def test_faults_show_at_their_scale(shapes_64: np.ndarray) -> None:
    """Low contrast shows at every level, blur mostly at the finest; the distance of real clips is far smaller."""
    real, fake = shapes_64[:96], shapes_64[96:]
    floor = patch_distance(real, fake)
    x = fake.astype(np.float32)
    pale = patch_distance(real, (128 + 0.6 * (x - 128)).astype(np.uint8))
    for axis in (2, 3):
        x = (np.roll(x, 1, axis) + 2 * x + np.roll(x, -1, axis)) / 4
    blurred = patch_distance(real, x.astype(np.uint8))
    assert all(pale.levels[side] > 2 * floor.levels[side] for side in floor.levels)
    raised = {side: blurred.levels[side] - floor.levels[side] for side in floor.levels}
    assert raised[64] > 5 * floor.levels[64]
    assert raised[64] > 2 * raised[32] > 2 * raised[16]


def test_shuffled_time_shows_in_three_frames_only() -> None:
    """Clips of 16 frames: the same images in another order differ in motion, but not as images."""
    clips = drawn(0, 160, 16).transpose(0, 1, 3, 4, 2)
    real, fake = clips[:80], clips[80:]
    random = np.random.default_rng(0)
    shuffled = np.stack([clip[random.permutation(16)] for clip in fake])
    images = [patch_distance(real, x).mean for x in (fake, shuffled)]
    assert images[1] == pytest.approx(images[0], rel=0.2)
    motion = [patch_distance(real, x, num_frames=3).mean for x in (fake, shuffled)]
    assert motion[1] > 1.3 * motion[0]


def test_features_contain_the_same_patches(shapes_64: np.ndarray) -> None:
    real, fake = (torch.from_numpy(x.transpose(0, 1, 4, 2, 3).copy()) for x in (shapes_64[:9], shapes_64[9:14]))
    rows = patch_features(real, 3)
    assert rows.shape == (9 * 3 * 64, 1 + 3 * 147)
    torch.testing.assert_close(
        rows[rows[:, 0] == 32, 1:].view(9, 64, 3, 3, 7, 7), clip_patches(real, 3)[32], rtol=0, atol=0
    )
    found = distance_of_features(rows, patch_features(fake, 3), seed=0)
    expected = patch_distance(shapes_64[:9], shapes_64[9:14], num_frames=3, seed=0)
    assert found.levels == pytest.approx(expected.levels, rel=1e-5)
    batched = torch.cat([patch_features(clips, 3) for clips in real.split(2)])
    assert torch.equal(batched, rows)


def test_invalid_clips_are_rejected() -> None:
    clips = np.zeros((2, 3, 16, 16, 3), np.uint8)
    for wrong, message in (
        (clips.astype(np.float32), "uint8"),
        (clips[0], "uint8"),
        (clips[:0], "uint8"),
        (clips[:, :, :, :8], "16, 8"),
    ):
        with pytest.raises(ValueError, match=message):
            patch_distance(clips, wrong)
    with pytest.raises(ValueError, match="4 frames of 7x7 fits in 3 frames"):
        patch_distance(clips, clips, num_frames=4)
    with pytest.raises(ValueError, match="frames of 6x16"):
        patch_distance(clips[:, :, :6], clips[:, :, :6])


def test_as_protocols(tmp_path: Path) -> None:
    """The report has every level with its noise floor, and patches are not cached."""
    real, fake = ArrayVideos(drawn(0, 24, 8), "real"), ArrayVideos(255 - drawn(50, 12, 8), "fake")
    options = EvaluateOptions(num_clips=12, num_repeats=2, num_resamples=4, cache=tmp_path)
    report = evaluate(real, fake, protocols=NAMES, options=options)
    again = evaluate(real, fake, protocols=NAMES, options=options)
    assert report.to_json() == again.to_json()
    for result, frames in zip(report.results, (1, 3), strict=True):
        key = f"patch_swd_{frames}f"
        assert result.protocol["name"] == f"patch_swd12_{frames}f"
        assert list(result.measures) == list(result.noise_floor) == [key, f"{key}_32px", f"{key}_16px"]
        assert result.clips == {"real": 12, "fake": 12, "noise_floor": [12, 12]}
        values = {name: estimate.mean for name, estimate in result.measures.items()}
        assert values[key] == pytest.approx((values[f"{key}_32px"] + values[f"{key}_16px"]) / 2)
        assert 0 < result.noise_floor[key].mean < 0.7 * values[key]
        assert not any("rank" in warning for warning in result.warnings)
    assert "no network" in str(report) and "patch_swd_3f_16px" in str(report)
    assert len(list(tmp_path.iterdir())) == 2  # lengths of both collections
    itself = evaluate(real, real, protocols=["patch_swd512_1f"], options=EvaluateOptions(cache=tmp_path))
    assert itself.results[0].noise_floor["patch_swd_1f"].mean > 0


def test_protocols_reject_frames_smaller_than_a_patch(tmp_path: Path) -> None:
    small = ArrayVideos(drawn(0, 4, 4, side=16))
    assert named_protocol(NAMES[0]).num_frames == 1 and named_protocol(NAMES[1]).num_frames == 3
    with pytest.raises(StyleganvError, match="too small for this protocol"):
        evaluate(small, small, protocols=NAMES, resolution=(6, 6), options=EvaluateOptions(cache=tmp_path))
