"""Time encodings: codes u of neighboring slots → v(t) as a path through them, continuous and never periodic.

Shapes: B clips, T times per clip, K codes per time, F frequencies, U code width. Times are in frames.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from styleganv.nn.layers import Dense

MotionPath = Literal["linear", "bspline"]


class AcyclicEncoding(nn.Module):
    """Time encoding whose sinusoids are scaled and shifted by the codes, and stitched so that it is continuous.

    `v(t) = φ(t) − lerp(φ(t_l), φ(t_r), a) + lerp(M u_l, M u_r, a)` (StyleGAN-V, eqs. 5–6), with
    `φ(t) = A(u_l) ⊙ [sin, cos](ω σ(u_l) t + ρ(u_l) s)`. At a slot the first two terms cancel and v = M u.
    All linear maps are bias-free: with a bias, all videos collapse to the same motion.

    Attributes:
        num_codes: number K of codes that a time depends on, from that of the slot before it on.
        lasting_slots: slot distances during which the sinusoids of a code last.
    """

    num_codes = 2
    lasting_slots = 1

    def __init__(
        self,
        code_dim: int,
        num_frequencies: int,
        *,
        shortest_period: float,
        longest_period: float,
        amplitude: bool,
    ) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.shortest_period, self.longest_period = shortest_period, longest_period
        self.period = Dense(code_dim, num_frequencies, bias=False)
        self.phase = Dense(code_dim, num_frequencies, bias=False)
        self.amplitude = Dense(code_dim, 2 * num_frequencies, bias=False) if amplitude else None
        self.align = Dense(code_dim, 2 * num_frequencies, bias=False)

    def periods(self, device: torch.device) -> Tensor:
        """Return the base periods `[F]` in frames, the longest first; not a buffer, since `half()` would round it."""
        ends = math.log2(self.shortest_period), math.log2(self.longest_period)
        return torch.exp2(torch.linspace(*ends, self.num_frequencies, dtype=torch.float64, device=device)).flip(0)

    def forward(self, codes: Tensor, t: Tensor, t_left: Tensor, t_right: Tensor) -> Tensor:
        """Return v `[B, T, 2F]` in the dtype of the codes.

        Phases are float64: at t = 10⁷ frames float32 would be wrong by whole radians.

        Args:
            codes: codes u around each time, `[B, T, K, U]`.
            t: times `[B, T]`, float64.
            t_left: times of the slots before, `[B, T]`.
            t_right: times of the slots after, `[B, T]`.
        """
        return self.bind_slots(codes, t_left, t_right)(t)

    def bind_slots(
        self, codes: Tensor, t_left: Tensor, t_right: Tensor, origins: Tensor | None = None
    ) -> Callable[[Tensor], Tensor]:
        """Return `forward` as a function of t; everything that does not depend on t is computed once.

        Args:
            origins: time `[K]` that each code counts from (`MotionLoop.origins`); None for the start of the video. Here
                only the first code has sinusoids, which is before the seam of a loop.
        """
        left, right = codes.unbind(dim=-2)
        sinusoids = self._bind_sinusoids(left)
        at_left, at_right = sinusoids(t_left), sinusoids(t_right)
        amplitude = None if self.amplitude is None else self.amplitude(left)
        aligned_left, aligned_right = self.align(left), self.align(right)

        def v(t: Tensor) -> Tensor:
            a = ((t - t_left) / (t_right - t_left))[..., None]
            residue = (sinusoids(t) - torch.lerp(at_left, at_right, a)).to(left.dtype)
            if amplitude is not None:
                residue = amplitude * residue
            return residue + torch.lerp(aligned_left, aligned_right, a.to(left.dtype))

        return v

    def _bind_sinusoids(self, code: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the sinusoids `[..., 2F]` of codes `[..., U]` as a function of times `[...]`, in float64."""
        period = self.periods(code.device)
        frequency = 2 * math.pi / period * (torch.tanh(self.period(code)) + 1).double()
        phase = self.phase(code).double() * (self.longest_period / period)

        def sinusoids(time: Tensor) -> Tensor:
            angle = frequency * time[..., None] + phase
            return torch.cat([angle.sin(), angle.cos()], dim=-1)

        return sinusoids


class SplineEncoding(AcyclicEncoding):
    """Acyclic encoding whose codes are blended by a uniform cubic B-spline: v is twice continuously differentiable.

    `v(t) = Σ_k b_k(a) (A(u_k) ⊙ sinusoids_k(t) + M u_k)` over four codes. The sinusoids need no stitching, since those
    of each code fade in and out smoothly. Speed is continuous at slots, where the linear path has kinks. Periods
    shorter than the four slots that a sinusoid lasts show as oscillation (docs/learning.md).
    """

    num_codes = 4
    lasting_slots = 4

    def bind_slots(
        self, codes: Tensor, t_left: Tensor, t_right: Tensor, origins: Tensor | None = None
    ) -> Callable[[Tensor], Tensor]:
        sinusoids = self._bind_sinusoids(codes)
        amplitude = None if self.amplitude is None else self.amplitude(codes)
        aligned = self.align(codes)

        def v(t: Tensor) -> Tensor:
            waves = sinusoids(t[..., None] if origins is None else t[..., None] - origins).to(codes.dtype)
            if amplitude is not None:
                waves = amplitude * waves
            weights = spline_weights((t - t_left) / (t_right - t_left)).to(codes.dtype)
            return ((waves + aligned) * weights[..., None]).sum(dim=-2)

        return v


def spline_weights(a: Tensor) -> Tensor:
    """Return the weights `[..., 4]` of a uniform cubic B-spline at fractions `a` in 0..1 between the middle knots."""
    b = 1 - a
    return torch.stack([b**3, 3 * a**3 - 6 * a**2 + 4, 3 * b**3 - 6 * b**2 + 4, a**3], dim=-1) / 6


ENCODINGS: dict[MotionPath, type[AcyclicEncoding]] = {"linear": AcyclicEncoding, "bspline": SplineEncoding}
