"""Augmentation: one transform per clip, determined by given numbers; and the controller of its probability.

Shapes: B clips, T frames per clip.
"""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from styleganv.training.augment import NUM_UNIFORM, AdaptiveAugmentation, augment

SHIFT_X, SHIFT_Y, ZOOM, SQUEEZE, ROTATION, MIRROR, BRIGHTNESS, CONTRAST, SATURATION, HUE = range(10)


def frames(batch: int = 2, num_frames: int = 3, height: int = 12, width: int = 16) -> Tensor:
    """Return a smooth ramp without symmetry: brighter to the right and, less so, to the bottom."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    ramp = (0.6 * x + 0.3 * y)[None, None, None]
    offset = 0.1 * torch.randn(batch, num_frames, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    return (ramp + offset).double()


def uniforms(batch: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, NUM_UNIFORM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def only(kind: int, value: float = 1.0) -> Tensor:
    """Return uniform numbers that apply one transform (at p = 0.5) with the normal number `value`."""
    uniform = torch.full([1, NUM_UNIFORM], 0.5, dtype=torch.float64)
    uniform[:, ::2] = 0.9
    uniform[0, 2 * kind] = 0.1
    uniform[0, 2 * kind + 1] = 0.5 * (1 + math.erf(value / math.sqrt(2)))
    return uniform


P_ONE, P_HALF, P_ZERO = torch.tensor(1.0), torch.tensor(0.5), torch.tensor(0.0)


def test_probability_zero_changes_nothing() -> None:
    x = torch.rand(4, 2, 3, 9, 14, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for seed in range(5):
        y = augment(x, P_ZERO, uniforms(4, seed).float(), rotation=True, mirror=True)
        torch.testing.assert_close(y, x, atol=1e-5, rtol=0)


def test_all_frames_of_a_clip_get_the_same_transform() -> None:
    constant = frames(4, 1).expand(-1, 3, -1, -1, -1)
    y = augment(constant, P_ONE, uniforms(4), rotation=True, mirror=True)
    assert torch.equal(y[:, 0], y[:, 1]) and torch.equal(y[:, 0], y[:, 2])
    assert (y - constant).abs().amax(dim=(1, 2, 3, 4)).min() > 0.05
    # The clips of a batch are not.
    same = frames(1, 1).expand(4, 1, -1, -1, -1)
    y = augment(same, P_ONE, uniforms(4))
    assert min(float((y[i] - y[j]).abs().max()) for i in range(4) for j in range(i)) > 0.05


def test_frames_are_transformed_independently() -> None:
    x, u = frames(2, 3), uniforms(2)
    whole = augment(x, P_ONE, u)
    for t in range(3):
        torch.testing.assert_close(augment(x[:, t : t + 1], P_ONE, u), whole[:, t : t + 1])
    torch.testing.assert_close(augment(x[1:], P_ONE, u[1:]), whole[1:])


def test_the_uniform_numbers_are_the_only_randomness() -> None:
    x = frames()
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first = augment(x, P_HALF, uniforms(2))
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(first, augment(x, P_HALF, uniforms(2)))
    assert not torch.equal(first, augment(x, P_HALF, uniforms(2, seed=1)))


def slopes(x: Tensor) -> tuple[float, float]:
    """Return the mean slope to the right and to the bottom."""
    return float(x.diff(dim=-1).mean()), float(x.diff(dim=-2).mean())


def test_mirroring_and_rotation_are_off_by_default() -> None:
    """The ramp of every clip keeps rising to the right, in the same direction."""
    x = frames(256, 1)[:, :, :1].expand(-1, -1, 3, -1, -1)
    inner = (..., slice(4, 8), slice(5, 11))  # the borders are reflected
    u = uniforms(256)
    plain = augment(x, P_ONE, u)[inner]
    turned = augment(x, P_ONE, u, rotation=True)[inner]
    mirrored = augment(x, P_ONE, u, mirror=True)[inner]
    assert all(slopes(clip)[0] > -0.02 for clip in plain)
    falling = sum(slopes(clip)[0] < -0.02 for clip in mirrored)
    assert 90 < falling < 166  # half of them
    assert torch.isclose(plain, turned).all(dim=(1, 2, 3, 4)).float().mean() < 0.1

    def steepness(clips: Tensor) -> Tensor:
        across, down = clips.diff(dim=-1).mean(dim=(1, 2, 3, 4)), clips.diff(dim=-2).mean(dim=(1, 2, 3, 4))
        return down / across.abs().clamp_min(1e-6)

    one = {"height": 16, "width": 16}
    square = frames(1, 1, **one)[:, :, :1].expand(-1, -1, 3, -1, -1)
    inner = (..., slice(6, 10), slice(6, 10))
    straight = augment(square, P_HALF, only(ROTATION))[inner]
    torch.testing.assert_close(straight, square[inner])
    rotated = augment(square, P_HALF, only(ROTATION), rotation=True)[inner]
    angle = math.atan(float(steepness(rotated))) - math.atan(float(steepness(square[inner])))
    assert abs(angle) == pytest.approx(math.pi / 8, abs=0.02)


def test_a_rotation_of_wide_frames_keeps_circles_round() -> None:
    y, x = torch.meshgrid(torch.arange(24.0) - 11.5, torch.arange(40.0) - 19.5, indexing="ij")
    disc = (-(x**2 + y**2) / 18).exp().double().expand(1, 1, 3, -1, -1)
    inner = (..., slice(4, 20), slice(10, 30))  # the borders are reflected
    turned = augment(disc, P_HALF, only(ROTATION, 2.0), rotation=True)
    torch.testing.assert_close(turned[inner], disc[inner], atol=0.03, rtol=0)


def test_geometric_transforms_in_closed_form() -> None:
    x = frames(1, 1)
    row, column = x[0, 0, 0, 6], x[0, 0, 0, :, 8]
    shifted = augment(x, P_HALF, only(SHIFT_X))[0, 0, 0, 6]  # one eighth of the width: two pixels
    torch.testing.assert_close(shifted[4:12], row[6:14], atol=1e-6, rtol=0)
    shifted = augment(x, P_HALF, only(SHIFT_Y, 4 / 3))[0, 0, 0, :, 8]  # two of twelve pixels
    torch.testing.assert_close(shifted[3:9], column[5:11], atol=1e-6, rtol=0)
    inner = (..., slice(4, 8), slice(5, 11))
    for kind, across, down in ((ZOOM, 2**0.2, 2**0.2), (SQUEEZE, 2**0.2, 2**-0.2)):
        before, after = slopes(x[inner]), slopes(augment(x, P_HALF, only(kind))[inner])
        assert after[0] / before[0] == pytest.approx(across, rel=1e-3)
        assert after[1] / before[1] == pytest.approx(down, rel=1e-3)


def test_color_transforms_in_closed_form() -> None:
    x = frames(1, 2)
    gray = x.mean(dim=2, keepdim=True)
    torch.testing.assert_close(augment(x, P_HALF, only(BRIGHTNESS)), x + 0.2, atol=1e-5, rtol=0)
    torch.testing.assert_close(augment(x, P_HALF, only(CONTRAST)), x * 2**0.5, atol=1e-5, rtol=0)
    expected = gray + 2 * (x - gray)
    torch.testing.assert_close(augment(x, P_HALF, only(SATURATION)), expected, atol=1e-5, rtol=0)
    hue = augment(x, P_HALF, only(HUE))
    torch.testing.assert_close(hue.mean(dim=2, keepdim=True), gray, atol=1e-5, rtol=0)
    torch.testing.assert_close((hue - gray).norm(dim=2), (x - gray).norm(dim=2), atol=1e-5, rtol=0)
    cosine = torch.cosine_similarity((hue - gray)[0, 0, :, 0, 0], (x - gray)[0, 0, :, 0, 0], dim=0)
    assert math.acos(float(cosine)) == pytest.approx(math.pi / 6, abs=1e-3)


def test_applied_with_the_given_probability() -> None:
    x = frames(1, 1, 4, 4).expand(2000, -1, -1, -1, -1)
    u = uniforms(2000)
    u[:, ::2][:, [k for k in range(12) if k != BRIGHTNESS]] = 1.0
    changed = (augment(x, torch.tensor(0.3), u) - x).abs().amax(dim=(1, 2, 3, 4)) > 1e-6
    assert changed.double().mean() == pytest.approx(0.3, abs=0.04)


def test_differentiable_twice_in_frames() -> None:
    x, u = frames(1, 2, 4, 5).requires_grad_(), uniforms(1)
    assert gradcheck(lambda x: augment(x, P_ONE, u, rotation=True), x, fast_mode=True)
    assert gradgradcheck(lambda x: augment(x, P_ONE, u, rotation=True).square(), x, fast_mode=True)


def controller(p: float = 0.0, max_p: float = 0.8, clips: int = 1000) -> AdaptiveAugmentation:
    return AdaptiveAugmentation(p, target=0.6, max_p=max_p, clips=clips, device=torch.device("cpu"))


@pytest.mark.parametrize("sign, start, end", [(0.9, 0.2, 0.6), (0.3, 0.6, 0.2), (-1.0, 0.6, 0.2)])
def test_p_moves_in_the_right_direction_at_the_right_speed(sign: float, start: float, end: float) -> None:
    ada = controller(start)
    for step in range(40):  # 400 clips of the 1000 that p needs from 0 to 1
        ada.update(torch.tensor(sign), 10)
        if step == 2:
            assert float(ada.p) == pytest.approx(start)  # it is updated every four steps
    assert float(ada.p) == pytest.approx(end, abs=1e-5)


def test_p_follows_the_mean_of_four_steps() -> None:
    ada = controller(0.2)
    for sign in (1.0, 1.0, 1.0, -1.0):  # mean 0.5, below the target
        ada.update(torch.tensor(sign), 10)
    assert float(ada.p) == pytest.approx(0.16)
    for sign in (1.0, 1.0, 1.0, 0.0):  # earlier steps no longer count
        ada.update(torch.tensor(sign), 10)
    assert float(ada.p) == pytest.approx(0.2)


def test_p_stays_between_zero_and_its_maximum() -> None:
    ada = controller(0.75)
    for _ in range(80):
        ada.update(torch.tensor(1.0), 10)
    assert float(ada.p) == pytest.approx(0.8)
    for _ in range(400):
        ada.update(torch.tensor(-1.0), 10)
    assert float(ada.p) == 0.0


def test_a_restored_controller_continues_identically() -> None:
    one, two = controller(0.3), controller(0.0)
    one.update(torch.tensor(0.9), 10)
    one.update(torch.tensor(0.9), 10)
    two.load_state_dict(one.state_dict())
    for sign in (0.9, -0.5, 0.1, 0.9, 0.9, 0.9):
        waiting = float(two.sign_sum)
        one.update(torch.tensor(sign), 10)
        assert float(two.sign_sum) == waiting  # the two share nothing
        two.update(torch.tensor(sign), 10)
        assert float(one.p) == float(two.p)
