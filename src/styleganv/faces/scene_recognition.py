"""Recognition of the heads in a scene (`scenes.py`): their number, colors and positions, from the pixels of any video.

A pixel belongs to a color if it is close to a mixture of that color and the dark of the eyes. A head is a connected
region of one color in a frame, most of which is not dark.

Shapes: T frames, H height, W width, K heads; videos are uint8 `[T, H, W, 3]`.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.detection import border_color, pixel_positions
from styleganv.faces.drawing import DARK
from styleganv.faces.scenes import COLORS, RADII

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Minimum area of a head that is partly covered or outside of the frame, in frame sides squared.
MIN_AREA = 0.35 * np.pi * RADII[0] ** 2
#: Minimum part of a head's pixels that have its color, and the minimum part of the color in them, beside dark.
MIN_PURE, PURE = 0.5, 0.8
#: Maximum distance of a pixel from the mixtures of its color, and minimum difference from the background, in levels.
TOLERANCE, CONTRAST = 45, 40
#: Fraction of the frames that must show a number of heads of a color.
MIN_SHOWN = 0.2
#: Minimum fractions for a valid scene; see `RecognizedScene`.
MIN_TOGETHER, MIN_EXPLAINED = 0.6, 0.8


@dataclass(frozen=True)
class RecognizedScene:
    """What a video shows.

    Attributes:
        colors: color of each head, in the order of `COLORS`.
        positions: center of each head's visible pixels, `[T, K, 2]` in frame sides, as `scene_positions`; NaN where not
            all heads of its color are seen apart.
        together: fraction of frames that show exactly these heads. It falls if heads appear, vanish or change color.
        explained: fraction of the foreground, without outlines, that has colors of heads. It falls if colors mix.
    """

    colors: tuple[str, ...]
    positions: Array
    together: float
    explained: float

    def is_valid(self, min_heads: int, max_heads: int) -> bool:
        """Return whether the number of heads is in this range, and number and colors are clear."""
        clear = self.together >= MIN_TOGETHER and self.explained >= MIN_EXPLAINED
        return clear and min_heads <= len(self.colors) <= max_heads


def recognize_scene(video: NDArray[np.uint8]) -> RecognizedScene:
    """Return the heads that a video shows; it should be long enough for heads that cover each other to part."""
    background = border_color(video)[:, None, None]
    foreground = np.abs(video - background).max(axis=-1) > CONTRAST
    nearest, part, distance = _nearest_colors(video)
    colored = foreground & (distance < TOLERANCE)
    inside = foreground.copy()
    inside[:, 1:-1, 1:-1] &= (
        foreground[:, :-2, 1:-1] & foreground[:, 2:, 1:-1] & foreground[:, 1:-1, :-2] & foreground[:, 1:-1, 2:]
    )
    explained = float((colored & inside).sum() / max(1, inside.sum()))
    centers = [_find_heads(colored & (nearest == k), part > PURE) for k in range(len(COLORS))]
    seen = np.array([[len(heads) for heads in frames] for frames in centers])
    numbers = [max(n for n in range(row.max() + 1) if (row >= n).mean() >= MIN_SHOWN) for row in seen]
    together = float((seen == np.array(numbers)[:, None]).all(axis=0).mean())
    colors = tuple(name for name, number in zip(COLORS, numbers, strict=True) for _ in range(number))
    tracks = [_track(heads, number) for heads, number in zip(centers, numbers, strict=True)]
    return RecognizedScene(colors, np.concatenate(tracks, axis=1), together, explained)


def _nearest_colors(video: NDArray[np.uint8]) -> tuple[NDArray[np.intp], Array, Array]:
    """Return the closest color of each pixel, its part in the mixture with dark, and the distance, each `[T, H, W]`."""
    dark = np.array(DARK, np.float64)
    parts, distances = [], []
    for color in COLORS.values():
        line = np.array(color) - dark
        parts.append(((video - dark) @ line / (line @ line)).clip(0, 1))
        distances.append(np.linalg.norm(video - dark - parts[-1][..., None] * line, axis=-1))
    nearest = np.argmin(distances, axis=0)
    part, distance = (np.take_along_axis(np.stack(each), nearest[None], axis=0)[0] for each in (parts, distances))
    return nearest, part, distance


def _find_heads(mask: Mask, pure: Mask) -> list[list[Array]]:
    """Return the centers `[2]` of the heads in each of the masks `[T, H, W]` of pixels of a color."""
    height, width = mask.shape[1:]
    x, y = (np.broadcast_to(each, (height, width)).ravel() for each in pixel_positions(height, width))
    heads = []
    for labels, is_pure in zip(_label(mask).reshape(len(mask), -1), pure.reshape(len(mask), -1), strict=True):
        names, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
        sums = np.stack([np.bincount(index, values) for values in (x, y)], axis=1)
        mostly_pure = np.bincount(index, is_pure) >= MIN_PURE * counts
        is_head = (names > 0) & (counts >= MIN_AREA * min(height, width) ** 2) & mostly_pure
        heads.append(list(sums[is_head] / counts[is_head, None]))
    return heads


def _label(mask: Mask) -> NDArray[np.int64]:
    """Return a number for each region of connected pixels in `[T, H, W]`; 0 outside of the mask."""
    labels = np.where(mask, np.arange(1, mask[0].size + 1).reshape(mask.shape[1:]), 0)
    while True:
        wider = np.pad(labels, ((0, 0), (1, 1), (1, 1)))
        neighbors = [wider[:, :-2, 1:-1], wider[:, 2:, 1:-1], wider[:, 1:-1, :-2], wider[:, 1:-1, 2:]]
        grown = np.where(mask, np.maximum.reduce([labels, *neighbors]), 0)
        if np.array_equal(grown, labels):
            return labels
        labels = grown


def _track(heads: list[list[Array]], number: int) -> Array:
    """Return the positions `[T, number, 2]` of heads of the same color, each as close as possible to where it was."""
    positions = np.full((len(heads), number, 2), np.nan)
    last: Array | None = None
    for frame, centers in enumerate(heads):
        if not number or len(centers) != number:
            continue
        orders = np.array(list(itertools.permutations(centers)))
        last = orders[0 if last is None else np.square(orders - last).sum(axis=(1, 2)).argmin()]
        positions[frame] = last
    return positions
