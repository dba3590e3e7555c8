"""Splitting at cuts, and skipping what is blurred."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styleganv.data.dataset import VideoDataset
from styleganv.data.prepare import prepare
from styleganv.data.preview import preview
from styleganv.data.scenes import find_cuts, split_at
from styleganv.data.takes import Take
from styleganv.errors import StyleganvError
from styleganv.media.sources import scan_source
from styleganv.options import PrepareOptions

WriteVideo = Callable[..., Path]
SIDE = 48


def scene(seed: int, length: int) -> np.ndarray:
    """A random smooth picture that slides slowly, `[T, H, W, 3]`."""
    rng = np.random.default_rng(seed)
    small = (rng.integers(50, 206, 3) + rng.integers(-50, 50, (4, 4, 3))).astype(np.uint8)
    picture = np.asarray(Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.stack([np.roll(picture, t // 2, axis=1) for t in range(length)])


@pytest.fixture
def film(tmp_path: Path, write_video: WriteVideo) -> Path:
    """Scenes of 10, 20, 2 and 8 frames."""
    pytest.importorskip("scenedetect")
    frames = np.concatenate([scene(seed, length) for seed, length in enumerate((10, 20, 2, 8))])
    return write_video(tmp_path / "film.mp4", frames, fps=25)


def test_cuts_are_found_to_the_frame(film: Path) -> None:
    frames = scan_source(film).videos[0].decode()
    assert find_cuts(frames) == pytest.approx([10 / 25, 30 / 25, 32 / 25])


@pytest.mark.parametrize("cut", [1, 2, 18, 19])
def test_cuts_near_the_ends_are_found(tmp_path: Path, write_video: WriteVideo, cut: int) -> None:
    pytest.importorskip("scenedetect")
    path = write_video(tmp_path / "film.mp4", np.concatenate([scene(0, cut), scene(1, 20 - cut)]), fps=25)
    assert find_cuts(scan_source(path).videos[0].decode()) == pytest.approx([cut / 25])


def test_takes_are_split_inside_of_their_span(film: Path) -> None:
    take = Take("film", scan_source(film).videos[0], 3, start=0.4, stop=-0.2)
    scenes = split_at(take, [0.4, 0.9, 1.2, 1.4, 1.5], 1.6)
    assert [(scene.name, scene.start, scene.stop) for scene in scenes] == [
        ("film_scene000", 0.4, 0.9),
        ("film_scene001", 0.9, 1.2),
        ("film_scene002", 1.2, pytest.approx(1.4)),
    ]
    assert {scene.label for scene in scenes} == {3}
    whole = Take("film", take.source)
    assert split_at(whole, [], 1.6) == [whole]
    assert [scene.stop for scene in split_at(whole, [1.0], 1.6)] == [1.0, None]


def test_split_scenes_makes_one_video_per_scene(film: Path, tmp_path: Path) -> None:
    options = PrepareOptions(split_scenes=True, lossless=True)
    report = prepare(film, tmp_path / "d.zip", resolution=(SIDE, SIDE), options=options, num_workers=1)
    data = VideoDataset(tmp_path / "d.zip")
    assert [(video.name, video.num_frames) for video in data.videos] == [
        ("film_scene000", 10),
        ("film_scene001", 20),
        ("film_scene003", 8),
    ]
    assert report.skipped == [("film_scene002", "2 frames in this scene, fewer frames than --min-frames 3")]
    for index, (seed, length) in enumerate(((0, 10), (1, 20), (3, 8))):
        expected = scene(seed, length).transpose(0, 3, 1, 2)
        assert np.abs(data.read(index, range(length)).astype(int) - expected).mean() < 4  # of the video's compression


def test_a_dry_run_says_that_it_does_not_look_for_scenes(film: Path, tmp_path: Path) -> None:
    options = PrepareOptions(split_scenes=True)
    sheet = tmp_path / "sheet.png"
    report = preview(film, tmp_path / "d.zip", sheet, resolution=(16, 16), options=options, num_workers=1)
    assert report.num_videos == 1 and "before --split-scenes" in report.warnings[-1]


def test_a_missing_detector_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").touch()
    monkeypatch.setitem(sys.modules, "scenedetect.detectors", None)
    with pytest.raises(StyleganvError, match=r"run pip install 'styleganv\[scenes\]'"):
        prepare(tmp_path, tmp_path / "d.zip", resolution=(16, 16), options=PrepareOptions(split_scenes=True))


def test_blurred_videos_are_skipped(tmp_path: Path, write_images: Callable[..., Path]) -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
    write_images(tmp_path / "source" / "sharp", sharp)
    write_images(tmp_path / "source" / "soft", scene(0, 5))
    options = PrepareOptions(min_sharpness=500)
    report = prepare(tmp_path / "source", tmp_path / "d.zip", resolution=(16, 16), options=options, num_workers=1)
    assert [video.name for video in VideoDataset(tmp_path / "d.zip").videos] == ["sharp"]
    name, reason = report.skipped[0]
    assert name == "soft" and reason.endswith("is below --min-sharpness 500") and "sharpness " in str(report)
