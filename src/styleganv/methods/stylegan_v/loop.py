"""Seamless loops: motion closed to a circle of N slots, so that its end leads into its start.

    motion noise of slot i ──▶ that of slot first + (i − first) mod N
    time t ──▶ first slot + (t − first slot) mod (N · slot distance)

Then u of slot first + N is u of slot first, v is continuous at the seam as at every slot, and the frame at the end is
the first one exactly.

Shapes: N slots on the circle, K codes per time. Times are in frames.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from styleganv.video_model import TICKS


@dataclass(frozen=True)
class MotionLoop:
    """A part of the endless motion, closed to the circle of whole slots whose length is nearest to its own.

    The speed on it changes such that the loop takes as long as the part: by at most half a slot, unless the part is
    shorter than that.

    Attributes:
        start: time at which the part begins; its slot is the first of the circle.
        duration: length of the part, above 0.
        slot_distance: frames between two slots.
    """

    start: float
    duration: float
    slot_distance: float

    @cached_property
    def num_slots(self) -> int:
        """Number N of slots on the circle."""
        return max(1, round(self.duration / self.slot_distance))

    @cached_property
    def first_slot(self) -> int:
        """Number of the first slot of the circle."""
        return math.floor(self.start / self.slot_distance)

    @property
    def length(self) -> float:
        """Length of the circle."""
        return self.num_slots * self.slot_distance

    def time(self, time: float) -> float:
        """Return the time on the circle for a time of the motion before it was closed.

        It is exactly the same for `start`, `start + duration`, and so on.
        """
        first, start, length = (
            round(each * TICKS) for each in (self.first_slot * self.slot_distance, self.start, self.length)
        )
        return (first + (start - first + round((time - self.start) / self.duration * length)) % length) / TICKS

    def close(self, noise: Callable[[Tensor, Tensor], Tensor]) -> "ClosedNoise":
        """Return the noise with the slots of the circle in place of all others."""
        return ClosedNoise(noise, self)

    def origins(self, slots: Tensor) -> Tensor:
        """Return for codes of `slots [K]` when their turn of the circle began, counted from the first: float64 `[K]`.

        A code's sinusoids depend on the time. Where a path blends codes from both sides of the seam (B-spline), those
        behind the seam continue only if they count the time from their own turn.
        """
        return torch.floor((slots - self.first_slot) / self.num_slots).double() * self.length


class ClosedNoise:
    """Motion noise that repeats after the slots of a loop (a `SlotNoise`).

    Attributes:
        period: number of slots after which it repeats.
    """

    def __init__(self, noise: Callable[[Tensor, Tensor], Tensor], loop: MotionLoop) -> None:
        self.noise, self.first, self.period = noise, loop.first_slot, loop.num_slots

    def __call__(self, clip: Tensor, slots: Tensor) -> Tensor:
        return self.noise(clip, self.first + (slots - self.first) % self.period)
