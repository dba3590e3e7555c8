"""Motion noise on several time scales: white noise through low-pass filters (LongVideoGAN, Brooks et al. 2022).

The paper's motion noise is independent from slot to slot, so no event lasts longer than the motion convolutions see.
Here each channel is filtered over another number of slots. A filter is finite, so the code of a slot still depends on a
window of slots only, wherever it is in the video.

Shapes: N windows, S slots, C channels, K slots of the longest filter, U code width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleganv.methods.stylegan_v.motion import Motion, SlotNoise

#: Footprint of the longest filter in slots; the shortest has one slot, which leaves the noise white.
LONGEST_FOOTPRINT = 128
#: Shape of the Kaiser windows: the side lobes of their spectra are below −43 dB.
KAISER_BETA = 6.0


class MultiscaleMotion(Motion):
    """Acyclic motion codes from filtered noise; it takes white noise and the other arguments of `Motion`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.filters = FilterBank(self.noise_dim)
        self.lookahead_slots += LONGEST_FOOTPRINT - 1
        self.window_slots += LONGEST_FOOTPRINT - 1

    def compute_codes(self, clip: Tensor, slots: Tensor, noise: SlotNoise, label: Tensor | None) -> Tensor:
        """Return codes u `[N, S − lookahead, U]` from the white noise at `slots [N, S]` of the clips `clip [N]`."""
        period = getattr(noise, "period", None)
        return super().compute_codes(clip, slots, lambda *address: self.filters(noise(*address), period), label)


class FilterBank(nn.Module):
    """A low-pass filter per channel, with footprints spaced exponentially; white noise keeps its unit variance."""

    taps: Tensor

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.register_buffer("taps", kaiser_filters(num_channels).float(), persistent=False)

    def forward(self, noise: Tensor, period: int | None = None) -> Tensor:
        """Return `[N, S − K + 1, C]`: for each slot, the weighted sum of `noise [N, S, C]` from this slot on.

        Args:
            period: slots after which the noise repeats (`ClosedNoise`). Equal noise adds up coherently, so a filter
                longer than the period is normalized by its sums over equal noise; the variance stays 1.
        """
        taps = self.taps if period is None else _normalize_folded(self.taps, period)
        noise = noise.to(taps).transpose(1, 2)
        return F.conv1d(noise, taps[:, None], groups=len(taps)).transpose(1, 2)


def _normalize_folded(taps: Tensor, period: int) -> Tensor:
    """Return the filters `[C, K]` scaled such that periodic white noise keeps its unit variance."""
    folded = F.pad(taps, (0, -taps.shape[1] % period)).unflatten(1, (-1, period)).sum(dim=1)
    return taps / folded.norm(dim=1, keepdim=True)


def kaiser_filters(num_channels: int, longest: int = LONGEST_FOOTPRINT, beta: float = KAISER_BETA) -> Tensor:
    """Return the filters `[C, longest]` with footprints f from 1 to `longest` slots, float64, each of unit norm.

    `h(k) ∝ I₀(β √(1 − x²))` with `x = (2k + 1)/f − 1`, and 0 beyond the footprint, where |x| > 1.
    """
    exponents = torch.linspace(0, 1, num_channels, dtype=torch.float64)[:, None]
    x = (2 * torch.arange(longest, dtype=torch.float64) + 1) / longest**exponents - 1
    taps = torch.where(x.abs() <= 1, torch.i0(beta * (1 - x.square()).clamp(min=0).sqrt()), 0.0)
    return taps / taps.norm(dim=1, keepdim=True)
