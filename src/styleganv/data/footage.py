"""What makes videos bad for training, measured on their frames: cuts, blank frames, overlays, copies, blur.

Shapes: V videos, T frames, 3 RGB, H W pixels; frames are `[T, 3, H, W]` in 0..255, and changes are in gray levels. The
thresholds were chosen on clean videos (skies, people, animations, drawings) and on damaged copies of them.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image

#: A cut changes at least half of the pixels by this much, and by this many times what the frames around it change.
CUT_CHANGE, CUT_RATIO = 8.0, 3.0
#: Standard deviation over a frame, per color, below which it shows a single color; that of compression noise is 1.
BLANK_DEVIATION = 2.5
#: Change from pixel to pixel at the edges of an overlay, and standard deviation over time of the picture behind it.
OVERLAY_EDGE, OVERLAY_MOTION = 20.0, 6.0
#: Fraction of the frame that the edges of an overlay cover, and of their surroundings.
OVERLAY_AREA, OVERLAY_DENSITY = 0.002, 0.35
#: Copies of a video differ by less than the first (RMS), and than this fraction of the change within the video.
#: Below the last, they differ by compression only.
COPY_CHANGE, COPY_RATIO, COPY_NOISE = 5.0, 0.7, 0.7
#: Frames of a signature, and their height and width in pixels.
SIGNATURE_FRAMES, SIGNATURE_SIDE = 3, 8


def reduce_frames(frames: np.ndarray, side: int) -> np.ndarray:
    """Return frames as float32 block means, with a shorter side of `side` to 2 `side` pixels; small ones stay."""
    factor = max(1, min(frames.shape[2:]) // side)
    height, width = frames.shape[2] // factor, frames.shape[3] // factor
    blocks = frames[:, :, : height * factor, : width * factor].reshape(-1, 3, height, factor, width, factor)
    return blocks.mean(axis=(3, 5), dtype=np.float32)


def find_cut(read: Callable[[int], np.ndarray], times: Sequence[int] | np.ndarray) -> int | None:
    """Return the index of the first frame after the clearest cut of a video, or None.

    The largest change between frames at `times` is bisected to two adjacent frames. They are a cut if they differ in
    most places, and far more than the frames around them: fast motion changes all the time, and a flash twice.

    Args:
        read: return a frame `[3, H, W]` by its index; called for about 2 log2(gap) frames besides `times`.
        times: increasing indices, up to that of the last frame.
    """

    def change(first: int, second: int) -> float:
        return float(np.median(np.abs(read(second) - read(first)).max(axis=0)))

    pairs = [(int(first), int(second)) for first, second in pairwise(times)]
    if not pairs:
        return None
    first, second = max(pairs, key=lambda pair: change(*pair))
    while second - first > 1:
        middle = (first + second) // 2
        first, second = max((first, middle), (middle, second), key=lambda pair: change(*pair))
    around = [change(t, t + 1) for t in (first - 2, first - 1, second, second + 1) if 0 <= t < times[-1]]
    is_cut = bool(around) and change(first, second) > max(CUT_CHANGE, CUT_RATIO * max(around))
    return second if is_cut else None


def find_blank(frames: np.ndarray) -> np.ndarray:
    """Return the positions of frames that show a single color, e.g. black."""
    deviation = frames.std(axis=(2, 3)).max(axis=1)
    return np.flatnonzero(deviation < BLANK_DEVIATION)


def has_overlay(frames: np.ndarray) -> bool:
    """Return whether text or a logo stays in place while the picture moves behind it.

    The edges of an overlay are strong, constant and dense, and the picture moves on two opposite sides of them.
    Outlines are not dense, and a fixed background does not move. An overlay on a still picture is not found.

    Args:
        frames: of times far apart, not reduced below about 64 pixels.
    """
    gray = frames.mean(axis=1, dtype=np.float32)
    side = min(gray.shape[1:])
    if side < 16:
        return False  # nothing is legible
    edges = np.stack([np.diff(gray, axis=1)[:, :, :-1], np.diff(gray, axis=2)[:, :-1]])
    strength = np.linalg.norm(edges.mean(axis=1), axis=0)
    wobble = np.sqrt(edges.var(axis=1).sum(axis=0))
    constant = (strength > OVERLAY_EDGE) & (wobble < strength / 6)
    dense = _box_mean(constant, max(1, side // 24)) > OVERLAY_DENSITY
    moves = _box_mean(gray.std(axis=0) > OVERLAY_MOTION, max(1, side // 32))[:-1, :-1] > 0.6
    above, below, left, right = _neighbors(moves, side // 8)
    return bool((constant & dense & (above & below | left & right)).mean() > OVERLAY_AREA)


def sharpness(frame: np.ndarray) -> float:
    """Return the variance of the Laplacian of a frame `[H, W, 3]`, in squared gray levels; low if blurred.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (2000). It depends on the resolution and on
    what is shown, so compare it only within a dataset.
    """
    gray = np.pad(frame.mean(axis=2, dtype=np.float32), 1, mode="edge")
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    return float((around - 4 * gray[1:-1, 1:-1]).var())


def signature(frames: np.ndarray) -> np.ndarray:
    """Return what `find_duplicates` compares: uint8 `[3, 8, 8, 3]`, from uint8 frames at three evenly spaced times."""
    size = (SIGNATURE_SIDE, SIGNATURE_SIDE)
    images = [Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0))) for frame in frames]
    return np.stack([np.asarray(image.resize(size, Image.Resampling.BOX)) for image in images])


def find_duplicates(signatures: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of videos, by signatures `[V, 3, 8, 8, 3]`, that show the same at another size or quality.

    Two videos are copies if their frames at the same relative times differ much less than frames within each video do.
    Each copy is listed once, with the first video that it is a copy of. A copy that starts at another time, is cropped
    or is mirrored is not found.
    """
    flat = signatures.reshape(len(signatures), SIGNATURE_FRAMES, -1)
    # Means differ by at most as much as pixels (RMS), so copies have similar colors and brightness.
    colors = signatures.mean(axis=(2, 3), dtype=np.float32)
    brightness = colors.mean(axis=(1, 2))
    within = np.sqrt([frames.var(axis=0).mean() for frames in flat])
    limits = np.maximum(COPY_NOISE, np.minimum(COPY_CHANGE, COPY_RATIO * within))
    order = np.argsort(brightness, kind="stable")
    starts = np.searchsorted(brightness[order], brightness - COPY_CHANGE)
    stops = np.searchsorted(brightness[order], brightness + COPY_CHANGE, side="right")
    is_copy, pairs = np.zeros(len(flat), bool), []
    for index in range(len(flat)):
        if is_copy[index]:
            continue
        others = order[starts[index] : stops[index]]
        others = np.sort(others[(others > index) & ~is_copy[others]])
        others = others[np.square(colors[others] - colors[index]).mean(axis=(1, 2)) < COPY_CHANGE**2]
        for some in np.array_split(others, len(others) // 1024 + 1):
            difference = np.sqrt(np.square(flat[some] - flat[index].astype(np.float32)).mean(axis=(1, 2)))
            copies = some[difference < np.minimum(limits[some], limits[index])]
            is_copy[copies] = True
            pairs += [(index, copy) for copy in copies.tolist()]
    return pairs


def _neighbors(image: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """Yield what is above, below, left and right of each pixel at a distance; the border is repeated."""
    padded = np.pad(image, distance, mode="edge")
    height, width = image.shape
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        yield padded[dy * distance : dy * distance + height, dx * distance : dx * distance + width]


def _box_mean(image: np.ndarray, radius: int) -> np.ndarray:
    """Return the means over squares of 2 radius + 1 pixels; the border is repeated."""
    means = np.pad(image.astype(np.float32), radius, mode="edge")
    for axis in (0, 1):
        means = np.lib.stride_tricks.sliding_window_view(means, 2 * radius + 1, axis=axis).mean(axis=-1)
    return means
