"""Index arithmetic of sparse clips: hand-written tables, and properties for random arguments."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styleganv.data.sampling import (
    FAKE,
    REAL,
    VideoOrder,
    clip_random,
    draw_fake_times,
    draw_offsets,
    draw_real_frames,
    possible_spans,
    span_limit,
)

SEEDS = st.integers(0, 2**32)


@pytest.mark.parametrize(
    "num_frames, length, max_span, spans",
    [
        (3, 1000, 32, [2, 4, 8, 16, 32]),
        (2, 1000, 32, [1, 2, 4, 8, 16, 32]),
        (3, 33, 32, [2, 4, 8, 16, 32]),
        (3, 32, 32, [2, 4, 8, 16]),
        (3, 3, 32, [2]),
        (2, 2, 32, [1]),
        (3, 1000, 20, [2, 4, 8, 16]),
        (4, 4, 32, [3]),  # no power of two fits
        (4, 6, 32, [4]),
        (16, 1000, 32, [16, 32]),
        (3, 1000, 1, [2]),  # T frames need a span of at least T − 1
        (1, 1, 32, [0]),
    ],
)
def test_spans_by_hand(num_frames: int, length: int, max_span: int, spans: list[int]) -> None:
    assert possible_spans(num_frames, length, max_span) == spans


def test_too_short_videos_are_rejected() -> None:
    with pytest.raises(ValueError, match="3 frames does not fit into a video of 2"):
        possible_spans(3, 2, 32)


@settings(max_examples=200, deadline=None)
@given(
    seed=SEEDS,
    num_frames=st.integers(1, 6),
    extra=st.integers(0, 100),
    max_span=st.integers(6, 64),
    longest=st.integers(6, 80),
)
def test_every_clip_fits_in_its_video(seed: int, num_frames: int, extra: int, max_span: int, longest: int) -> None:
    length = num_frames + extra
    offsets = draw_offsets(np.random.default_rng(seed), num_frames, length, max_span)
    assert offsets.shape == (num_frames,) and offsets[0] == 0
    assert offsets[-1] in possible_spans(num_frames, length, max_span)
    assert (np.diff(offsets) >= 1).all()
    real = draw_real_frames(np.random.default_rng(seed), num_frames, length, max_span)
    assert np.issubdtype(real.dtype, np.integer) and real[0] >= 0 and real[-1] < length
    assert (real - real[0]).tolist() == offsets.tolist()
    fake = draw_fake_times(np.random.default_rng(seed), num_frames, length, max_span, longest)
    assert fake.dtype == np.float64 and fake[0] >= 0 and fake[-1] <= min(length, longest) - 1
    assert np.allclose(np.diff(fake), np.round(np.diff(fake)))


def test_spans_starts_and_middles_are_equally_likely() -> None:
    random = np.random.default_rng(0)
    draws = np.stack([draw_real_frames(random, 3, 6, 4) for _ in range(6000)])
    spans = collections.Counter((draws[:, 2] - draws[:, 0]).tolist())
    assert set(spans) == {2, 4} and abs(spans[2] - 3000) < 200
    wide = draws[draws[:, 2] - draws[:, 0] == 4]
    counts = collections.Counter((int(a), int(b - a)) for a, b, _ in wide)
    assert set(counts) == {(start, middle) for start in (0, 1) for middle in (1, 2, 3)}
    assert min(counts.values()) > 0.8 * len(wide) / 6


@pytest.mark.parametrize("length, longest, last", [(500, 101, 99), (101, 500, 99)])
def test_fake_starts_are_fractional_and_fill_the_length(length: int, longest: int, last: int) -> None:
    random = np.random.default_rng(0)
    starts = np.array([draw_fake_times(random, 2, length, 1, longest)[0] for _ in range(4000)])
    histogram = np.histogram(starts, bins=10, range=(0, last))[0]
    assert histogram.sum() == 4000 and histogram.min() > 320
    assert np.unique(starts % 1).size > 3900


def test_real_clips_come_from_all_of_a_long_video() -> None:
    random = np.random.default_rng(0)
    starts = np.array([draw_real_frames(random, 3, 5000, 32)[0] for _ in range(4000)])
    histogram = np.histogram(starts, bins=10, range=(0, 4998))[0]
    assert histogram.sum() == 4000 and histogram.min() > 320


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, num_videos=st.integers(1, 40), epoch=st.integers(0, 10**6))
def test_each_epoch_has_every_video_once(seed: int, num_videos: int, epoch: int) -> None:
    order = VideoOrder(num_videos, seed)
    shown = [order[epoch * num_videos + i] for i in range(num_videos)]
    assert sorted(shown) == list(range(num_videos))
    # The order of lookups makes no difference: each number alone determines its video.
    numbers = list(np.random.default_rng(seed).permutation(num_videos))
    backwards = {int(i): VideoOrder(num_videos, seed)[epoch * num_videos + int(i)] for i in numbers[:5]}
    assert all(shown[i] == video for i, video in backwards.items())


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    order = VideoOrder(50, 0)
    epochs = {tuple(order[50 * e + i] for i in range(50)) for e in range(5)}
    assert len(epochs) == 5
    other = VideoOrder(50, 1)
    assert tuple(other[i] for i in range(50)) not in epochs


def test_the_clip_number_alone_determines_the_draw() -> None:
    def draw(seed: int, purpose: int, number: int) -> list[float]:
        return draw_fake_times(clip_random(seed, purpose, number), 3, 900, 32, 1024).tolist()

    first = [draw(0, REAL, n) for n in range(20)]
    assert [draw(0, REAL, n) for n in reversed(range(20))] == first[::-1]
    different = [*first, *(draw(0, FAKE, n) for n in range(20)), *(draw(1, REAL, n) for n in range(20))]
    assert len({tuple(d) for d in different}) == 60
    # Pinned: a change would silently alter the data of resumed runs.
    assert first[0] == pytest.approx([799.1365676443446, 800.1365676443446, 801.1365676443446], abs=1e-9)


@pytest.mark.parametrize(
    "max_span, growth, limits",
    [
        (128, 1000, {0: 32, 499: 63, 500: 64, 750: 90, 999: 127, 1000: 128, 10**9: 128}),
        (128, None, {0: 128}),
        (16, 1000, {0: 16, 500: 16}),
        (1024, 10, {0: 32, 2: 64, 4: 128, 8: 512, 10: 1024}),
    ],
)
def test_the_maximum_span_grows_exponentially(max_span: int, growth: int | None, limits: dict[int, int]) -> None:
    assert {number: span_limit(max_span, growth, number) for number in limits} == limits
