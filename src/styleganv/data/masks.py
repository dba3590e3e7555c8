"""Crops from masks: a square around everything that is white in a video of masks, constant over the video."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from styleganv.data.takes import Box, Take
from styleganv.errors import StyleganvError

#: Side of the crop, relative to the longer side of the box around all masks: the margin that FaceForensics++ (Rössler
#: et al., ICCV 2019) gives to its tracked faces.
ENLARGEMENT = 1.3
#: Gray level from which a pixel of a mask is white; compression blurs the edges of masks.
WHITE = 128


def crop_to_mask(take: Take) -> Take:
    """Return a take with the crop of its mask, unless it has none or is cropped already.

    Raises:
        StyleganvError: if the mask cannot be read, or is black.
    """
    if take.mask is None or take.crop is not None:
        return take
    crop = enclose(take.mask.frames())
    if crop is None:
        raise StyleganvError(f"its mask {take.mask.name} is black in all frames: replace it, or pass --crop.")
    return replace(take, crop=crop)


def enclose(frames: Iterable[np.ndarray]) -> Box | None:
    """Return a square around what is white in any of the masks `[H, W, 3]`, enlarged but inside the frame."""
    white = None
    for frame in frames:
        now = frame.max(axis=2) >= WHITE
        white = now if white is None else white | now
    if white is None or not white.any():
        return None
    spans = [np.flatnonzero(white.any(axis=axis))[[0, -1]] + (0, 1) for axis in (1, 0)]
    side = min(round(ENLARGEMENT * max(stop - start for start, stop in spans)), *white.shape)
    top, left = (
        int(np.clip((start + stop - side) // 2, 0, total - side))
        for (start, stop), total in zip(spans, white.shape, strict=True)
    )
    return Box(left, top, side, side)
