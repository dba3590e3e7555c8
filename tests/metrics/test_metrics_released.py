"""Protocols that follow the conventions of the official code: what differs from ours, and what the report states."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stub_extractors import ArrayVideos, drawn
from tiny import save

from styleganv.errors import StyleganvError
from styleganv.metrics.clips import draw_generated_clips, num_too_short, split_real_clips
from styleganv.metrics.distances import frechet_distance, inception_score
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.features import load_feature_extractor
from styleganv.metrics.protocols import PROTOCOL_SETS, PROTOCOLS, expand_protocols, named_protocol
from styleganv.metrics.report import Report
from styleganv.options import EvaluateOptions
from styleganv.videos import ModelVideos, open_videos


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
    for convention in ("divided by n - 1", "divided by n;", "10 of a shuffled order", "10 in the order of the clips"):
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelVideos:
    """A random model of the classes class0, class1 and class2."""
    videos = open_videos(save(tmp_path_factory.mktemp("model") / "model", num_classes=3))
    assert isinstance(videos, ModelVideos)
    return videos


def test_classes_by_their_counts(model: ModelVideos) -> None:
    by_count = model.with_class_counts([90, 0, 30])
    frequencies = np.bincount([by_count.label(i) or 0 for i in range(2000)], minlength=3) / 2000
    assert frequencies == pytest.approx([0.75, 0, 0.25], abs=0.03)
    assert np.bincount([model.label(i) or 0 for i in range(2000)]) / 2000 == pytest.approx([1 / 3] * 3, abs=0.03)
    for i in range(3):
        expected = model.generator.sample(seed=i, seconds=2 / 25, label=by_count.label(i))
        assert np.array_equal(by_count.read(i, range(2)), expected.transpose(0, 3, 1, 2))
    assert by_count.identity == model.identity | {"class_counts": [90, 0, 30]}
    assert by_count.with_class_counts([1, 1, 1]).identity != by_count.identity


def test_a_model_draws_the_classes_of_the_real_videos(model: ModelVideos, weights: Path, tmp_path: Path) -> None:
    """The value is that of the model's videos with these classes, and shares no statistics with ours."""
    real = ArrayVideos(drawn(0, 12, 20, 16), labels=[1] * 9 + [0] * 3)
    names = ("fvd2048_16f", "fvd2048_16f_released")
    cached = evaluated(real, model, *names, weights=weights, cache=tmp_path / "both", num_clips=8)
    alone = evaluated(real, model, *names[1:], weights=weights, cache=tmp_path / "released", num_clips=8)
    assert cached.results[1] == alone.results[0]
    by_count = model.with_class_counts([3, 9, 0])
    arrays = [ArrayVideos(np.stack([videos.read(i, range(16)) for i in range(8)])) for videos in (model, by_count)]
    for result, name, fake in zip(cached.results, names, arrays, strict=True):
        expected = evaluated(real, fake, name, weights=weights, cache=tmp_path / name, num_clips=8)
        found = result.measures["fvd"].mean
        assert found == pytest.approx(expected.results[0].measures["fvd"].mean, rel=1e-6)
    assert not (arrays[0].frames == arrays[1].frames).all()
    assert "classes of a model as frequent as in the real videos" in str(cached)
    classes = evaluated(real, model, names[1], weights=weights, cache=tmp_path, num_clips=3, per_class=True)
    assert [result.class_name for result in classes.results] == [None, "class0", "class1"]


def test_classes_that_only_one_side_has(model: ModelVideos, weights: Path, tmp_path: Path) -> None:
    real = ArrayVideos(drawn(0, 4, 16, 16), labels=[0, 1, 0, 1])
    arguments: dict[str, Any] = {"weights": weights, "cache": tmp_path}
    real.class_names = ["class1", "other"]
    report = evaluated(real, model, "fvd2048_16f_released", **arguments, num_clips=2)
    assert "the model lacks the classes other" in " ".join(report.results[0].warnings)
    real.class_names = ["a", "b"]
    with pytest.raises(StyleganvError, match=r"array and .* no class name in common, .* or omit _released"):
        evaluated(real, model, "released", **arguments)
    assert evaluated(real, real, "fvd2048_16f_released", **arguments).results  # videos have no classes to draw
