"""Protocols that follow the conventions of the released code: what differs from ours, and what the report states."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stub_extractors import ArrayVideos, drawn

from styleganv.metrics.clips import draw_generated_clips, num_too_short, split_real_clips
from styleganv.metrics.distances import frechet_distance, inception_score
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.features import load_feature_extractor
from styleganv.metrics.options import EvaluateOptions
from styleganv.metrics.protocols import PROTOCOL_SETS, PROTOCOLS, expand_protocols, named_protocol
from styleganv.metrics.report import Report


def evaluated(real: Any, fake: Any, *names: str, weights: Path, cache: Path, **changes: Any) -> Report:
    options = EvaluateOptions(weights=weights, cache=cache, **changes)
    return evaluate(real, fake, protocols=names, options=options)


def test_sets_and_their_names() -> None:
    names = ["fvd2048_16f_released", "fvd2048_128f_released", "fvd2048_128f_subsample8f_released"]
    assert [protocol.name for protocol in expand_protocols(["released"])] == names
    assert PROTOCOL_SETS["released_ucf101"] == (*names, "is_ucf101_2048_16f_released")
    both = expand_protocols(["kvd2048_16f", "released", "fvd2048_16f_released", named_protocol("kvd2048_16f")])
    assert [protocol.name for protocol in both] == ["kvd2048_16f", *names]
    for name in PROTOCOL_SETS["released_ucf101"]:
        ours = replace(PROTOCOLS[name], released=False)
        assert ours == PROTOCOLS[name.removesuffix("_released")]
        assert set(ours.conventions) == set(PROTOCOLS[name].conventions)
    assert named_protocol(names[0]).with_num_clips(256).name == "fvd256_16f_released"


def test_values_by_their_conventions(weights: Path, tmp_path: Path) -> None:
    """Both conventions in one report, each with its value, from the same clips and features."""
    clips = drawn(0, 24, 16, 16)
    fake, real = ArrayVideos(clips[:12], "fake"), ArrayVideos(clips[12:], "real")
    names = [f"{name}{tail}" for name in ("fvd2048_16f", "is_ucf101_2048_16f") for tail in ("", "_released")]
    report = evaluated(real, fake, *names, weights=weights, cache=tmp_path)
    values = [next(iter(result.measures.values())).mean for result in report.results]
    features = [
        load_feature_extractor("i3d_kinetics400", weights=weights)(torch.from_numpy(videos.frames))
        for videos in (real, fake)
    ]
    for value, correction in zip(values, (1, 0), strict=False):
        assert value == pytest.approx(frechet_distance(*features, correction=correction), rel=1e-5)
    means = float((features[0].mean(0) - features[1].mean(0)).square().sum())
    assert values[1] - means == pytest.approx((values[0] - means) * 11 / 12, rel=1e-4)
    classes = load_feature_extractor("c3d_ucf101", weights=weights)(torch.from_numpy(clips[:12]))
    order = [window.video for window in draw_generated_clips([16] * 12, range(12), named_protocol(names[2]), 0)]
    assert values[2] == pytest.approx(inception_score(classes[order])[0], rel=1e-5) != values[3]
    assert values[3] == pytest.approx(inception_score(classes[order], shuffle=False)[0], rel=1e-5)
    text = str(report)
    for convention in ("divided by n - 1", "divided by n\n", "10 of a shuffled order", "10 in the order of the clips"):
        assert convention in text
    assert report.results[1].protocol["released"] and report.results[1].protocol["conventions"]


def test_a_subsampled_clip_takes_128_frames() -> None:
    """Videos of 121 to 127 frames are used by ours alone, and a clip's window ends within the video."""
    lengths = [120, 121, 127, 128, 140]
    ours, released = (named_protocol(f"fvd2048_128f_subsample8f{tail}") for tail in ("", "_released"))
    assert (ours.span, released.span, ours.num_frames, released.num_frames) == (121, 128, 16, 16)
    assert [num_too_short(lengths, range(5), protocol) for protocol in (ours, released)] == [1, 3]
    for protocol, videos in ((ours, {1, 2, 3, 4}), (released, {3, 4})):
        windows = [w for seed in range(99) for w in split_real_clips(lengths, range(5), protocol, seed).windows]
        assert {window.video for window in windows} == videos
        assert max(window.first for window in windows if window.video == 4) == 140 - protocol.span
        assert protocol.conventions["minimum length"] == f"{protocol.span} frames"
