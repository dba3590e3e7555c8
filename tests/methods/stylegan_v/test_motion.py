"""Motion codes against a literal implementation of the formulas, slot by slot and time by time.

Shapes: B clips, T times per clip, S slots, K classes, U code width. Times are in frames.
"""

import math

import pytest
import torch
from torch import Tensor
from twins import compute_codes, compute_motion

from styleganv.methods.stylegan_v.encoding import MotionPath
from styleganv.methods.stylegan_v.motion import Motion, RecurrentMotion, noise_from_tensor
from styleganv.noise import SeededNoise

DISTANCE, KERNEL = 4.0, 3
LOOKAHEAD = 2 * (KERNEL - 1)
PATHS: list[MotionPath] = ["linear", "bspline"]


def motion(
    *,
    seed: int = 0,
    amplitude: bool = True,
    num_classes: int = 0,
    distance: float = DISTANCE,
    path: MotionPath = "linear",
    shortest: float | None = None,
) -> Motion:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Motion(
            noise_dim=6,
            code_dim=8,
            num_frequencies=16,
            kernel_size=KERNEL,
            slot_distance=distance,
            shortest_period=shortest,
            longest_period=64,
            amplitude=amplitude,
            num_classes=num_classes,
            path=path,
        ).double()


def noise(batch: int, slots: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, slots, 6, generator=generator, dtype=torch.float64)


def times(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def slow_motion(
    network: Motion, slots: Tensor, t: float, path: MotionPath = "linear", shortest: float | None = None
) -> Tensor:
    distance = network.slot_distance
    return compute_motion(network.state_dict(), slots, t, distance=distance, longest=64, shortest=shortest, path=path)


@pytest.mark.parametrize("path, shortest, used", [("linear", None, 4), ("bspline", None, 16), ("linear", 11, 11)])
@pytest.mark.parametrize("amplitude", [True, False])
def test_formula_number_by_number(amplitude: bool, path: MotionPath, shortest: float | None, used: float) -> None:
    network, slots = motion(amplitude=amplitude, path=path, shortest=shortest), noise(2, 14)
    t = times([0.0, 1.3, 4.0, 17.9], [2.5, 3.999, 8.0, 22.1])
    v = network(t, noise_from_tensor(slots))
    for clip in range(2):
        for i in range(4):
            torch.testing.assert_close(v[clip, i], slow_motion(network, slots[clip], float(t[clip, i]), path, used))


def test_amplitude_is_learned_only_if_set() -> None:
    on, off = motion(amplitude=True), motion(amplitude=False)
    assert set(dict(on.named_parameters())) - set(dict(off.named_parameters())) == {"encoding.amplitude.weight"}
    off.load_state_dict(on.state_dict(), strict=False)
    source, t = noise_from_tensor(noise(1, 8)), times([0.0, 1.5])
    with_amplitude, without = on(t, source)[0], off(t, source)[0]
    torch.testing.assert_close(with_amplitude[0], without[0])  # the sinusoids cancel at a slot
    assert (with_amplitude[1] - without[1]).abs().max() > 0.01


def test_continuous_everywhere_and_equal_to_aligned_codes_at_the_slots() -> None:
    network, source = motion(), noise(1, 30)
    slots = torch.arange(1, 20, dtype=torch.float64) * DISTANCE
    at, before, after = (network(slots[None] + e, noise_from_tensor(source))[0] for e in (0, -1e-7, 1e-7))
    aligned = compute_codes(network.state_dict(), source[0])[1:20] @ network.encoding.align.weight.T / math.sqrt(8)
    torch.testing.assert_close(at, aligned)
    torch.testing.assert_close(before, at, atol=1e-5, rtol=0)
    torch.testing.assert_close(after, at, atol=1e-5, rtol=0)
    # Between the slots the codes move by more than the line from slot to slot.
    middle = network(slots[None, :-1] + DISTANCE / 2, noise_from_tensor(source))[0]
    assert (middle - (aligned[1:] + aligned[:-1]) / 2).abs().mean() > 0.01


def test_a_spline_has_no_kinks_at_the_slots() -> None:
    """Velocity and acceleration are continuous, by differences on both sides of a slot; a linear path has kinks."""
    step = 1e-4
    slots = torch.arange(1, 20, dtype=torch.float64)[:, None] * DISTANCE
    sides = torch.tensor([-3, -2, -1, 0, 1, 2, 3], dtype=torch.float64) * step
    jumps = {}
    for path in PATHS:
        v = motion(path=path)((slots + sides).flatten()[None], noise_from_tensor(noise(1, 30)))
        v = v[0].detach().unflatten(0, (-1, 7))
        velocity = v.diff(dim=1) / step
        acceleration = velocity.diff(dim=1) / step
        jumps[path] = [float((x[:, -1] - x[:, 0]).abs().max()) for x in (velocity, acceleration)]
    assert jumps["linear"][0] > 0.1
    assert jumps["bspline"][0] < 0.01 and jumps["bspline"][1] < 0.02


@pytest.mark.parametrize("path", PATHS)
def test_never_repeats_over_thousands_of_frames(path: MotionPath) -> None:
    """No two windows of 16 frames are alike: the correlation of centered windows stays below 0.9."""
    network, frames, window = motion(path=path), 4096, 16
    source = SeededNoise([3], 6)
    v = network(torch.arange(frames, dtype=torch.float64)[None], source)[0].detach()
    v = (v - v.mean(dim=0)) / v.std(dim=0)
    windows = v.unfold(0, window, window).flatten(1)
    windows = windows / windows.norm(dim=1, keepdim=True)
    correlation = windows @ windows.T
    assert correlation.fill_diagonal_(0).max() < 0.9
    # A periodic signal, from the same noise in all slots, is detected.
    constant = network(torch.arange(256.0)[None], lambda clip, slots: torch.ones(len(clip), slots.shape[1], 6))[0]
    periodic = constant.detach().reshape(64, -1)
    periodic = periodic / periodic.norm(dim=1, keepdim=True)
    assert (periodic @ periodic.T).fill_diagonal_(0).max() > 0.9


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("others", [[0.0], [4.0, 9.0], [1000.0], [1000.0, 50_000.0], [36.9, 37.1, 37.2]])
def test_a_code_does_not_depend_on_the_other_times(others: list[float], path: MotionPath) -> None:
    network, source = motion(path=path), SeededNoise([7, 8], 6)
    alone = network(times([37.3], [37.3]), source)
    together = network(times([37.3, *others], [37.3, *others]), source)
    torch.testing.assert_close(together[:, :1], alone, atol=1e-12, rtol=0)


def test_clips_at_different_times_are_independent() -> None:
    network, source = motion(), SeededNoise([7, 8], 6)
    t = times([3.0, 90.0, 91.0], [1000.0, 1001.5, 1003.0])
    both = network(t, source)
    for clip, seed in enumerate((7, 8)):
        alone = network(t[clip : clip + 1], SeededNoise([seed], 6))
        torch.testing.assert_close(both[clip : clip + 1], alone, atol=1e-12, rtol=0)


def test_distant_times_do_not_read_the_slots_in_between() -> None:
    network, requested = motion(), []

    def counting(clip: Tensor, slots: Tensor) -> Tensor:
        requested.append(slots.numel())
        return SeededNoise([0], 6)(clip, slots)

    far = network(times([0.5, 1e7]), counting)
    assert sum(requested) <= 2 * (2 + LOOKAHEAD)
    torch.testing.assert_close(far[:, 1], network(times([1e7]), counting)[:, 0], atol=1e-12, rtol=0)


def test_large_times_are_as_accurate_as_small_ones() -> None:
    network, source, t = motion(), SeededNoise([0], 6), 1e7
    near = network(times([t - 1e-4, t, t + 1e-4, t + 1.0]), source)[0]
    assert torch.isfinite(near).all()
    assert (near[1] - near[0]).abs().max() < 1e-2 and (near[2] - near[1]).abs().max() < 1e-2
    assert (near[3] - near[1]).abs().max() > 1e-2
    late, early = (network(torch.arange(64.0)[None] + start, source).detach() for start in (t, 0.0))
    assert float(late.std()) == pytest.approx(float(early.std()), rel=0.5)


def test_float32_weights_still_use_float64_phases() -> None:
    """At late times, single precision is as accurate as at early times."""
    exact, source = motion(), SeededNoise([0], 6)
    single = motion()
    for parameter in single.parameters():
        parameter.data = parameter.data.float()
    at_slot = times([1e6 * DISTANCE])
    assert single(at_slot, source).dtype == torch.float32
    torch.testing.assert_close(single(at_slot, source).double(), exact(at_slot, source), atol=1e-4, rtol=1e-4)


def test_casting_the_network_keeps_its_frequencies() -> None:
    network = motion()
    before = network.encoding.periods(torch.device("cpu"))
    after = network.bfloat16().encoding.periods(torch.device("cpu"))
    assert before.dtype == after.dtype == torch.float64 and torch.equal(before, after)
    assert float(before[-1]) == pytest.approx(DISTANCE) and bool((before.diff() < 0).all())


@pytest.mark.parametrize("slot", range(LOOKAHEAD + 4))
def test_a_code_depends_on_its_slot_and_the_lookahead(slot: int) -> None:
    network, source = motion(), noise(1, LOOKAHEAD + 4)
    at_slots = torch.arange(3, dtype=torch.float64)[None] * DISTANCE
    changed = source.clone()
    changed[0, slot] += 1
    difference = network(at_slots, noise_from_tensor(source)) - network(at_slots, noise_from_tensor(changed))
    depends = [i <= slot <= i + LOOKAHEAD for i in range(3)]
    assert (difference[0].abs().amax(dim=1) > 0).tolist() == depends


@pytest.mark.parametrize(
    "t, slots", [(0.0, 2 + LOOKAHEAD), (3.99, 2 + LOOKAHEAD), (4.0, 3 + LOOKAHEAD), (40.0, 12 + LOOKAHEAD)]
)
def test_too_little_noise_is_rejected(t: float, slots: int) -> None:
    network = motion()
    network(times([t]), noise_from_tensor(noise(1, slots)))
    with pytest.raises(ValueError, match=f"slots .* to {slots - 1}, got slots 0 to {slots - 2}"):
        network(times([t]), noise_from_tensor(noise(1, slots - 1)))
    with pytest.raises(ValueError, match="-1"):
        network(times([-0.5]), noise_from_tensor(noise(1, 20)))


def test_the_class_changes_the_codes() -> None:
    network, source = motion(num_classes=2), SeededNoise([0, 0], 6)
    t = times([0.0, 5.0, 900.0], [0.0, 5.0, 900.0])
    label = torch.eye(2, dtype=torch.float64)
    v = network(t, source, label)
    assert (v[0] - v[1]).abs().amax(dim=1).min() > 1e-4
    torch.testing.assert_close(network(t, source, label[[0, 0]])[1], v[0], atol=1e-12, rtol=0)


def test_slot_distance_may_be_fractional() -> None:
    network, source = motion(distance=2.5), noise(1, 20)
    v = network(times([3.1, 7.5, 20.0]), noise_from_tensor(source))
    for i, t in enumerate((3.1, 7.5, 20.0)):
        torch.testing.assert_close(v[0, i], slow_motion(network, source[0], t))


def recurrent(num_classes: int = 0) -> RecurrentMotion:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RecurrentMotion(noise_dim=6, code_dim=8, num_classes=num_classes).double()


def test_recurrent_codes_equal_an_lstm_cell() -> None:
    network, source = recurrent(), noise(2, 8)
    v = network(times([2.0, 2.5, 3.0], [0.0, 5.5, 6.0]), noise_from_tensor(source))
    assert v.shape == (2, 3, 8)
    torch.testing.assert_close(v[:, 1], torch.stack([(v[0, 0] + v[0, 2]) / 2, v[1, 1]]))
    cell = torch.nn.LSTMCell(6, 8).double()
    cell.load_state_dict({name[:-3]: value for name, value in network.lstm.state_dict().items()})
    state = None
    for frame in range(4):
        state = cell(source[:1, frame], state)
        if frame >= 2:
            torch.testing.assert_close(v[0, 2 * (frame - 2)], network.layers(state[0])[0])
    later = noise(2, 8)
    later[:, 4:] += 1
    torch.testing.assert_close(network(times([2.0], [2.0]), noise_from_tensor(later))[0, 0], v[0, 0])


def test_recurrent_codes_depend_on_the_class() -> None:
    network, source = recurrent(num_classes=2), SeededNoise([0, 0], 6)
    v = network(times([3.0], [3.0]), source, torch.eye(2, dtype=torch.float64))
    assert (v[0] - v[1]).abs().max() > 1e-4
