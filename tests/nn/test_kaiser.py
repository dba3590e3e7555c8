"""Kaiser filters against closed forms, and the filtered leaky ReLU against a slow twin."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_networks import randn
from torch import Tensor

from styleganv.nn import kaiser
from styleganv.nn.kaiser import (
    Resampling,
    filtered_leaky_relu,
    kaiser_attenuation,
    kaiser_beta,
    kaiser_lowpass,
    plan_resampling,
)

#: Rate doubled and halved, raised fourfold and halved, and a last layer without margin.
PLANS = [plan_resampling(2, 2, 6, 10, 10), plan_resampling(4, 2, 6, 10, 10), plan_resampling(2, 2, 6, 10, 0)]


def gain_at(taps: np.ndarray, frequencies: np.ndarray, rate: float) -> np.ndarray:
    """Return the amplitude response of a filter."""
    waves = np.exp(-2j * np.pi * frequencies[:, None] / rate * np.arange(len(taps)))
    return np.abs(waves @ taps)


def test_the_formulas_give_the_values_of_a_textbook_design() -> None:
    # Oppenheim and Schafer, Discrete-Time Signal Processing: 60 dB and a transition of 0.2 π take 38 taps, β = 5.653.
    assert kaiser_beta(60) == pytest.approx(5.65326)
    assert kaiser_attenuation(38, 0.2) == pytest.approx(2.285 * 37 * 0.2 * math.pi + 7.95) == pytest.approx(61.07, 1e-3)
    assert kaiser_beta(40) == pytest.approx(0.5842 * 19**0.4 + 0.07886 * 19) and kaiser_beta(21) == kaiser_beta(8) == 0


@pytest.mark.parametrize("num_taps, cutoff, half_width, rate", [(38, 8, 3.2, 64), (12, 2, 6, 32), (24, 5.7, 10.3, 128)])
def test_taps_are_a_windowed_sinc_with_unit_gain(num_taps: int, cutoff: float, half_width: float, rate: float) -> None:
    taps = kaiser_lowpass(num_taps, cutoff, half_width, rate)
    beta = kaiser_beta(kaiser_attenuation(num_taps, 4 * half_width / rate))
    window = torch.kaiser_window(num_taps, periodic=False, beta=beta, dtype=torch.float64)
    t = (torch.arange(num_taps, dtype=torch.float64) - (num_taps - 1) / 2) / rate
    expected = torch.sinc(2 * cutoff * t) * window
    np.testing.assert_allclose(taps, expected / expected.sum(), atol=1e-12)
    assert gain_at(taps, np.zeros(1), rate) == pytest.approx(1, abs=1e-12)


def test_the_filter_halves_the_cutoff_and_stops_the_stopband() -> None:
    taps = kaiser_lowpass(38, 8, 3.2, 64)  # 61 dB
    passed, halved = gain_at(taps, np.linspace(0, 4.8, 50), 64), gain_at(taps, np.array([8.0]), 64)
    stopped = gain_at(taps, np.linspace(11.2, 32, 200), 64)
    # The ripple is that of the stopband, around a gain that is itself off by as much, as that at 0 is made exact.
    assert np.abs(passed - 1).max() < 2 * 10 ** (-61.07 / 20) and halved == pytest.approx(0.5, abs=2e-3)
    assert 20 * np.log10(stopped.max()) < -60


def slow_twin(x: Tensor, up_taps: Tensor, down_taps: Tensor, plan: Resampling) -> Tensor:
    """Zeros between the pixels, a two-dimensional filter, leaky ReLU, another, and every n-th pixel."""
    zeros = x.new_zeros(*x.shape[:2], *(side * plan.up for side in x.shape[2:]))
    zeros[..., :: plan.up, :: plan.up] = x
    pad = len(up_taps) - 1 - plan.pad_up
    channels = x.shape[1]
    both = torch.outer(up_taps, up_taps).expand(channels, 1, -1, -1)
    end = pad - plan.up + 1  # the last pixel is not followed by zeros
    high = F.leaky_relu(F.conv2d(F.pad(zeros, [pad, end, pad, end]), both, groups=channels), 0.2)
    both = torch.outer(down_taps, down_taps).expand(channels, 1, -1, -1)
    low = F.conv2d(F.pad(high, [plan.pad_down] * 4), both, groups=channels)
    return low[..., :: plan.down, :: plan.down]


def taps_of(plan: Resampling) -> tuple[Tensor, Tensor]:
    up, down = kaiser_lowpass(6 * plan.up, 6, 3, 16 * plan.up), kaiser_lowpass(6 * plan.down, 7, 2, 16 * plan.down)
    return torch.from_numpy(up * plan.up), torch.from_numpy(down)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("max_bytes", [1, 2**24])
def test_filtered_leaky_relu_equals_the_slow_twin(
    plan: Resampling, max_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaiser, "MAX_BYTES", max_bytes)
    x = randn(3, 2, 26, 30).double()
    expected = slow_twin(x, *taps_of(plan), plan)
    margin = 0 if plan is PLANS[2] else 10
    assert expected.shape[2:] == tuple((side - 20) * plan.up // plan.down + 2 * margin for side in (26, 30))
    torch.testing.assert_close(filtered_leaky_relu(x, *taps_of(plan), plan), expected)
    torch.testing.assert_close(filtered_leaky_relu(x.requires_grad_(), *taps_of(plan), plan), expected)


@pytest.mark.parametrize("plan", PLANS)
def test_its_gradient(plan: Resampling) -> None:
    x = randn(2, 1, 22, 21).double().requires_grad_()
    taps = taps_of(plan)
    ours = torch.autograd.grad(filtered_leaky_relu(x, *taps, plan).sin().sum(), x)
    theirs = torch.autograd.grad(slow_twin(x, *taps, plan).sin().sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_smooth_signals_pass_where_leaky_relu_is_linear() -> None:
    """A low wave that stays positive keeps its values; only the border, beyond which there are zeros, differs."""
    t = torch.arange(44, dtype=torch.float64)
    x = (2 + torch.sin(2 * math.pi * t / 20)).expand(1, 1, 44, -1)
    y, negative = (filtered_leaky_relu(each, *taps_of(PLANS[0]), PLANS[0]) for each in (x, -x))
    inside = (..., slice(10, -10), slice(10, -10))
    assert (y - x)[inside].abs().max() < 0.02 and (y - x).abs().max() > 0.2
    torch.testing.assert_close(negative[inside], -0.2 * y[inside])
