"""Edits of content and time: style mixing, interpolation and time maps, as plain functions of `Latents`.

Shapes: L style layers. Times are in seconds.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from styleganv.editing.latents import Latents, MotionLatents
from styleganv.errors import StyleganvError
from styleganv.options import TimePoints
from styleganv.validation import Amount, NonNegative, Positive, check_arguments

TimeMap = Callable[[float], float]


@check_arguments
def mix_styles(latents: Latents, other: Latents, layers: Iterable[int], amount: Amount = 1.0) -> Latents:
    """Return latents with the content of `other` at these layers (style mixing, StyleGAN section 3.1).

    The motion stays. Layer 0 is the coarsest; coarse layers control shape and layout, fine layers color and texture.

    Args:
        amount: 1 replaces the styles, 0 keeps them; linear in w between.

    Raises:
        StyleganvError: for an unknown layer.
    """
    styles = latents.styles.clone()
    for layer in layers:
        check_layer(layer, len(styles))
        styles[layer] = torch.lerp(styles[layer], other.styles[layer], amount)
    return replace(latents, styles=styles)


def check_layer(layer: int, num_layers: int) -> None:
    """Raise StyleganvError for an unknown style layer."""
    if not 0 <= layer < num_layers:
        raise StyleganvError(f"Unknown style layer {layer}: choose 0 (coarsest) to {num_layers - 1} (finest).")


@check_arguments
def interpolate(latents: Latents, other: Latents, amount: Amount) -> Latents:
    """Return latents between two, linear in w: `amount` 0 is the first, 1 the second. The motion stays the first's."""
    return replace(latents, styles=torch.lerp(latents.styles, other.styles, amount))


def blend_motions(terms: Sequence[tuple[float, MotionLatents]]) -> MotionLatents:
    """Return motion whose noise is the weighted sum of that of several, normalized to Σ weight² = 1.

    The noise stays Gaussian, so a path through the weights rotates one motion into another. Shifts are averaged by
    weight². The label is the first motion's.

    Raises:
        StyleganvError: if all weights are 0.
    """
    weights: dict[tuple[int, int], float] = {}  # equal noise is one term
    motions: dict[tuple[int, int], MotionLatents] = {}
    for outer, motion in terms:
        for inner, single in motion.terms:
            key = single.seed, id(single.noise)
            weights[key], motions[key] = weights.get(key, 0.0) + outer * inner, single
    norm = math.hypot(*weights.values())
    if norm == 0:
        raise StyleganvError("A blend of motions requires weights that do not cancel each other: change them.")
    first, *others = ((weight / norm, motions[key]) for key, weight in weights.items())
    squares = math.hypot(*(weight for weight, _ in terms)) ** 2
    shifts = [weight**2 / squares * motion.shift for weight, motion in terms if motion.shift is not None]
    return replace(
        first[1],
        label=terms[0][1].label,
        shift=torch.stack(shifts).sum(dim=0) if shifts else None,
        others=tuple(others),
        weight=first[0],
    )


@check_arguments
def interpolate_over_time(
    contents: Sequence[Latents], seconds: Positive, *, start: NonNegative = 0.0
) -> Callable[[float], Tensor]:
    """Return the styles `[L, w_dim]` of a video that moves through several latents, as a function of its time.

    Pass the function as `styles` to `render_latents`. The latents are evenly spaced from `start` to
    `start + seconds`; the rate of change is 0 at each of them (smoothstep).

    Raises:
        StyleganvError: for fewer than two latents, or no duration.
    """
    if len(contents) < 2:
        raise StyleganvError(f"Interpolation over time requires at least 2 latents, got {len(contents)}: add more.")
    styles = torch.stack([latents.styles for latents in contents])

    def styles_at(time: float) -> Tensor:
        position = min(max((time - start) / seconds, 0.0), 1.0) * (len(contents) - 1)
        first = min(math.floor(position), len(contents) - 2)
        a = position - first
        return torch.lerp(styles[first], styles[first + 1], a * a * (3 - 2 * a))

    return styles_at


@check_arguments
def constant_speed(speed: NonNegative, *, start: NonNegative = 0.0) -> TimeMap:
    """Return the time map of slow motion (below 1) or fast motion (above 1), which begins at `start`."""
    return lambda time: start + speed * (time - start)


@check_arguments
def piecewise_linear(points: TimePoints) -> TimeMap:
    """Return the time map through (video time, motion time) in seconds, linear between the points.

    Motion may run backward. It is frozen before the first point and runs at speed 1 after the last. A single point
    freezes it everywhere.

    Raises:
        StyleganvError: for no points, a negative time, or video times that do not increase.
    """
    times = [time for time, _ in points]
    if not points or any(b <= a for a, b in pairwise(times)):
        raise StyleganvError(f"Video times of a time map must increase, got {times}: order them, e.g. 0:0,2:1,3:3.")

    def motion_time(time: float) -> float:
        if time <= times[0] or len(points) == 1:
            return points[0][1]
        for (t0, m0), (t1, m1) in pairwise(points):
            if time <= t1:
                return m0 + (m1 - m0) * (time - t0) / (t1 - t0)
        return points[-1][1] + time - times[-1]

    return motion_time
