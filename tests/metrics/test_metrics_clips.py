"""Which clips: never beyond a video, never twice the same frames, the same again for a seed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standins import ArrayVideos, drawn

from styleganv.errors import StyleganvError
from styleganv.metrics.clips import endless_clips, fake_clips, members, real_clips, require, too_short
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, PROTOCOLS, Protocol, named_protocol


def protocol(**numbers: int | None) -> Protocol:
    return Protocol("x", "", "frechet", "efficientnet_lite0_motion", "x", **({"clips": 8, "frames": 4} | numbers))


@settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=20),
    clips=st.integers(2, 30),
    frames=st.integers(1, 6),
    stride=st.integers(1, 4),
    per_video=st.none() | st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_windows_fit_and_do_not_overlap(
    lengths: list[int], clips: int, frames: int, stride: int, per_video: int | None, seed: int
) -> None:
    chosen = protocol(clips=clips, frames=frames, stride=stride, clips_per_video=per_video)
    everything = range(len(lengths))
    real = real_clips(lengths, everything, chosen, seed)
    possible = sum(min(n // chosen.span, per_video or n) for n in lengths)
    assert len(real.windows) == min(clips, possible)
    fake = fake_clips(lengths, everything, chosen, seed)
    assert len(fake) == min(clips, possible)
    assert real_clips(lengths, everything, chosen, seed) == real
    for windows in (real.parts[0] + real.parts[1], fake):
        by_video: dict[int, list[int]] = {}
        for video, first in windows:
            assert first >= 0 and first + chosen.span <= lengths[video]
            by_video.setdefault(video, []).append(first)
        for firsts in by_video.values():
            assert len(firsts) <= (per_video or len(firsts))
            assert all(b - a >= chosen.span for a, b in zip(sorted(firsts), sorted(firsts)[1:], strict=False))
    assert not {w.video for w in real.parts[0]} & {w.video for w in real.parts[1]}
    assert all(fake.count(w) == 1 for w in fake)
    assert {w.first % chosen.span for w in fake} <= {0}


def test_two_full_draws_where_there_are_enough_videos() -> None:
    real = real_clips([10] * 16, range(16), protocol(clips=8), seed=0)
    assert not real.halves and [len(part) for part in real.parts] == [8, 8] and real.windows == real.parts[0]
    real = real_clips([10] * 15, range(15), protocol(clips=8), seed=0)
    assert real.halves and [len(part) for part in real.parts] == [4, 4] and len(real.windows) == 8


def test_offsets_are_random_and_reach_both_ends() -> None:
    firsts = {real_clips([7], [0], protocol(clips=2), seed).windows[0].first for seed in range(60)}
    assert firsts == {0, 1, 2, 3}
    assert fake_clips([7], [0], protocol(clips=2), seed=5)[0].first == 0


def test_short_videos_are_dropped_and_counted() -> None:
    lengths = [3, 4, 5, 2]
    assert {w.video for w in real_clips(lengths, range(4), protocol(), 0).windows} == {1, 2}
    assert too_short(lengths, range(4), protocol()) == 2
    assert protocol(frames=16, stride=8).span == 121


def test_endless_videos_by_number() -> None:
    videos = ArrayVideos(drawn(0, 2, 4, 16), count=None)
    assert [w.video for w in endless_clips(videos, None, protocol(clips=3), seed=2)] == [6, 7, 8]
    videos.class_names = ["a", "b", "c"]
    videos.label = lambda index: index % 3
    assert [w.video for w in endless_clips(videos, "b", protocol(clips=3), seed=0)] == [1, 4, 7]
    assert [w.video for w in endless_clips(videos, "b", protocol(clips=3), seed=1)] == [10, 13, 16]


def test_members_of_a_class() -> None:
    videos = ArrayVideos(drawn(0, 4, 4, 16), labels=[1, 0, 1, 0])
    assert members(videos, "class1") == [0, 2] and members(videos, None) == [0, 1, 2, 3]
    with pytest.raises(StyleganvError, match="finds 1 clips of 4 frames in array of class class1"):
        require([(0, 0)], videos, protocol(), "class1")


def test_names_say_what_differs() -> None:
    assert {"fvd2048_16f", "fvd2048_128f", "fvd2048_128f_subsample8f", "fid50k", DEFAULT_PROTOCOL} <= set(PROTOCOLS)
    assert all(named_protocol(name).name == name for name in PROTOCOLS)
    assert named_protocol("fvd2048_16f").with_clips(256).name == "fvd256_16f"
    assert named_protocol("fid50k").with_clips(256).name == "fid4096"
    assert PROTOCOLS["fid50k"].items(PROTOCOLS["fid50k"].clips) == 50_000
    subsampled = PROTOCOLS["fvd2048_128f_subsample8f"]
    assert (subsampled.frames, subsampled.stride) == (16, 8)
    for wrong in ("fvd", "FVD2048_16f", ""):
        with pytest.raises(StyleganvError, match="choose from fvd2048_16f"):
            named_protocol(wrong)
    with pytest.raises(StyleganvError, match="1 clips"):
        protocol().with_clips(1)
