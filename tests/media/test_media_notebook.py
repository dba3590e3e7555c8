"""What a notebook shows of models and videos: embedded, small, and never an error for valid frames."""

import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tiny import save

from styleganv.errors import StyleganvError
from styleganv.media import notebook
from styleganv.media.notebook import MAX_BYTES, Video
from styleganv.methods.loading import load

NOISE = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)


def embedded(html: str) -> np.ndarray:
    """Return the frames [T, H, W, 3] of the video in some HTML."""
    (data,) = re.findall(r'src="data:video/mp4;base64,([^"]+)"', html)
    with av.open(BytesIO(b64decode(data))) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_frames_are_embedded_as_they_are() -> None:
    frames = np.zeros((5, 16, 24, 3), np.uint8)
    frames[:, :, 12:] = 200
    html = Video(frames, 12.5, "left & right")._repr_html_()
    assert np.abs(embedded(html)[:, :, [2, 21]].astype(int) - frames[:, :, [2, 21]]).max() <= 4
    assert "left &amp; right" in html and 'width="384"' in html  # 24 pixels, enlarged 16 times by the browser
    assert repr(Video(frames, 12.5)) == "<Video: 5 frames, 24x16 pixels, 12.5 fps>"


def test_a_grid_is_shown_side_by_side() -> None:
    grid = NOISE[None, None, :3, :16, :16].repeat(2, axis=1)
    html = Video(grid, 25)._repr_html_()
    assert embedded(html).shape == (3, 16, 2 * 16 + 2, 3)
    assert repr(Video(grid, 25)) == "<Video: 1x2 videos of 3 frames, 16x16 pixels, 25 fps>"


def test_a_large_video_is_compressed_then_reduced_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    for limit in (400_000, 6_500):
        monkeypatch.setattr(notebook, "MAX_BYTES", limit)
        html = Video(NOISE, 25)._repr_html_()
        assert len(html) <= limit and 'width="256"' in html
        sizes.append(embedded(html).shape[1])
    assert sizes[0] == 64 > sizes[1]
    monkeypatch.setattr(notebook, "MAX_BYTES", 2000)
    html = Video(NOISE, 25)._repr_html_()
    assert "too long to be embedded" in html and "<video" not in html


@pytest.mark.parametrize(
    "frames", [NOISE[0], NOISE[:0], NOISE[..., :1], NOISE.astype(np.float32), "video.mp4", torch.zeros(2, 8, 8, 3)]
)
def test_what_is_no_video_is_refused(frames: object) -> None:
    with pytest.raises(StyleganvError, match=r"Frames must be uint8 \[T, H, W, 3\] or"):
        Video(frames, 25)  # type: ignore[arg-type]


def test_an_impossible_frame_rate_is_refused() -> None:
    with pytest.raises(StyleganvError, match="Frame rate"):
        Video(NOISE, 0)


@pytest.mark.parametrize("arguments, total", [({"num_classes": 2}, 50), ({"motion": "none"}, 1)])
def test_a_model_shows_itself(arguments: dict[str, object], total: int, tmp_path: Path) -> None:
    model = load(save(tmp_path / "a<b", **arguments), device="cpu")
    html = model._repr_html_()
    assert "a&lt;b" in html and "Seeds 0 to 3" in html and len(html) < MAX_BYTES
    frames = embedded(html)
    assert frames.shape == (total, 16, 4 * 16 + 3 * 2, 3)
    shown = frames[0, :, 2 * 18 : 2 * 18 + 16].mean(axis=2)  # gray, as compression blurs color
    near, far = (np.abs(shown - model.sample(seed=seed, seconds=2)[0].mean(axis=2)).mean() for seed in (2, 1))
    assert near < 8 < far / 2
