"""Folders of images on either side, with protocols of single frames."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stub_extractors import ArrayVideos, drawn

from styleganv.errors import StyleganvError
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.protocols import PROTOCOLS
from styleganv.options import EvaluateOptions

NAMES = ["patch_swd512_1f", "fid50k_1f"]


def write_images(folder: Path, frames: np.ndarray, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame.transpose(1, 2, 0)).save(folder / f"{i:03}{suffix}")
    return folder


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Images `[24, 3, 32, 32]` of different drawn videos."""
    return drawn(0, 24, 1)[:, 0]


def test_each_image_counts(frames: np.ndarray, weights: Path, tmp_path: Path) -> None:
    """The numbers are those of the same frames in memory, for a folder and a zip."""
    real, fake = write_images(tmp_path / "real", frames[:12]), write_images(tmp_path / "fake", frames[12:])
    shutil.make_archive(str(tmp_path / "fake"), "zip", fake)
    options = EvaluateOptions(weights=weights, cache=tmp_path / "cache")
    arrays = [ArrayVideos(frames[:12, None]), ArrayVideos(frames[12:, None])]
    expected = evaluate(*arrays, protocols=NAMES, options=options)
    for path in (fake, tmp_path / "fake.zip"):
        report = evaluate(real, path, protocols=NAMES, options=options)
        for result, reference in zip(report.results, expected.results, strict=True):
            assert result.measures == reference.measures and result.noise_floor == reference.noise_floor
            assert result.clips == {"real": 12, "fake": 12, "noise_floor": [6, 6]}
        assert "images, 12 images of 32x32, storage .png, SHA-256" in str(report)


def test_images_against_frames_of_videos(faces: Path, weights: Path, tmp_path: Path) -> None:
    """Real videos give as many frames as the protocol allows; rates do not matter, formats do."""
    images = write_images(tmp_path / "images", drawn(0, 12, 1, side=16)[:, 0], ".jpg")
    options = EvaluateOptions(weights=weights, cache=tmp_path)
    by_video, by_frame = evaluate(faces, images, protocols=NAMES, options=options).results
    assert by_video.clips["real"] == 16 and by_frame.clips["real"] == 16 * 40
    assert by_video.clips["fake"] == by_frame.clips["fake"] == 12
    text = " ".join(by_frame.warnings)
    assert "stored as jpeg 95 but generated ones as .jpg" in text and "fps" not in text


def test_with_longer_clips_a_folder_is_one_video(frames: np.ndarray, weights: Path, tmp_path: Path) -> None:
    """Statistics of both readings of one folder are not mixed up."""
    real, fake = write_images(tmp_path / "real", frames[:12]), write_images(tmp_path / "fake", frames[12:])
    options = EvaluateOptions(weights=weights, cache=tmp_path / "cache")
    before = evaluate(real, fake, protocols=NAMES, options=options)
    for more in (["frechet_efficientnet2048_16f"], [*NAMES, "patch_swd512_3f"]):
        with pytest.raises(StyleganvError, match=r"got [01] from .*; a folder of images is one video unless .*_1f"):
            evaluate(real, fake, protocols=more, options=options)
    assert evaluate(real, fake, protocols=NAMES, options=options).results == before.results


def test_every_kind_of_image_measure(frames: np.ndarray, small_features: None, weights: Path, tmp_path: Path) -> None:
    real, fake = write_images(tmp_path / "real", frames[:12]), write_images(tmp_path / "fake", frames[12:])
    names = [name for name, protocol in PROTOCOLS.items() if protocol.num_frames == 1]
    assert {"fid50k_1f", "kid50k_1f", "is_frames50k_1f", "frechet_efficientnet_frames8192_1f"} < set(names)
    report = evaluate(real, fake, protocols=names, options=EvaluateOptions(weights=weights, cache=tmp_path / "cache"))
    assert all(result.measures and result.clips["fake"] == 12 for result in report.results)
    keys = {key for result in report.results for key in result.measures}
    assert {"fid", "kid", "is_frames", "frechet_efficientnet_frames", "patch_swd_1f"} < keys
