"""Choice of videos and frames: pure index arithmetic without I/O.

Every draw is a function of (seed, clip number), so a resumed run sees the same data, on any number of processes.
T frames per clip; times in frames.
"""

from typing import Any

import numpy as np

ORDER, REAL, FAKE = 1, 2, 3

#: Largest time of generated clips in training, in frames. Gradients of the periods grow with time, as does the cost of
#: recurrent motion. Later times of an endless video resemble these, since motion noise is alike in all slots.
MAX_FAKE_TIME = 1024
#: Maximum span of the first clips, in frames, if it grows; that of the paper.
FIRST_SPAN = 32


def clip_random(seed: int, purpose: int, number: int) -> np.random.Generator:
    """Return a generator for one purpose and one clip, independent of all others."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, number))))


class VideoOrder:
    """Clip number → video index: every epoch is a new permutation of all videos."""

    def __init__(self, num_videos: int, seed: int) -> None:
        self.num_videos = num_videos
        self.seed = seed
        self._epoch = -1
        self._order = np.arange(0)

    def __getitem__(self, number: int) -> int:
        epoch, position = divmod(number, self.num_videos)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = clip_random(self.seed, ORDER, epoch).permutation(self.num_videos)
        return int(self._order[position])


def span_limit(max_span: int, growth_clips: int | None, number: int) -> int:
    """Return the maximum span of a clip while it grows exponentially from `FIRST_SPAN` frames to `max_span`.

    Args:
        max_span: final value in frames.
        growth_clips: clips after which it is reached; None: it always applies.
        number: number of the clip.
    """
    if growth_clips is None or number >= growth_clips or max_span <= FIRST_SPAN:
        return max_span
    return int(FIRST_SPAN * (max_span / FIRST_SPAN) ** (number / growth_clips))


def possible_spans(num_frames: int, length: int, max_span: int) -> list[int]:
    """Return the total spans of a clip: powers of two in T−1 … min(length−1, max_span), else the longest that fits.

    Raises:
        ValueError: if the video has fewer than T frames.
    """
    if length < num_frames:
        raise ValueError(f"a clip of {num_frames} frames does not fit into a video of {length}")
    if num_frames == 1:
        return [0]
    longest = max(num_frames - 1, min(length - 1, max_span))
    powers = [2**i for i in range(longest.bit_length()) if num_frames - 1 <= 2**i <= longest]
    return powers or [longest]


def draw_offsets(random: np.random.Generator, num_frames: int, length: int, max_span: int) -> np.ndarray:
    """Draw frame offsets `[T]` of a sparse clip: 0, distinct random integers, the span (StyleGAN-V, section 3.2)."""
    span = int(random.choice(possible_spans(num_frames, length, max_span)))
    if num_frames == 1:
        return np.zeros(1, dtype=np.int64)
    inner: Any = 1 + random.choice(span - 1, size=num_frames - 2, replace=False) if num_frames > 2 else []
    return np.sort(np.array([0, *inner, span], dtype=np.int64))


def draw_real_frames(random: np.random.Generator, num_frames: int, length: int, max_span: int) -> np.ndarray:
    """Draw the frame numbers `[T]` of a real clip, anywhere in a video of `length` frames."""
    offsets = draw_offsets(random, num_frames, length, max_span)
    return offsets + random.integers(length - offsets[-1])


def draw_fake_times(
    random: np.random.Generator, num_frames: int, length: int, max_span: int, longest: int = MAX_FAKE_TIME
) -> np.ndarray:
    """Draw the float64 times `[T]` of a generated clip.

    Spans are those of real clips; the start is fractional, within the first `longest` frames of a training video.
    """
    length = min(length, longest)
    offsets = draw_offsets(random, num_frames, length, max_span)
    return offsets + random.uniform(0, length - 1 - offsets[-1])


def draw_pair_offsets(random: np.random.Generator, length: int, max_span: int) -> np.ndarray:
    """Draw two increasing offsets `[2]` in a window of up to `max_span + 1` frames (DIGAN).

    One follows Beta(1, 2), early in the window, the other Beta(2, 1), late in it. Gaps are mostly long and all times
    are equally likely.
    """
    span = min(length - 1, max_span)
    early, late = sorted(int(min(random.beta(a, 3 - a) * (span + 1), span)) for a in (1, 2))
    if early == late:
        early, late = (early, late + 1) if late < span else (early - 1, late)
    return np.array([early, late], dtype=np.int64)


def draw_real_pair(random: np.random.Generator, num_frames: int, length: int, max_span: int) -> np.ndarray:
    """Draw the frame numbers `[2]` of a real pair: two frames of a window anywhere in a video of `length` frames."""
    if num_frames != 2:
        raise ValueError(f"a pair has 2 frames, got {num_frames}")
    offsets = draw_pair_offsets(random, length, max_span)
    return offsets + random.integers(max(1, length - max_span))
