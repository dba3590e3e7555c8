"""Whole evaluations: planted differences, every kind of video set, complete reports."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stub_extractors import ArrayVideos, drawn, value
from tiny import save

from styleganv.data.dataset_writer import write_dataset
from styleganv.errors import StyleganvError
from styleganv.media import writing
from styleganv.metrics import requests, statistics
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.protocols import PROTOCOLS, named_protocol
from styleganv.metrics.report import Report
from styleganv.options import EvaluateOptions
from styleganv.videos import ModelVideos, open_videos

WITHOUT_FILES = ("efficientnet", "patch", "128f", "frames")
ALL_FILES = [name for name in PROTOCOLS if not any(word in name for word in WITHOUT_FILES)]


@pytest.mark.long
def test_planted_differences_are_found(tmp_path: Path) -> None:
    """Blur and noise raise the offline distance with their strength; shuffled time raises only that of clips."""
    clip = replace(named_protocol("frechet_efficientnet256_16f"), num_clips=8, num_frames=4)
    frame = replace(named_protocol("frechet_efficientnet_frames8192"), num_clips=8, num_frames=4)
    real, fake = ArrayVideos(drawn(0, 8, 12)[:, ::3]), drawn(100, 8, 12)[:, ::3]
    random = np.random.default_rng(0)

    def blurred(times: int) -> np.ndarray:
        x = fake.astype(np.float32)
        for _ in range(times):
            x = (np.roll(x, 1, -1) + 2 * x + np.roll(x, -1, -1)) / 4
        return x.astype(np.uint8)

    def noisy(level: float) -> np.ndarray:
        return np.clip(fake + random.normal(0, level, fake.shape), 0, 255).astype(np.uint8)

    shuffled = fake[:, [2, 0, 3, 1]]

    def distance(frames: np.ndarray, protocol: Any = clip) -> Report:
        return evaluate(
            real,
            ArrayVideos(frames, "fake"),
            protocols=[protocol],
            options=EvaluateOptions(num_resamples=0, cache=tmp_path),
        )

    clean = distance(fake)
    assert value(clean) * 1.1 < value(distance(blurred(2))) < 0.9 * value(distance(blurred(12)))
    assert value(clean) * 1.1 < value(distance(noisy(5))) < 0.9 * value(distance(noisy(16)))
    assert value(distance(shuffled)) > 1.1 * value(clean)
    assert value(distance(shuffled, frame)) == pytest.approx(value(distance(fake, frame)), rel=1e-4)


@pytest.fixture(scope="module")
def full(faces: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Evaluate a model with all protocols that require files, and two repeats."""
    folder = tmp_path_factory.mktemp("full")
    return evaluate(
        faces,
        save(folder / "model"),
        protocols=ALL_FILES,
        options=EvaluateOptions(
            num_clips=12, num_repeats=2, num_resamples=4, weights=weights, split="train", cache=folder / "cache"
        ),
    )


@pytest.mark.slow
def test_every_protocol_gives_its_numbers(full: Report) -> None:
    by_name = {result.protocol["name"]: result for result in full.results}
    assert {"fvd12_16f", "kvd12_16f", "fid192", "kid192", "is_ucf101_12_16f", "precision_recall_i3d12_16f"} <= set(
        by_name
    )
    assert set(by_name["precision_recall_i3d12_16f"].measures) == {"i3d_precision", "i3d_recall"}
    assert set(by_name["is_ucf101_12_16f"].measures) == {"is_ucf101", "is_ucf101_std_of_splits"}
    for name, result in by_name.items():
        for measure, estimate in result.measures.items():
            assert len(estimate.values) == 2 and estimate.standard_error is not None, (name, measure)
    # Videos of random networks do not resemble faces.
    for key in ("fvd", "kvd", "fid", "kid"):
        result = next(result for result in full.results if key in result.measures)
        assert result.measures[key].mean > 3 * result.noise_floor[key].mean


@pytest.mark.slow
def test_the_report_is_complete(full: Report, tmp_path: Path) -> None:
    """The report states all causes of differences between published numbers."""
    full.write_json(tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["split"] == "train" and read["seeds"] == [0, 1] and read["device"]
    assert {"styleganv", "torch", "numpy", "av", "simplejpeg", "python"} <= set(read["software"])
    assert read["real"]["identity"]["storage"] == {"format": "jpeg", "quality": 95}
    assert read["fake"]["identity"]["psi"] == 1 and read["fake"]["count"] is None
    for side in ("real", "fake"):
        assert len(read[side]["identity"]["sha256"]) == 64
        assert (read[side]["fps"], read[side]["height"], read[side]["width"]) == (25, 16, 16)
        assert read[side]["resized_to"] is None
    for result in read["results"]:
        assert {"name", "metric", "num_clips", "num_frames", "stride", "clips_per_video", "per_frame"} <= set(
            result["protocol"]
        )
        assert len(result["extractor"]["sha256"]) == 64 and "net(x" in result["extractor"]["preprocessing"]
        assert result["clips"]["fake"] == 12 and result["skipped"] == {"real": 0, "fake": 0}
        for group in ("measures", "noise_floor"):
            for estimate in result[group].values():
                assert (
                    set(estimate) == {"mean", "standard_error", "interval", "values"} and len(estimate["values"]) == 2
                )
    table = str(full)
    for word in ("fvd12_16f", "±", "train", "jpeg 95", "psi 1.0", read["results"][0]["extractor"]["sha256"]):
        assert word in table


def test_repeats_are_reproducible_and_differ(faces: Path, weights: Path, tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    three, again, one = (
        evaluate(faces, model, protocols=["fvd2048_16f"], options=EvaluateOptions(6, n, weights=weights, cache=folder))
        for folder, n in ((tmp_path / "0", 3), (tmp_path / "1", 3), (tmp_path / "2", 1))
    )
    values = three.results[0].measures["fvd"].values
    assert values == again.results[0].measures["fvd"].values and len(set(values)) == 3
    assert one.results[0].measures["fvd"].values == values[:1]
    assert one.results[0].measures["fvd"].standard_error is None


def test_clips_of_a_model_start_at_its_first_frame(faces: Path, weights: Path, tmp_path: Path) -> None:
    """The videos seed·N … seed·N + N − 1 from t = 0, passed as arrays, give the same number."""
    videos = open_videos(save(tmp_path / "model"))
    assert isinstance(videos, ModelVideos)
    frames = np.stack([videos.read(i, range(16)) for i in range(5)])
    options = EvaluateOptions(num_clips=5, weights=weights, cache=tmp_path)
    from_model = value(evaluate(faces, videos, protocols=["fvd2048_16f"], options=options))
    assert value(evaluate(faces, ArrayVideos(frames), protocols=["fvd2048_16f"], options=options)) == pytest.approx(
        from_model, rel=1e-6
    )


def test_video_files_from_other_sources(faces: Path, weights: Path, tmp_path: Path) -> None:
    for i, video in enumerate(drawn(50, 6, 20, side=16)):
        writing.write_video(tmp_path / "videos" / f"{i}.mp4", video.transpose(0, 2, 3, 1), 25, crf=0)
    report = evaluate(
        faces,
        tmp_path / "videos",
        protocols=["fvd2048_16f"],
        options=EvaluateOptions(weights=weights, cache=tmp_path / "c"),
    )
    result = report.results[0]
    assert result.clips == {"real": 16, "fake": 6, "noise_floor": [8, 8]}
    text = " ".join(result.warnings)
    for doubt in (
        "16 real clips, but the protocol specifies 2048",
        "6 generated clips",
        "full rank",
        "stored as jpeg 95 but generated ones as video files",
    ):
        assert doubt in text
    assert report.fake["identity"]["kind"] == "video files"


def test_cached_statistics_avoid_decoding_and_do_not_collide(weights: Path, tmp_path: Path) -> None:
    real, fake = ArrayVideos(drawn(0, 10, 20, 16), "real"), ArrayVideos(drawn(10, 10, 20, 16), "fake")
    usual: dict[str, Any] = {"num_clips": 8, "weights": weights}

    def reads(protocol: str = "fvd2048_16f", resolution: tuple[int, int] | None = None, **changes: Any) -> int:
        """Return how often videos are read, if the result equals that of a fresh cache."""
        before = real.reads + fake.reads
        arguments: dict[str, Any] = {"protocols": [protocol], "resolution": resolution}
        cached, fresh = (EvaluateOptions(**usual | changes, cache=tmp_path / name) for name in ("cache", "fresh"))
        report = evaluate(real, fake, **arguments, options=cached)
        count = real.reads + fake.reads - before
        assert report.results == evaluate(real, fake, **arguments, options=fresh).results
        shutil.rmtree(tmp_path / "fresh")
        return count

    assert reads() == 8 + 8
    asked = real.lengths_asked
    assert reads() == 0
    assert real.lengths_asked == asked + 10  # those of the fresh cache
    assert reads("kvd2048_16f") == 0  # the same features
    assert reads(num_repeats=2) > 0
    assert reads("fid50k") == 16
    assert reads(num_clips=6) > 0
    assert reads(resolution=(8, 8)) == 16
    fake.frames = 255 - fake.frames  # other videos under the same name
    assert reads() == 8
    for file in (tmp_path / "cache").iterdir():
        data = bytearray(file.read_bytes())
        data[-3] ^= 1
        file.write_bytes(data if file.stat().st_size % 3 else data[: len(data) // 2])
    assert reads() == 16
    assert reads() == 0


def test_statistics_of_another_truncation_are_not_reused(faces: Path, weights: Path, tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    values = []
    for psi, cache in ((1.0, "one"), (0.5, "one"), (0.5, "other")):
        options = EvaluateOptions(num_clips=4, psi=psi, weights=weights, cache=tmp_path / cache)
        values.append(value(evaluate(faces, model, protocols=["fvd2048_16f"], options=options)))
    assert values[0] != values[1] == values[2]


def test_moments_and_kept_features_give_the_same_result(
    faces: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save(tmp_path / "model")
    options = [EvaluateOptions(num_clips=14, weights=weights, cache=tmp_path / name) for name in "ab"]
    kept = evaluate(faces, model, protocols=["fvd2048_16f"], options=options[0])
    monkeypatch.setattr(requests, "MAX_KEPT_VALUES", 0)
    streamed = evaluate(faces, model, protocols=["fvd2048_16f"], options=options[1])
    for first, second in zip(kept.results, streamed.results, strict=True):
        for group in ("measures", "noise_floor"):
            for name, estimate in getattr(first, group).items():
                assert getattr(second, group)[name].mean == pytest.approx(estimate.mean, rel=1e-4), (group, name)


def test_an_unwritable_cache_is_not_an_error(
    faces: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(statistics.logger, "warning", warnings.append)
    (tmp_path / "file").write_text("")
    options = EvaluateOptions(num_clips=4, weights=weights, cache=tmp_path / "file" / "cache")
    report = evaluate(faces, faces, protocols=["fvd2048_16f"], options=options)
    assert value(report) >= 0 and "Cannot write the cache" in warnings[0]


def test_each_class(classes: Path, weights: Path, tmp_path: Path) -> None:
    model = save(tmp_path / "model", ["even", "odd", "third"], num_classes=3)
    options = EvaluateOptions(num_clips=6, per_class=True, weights=weights, cache=tmp_path)
    report = evaluate(classes, model, protocols=["fvd2048_16f"], options=options)
    assert [result.class_name for result in report.results] == [None, "even", "odd"]
    assert [result.clips["real"] for result in report.results] == [6, 6, 6]
    assert len({value(report, i) for i in range(3)}) == 3
    # The result of a class is that of its videos alone.
    even = [f"v{i}" for i in range(0, 24, 2)]
    data = open_videos(classes)
    frames = [(n, data.read(int(n[1:]), range(20)).transpose(0, 2, 3, 1), None, {}) for n in even]
    write_dataset(tmp_path / "even.zip", frames, height=16, width=16, fps=25, jpeg_quality=None)
    options = EvaluateOptions(weights=weights, cache=tmp_path / "other")
    alone = evaluate(tmp_path / "even.zip", classes, protocols=["fvd2048_16f"], options=options)
    options = EvaluateOptions(per_class=True, weights=weights, cache=tmp_path)
    itself = evaluate(classes, classes, protocols=["fvd2048_16f"], options=options)
    assert alone.results[0].clips["real"] == itself.results[1].clips["real"] == 12
    with pytest.raises(StyleganvError, match="no class name in common"):
        evaluate(tmp_path / "even.zip", classes, protocols=["fvd2048_16f"], options=options)


def test_warnings(weights: Path, tmp_path: Path) -> None:
    videos = drawn(0, 8, 20, 16)
    real = ArrayVideos(videos, "real")
    other = ArrayVideos(drawn(8, 4, 20, 16), "fake", fps=30.0, storage={"format": "jpeg", "quality": 75})

    def evaluated(real: ArrayVideos, fake: ArrayVideos, size: tuple[int, int] | None = None, **changes: Any) -> Report:
        options = EvaluateOptions(weights=weights, cache=tmp_path, **changes)
        return evaluate(real, fake, protocols=["fvd2048_16f"], resolution=size, options=options)

    report = evaluated(real, other, num_clips=4, num_repeats=2)
    text = " ".join(report.results[0].warnings)
    for warning in ("25 fps", "30", "jpeg 75", "only reflects the choice of real clips", "full rank"):
        assert warning in text
    same = evaluated(real, real, num_clips=3)
    assert "videos are the same" in " ".join(same.results[0].warnings)
    assert not any("specifies" in warning or "floor" in warning for warning in same.results[0].warnings)
    large = evaluated(real, real, (16, 226), num_clips=2)
    assert "226x16 frames without antialiasing" in " ".join(large.results[0].warnings)
    assert large.real["resized_to"] == "226x16 (bilinear, antialiased, stretched)"
    few = evaluated(ArrayVideos(videos[:2]), other)
    assert few.results[0].noise_floor == {} and "there is no noise floor" in " ".join(few.results[0].warnings)


def test_128_frames_and_their_subsample(weights: Path, tmp_path: Path) -> None:
    long, options = ArrayVideos(drawn(0, 4, 130, 16)), EvaluateOptions(weights=weights, cache=tmp_path)
    names = ["fvd2048_128f", "fvd2048_128f_subsample8f"]
    report = evaluate(long, long, protocols=names, options=options)
    assert "fast motion is aliased" in " ".join(report.results[1].warnings)
    with pytest.raises(StyleganvError, match=r"at least 2 clips of 121 frames, got 0 from array.*fewer frames"):
        evaluate(ArrayVideos(drawn(0, 4, 120, 16)), long, protocols=names[1:], options=options)


def test_an_extractor_rejects_clips_that_are_too_short(weights: Path, faces: Path, tmp_path: Path) -> None:
    for name, num_frames, message in (
        ("fvd2048_16f", 9, "i3d_kinetics400 .* at least 10 frames, got 9 from fvd2048_9f: .*_efficientnet2048_16f"),
        ("is_ucf101_2048_16f", 8, "c3d_ucf101 .* at least 16 frames, got 8 from is_ucf101_2048_8f: "),
        ("frechet_efficientnet2048_16f", 1, "at least 2 frames, got 1 .*_efficientnet_frames8192"),
    ):
        options = EvaluateOptions(num_frames=num_frames, weights=weights, cache=tmp_path)
        with pytest.raises(StyleganvError, match=message):
            evaluate(faces, faces, protocols=[name], options=options)


@pytest.mark.parametrize("num_frames", [2, 4, 8])
def test_short_clips(num_frames: int, small_features: None, tmp_path: Path) -> None:
    """Videos of a few frames give a number for each protocol without a file, under a name of its own."""
    real, fake = (ArrayVideos(drawn(first, 6, num_frames, 16), name) for first, name in ((0, "real"), (6, "fake")))
    names = [name for name in PROTOCOLS if "efficientnet" in name or "patch" in name]
    with pytest.raises(StyleganvError, match=r"at least 2 clips of 16 frames, got 0 .* \(--num-frames\)"):
        evaluate(real, fake, options=EvaluateOptions(cache=tmp_path))
    options = EvaluateOptions(num_clips=4, num_frames=num_frames, cache=tmp_path)
    report = evaluate(real, fake, protocols=names, options=options)
    found = {result.protocol["name"]: result for result in report.results}
    assert {f"frechet_efficientnet4_{num_frames}f", f"frechet_efficientnet_frames{4 * num_frames}_{num_frames}f"} < set(
        found
    )
    assert {"patch_swd4_1f", "patch_swd4_2f"} < set(found)
    for name, result in found.items():
        assert result.protocol["num_frames"] == int(name.rpartition("_")[2][:-1]) <= num_frames
        assert all(np.isfinite(estimate.mean) for estimate in result.measures.values()), name
        assert result.measures and result.clips["real"] == result.clips["fake"] == 4
