"""Files of generated videos: names, formats, grids, progress, and the share of each process."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from tiny import save

from styleganv.media.enlarging import enlarge
from styleganv.methods.loading import load
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.options import ComputeOptions, OutputOptions, SampleOptions
from styleganv.video_files import generate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("conv") / "model")


@pytest.fixture(scope="module")
def videos(folder: Path) -> VideoGenerator:
    return load(folder, device="cpu")


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_generate_writes_videos(folder: Path, videos: VideoGenerator, tmp_path: Path) -> None:
    paths = generate(
        folder,
        tmp_path,
        seeds=[3, 12],
        sample=SampleOptions(seconds=0.4),
        output=OutputOptions(scale=4, crf=5),
        compute=ComputeOptions(device="cpu"),
    )
    assert [path.name for path in paths] == ["seed0003.mp4", "seed0012.mp4"]
    video, true = decoded(paths[1]), videos.sample(seed=12, seconds=0.4)
    assert video.shape == (10, 64, 64, 3)
    assert np.abs(video.astype(int) - np.stack([enlarge(frame, 4) for frame in true])).mean() < 8


def test_videos_are_large_enough_to_watch(folder: Path, tmp_path: Path) -> None:
    sizes = {}
    for format in ("mp4", "webp", "grid", "frames"):
        path = generate(folder, tmp_path / format, seeds=[0], format=format, sample=SampleOptions(seconds=0.2))[0]
        if format == "frames":
            sizes[format] = Image.open(path / "000000.png").size
        elif format == "webp":
            sizes[format] = Image.open(path).size
        else:
            sizes[format] = decoded(path).shape[2:0:-1]
    assert sizes == {"mp4": (256, 256), "webp": (256, 256), "grid": (128, 128), "frames": (16, 16)}
    [exact] = generate(folder, tmp_path, seeds=[0], sample=SampleOptions(seconds=0.2), output=OutputOptions(scale=1))
    assert decoded(exact).shape == (5, 16, 16, 3)


def test_generate_writes_frames_and_pairs_of_seeds(folder: Path, videos: VideoGenerator, tmp_path: Path) -> None:
    paths = generate(
        folder,
        tmp_path,
        seeds=[3, 4],
        motion_seeds=[7, 8],
        format="frames",
        sample=SampleOptions(seconds=0.2, fps=50, start=1.0, psi=0.5),
    )
    assert [path.name for path in paths] == [f"seed{n:04d}-motion{n + 4:04d}-psi0.5-start1" for n in (3, 4)]
    files = sorted(paths[1].iterdir())
    frames = np.stack([np.asarray(Image.open(file)) for file in files])
    true = videos.sample(seed=4, motion_seed=8, seconds=0.2, fps=50, start=1.0, psi=0.5)
    np.testing.assert_array_equal(frames, true)


@pytest.mark.parametrize("format, bound", [("webm", 8), ("mov", 0.5)])
def test_generate_writes_webm_and_prores(
    folder: Path, videos: VideoGenerator, tmp_path: Path, format: Any, bound: float
) -> None:
    output = OutputOptions(scale=16, crf=5)
    [path] = generate(folder, tmp_path, seeds=[2], format=format, sample=SampleOptions(seconds=0.2), output=output)
    frames = decoded(path)
    assert path.name == f"seed0002.{format}" and frames.shape == (5, 256, 256, 3)
    true = np.stack([enlarge(frame, 16) for frame in videos.sample(seed=2, seconds=0.2)])
    assert np.abs(frames.astype(int) - true).mean() < bound


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_generate_writes_animated_images(folder: Path, tmp_path: Path, format: Any) -> None:
    [path] = generate(
        folder, tmp_path, seeds=[0], format=format, sample=SampleOptions(seconds=0.4), output=OutputOptions(scale=2)
    )
    with Image.open(path) as image:
        assert path.name == f"seed0000.{format}" and image.size == (32, 32) and image.n_frames == 10


def test_generate_reports_progress_and_can_be_canceled(folder: Path, tmp_path: Path) -> None:
    reports = []

    def cancel(done: int, total: int, stage: str) -> None:
        reports.append((done, total, stage))
        if done == 7:
            raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        generate(folder, tmp_path, seeds=[0, 1], sample=SampleOptions(seconds=0.2), progress=cancel)
    assert reports == [(done, 10, "generating") for done in range(8)]
    assert [path.name for path in tmp_path.iterdir()] == ["seed0000.mp4"]  # no partial file of the second


def test_generate_writes_a_grid(folder: Path, tmp_path: Path) -> None:
    paths = generate(
        folder,
        tmp_path,
        seeds=[0, 1, 2],
        motion_seeds=[5, 6],
        format="grid",
        sample=SampleOptions(seconds=0.8),
        output=OutputOptions(scale=2),
    )
    assert [path.name for path in paths] == ["grid.mp4", "grid.png"]
    video = decoded(paths[0])
    assert video.shape == (20, 2 * 34 - 2, 3 * 34 - 2, 3)
    assert Image.open(paths[1]).width > 100


def test_processes_split_the_seeds(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, seeds in ((0, [0, 2, 4]), (1, [1, 3])):
        monkeypatch.setenv("RANK", str(rank))
        paths = generate(folder, tmp_path, seeds=range(5), sample=SampleOptions(seconds=0.2))
        assert [path.name for path in paths] == [f"seed{seed:04d}.mp4" for seed in seeds]
        grid = generate(folder, tmp_path, seeds=range(2), format="grid", sample=SampleOptions(seconds=0.2))
        assert len(grid) == (2 if rank == 0 else 0)
