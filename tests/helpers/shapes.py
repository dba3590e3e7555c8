"""The embedded dataset: one colored shape moves before a plain background, with every factor known.

Content (shape, color, size, texture, background) and motion (path, speed, direction, angle, start, rhythm)
are drawn independently, so that a model's content and motion can be told apart afterwards. Positions are
analytic in time, so a video can be drawn at any frame rate, and `measure` finds them again in pictures.

Shapes: T frames, H height, W width; pictures are uint8 `[T, H, W, 3]` in 0..255.
Lengths are fractions of the frame (0..1, x to the right, y down); times are in frames at 25 fps.
"""

import colorsys
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from styleganv.data.dataset_writer import write_dataset

FPS = 25.0
COLORS = {
    "red": (222, 36, 40),
    "yellow": (242, 178, 0),
    "green": (30, 160, 50),
    "cyan": (0, 172, 196),
    "blue": (40, 70, 220),
    "purple": (168, 40, 196),
}
#: Radius before the shape's own factor in `RADII`, as a fraction of the frame's shorter side.
SIZES = {"small": 0.185, "large": 0.25}
#: Of a circle, from the center to a triangle's corners, and half the length of a bar (lying) or a pillar (standing):
#: shapes that a small network can tell apart long before its edges are sharp.
RADII = {"circle": 0.92, "triangle": 1.1, "bar": 1.1, "pillar": 1.1}
SHAPES = tuple(RADII)
#: Of a bar or pillar, width over length.
SLIMNESS = 0.42
TEXTURES = ("plain", "stripes", "dot")
PATHS = ("line", "circle", "pendulum", "zigzag")
#: Frame widths travelled in 32 frames.
SPEEDS = {"slow": 0.3, "medium": 0.55, "fast": 0.9}
#: How much the speed rises and falls around its mean, as a part of it.
SURGE = {"steady": 0.0, "pulsing": 0.95}
RHYTHMS = tuple(SURGE)
ANGLES = (-60, -30, 0, 30, 60)

#: The center stays within 0.5 ± REACH on both axes, so the largest shape never leaves the frame.
REACH = 0.225
PULSE = 16.0  # frames from one surge of a pulsing motion to the next
SWING = math.radians(60)  # of the pendulum to either side
ZIGZAG = (6, 0.5)  # strokes for one crossing, height over width


@dataclass(frozen=True)
class Factors:
    """What a video shows (the first five) and how it moves (the rest).

    Attributes:
        background_hue: 0..1 around the color wheel.
        direction: 1 starts to the right (line, zigzag, pendulum) or turns clockwise (circle), −1 the mirror
            image of it.
        angle: of a line's first stretch against the horizontal, degrees, positive downwards; other paths
            have none and ignore it.
        start: where on its path the shape is at t = 0, 0..1.
        rhythm: a pulsing motion surges and nearly halts every 16 frames, at the same mean speed.
    """

    shape: str
    color: str
    size: str
    texture: str
    background_hue: float
    path: str
    speed: str
    direction: int
    angle: int
    start: float
    rhythm: str


def plain_factors(**changes: Any) -> Factors:
    """Return the factors of a large red disc that moves in a circle, with some changed."""
    usual = dict(
        shape="circle",
        color="red",
        size="large",
        texture="plain",
        background_hue=0.3,
        path="circle",
        speed="medium",
        direction=1,
        angle=0,
        start=0.1,
        rhythm="steady",
    )
    return Factors(**(usual | changes))


def sample_factors(rng: np.random.Generator) -> Factors:
    """Draw every factor uniformly and independently of the others."""

    def pick(options: Any) -> Any:
        return list(options)[int(rng.integers(len(options)))]

    return Factors(
        shape=pick(SHAPES),
        color=pick(COLORS),
        size=pick(SIZES),
        texture=pick(TEXTURES),
        background_hue=float(rng.random()),
        path=pick(PATHS),
        speed=pick(SPEEDS),
        direction=pick((-1, 1)),
        angle=pick(ANGLES),
        start=float(rng.random()),
        rhythm=pick(RHYTHMS),
    )


def position(factors: Factors, t: float | NDArray[np.floating]) -> tuple[NDArray, NDArray]:
    """The center of the shape at any real time.

    Args:
        t: frames at 25 fps, scalar or array, negative and fractional allowed.

    Returns:
        x and y, each shaped like `t`, fractions of the frame's width and height.
    """
    travelled = distance_travelled(t, SPEEDS[factors.speed], SURGE[factors.rhythm])
    start = (factors.start, 7 * factors.start % 1)
    return along_path(factors.path, travelled, start, factors.direction, math.radians(factors.angle))


def distance_travelled(t: Any, speed: Any, surge: Any, pulse: Any = 0.0) -> NDArray[np.float64]:
    """How far a shape has come at any real time, in units of `REACH`; arrays broadcast.

    Args:
        t: frames at 25 fps.
        speed: frame widths in 32 frames.
        surge: of `SURGE`, 0 for a steady motion.
        pulse: of the surges, frames by which they come earlier than in the dataset.
    """
    t = np.asarray(t, dtype=np.float64)
    surged = t + surge * PULSE / (2 * math.pi) * np.sin(2 * math.pi * (t + pulse) / PULSE)  # speed × (1 + surge cos)
    return surged * speed / 32 / REACH


def along_path(path: str, travelled: NDArray, start: Any, direction: Any, angle: Any) -> tuple[NDArray, NDArray]:
    """The center of a shape on one of `PATHS` after a travelled distance in units of `REACH`; arrays broadcast.

    Args:
        start: two numbers, where the path begins: of a line, across and down (period 2); other paths use the first
            alone (period 1 of a circle, 2 of the others).
        direction: 1, or −1 for the mirror image.
        angle: of a line, in radians.

    Returns:
        x and y, fractions of the frame's width and height.
    """
    x, y = {"line": _line, "circle": _circle, "pendulum": _pendulum, "zigzag": _zigzag}[path](travelled, start, angle)
    return 0.5 + REACH * direction * x, 0.5 + REACH * y


# Each path gives x, y in −1..1 after a travelled distance in the same unit, for direction 1.


def _line(travelled: NDArray, start: Any, angle: Any) -> tuple[NDArray, NDArray]:
    across, down = start
    return _reflect(2 * across - 1 + travelled * np.cos(angle)), _reflect(2 * down - 1 + travelled * np.sin(angle))


def _circle(travelled: NDArray, start: Any, angle: Any) -> tuple[NDArray, NDArray]:
    turn = travelled + 2 * math.pi * start[0]
    return np.cos(turn), np.sin(turn)


def _pendulum(travelled: NDArray, start: Any, angle: Any) -> tuple[NDArray, NDArray]:
    length = 1 / math.sin(SWING)
    phase = travelled * math.pi / (2 * SWING * length) + math.pi * (start[0] - 0.5)
    swing = SWING * np.sin(phase)
    drop = length * (1 - math.cos(SWING))
    return length * np.sin(swing), length * np.cos(swing) - length + drop / 2


def _zigzag(travelled: NDArray, start: Any, angle: Any) -> tuple[NDArray, NDArray]:
    strokes, height = ZIGZAG
    across = 2 * start[0] - 1 + travelled / math.hypot(1, strokes * height)
    return _reflect(across), height * _reflect(strokes * across)


def _reflect(x: NDArray) -> NDArray:
    """A point going at speed 1 that bounces off walls at −1 and 1; itself in between."""
    return 1 - np.abs((x + 1) % 4 - 2)


def draw_video(factors: Factors, num_frames: int, height: int, width: int, fps: float = FPS) -> NDArray[np.uint8]:
    """Draw a video with smooth edges, uint8 `[T, H, W, 3]`; `fps` is how finely the same motion is shown."""
    side = min(height, width)
    x, y = position(factors, np.arange(num_frames) * (FPS / fps))
    across, down = _offsets(x, y, height, width)
    inside = np.clip(0.5 - _distance(factors.shape, across, down, SIZES[factors.size] * side), 0, 1)
    mark = _texture(factors.texture, across / side, down / side, side)
    color = np.array(COLORS[factors.color], np.float32)
    shape = color * (1 - 0.55 * mark[..., None])
    background = _background(factors, height, width)
    frames = background + inside[..., None] * (shape - background)
    return (frames + 0.5).astype(np.uint8)


def draw_masks(shape: str, center: NDArray, area: NDArray, height: int, width: int) -> NDArray[np.float32]:
    """How much of each pixel a shape covers, `[T, H, W]`, 0..1, given where it is and how much of the frame it covers.

    Args:
        center: `[T, 2]`, x and y as fractions of the width and height.
        area: `[T]`, fractions of the frame.
    """
    radius = (size_of_area(shape, area, height, width) * min(height, width))[:, None, None].astype(np.float32)
    across, down = _offsets(center[:, 0], center[:, 1], height, width)
    return np.clip(0.5 - _distance(shape, across, down, radius), 0, 1)


def size_of_area(shape: str, area: NDArray, height: int, width: int) -> NDArray[np.float64]:
    """The size, as in `SIZES`, of a shape that covers so much of the frame."""
    area_of_unit = {"circle": math.pi, "triangle": 3 * math.sqrt(3) / 4}.get(shape, 4 * SLIMNESS) * RADII[shape] ** 2
    return np.sqrt(area * height * width / area_of_unit) / min(height, width)


def _offsets(x: NDArray, y: NDArray, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of each pixel from the centers x, y `[T]`, in pixels: across `[T, 1, W]`, down `[T, H, 1]`."""
    across = (np.arange(width, dtype=np.float32) + 0.5) - (x[:, None, None] * width).astype(np.float32)
    down = (np.arange(height, dtype=np.float32)[:, None] + 0.5) - (y[:, None, None] * height).astype(np.float32)
    return across, down


def _distance(shape: str, across: NDArray, down: NDArray, radius: float | NDArray) -> NDArray:
    """Signed distance to the shape's edge in pixels, negative inside; exact near edges."""
    radius = radius * RADII[shape]
    if shape == "circle":
        return np.hypot(across, down) - radius
    if shape == "triangle":  # inside where all three edges are below
        sides = [across * math.sin(turn) - down * math.cos(turn) for turn in (math.pi / 3, math.pi, -math.pi / 3)]
        return np.maximum.reduce(np.broadcast_arrays(*sides)) - radius / 2
    long, short = np.abs(across), np.abs(down)
    if shape == "pillar":
        long, short = short, long
    return np.maximum(long - radius, short - radius * SLIMNESS)


def _texture(texture: str, across: NDArray, down: NDArray, side: int) -> NDArray:
    """How dark the shape is marked, 0..1, in a pattern that moves with it."""
    if texture == "plain":
        return np.zeros(np.broadcast_shapes(across.shape, down.shape), np.float32)
    if texture == "stripes":
        period = np.float32(0.22)
        offset = (across + down) * np.float32(math.sqrt(0.5)) / period
        distance = (np.abs((offset % 1) - 0.5) - 0.25) * period
    else:
        distance = np.hypot(across, down) - np.float32(0.1)
    return np.clip(0.5 - distance * side, 0, 1)


def _background(factors: Factors, height: int, width: int) -> NDArray:
    """`[H, W, 3]`, 0..255: one pale color."""
    color = 255 * np.array(colorsys.hsv_to_rgb(factors.background_hue, 0.12, 0.95), np.float32)
    return np.broadcast_to(color, (height, width, 3))


@dataclass(frozen=True)
class Measurement:
    """What `measure` found.

    Attributes:
        mask: `[T, H, W]`, 0..1, how much of a pixel belongs to the shape.
        center: `[T, 2]`, x and y as fractions of width and height; NaN in frames without a shape.
        area: `[T]`, fraction of the frame that the shape covers.
        color: `[3]`, 0..255, mean over the shape and all frames; NaN if no frame has a shape.
        color_name: the nearest name of `COLORS` by hue, or None.
    """

    mask: NDArray[np.float64]
    center: NDArray[np.float64]
    area: NDArray[np.float64]
    color: NDArray[np.float64]
    color_name: str | None


def measure(video: NDArray[np.uint8]) -> Measurement:
    """Find the shape in every frame of a drawn or generated video, uint8 `[T, H, W, 3]`.

    The background of a frame is a plane fitted to its less colorful pixels; the shape is what stands clearly
    apart from it.
    """
    frames = np.asarray(video, dtype=np.float64)
    height, width = frames.shape[1:3]
    x = np.broadcast_to((np.arange(width) + 0.5) / width, (height, width))
    y = np.broadcast_to(((np.arange(height) + 0.5) / height)[:, None], (height, width))
    plane = np.stack([np.ones_like(x), x, y], axis=-1).reshape(-1, 3)
    mask = np.stack([_foreground(frame, plane) for frame in frames])
    center, area = np.full((len(frames), 2), np.nan), np.zeros(len(frames))
    colors = []
    for index, (frame, weight) in enumerate(zip(frames, mask, strict=True)):
        area[index] = weight.mean()
        if area[index] > 0:
            center[index] = [np.average(x, weights=weight), np.average(y, weights=weight)]
            colors.append(np.average(frame.reshape(-1, 3), axis=0, weights=weight.ravel()))
    if not colors:
        return Measurement(mask, center, area, np.full(3, np.nan), None)
    color = np.mean(colors, axis=0)
    return Measurement(mask, center, area, color, _nearest_hue(color))


def _foreground(frame: NDArray, plane: NDArray) -> NDArray:
    """`[H, W]`, 0..1: how much of a pixel belongs to the shape. All zero if nothing stands out."""
    pixels = frame.reshape(-1, 3)
    colorfulness = np.ptp(pixels, axis=1)
    calm = colorfulness <= np.quantile(colorfulness, 0.6)
    fit = np.linalg.lstsq(plane[calm], pixels[calm], rcond=None)[0]
    contrast = np.linalg.norm(pixels - plane @ fit, axis=1)
    strongest = np.quantile(contrast, 0.98)
    if strongest < 60:
        return np.zeros(frame.shape[:2])
    return np.clip(contrast / strongest / 0.3 - 0.6, 0, 1).reshape(frame.shape[:2])


def _nearest_hue(color: NDArray) -> str:
    return tuple(COLORS)[int(hue_distances(color).argmin())]


def hue_distances(rgb: NDArray) -> NDArray[np.float64]:
    """Between pixels `[..., 3]` and each of `COLORS`, `[..., 6]`, around the color wheel: 0..0.5. Grey is red."""
    hues = np.stack([_hue(np.array(color, np.float64)) for color in COLORS.values()])
    return np.abs((_hue(rgb)[..., None] - hues + 0.5) % 1 - 0.5)


def _hue(rgb: NDArray) -> NDArray[np.float64]:
    """0..1 around the color wheel."""
    red, green, blue = np.moveaxis(np.asarray(rgb, np.float64), -1, 0)
    return np.arctan2(math.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * math.pi) % 1


def make_shapes(
    dest: Path | str,
    *,
    num_videos: int = 512,
    num_frames: int = 64,
    resolution: tuple[int, int] = (32, 32),
    seed: int = 0,
    quality: int | None = 95,
) -> None:
    """Write the embedded dataset to `dest`, a zip that training reads; each record carries its factors.

    Args:
        resolution: height, width.
        seed: video number i depends on `seed` and i alone, so a larger set begins with a smaller one.
        quality: of the JPEG frames, or None for PNG.

    Raises:
        StyleganvError: if `dest` cannot be written.
    """
    height, width = resolution

    def videos() -> Iterator[tuple[str, NDArray[np.uint8], None, dict[str, Any]]]:
        for index in tqdm(range(num_videos), desc="drawing shapes", unit="video"):
            factors = sample_factors(np.random.default_rng([seed, index]))
            yield (
                f"shapes{index:05d}",
                draw_video(factors, num_frames, height, width),
                None,
                {"factors": asdict(factors)},
            )

    write_dataset(dest, videos(), height=height, width=width, fps=FPS, jpeg_quality=quality, class_names=[])
