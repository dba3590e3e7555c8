"""Crops from masks: a square around everything that is white in a video of masks, constant over the video."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from styleganv.data.rules.rule import Selection
from styleganv.data.takes import Box, Take
from styleganv.errors import StyleganvError
from styleganv.media.sources import VideoSource
from styleganv.progress import Progress, track
from styleganv.workers import Map

#: Side of the crop, relative to the longer side of the box of all masks: the margin that FaceForensics++ (Rössler et
#: al., ICCV 2019) gives to its tracked faces.
ENLARGEMENT = 1.3
#: Gray level from which a pixel of a mask is white; compression blurs the edges of masks.
WHITE = 128


def crop_to_masks(selection: Selection, run: Map, progress: Progress | None) -> Selection:
    """Return the selection with the crops of its masks, read in the worker processes of `run`.

    Takes whose masks cannot be read or are black are skipped.
    """
    takes, skipped = [], list(selection.skipped)
    masks = [selection.masks[take.name] for take in selection.takes]
    results = zip(selection.takes, run(read_crop, masks), strict=True)
    for take, crop in track(results, progress, len(masks), "reading masks"):
        if isinstance(crop, Box):
            takes.append(replace(take, crop=crop))
        else:
            skipped.append((take.name, crop))
    return replace(selection, takes=takes, skipped=skipped)


def read_crop(mask: VideoSource) -> Box | str:
    """Return the crop of a video of masks, or why there is none."""
    try:
        return enclose(mask.frames()) or f"its mask {mask.name} is black in all frames"
    except StyleganvError as error:
        return str(error)


def enclose(frames: Iterable[np.ndarray]) -> Box | None:
    """Return a square around what is white in any of the masks `[H, W, 3]`, enlarged but inside the frame."""
    white = None
    for frame in frames:
        gray = frame.max(axis=2) >= WHITE
        white = gray if white is None else white | gray
    if white is None or not white.any():
        return None
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    side = min(round(ENLARGEMENT * max(height, width)), *white.shape)
    top, left = (
        int(np.clip(round((places[0] + places[-1] + 1 - side) / 2), 0, total - side))
        for places, total in zip((rows, columns), white.shape, strict=True)
    )
    return Box(left, top, side, side)
