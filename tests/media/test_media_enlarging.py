"""Enlargement of frames for watching."""

import numpy as np
import pytest

from styleganv.media.enlarging import enlarge, watchable_scale


@pytest.mark.parametrize(
    "height, width, pixels, scale",
    [
        (64, 64, 256, 4),
        (16, 16, 256, 16),
        (100, 60, 256, 5),
        (256, 300, 256, 1),
        (1024, 1024, 256, 1),
        (64, 64, 128, 2),
    ],
)
def test_the_shorter_side_reaches_the_size(height: int, width: int, pixels: int, scale: int) -> None:
    assert watchable_scale(height, width, pixels) == scale


def test_enlarged_frames_are_smooth_and_keep_their_colors() -> None:
    frame = np.zeros((4, 6, 3), np.uint8)
    frame[:, 3:] = 200, 100, 50
    large = enlarge(frame, 8)
    assert large.shape == (32, 48, 3) and large.dtype == np.uint8
    assert (large[:, :8] == 0).all() and (large[:, 40:] == [200, 100, 50]).all()
    assert len(np.unique(large[0, :, 0])) > 4  # the edge is a ramp, not a step
    assert enlarge(frame, 1) is frame
