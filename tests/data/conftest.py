"""Fixtures that write real video files."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

WriteVideo = Callable[..., Path]


@pytest.fixture
def gray_frames() -> Callable[..., np.ndarray]:
    """`[T, H, W, 3]` frames of one gray level each, 10 levels apart, so that the level identifies the frame."""

    def draw(count: int, height: int = 32, width: int = 48) -> np.ndarray:
        frames = np.empty((count, height, width, 3), np.uint8)
        frames[:] = (10 * np.arange(count) + 5).astype(np.uint8)[:, None, None, None]
        return frames

    return draw


@pytest.fixture
def write_video() -> WriteVideo:
    """Write uint8 `[T, H, W, 3]` frames as a nearly lossless video; `ticks` in 1/100 s may be uneven."""

    def write(path: Path, frames: np.ndarray, fps: int = 25, ticks: list[int] | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        codec, pixels, options = {
            ".mpg": ("mpeg2video", "yuv420p", {"qmin": "1", "qmax": "1"}),
            ".avi": ("mpeg4", "yuv420p", {"qmin": "1", "qmax": "1"}),
            ".gif": ("gif", "rgb8", {}),
            ".webm": ("libvpx", "yuv420p", {"crf": "4", "b": "4M"}),
        }.get(path.suffix, ("libx264", "yuv420p", {"crf": "1"}))
        mp4 = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
        with av.open(str(path), "w", options=mp4) as container:
            stream = container.add_stream(codec, rate=fps, options=options)
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
            if ticks is not None:
                stream.codec_context.time_base = Fraction(1, 100)
            for index, pixels_of_frame in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels_of_frame, format="rgb24")
                if ticks is not None:
                    frame.pts, frame.time_base = ticks[index], Fraction(1, 100)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def write_images() -> Callable[..., Path]:
    """Write uint8 `[T, H, W, 3]` frames as images frame0, frame1 … frame10 of a folder."""

    def write(folder: Path, frames: np.ndarray, suffix: str = ".png") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"frame{index}{suffix}")
        return folder

    return write
