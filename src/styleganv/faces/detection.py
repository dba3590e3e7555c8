"""Rough detection of a head, its eyes and its mouth, from which a fit of the drawn face starts.

The darkest channel of every color of a drawn face is darker than that of the pale background, whatever the hues; only
the white of the eyes is lighter. Shapes: T frames, H height, W width; videos are uint8 `[T, H, W, 3]`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.drawing import MOUTH

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]

#: Minimum difference between the darkest channels of background and foreground.
CONTRAST = 35
#: Minimum and maximum area of a head with hat and ears, as a fraction of the frame's (its shorter side squared).
AREAS = (0.12, 0.75)
#: Minimum area of another region besides the head, as a fraction of the frame's.
SPECK = 0.012
#: Range of the distance between two eyes, in frame sides; in a drawing it is 0.284.
EYE_DISTANCES = (0.2, 0.37)


@dataclass(frozen=True)
class Detection:
    """Positions of the parts of a face in a video.

    Attributes:
        background: median color of each frame's border, `[T, 3]`.
        head: pixels of the head without the eyes, `[T, H, W]`.
        other: area of the foreground that is not connected to the head, as a fraction of the frame's, `[T]`.
        x, y: center of the head's pixels in frame sides, as in `Pose`, `[T]`.
        white: area of the white of both eyes, as a fraction of the frame's, `[T]`.
        roll: angle of the line between the eyes in radians, `[T]`; NaN without two eyes.
        eye_x, eye_y: midpoint between the eyes, `[T]`; NaN without two eyes.
    """

    background: Array
    head: Mask
    other: Array
    x: Array
    y: Array
    white: Array
    roll: Array
    eye_x: Array
    eye_y: Array

    @property
    def present(self) -> Mask:
        """Whether each frame has a region of a head's size, `[T]`."""
        area = self.head.sum(axis=(1, 2)) / _square(self.head)
        return (area > AREAS[0]) & (area < AREAS[1])


def detect(video: NDArray[np.uint8]) -> Detection:
    """Detect the head and the eyes in each frame."""
    background = border_color(video)
    foreground, darkest = foreground_of(video, background)
    head = _connected(foreground)
    x, y = _center(head)
    level = background.min(axis=1)[:, None, None]
    inside = _between(head) & _between(head.swapaxes(1, 2)).swapaxes(1, 2)
    white = np.clip((darkest - level - 10) / 40, 0, 1)
    white = np.maximum(white, inside * np.clip((darkest - 130) / 60, 0, 1))
    roll, eye_x, eye_y = _eyes(white)
    square = _square(head)
    other = (foreground & ~head & ~inside).sum(axis=(1, 2)) / square
    return Detection(background, head, other, x, y, white.sum(axis=(1, 2)) / square, roll, eye_x, eye_y)


@dataclass(frozen=True)
class Mouth:
    """A mouth in the head's upright coordinates, each `[T]`; NaN without a mouth.

    Attributes:
        u, v: its center, relative to the midpoint between the eyes.
        area: fraction of the frame's area.
        bend: how far its corners are above its middle.
    """

    u: Array
    v: Array
    area: Array
    bend: Array


def detect_mouth(video: NDArray[np.uint8], head: Array, detection: Detection) -> Mouth:
    """Detect the region below the eyes whose color is closer to a mouth's than to the head's."""
    u, v = upright_positions(detection.eye_x, detection.eye_y, detection.roll, *video.shape[1:3])
    toward = np.array(MOUTH) - head
    pixels = video - head
    fraction = pixels @ toward / (toward @ toward)
    off = np.square(pixels - fraction[..., None] * toward).sum(axis=-1)
    region = (np.abs(u) < 0.16) & (v > 0.155) & (v < 0.4)
    weight = np.clip((fraction - 0.45) / 0.4, 0, 1) * region * (off < 50**2)
    total = weight.sum(axis=(1, 2))
    total = np.where(total < 0.0005 * _square(weight), np.nan, total)

    def mean(values: Array) -> Array:
        return (weight * values).sum(axis=(1, 2)) / total

    middle, low = mean(u), mean(v)
    squares = np.square(u - middle[:, None, None])
    width = 4 * mean(squares)
    # A mouth of a single column of pixels has no width, and so no bend.
    squares = squares / np.where(width > 1e-9, width, np.nan)[:, None, None]  # 1 at the ends of an ellipse
    spread = mean(np.square(squares)) - mean(squares) ** 2
    bend = (mean(v) * mean(squares) - mean(v * squares)) / np.where(spread > 1e-9, spread, np.nan)
    return Mouth(middle, low, total / _square(weight), bend)


def border_color(video: NDArray[np.uint8]) -> Array:
    """Return the median color `[T, 3]` of each frame's upper border, which hats rarely reach and heads never."""
    half = video.shape[1] // 2
    rim = [video[:, 0], video[:, :half, 0], video[:, :half, -1]]
    return np.median(np.concatenate(rim, axis=1), axis=1).astype(np.float64)


def foreground_of(video: NDArray[np.uint8], background: Array) -> tuple[Mask, Array]:
    """Return pixels whose darkest channel is darker than the background, and that channel, both `[T, H, W]`."""
    darkest = video.min(axis=-1).astype(np.float64)
    return darkest < background.min(axis=1)[:, None, None] - CONTRAST, darkest


def pixel_positions(height: int, width: int) -> tuple[Array, Array]:
    """Return x `[1, W]` and y `[H, 1]` of pixels in frame sides, as in `Pose`."""
    side = min(height, width)
    across = (np.arange(width) + 0.5 - width / 2) / side + 0.5
    return across[None], ((np.arange(height) + 0.5 - height / 2) / side + 0.5)[:, None]


def upright_positions(x: Array, y: Array, roll: Array, height: int, width: int) -> tuple[Array, Array]:
    """Return pixel positions relative to `(x, y)`, rotated by `roll` to be upright, each `[T, H, W]`."""
    across, down = pixel_positions(height, width)
    across, down = across - x[:, None, None], down - y[:, None, None]
    cos, sin = np.cos(roll)[:, None, None], np.sin(roll)[:, None, None]
    return cos * across + sin * down, cos * down - sin * across


def _square(mask: NDArray) -> float:
    return float(min(mask.shape[1:3])) ** 2


def _center(weight: NDArray) -> tuple[Array, Array]:
    """Return x and y of the center of mass, each `[T]`; the frame's center if the weight is 0."""
    across, down = pixel_positions(*weight.shape[1:])
    total = weight.sum(axis=(1, 2))
    safe = np.maximum(total, 1e-9)
    x, y = (weight * across).sum(axis=(1, 2)) / safe, (weight * down).sum(axis=(1, 2)) / safe
    return np.where(total > 0, x, 0.5), np.where(total > 0, y, 0.5)


def _connected(mask: Mask) -> Mask:
    """Return the pixels of each frame that are connected to the largest blob, diagonals included."""
    reached = mask & _seed(mask)
    while True:
        grown = reached.copy()
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        rows = grown.copy()
        grown[:, :, 1:] |= rows[:, :, :-1]
        grown[:, :, :-1] |= rows[:, :, 1:]
        grown &= mask
        if np.array_equal(grown, reached):
            return reached
        reached = grown


def _seed(mask: Mask) -> Mask:
    """Return the square of a quarter of the frame's side that the mask fills most."""
    count, height, width = mask.shape
    size = max(2, min(height, width) // 4)
    sums = np.zeros((count, height + 1, width + 1))
    sums[:, 1:, 1:] = mask.cumsum(axis=1).cumsum(axis=2)
    filled = sums[:, size:, size:] - sums[:, :-size, size:] - sums[:, size:, :-size] + sums[:, :-size, :-size]
    best = filled.reshape(count, -1).argmax(axis=1)
    row, column = np.divmod(best, width - size + 1)
    rows, columns = np.arange(height)[:, None] - row[:, None, None], np.arange(width) - column[:, None, None]
    return (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)


def _between(mask: Mask) -> Mask:
    """Return the pixels that have a pixel of the mask on their left and one on their right."""
    return np.maximum.accumulate(mask, axis=2) & np.maximum.accumulate(mask[:, :, ::-1], axis=2)[:, :, ::-1]


def _eyes(white: Array) -> tuple[Array, Array, Array]:
    """Return roll and midpoint of the two halves of the white, split across the line between them."""
    across, down = pixel_positions(*white.shape[1:])
    x, y = _center(white)
    roll = np.zeros(len(white))
    for _ in range(3):
        cos, sin = np.cos(roll)[:, None, None], np.sin(roll)[:, None, None]
        right = (across - x[:, None, None]) * cos + (down - y[:, None, None]) * sin > 0
        (x0, y0), (x1, y1) = _center(white * ~right), _center(white * right)
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        roll = np.clip(np.arctan2(y1 - y0, x1 - x0), -0.6, 0.6)
    distance = np.hypot(x1 - x0, y1 - y0)
    area = white.sum(axis=(1, 2))
    enough = area > 0.35 * np.quantile(area, 0.8)
    two = (distance > EYE_DISTANCES[0]) & (distance < EYE_DISTANCES[1]) & enough
    return np.where(two, roll, np.nan), np.where(two, x, np.nan), np.where(two, y, np.nan)
