"""Enlargement of small frames to a size that people can see.

Shapes: H height, W width, R rows and C columns of frames. Frames are uint8 RGB `[H, W, 3]`.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from styleganv.media.encoders import Frame

#: Shorter side, in pixels, that videos for watching have at least, and each video in a grid.
WATCHABLE, WATCHABLE_IN_GRID = 256, 128


def watchable_scale(height: int, width: int, pixels: int = WATCHABLE) -> int:
    """Return the smallest factor that enlarges the shorter side to at least `pixels`."""
    return max(1, -(-pixels // min(height, width)))


def enlarge(frame: Frame, scale: int) -> Frame:
    """Return a frame enlarged by a whole factor with a bicubic filter; by 1, the frame itself."""
    if scale == 1:
        return frame
    height, width = frame.shape[:2]
    return np.asarray(Image.fromarray(frame).resize((width * scale, height * scale), Image.Resampling.BICUBIC))


def enlarge_grid(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return frames `[R, C, H, W, 3]` of a size at which a grid of them can be watched."""
    return enlarge_each(frames, watchable_scale(frames.shape[2], frames.shape[3], WATCHABLE_IN_GRID))


def enlarge_each(frames: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Return `[R, C, H, W, 3]` with each frame enlarged by itself, so that no color crosses its border."""
    return np.stack([[enlarge(frame, scale) for frame in row] for row in frames])
