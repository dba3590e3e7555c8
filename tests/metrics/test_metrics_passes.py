"""How evaluations read and keep: one pass for several protocols, several processes, compression, feature files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
from stub_extractors import ArrayVideos, drawn, gathered, value
from tiny import save

from styleganv import distributed
from styleganv.data.dataset_writer import write_dataset
from styleganv.errors import StyleganvError
from styleganv.metrics import video_set
from styleganv.metrics.distances import frechet_distance
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.report import Report
from styleganv.options import EvaluateOptions
from styleganv.videos import open_videos


def evaluate_sharded(real: Path, fake: Path, weights: Path, cache: Path, out: Path) -> None:
    """Evaluate, and combine statistics of random numbers, by as many processes as there are; the first writes both."""
    torch.set_num_threads(1)
    x = torch.randn(100, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with distributed.processes():
        mine = x.split(7)[distributed.rank() :: distributed.world_size()]
        moments = gathered(mine, 6, moments=True)
        kept = gathered(mine, 6, moments=False)
        options = EvaluateOptions(num_clips=20, weights=weights, cache=cache)
        report = evaluate(real, fake, protocols=["fvd2048_16f", "fid50k"], options=options)
        if distributed.rank() == 0:
            report.write_json(out)
            torch.save([distributed.world_size(), moments.count, moments.mean, moments.scatter, kept], f"{out}.pt")


@pytest.mark.long
def test_two_processes_give_the_same_result_as_one(
    classes: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    model = save(tmp_path / "model")
    results = {}
    for count in (1, 2):
        paths = [classes, model, weights, tmp_path / f"cache{count}", tmp_path / f"{count}.json"]
        if count == 1:
            evaluate_sharded(*paths)
        else:
            warm.run_two(evaluate_sharded, *paths)
        results[count] = json.loads((tmp_path / f"{count}.json").read_text())["results"]
        assert len(list((tmp_path / f"cache{count}").iterdir())) == 7
    assert results[1] == results[2]
    x = torch.randn(100, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    num_processes, number, mean, scatter, kept = torch.load(tmp_path / "2.json.pt")
    assert num_processes == 2 and number == 100 and torch.equal(kept, x.float())
    torch.testing.assert_close(mean, x.mean(0), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(scatter / 99, torch.cov(x.T), rtol=1e-12, atol=1e-14)


def test_several_protocols_read_each_video_once(weights: Path, tmp_path: Path) -> None:
    """Protocols of other lengths, networks and clips per video, from one pass, as each alone measures them."""
    real, fake = ArrayVideos(drawn(0, 10, 40, 16), "real"), ArrayVideos(drawn(10, 9, 40, 16), "fake")
    names = ["fvd2048_16f", "kvd2048_16f", "patch_swd512_3f", "fid50k"]
    changes: dict[str, Any] = {"num_clips": 8, "weights": weights, "num_resamples": 4}

    def evaluated(names: list[str], cache: str) -> list[Any]:
        options = EvaluateOptions(**changes, cache=tmp_path / cache)
        return list(evaluate(real, fake, protocols=names, options=options).results)

    together = evaluated(names, "together")
    assert (real.reads, fake.reads) == (8, 8)
    alone = [result for name in names for result in evaluated([name], name)]
    for one, other in zip(together, alone, strict=True):
        assert one.protocol == other.protocol and one.clips == other.clips and one.warnings == other.warnings
        for group in ("measures", "noise_floor"):
            for name, estimate in getattr(one, group).items():
                same = getattr(other, group)[name]
                assert estimate.mean == pytest.approx(same.mean, rel=1e-5, abs=1e-6), name
                assert estimate.interval == pytest.approx(same.interval, rel=1e-4, abs=1e-6), name


def test_a_model_generates_evenly_spaced_frames_together(weights: Path, tmp_path: Path) -> None:
    videos = open_videos(save(tmp_path / "model"))
    numbers = [np.arange(4), np.arange(0, 8, 2), np.arange(8)]
    one_by_one = [videos.read(3, each) for each in numbers]
    read: list[Any] = []
    original = videos.read
    videos.read = lambda index, frames: read.append(list(frames)) or original(index, frames)  # type: ignore
    model_set = video_set.VideoSet(videos, None, (16, 16), tmp_path)
    for chosen, expected_reads in (([0, 1, 2], [list(range(8))]), ([0, 1], [[0, 1, 2, 3], [0, 2, 4, 6]])):
        read.clear()
        clips = model_set._read_clips(3, [numbers[i] for i in chosen])
        assert read == expected_reads
        assert all(np.array_equal(clip, one_by_one[i]) for clip, i in zip(clips, chosen, strict=True))


def test_both_sets_are_compressed_alike(weights: Path, tmp_path: Path) -> None:
    """What was lossless on one side and JPEG on the other is equal again, and the report states it."""
    frames = drawn(0, 8, 20, 16)
    write_dataset(
        tmp_path / "jpeg.zip",
        [(f"{i}", video.transpose(0, 2, 3, 1), None, {}) for i, video in enumerate(frames)],
        height=16,
        width=16,
        fps=25,
        jpeg_quality=30,
    )
    jpeg, lossless = open_videos(tmp_path / "jpeg.zip"), ArrayVideos(frames)

    def evaluated(fake: Any, **changes: Any) -> Report:
        options = EvaluateOptions(8, weights=weights, cache=tmp_path / "cache", num_resamples=0, **changes)
        return evaluate(jpeg, fake, protocols=["fvd2048_16f"], options=options)

    # The clips differ in their offsets, so the real set is compared with itself.
    for store_as, text in ((None, "stored as jpeg 30 but generated ones as lossless"), ("jpeg30", None)):
        report = evaluated(lossless, store_as=store_as)
        warnings = " ".join(report.results[0].warnings)
        assert (text in warnings) if text else ("stored as" not in warnings)
        assert report.real["stored_as"] == report.fake["stored_as"] == (store_as and "jpeg 30")
    assert "compressed to jpeg 30" in str(report)
    assert "--store-as jpeg95" in " ".join(evaluated(lossless).results[0].warnings)
    again = " ".join(evaluated(lossless, store_as="jpeg95").results[0].warnings)
    assert "stored as jpeg 30 and then jpeg 95 but generated ones as jpeg 95" in again
    stored = video_set.VideoSet(lossless, [20] * 8, (16, 16), tmp_path, jpeg_quality=30)
    assert np.array_equal(stored._prepare(frames[:2]).numpy(), np.stack([jpeg.read(i, range(20)) for i in range(2)]))
    distances = [value(evaluated(lossless)), value(evaluated(lossless, store_as="jpeg30"))]
    assert distances[0] != distances[1]  # the cache keeps both apart
    for wrong in ("png", "jpeg", "jpeg0", "jpeg101", "jpeg 95"):
        with pytest.raises(StyleganvError, match="--store-as must be jpeg1 to jpeg100, got"):
            EvaluateOptions(store_as=wrong)


def test_features_are_written_with_the_names_of_videos(faces: Path, weights: Path, tmp_path: Path) -> None:
    model, out = save(tmp_path / "model"), tmp_path / "features.npz"
    options = EvaluateOptions(6, weights=weights, cache=tmp_path / "cache")
    names = ["fvd2048_16f", "fid50k"]
    report = evaluate(faces, model, protocols=names, features=out, options=options)
    with np.load(out) as file:
        arrays = dict(file)
    stated = json.loads(str(arrays["report"]))
    assert stated["protocols"]["fvd6_16f"]["num_frames"] == 16 and stated["fake"]["identity"]["kind"] == "model"
    real, fake = (arrays[f"fvd6_16f/{side}/features"] for side in ("real", "fake"))
    assert real.shape == fake.shape == (6, 400) and real.dtype == np.float32
    assert arrays["fid96/real/features"].shape == (6, 16, 2048)
    assert list(arrays["fvd6_16f/fake/videos"]) == [f"seed {i}" for i in range(6)]
    distance = frechet_distance(torch.from_numpy(real), torch.from_numpy(fake))
    assert distance == pytest.approx(value(report), rel=1e-6)
    with pytest.raises(StyleganvError, match="already exists"):
        evaluate(faces, model, protocols=names, features=out, options=options)
