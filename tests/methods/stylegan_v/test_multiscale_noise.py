"""Noise on several time scales: filters and spectra in closed form, and exact access at any time.

Shapes: S slots, C channels, K taps. Times are in frames.
"""

import math

import pytest
import torch
from torch import Tensor

from styleganv.methods.stylegan_v.encoding import MotionPath
from styleganv.methods.stylegan_v.motion import Motion, noise_from_tensor
from styleganv.methods.stylegan_v.multiscale_noise import (
    KAISER_BETA,
    LONGEST_FOOTPRINT,
    FilterBank,
    MultiscaleMotion,
    kaiser_filters,
)
from styleganv.noise import SeededNoise

CHANNELS, DISTANCE, KERNEL = 8, 4.0, 3
LOOKAHEAD = 2 * (KERNEL - 1) + LONGEST_FOOTPRINT - 1
PATHS: list[MotionPath] = ["linear", "bspline"]
FOOTPRINTS = [2.0**exponent for exponent in range(8)]  # of eight channels, from 1 to 128 slots


def motion(kind: type[Motion] = MultiscaleMotion, path: MotionPath = "linear", num_classes: int = 0) -> Motion:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"noise_dim": CHANNELS, "code_dim": 8, "num_frequencies": 16, "kernel_size": KERNEL}
        return kind(**sizes, slot_distance=DISTANCE, longest_period=64, path=path, num_classes=num_classes).double()


def times(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def bessel_i0(x: float) -> float:
    return sum((x / 2) ** (2 * k) / math.factorial(k) ** 2 for k in range(40))


def slow_taps(footprint: float) -> list[float]:
    taps = []
    for k in range(LONGEST_FOOTPRINT):
        x = (k + 0.5 - footprint / 2) / (footprint / 2)  # position in the window, whose ends are −1 and 1
        taps.append(bessel_i0(KAISER_BETA * math.sqrt(1 - x * x)) if abs(x) <= 1 else 0.0)
    norm = math.sqrt(sum(tap * tap for tap in taps))
    return [tap / norm for tap in taps]


def test_filters_number_by_number() -> None:
    expected = torch.tensor([slow_taps(footprint) for footprint in FOOTPRINTS], dtype=torch.float64)
    torch.testing.assert_close(kaiser_filters(CHANNELS), expected, rtol=1e-9, atol=1e-12)
    assert kaiser_filters(CHANNELS)[0].tolist() == [1.0] + [0.0] * 127  # the shortest filter passes white noise
    assert (kaiser_filters(CHANNELS) > 0).sum(dim=1).tolist() == FOOTPRINTS
    assert kaiser_filters(1).shape == (1, 128)


def kaiser_spectrum(frequency: Tensor, footprint: float) -> Tensor:
    """Return the Fourier transform of a Kaiser window of this length in closed form, up to its factor."""
    y = KAISER_BETA**2 - (math.pi * footprint * frequency) ** 2
    root = y.abs().sqrt()
    return torch.where(y > 0, root.sinh(), root.sin()) / root


@pytest.mark.parametrize("channel", [5, 6, 7])
def test_filters_are_low_pass_with_the_spectrum_of_a_kaiser_window(channel: int) -> None:
    num, footprint = 4096, FOOTPRINTS[channel]
    gain = torch.fft.rfft(kaiser_filters(CHANNELS)[channel], n=num).abs()
    frequency = torch.arange(len(gain), dtype=torch.float64) / num  # cycles per slot
    expected = kaiser_spectrum(frequency, footprint).abs()
    torch.testing.assert_close(gain / gain[0], expected / expected[0], rtol=0, atol=4e-4)
    stopband = frequency > math.sqrt(math.pi**2 + KAISER_BETA**2) / math.pi / footprint
    assert 20 * math.log10(float((gain[stopband] / gain[0]).max())) < -43.7


def test_the_noise_has_the_spectrum_of_its_filter() -> None:
    """Averaged periodograms of filtered white noise; each of their values is off by 1/√2000 of itself, or 2%."""
    num, length = 2000, 64
    white = torch.randn(num, length + LONGEST_FOOTPRINT - 1, CHANNELS, generator=torch.Generator().manual_seed(0))
    filtered = FilterBank(CHANNELS)(white)
    assert filtered.shape == (num, length, CHANNELS)
    torch.testing.assert_close(filtered.var(dim=(0, 1)), torch.ones(CHANNELS), rtol=0, atol=0.05)
    # The expected autocorrelation is that of the taps, and the expected periodogram the transform of it, tapered.
    taps = kaiser_filters(CHANNELS)
    lags = torch.arange(length)
    correlation = torch.stack(
        [(taps[:, lag:] * taps[:, : LONGEST_FOOTPRINT - lag]).sum(dim=1) for lag in lags.tolist()]
    )
    measured = torch.stack(
        [(filtered[:, lag:] * filtered[:, : length - lag]).mean(dim=(0, 1)) for lag in lags.tolist()]
    )
    torch.testing.assert_close(measured.double(), correlation, rtol=0, atol=0.08)
    tapered = correlation * (1 - lags[:, None] / length)
    waves = torch.cos(2 * math.pi * lags[:, None] * torch.arange(length // 2 + 1, dtype=torch.float64) / length)
    expected = 2 * (waves.T @ tapered) - tapered[0]
    periodogram = torch.fft.rfft(filtered, dim=1).abs().square().mean(dim=0) / length
    ratio = periodogram / expected
    assert (ratio - 1).abs().max() < 0.12
    # The slowest channel has nearly all of its power below the second frequency, the fastest is white.
    assert periodogram[:2, 7].sum() > 0.95 * periodogram[:, 7].sum()
    assert periodogram[:2, 0].sum() < 0.1 * periodogram[:, 0].sum()


def test_channels_are_independent() -> None:
    white = torch.randn(1, 60_000, CHANNELS, generator=torch.Generator().manual_seed(1))
    filtered = FilterBank(CHANNELS)(white)[0]
    correlation = torch.corrcoef(filtered.T) - torch.eye(CHANNELS)
    assert correlation.abs().max() < 0.15  # the slowest channel has about a thousand independent values


def test_the_network_is_the_papers_with_filtered_noise() -> None:
    network, plain = motion(), motion(Motion)
    assert network.state_dict().keys() == plain.state_dict().keys()
    white = torch.randn(2, 140, CHANNELS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    taps, filtered = network.filters.taps, torch.zeros(2, 13, CHANNELS, dtype=torch.float64)
    for slot in range(13):
        for channel in range(CHANNELS):
            filtered[:, slot, channel] = white[:, slot : slot + LONGEST_FOOTPRINT, channel] @ taps[channel]
    t = times([0.0, 1.3, 4.0, 27.9], [2.5, 3.999, 8.0, 22.1])
    torch.testing.assert_close(network(t, noise_from_tensor(white)), plain(t, noise_from_tensor(filtered)))
    with pytest.raises(ValueError, match="slots 0 to 132, got slots 0 to 131"):
        network(times([0.0]), noise_from_tensor(white[:1, :132]))


def test_gradients_by_finite_differences() -> None:
    bank = FilterBank(2).double()
    white = torch.randn(1, 130, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(bank, white)
    network, noise = motion(), torch.randn(1, 133, CHANNELS, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(network(times([1.7]), noise_from_tensor(noise)).sum(), noise)
    for slot, channel in ((0, 0), (64, 7), (130, 7), (132, 7)):
        sides = []
        for step in (-1e-6, 1e-6):
            moved = noise.detach().clone()
            moved[0, slot, channel] += step
            sides.append(float(network(times([1.7]), noise_from_tensor(moved)).detach().sum()))
        assert (sides[1] - sides[0]) / 2e-6 == pytest.approx(float(gradient[0, slot, channel]), rel=1e-4, abs=1e-9)
    assert gradient[0, 132, 7] != 0 and gradient[0, 132, 0] == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("others", [[0.0], [4.0, 9.0], [1000.0], [1000.0, 50_000.0], [36.9, 37.1, 1e7]])
def test_a_code_does_not_depend_on_the_other_times(others: list[float], path: MotionPath) -> None:
    network, source = motion(path=path), SeededNoise([7, 8], CHANNELS)
    alone = network(times([37.3], [37.3]), source)
    together = network(times([37.3, *others], [37.3, *others]), source)
    torch.testing.assert_close(together[:, :1], alone, atol=1e-12, rtol=0)


def test_any_time_costs_the_same_window_of_noise() -> None:
    requested: list[int] = []

    def counting(clip: Tensor, slots: Tensor) -> Tensor:
        requested.append(slots.numel())
        return SeededNoise([0], CHANNELS)(clip, slots)

    for t in (0.0, 1000.5, 1e7):
        motion()(times([t]), counting)
    assert requested == [2 + LOOKAHEAD] * 3


@pytest.mark.parametrize("path", PATHS)
def test_continuous_at_the_slots_at_late_times_too(path: MotionPath) -> None:
    network, source = motion(path=path), SeededNoise([0], CHANNELS)
    for slot in (5.0, 2_500_000.0):
        near = network(times([slot * DISTANCE - 1e-5, slot * DISTANCE, slot * DISTANCE + 1e-5]), source)[0].detach()
        later = network(times([slot * DISTANCE + 2]), source)[0].detach()
        assert near.diff(dim=0).abs().max() < 1e-3 < 1e-2 < (later[0] - near[1]).abs().max()


def test_never_repeats_but_changes_slowly_too() -> None:
    """No two windows of 64 slots are alike, while codes 12 slots apart are more alike than with white noise."""
    codes, neighbors = {}, {}
    for kind in (MultiscaleMotion, Motion):
        network = motion(kind)
        slots = torch.arange(4096 + network.lookahead_slots)[None]
        u = network.compute_codes(torch.tensor([0]), slots, SeededNoise([3], CHANNELS), None)[0].detach()
        codes[kind] = (u - u.mean(dim=0)) / u.std(dim=0)
        neighbors[kind] = float((codes[kind][12:] * codes[kind][:-12]).mean())
    windows = codes[MultiscaleMotion].unfold(0, 64, 64).flatten(1)
    windows = windows / windows.norm(dim=1, keepdim=True)
    assert (windows @ windows.T).fill_diagonal_(0).max() < 0.95
    assert abs(neighbors[Motion]) < 0.03 < 0.1 < neighbors[MultiscaleMotion]


def test_classes_are_not_filtered() -> None:
    network, source = motion(num_classes=2), SeededNoise([0, 0], CHANNELS)
    t, label = times([0.0, 5.0], [0.0, 5.0]), torch.eye(2, dtype=torch.float64)
    v = network(t, source, label)
    assert (v[0] - v[1]).abs().amax(dim=1).min() > 1e-4
