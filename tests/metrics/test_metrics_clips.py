"""Choice of clips: inside their video, without overlap, and determined by the seed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_extractors import ArrayVideos, drawn

from styleganv.errors import StyleganvError
from styleganv.metrics.clips import (
    draw_generated_clips,
    draw_model_clips,
    members,
    num_too_short,
    require_clips,
    split_real_clips,
)
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, PROTOCOLS, Protocol, named_protocol


def protocol(**numbers: int | None) -> Protocol:
    return Protocol(
        "x", "", "frechet", "efficientnet_lite0_motion", "x", **({"num_clips": 8, "num_frames": 4} | numbers)
    )


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
    chosen = protocol(num_clips=clips, num_frames=frames, stride=stride, clips_per_video=per_video)
    everything = range(len(lengths))
    real = split_real_clips(lengths, everything, chosen, seed)
    possible = sum(min(n // chosen.span, per_video or n) for n in lengths)
    assert len(real.windows) == min(clips, possible)
    fake = draw_generated_clips(lengths, everything, chosen, seed)
    assert len(fake) == min(clips, possible)
    assert split_real_clips(lengths, everything, chosen, seed) == real
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


def test_two_full_parts_if_there_are_enough_videos() -> None:
    real = split_real_clips([10] * 16, range(16), protocol(num_clips=8), seed=0)
    assert not real.halves and [len(part) for part in real.parts] == [8, 8] and real.windows == real.parts[0]
    real = split_real_clips([10] * 15, range(15), protocol(num_clips=8), seed=0)
    assert real.halves and [len(part) for part in real.parts] == [4, 4] and len(real.windows) == 8


def test_offsets_are_random_and_reach_both_ends() -> None:
    firsts = {split_real_clips([7], [0], protocol(num_clips=2), seed).windows[0].first for seed in range(60)}
    assert firsts == {0, 1, 2, 3}
    assert draw_generated_clips([7], [0], protocol(num_clips=2), seed=5)[0].first == 0


def test_short_videos_are_skipped_and_counted() -> None:
    lengths = [3, 4, 5, 2]
    assert {w.video for w in split_real_clips(lengths, range(4), protocol(), 0).windows} == {1, 2}
    assert num_too_short(lengths, range(4), protocol()) == 2
    assert protocol(num_frames=16, stride=8).span == 121


def test_clips_of_a_model_by_number() -> None:
    videos = ArrayVideos(drawn(0, 2, 4, 16), count=None)
    assert [w.video for w in draw_model_clips(videos, None, protocol(num_clips=3), seed=2)] == [6, 7, 8]
    videos.class_names = ["a", "b", "c"]
    videos.label = lambda index: index % 3
    assert [w.video for w in draw_model_clips(videos, "b", protocol(num_clips=3), seed=0)] == [1, 4, 7]
    assert [w.video for w in draw_model_clips(videos, "b", protocol(num_clips=3), seed=1)] == [10, 13, 16]


def test_members_of_a_class() -> None:
    videos = ArrayVideos(drawn(0, 4, 4, 16), labels=[1, 0, 1, 0])
    assert members(videos, "class1") == [0, 2] and members(videos, None) == [0, 1, 2, 3]
    with pytest.raises(StyleganvError, match="requires at least 2 clips of 4 frames, got 1 from array of class class1"):
        require_clips([(0, 0)], videos, protocol(), "class1")


def test_names_of_protocols() -> None:
    assert {"fvd2048_16f", "fvd2048_128f", "fvd2048_128f_subsample8f", "fid50k", DEFAULT_PROTOCOL} <= set(PROTOCOLS)
    assert all(named_protocol(name).name == name for name in PROTOCOLS)
    assert named_protocol("fvd2048_16f").with_num_clips(256).name == "fvd256_16f"
    assert named_protocol("fid50k").with_num_clips(256).name == "fid4096"
    assert PROTOCOLS["fid50k"].num_features(PROTOCOLS["fid50k"].num_clips) == 50_000
    subsampled = PROTOCOLS["fvd2048_128f_subsample8f"]
    assert (subsampled.num_frames, subsampled.stride) == (16, 8)
    for name, num_frames, renamed in (
        ("frechet_efficientnet2048_16f", 4, "frechet_efficientnet2048_4f"),
        ("frechet_efficientnet_frames8192", 4, "frechet_efficientnet_frames2048_4f"),
        ("fvd2048_128f_subsample8f_released", 12, "fvd2048_96f_subsample8f_released"),
        ("fvd2048_128f", 16, "fvd2048_16f"),
        ("fid50k", 1, "fid3125_1f"),
        ("patch_swd512_3f", 2, "patch_swd512_2f"),
        ("patch_swd512_3f", 8, "patch_swd512_3f"),
        ("patch_swd512_1f", 8, "patch_swd512_1f"),
    ):
        changed = named_protocol(name).with_num_frames(num_frames)
        assert changed.name == renamed
        assert renamed not in PROTOCOLS or changed == PROTOCOLS[renamed]
    for wrong in ("fvd", "FVD2048_16f", ""):
        with pytest.raises(StyleganvError, match="choose from fvd2048_16f"):
            named_protocol(wrong)
    with pytest.raises(StyleganvError, match="at least 2 clips, got 1"):
        protocol().with_num_clips(1)
