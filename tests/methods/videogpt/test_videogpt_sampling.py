"""Videos of VideoGPT: reproducible for every request; what it does not support is rejected."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from styleganv import noise
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.faces.factor_report import compare_factors
from styleganv.methods.loading import load
from styleganv.methods.videogpt.networks import VideoGpt, VideoGptConfig, VideoGptVideos, sample_codes
from styleganv.metrics.evaluate import evaluate
from styleganv.metrics.protocols import named_protocol
from styleganv.model_folder import save_model
from styleganv.options import EvaluateOptions
from styleganv.video_model import Precision
from styleganv.videos import DatasetVideos, ModelVideos

CLIP = 16 / 25  # seconds


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> VideoGptVideos:
    """Load an untrained network of three classes whose logits differ clearly."""
    torch.manual_seed(0)
    net = VideoGpt(VideoGptConfig(16, 24, num_classes=3, channel_max=8))
    torch.nn.init.normal_(net.transformer.start.weight)
    torch.nn.init.normal_(net.transformer.logits.weight)
    torch.nn.init.normal_(net.vqvae.codebook.vectors)
    folder = tmp_path_factory.mktemp("videogpt") / "model"
    save_model(folder, net, method="videogpt", data={"fps": 25.0, "class_names": ["a", "b", "c"]}, training={})
    loaded = load(folder, device="cpu")
    assert isinstance(loaded, VideoGptVideos)
    return loaded


def test_a_seed_gives_one_video_for_every_request(videos: VideoGptVideos) -> None:
    whole = videos.sample(seed=3, seconds=CLIP)
    assert whole.shape == (16, 16, 24, 3) and whole.std() > 1
    assert (videos.sample(seed=4, seconds=CLIP) != whole).any()
    again = reload(videos)
    assert (again.sample(seed=3, start=5 / 25, seconds=4 / 25) == whole[5:9]).all()
    assert (again.sample(seed=3, seconds=CLIP, label=videos.label_from_seed(3)) == whole).all()
    other = again.sample(seed=3, seconds=CLIP, label=(videos.label_from_seed(3) + 1) % 3)
    assert (other != whole).any() and (again.sample(seed=3, seconds=CLIP) == whole).all()
    frames = next(iter(again.stream(seed=6, seconds=CLIP)))
    assert frames.shape == (16, 24, 3)
    frames[:] = 0  # owned by the caller
    assert (again.sample(seed=6, seconds=CLIP)[0] != 0).any()


def reload(videos: VideoGptVideos, precision: Precision = "float32") -> VideoGptVideos:
    return VideoGptVideos(videos.net, fps=videos.fps, labels=videos.labels, device="cpu", precision=precision)


def test_half_precision_is_reproducible(videos: VideoGptVideos) -> None:
    one, again = (reload(videos, "bfloat16").sample(seed=3, seconds=CLIP) for _ in range(2))
    assert one.std() > 1 and (one == again).all()


def test_videos_equal_uncached_generation(videos: VideoGptVideos) -> None:
    """Run the full transformer for each code, for a single video."""
    gpt, seed = videos.net.transformer, 10
    label = torch.tensor([videos.label_from_seed(seed)])
    uniform = torch.from_numpy(noise.uniform(seed, noise.CONTENT, 0, videos.net.num_codes))
    codes = torch.zeros(1, videos.net.num_codes, dtype=torch.long)
    with torch.inference_mode():
        for i in range(videos.net.num_codes):
            codes[:, i] = sample_codes(gpt(codes, label)[:, i], uniform[i : i + 1])
        clip = videos.net.vqvae.decode(codes, videos.net.shape)[0].permute(1, 2, 3, 0)
    shown = videos.sample(seed=seed, seconds=CLIP).astype(np.float32)
    assert np.abs(shown - (clip * 255 + 127.5).clamp(0, 255).numpy()).max() <= 0.51


@pytest.mark.parametrize(
    "request_options, message",
    [
        (dict(seconds=1.0), "must end within 0.64 seconds, got an end at 1:"),
        (dict(seconds=None), "must end within 0.64 seconds"),
        (dict(start=0.6, seconds=0.2), "must end within 0.64 seconds"),
        (dict(seconds=CLIP, fps=50), "got 50 fps from 0 seconds: use 25 fps"),
        (dict(seconds=CLIP, motion_seed=3), "does not support motion seeds, got motion seed 3"),
        (dict(seconds=CLIP, psi=0.5), "does not support truncation"),
        (dict(seconds=CLIP, label="d"), "Unknown class d"),
    ],
)
def test_unsupported_requests_are_rejected(
    request_options: dict[str, Any], message: str, videos: VideoGptVideos
) -> None:
    with pytest.raises(StyleganvError, match=message):
        videos.stream(seed=0, **request_options)
    with pytest.raises(StyleganvError, match="--precision must be one of float32, bfloat16"):
        VideoGptVideos(videos.net, fps=25, precision="half")  # type: ignore[arg-type]


def test_longer_protocols_name_the_missing_clips(videos: VideoGptVideos, faces: Path, tmp_path: Path) -> None:
    short = named_protocol("frechet_efficientnet256_16f")
    protocol = replace(short, num_frames=16, stride=2, tail="_32f", num_clips=2)
    options = EvaluateOptions(cache=tmp_path / "cache")
    with pytest.raises(StyleganvError, match=r"_32f requires at least 2 clips of 31 frames, got 0 from model"):
        evaluate(faces, ModelVideos(videos), protocols=[protocol], resolution=(16, 16), options=options)


def test_factors_of_sixteen_frames(videos: VideoGptVideos, tmp_path: Path) -> None:
    make_faces(tmp_path / "faces.zip", num_videos=2, num_frames=16, resolution=(16, 16))
    real = DatasetVideos(VideoDataset(tmp_path / "faces.zip"))
    assert compare_factors(ModelVideos(videos), real, num_clips=2).num_frames == 16
