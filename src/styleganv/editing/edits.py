"""Edits of what is seen and when: other layers' content, content on its way to another, other clocks.

All are plain functions of `Latents`, so they can follow one another.

Shapes: L style layers. Times are in seconds.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from styleganv.editing.latents import Latents
from styleganv.errors import StyleganvError

Clock = Callable[[float], float]


def mixed(latents: Latents, other: Latents, layers: Iterable[int], amount: float = 1.0) -> Latents:
    """Style mixing (StyleGAN, section 3.1): the content of `other` at these layers; the motion stays.

    Layer 0 is the coarsest. Coarse layers hold shape and layout, fine ones colour and texture. `amount` 1 is all of the
    other, 0 nothing of it, straight in w between.

    Raises:
        StyleganvError: if there is no such layer.
    """
    styles = latents.styles.clone()
    for layer in layers:
        index = checked_layer(layer, len(styles))
        styles[index] = torch.lerp(styles[index], other.styles[index], amount)
    return replace(latents, styles=styles)


def checked_layer(layer: int, num_layers: int) -> int:
    if not 0 <= layer < num_layers:
        raise StyleganvError(f"There is no style layer {layer}: choose 0 (coarsest) to {num_layers - 1} (finest).")
    return layer


def interpolated(latents: Latents, other: Latents, amount: float) -> Latents:
    """Content between two, straight in w: `amount` 0 is the first, 1 the second; the motion stays the first's."""
    return replace(latents, styles=torch.lerp(latents.styles, other.styles, amount))


def content_over_time(contents: Sequence[Latents], seconds: float, *, start: float = 0.0) -> Callable[[float], Tensor]:
    """Styles `[L, w_dim]` at each second of a video that goes from the first content to the last: for `play(styles=…)`.

    Contents lie at equal distances from `start` to `start + seconds`; each is reached and left gently (smoothstep).

    Raises:
        StyleganvError: if there are fewer than two contents, or no time for them.
    """
    if len(contents) < 2 or not seconds > 0:
        raise StyleganvError("Content that changes needs two contents or more and a length above 0 seconds.")
    styles = torch.stack([latents.styles for latents in contents])

    def at(time: float) -> Tensor:
        place = min(max((time - start) / seconds, 0.0), 1.0) * (len(contents) - 1)
        first = min(math.floor(place), len(contents) - 2)
        a = place - first
        return torch.lerp(styles[first], styles[first + 1], a * a * (3 - 2 * a))

    return at


def at_speed(factor: float, *, start: float = 0.0) -> Clock:
    """Slow motion (below 1) or fast (above), from `start` on: in between there are real frames, not blends.

    Raises:
        StyleganvError: for a factor that is negative or not finite.
    """
    if not 0 <= factor < math.inf:
        raise StyleganvError(f"A video cannot move at speed {factor:g}: choose 0 (still) or more; 1 is the data's.")
    return lambda time: start + factor * (time - start)


def remapped(points: Sequence[tuple[float, float]]) -> Clock:
    """A clock through (seconds of the video, seconds of the motion), straight from point to point.

    Backwards is possible. Before the first point motion stands still; after the last it goes on at the data's speed;
    a single point is a still.

    Raises:
        StyleganvError: if there is no point, one is below 0, or they do not follow one another.
    """
    times = [time for time, _ in points]
    if not points or any(b <= a for a, b in pairwise(times)):
        raise StyleganvError("Times of a remapped video must rise from point to point: write them as 0:0,2:1,3:3.")
    if min(min(times), min(moment for _, moment in points)) < 0:
        raise StyleganvError("Times of a remapped video cannot be below 0.")

    def at(time: float) -> float:
        if time <= times[0] or len(points) == 1:
            return points[0][1]
        for (t0, m0), (t1, m1) in pairwise(points):
            if time <= t1:
                return m0 + (m1 - m0) * (time - t0) / (t1 - t0)
        return points[-1][1] + time - times[-1]

    return at
