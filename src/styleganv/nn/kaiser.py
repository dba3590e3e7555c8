"""Resampling with Kaiser-windowed low-pass filters, as one matrix per axis.

A matrix product per axis takes the place of padding, zero insertion, filter, decimation and crop.

Shapes: N images, C channels, H height, W width. Rates and frequencies have the same unit, e.g. per image side.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def kaiser_lowpass(num_taps: int, cutoff: float, half_width: float, rate: float) -> NDArray[np.float64]:
    """Return the taps `[num_taps]` of a low-pass filter whose gain is 1 at frequency 0.

    The window has the shape that attenuates the stopband most for this length (Kaiser 1974; Karras et al. 2021,
    appendix C.1).

    Args:
        num_taps: length of the filter.
        cutoff: frequency at the center of the transition band.
        half_width: half the width of the transition band.
        rate: sampling rate.
    """
    t = np.arange(num_taps) - (num_taps - 1) / 2
    beta = kaiser_beta(kaiser_attenuation(num_taps, 4 * half_width / rate))
    taps = np.sinc(2 * cutoff / rate * t) * np.kaiser(num_taps, beta)
    return taps / taps.sum()


def kaiser_attenuation(num_taps: int, width: float) -> float:
    """Return the attenuation of the stopband in dB, for a transition band of `width` × half the sampling rate."""
    return 2.285 * (num_taps - 1) * np.pi * width + 7.95


def kaiser_beta(attenuation: float) -> float:
    """Return the shape parameter of the Kaiser window for an attenuation in dB."""
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    excess = max(attenuation - 21, 0)
    return 0.5842 * excess**0.4 + 0.07886 * excess


def resampling_matrix(
    taps: NDArray[np.float64], num_in: int, num_out: int, *, up: int = 1, down: int = 1, skip: int = 0
) -> Tensor:
    """Return the matrix `[num_out, num_in]`, float32, of: raise the rate by `up`, filter, lower it by `down`.

    Input and output share their center. Beyond the border, the outermost sample continues, so that a constant stays
    constant.

    Args:
        taps: symmetric filter at the raised rate, with sum 1.
        num_in: samples of the input.
        num_out: samples of the output.
        up, down: factors of the rate.
        skip: samples at both ends of the input to replace by those next to them.
    """
    inputs = np.arange(-len(taps), num_in + len(taps))
    position_in = up * (inputs - (num_in - 1) / 2)
    position_out = down * (np.arange(num_out) - (num_out - 1) / 2)
    tap = np.round(position_out[:, None] - position_in + (len(taps) - 1) / 2).astype(int)
    weights = np.where((tap >= 0) & (tap < len(taps)), up * taps[tap.clip(0, len(taps) - 1)], 0.0)
    columns = np.zeros((num_in, num_out))
    np.add.at(columns, inputs.clip(skip, num_in - 1 - skip), weights.T)
    return torch.from_numpy(columns.T.astype(np.float32))


def resample2d(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return `rows @ x @ columnsᵀ` for each image and channel, channels-last.

    Args:
        x: `[N, C, H, W]`, in any floating dtype.
        rows: `[H', H]`, cast to the dtype of `x`.
        columns: `[W', W]`, likewise.

    Returns:
        `[N, C, H', W']`.
    """
    x = x.permute(0, 2, 3, 1)
    x = (rows.to(x.dtype) @ x.flatten(2)).unflatten(2, x.shape[2:])
    return (columns.to(x.dtype) @ x).permute(0, 3, 1, 2)
