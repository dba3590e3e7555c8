"""Drawn scenes of several small heads that move independently; `scene_recognition.py` recognizes them in a video.

Each head has one color of a palette, and an aperiodic motion of its own around a home. Heads may cover each other;
which one is in front does not change. At rest they are apart.

Lengths are in shorter frame sides, x to the right and y down; times are in frames at 25 fps.
Shapes: T frames, H height, W width; videos are uint8 `[T, H, W, 3]` in 0..255.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from styleganv.data.dataset_writer import write_dataset
from styleganv.faces.detection import pixel_positions
from styleganv.faces.drawing import CHUNK, DARK, pale_color
from styleganv.faces.factors import FPS, smooth_noise
from styleganv.files import check_destination
from styleganv.progress import Progress, track
from styleganv.validation import Count, Fraction, Interval, Seed, Side, check_arguments

Array = NDArray[np.float64]

#: Colors of heads.
COLORS = {
    "red": (214, 48, 48),
    "yellow": (222, 190, 40),
    "green": (56, 158, 62),
    "blue": (48, 92, 212),
    "purple": (150, 56, 190),
}
RADII = (0.11, 0.15)
#: Range of the homes along both axes, and their minimum distance relative to the sum of two radii.
HOMES, MIN_DISTANCE = (0.18, 0.82), 1.15
#: Frames between two knots of a head's motion along each axis, and its standard deviation.
MOTION_FRAMES, MOTION = 18, 0.05
#: Eyes: distance from the middle and height in the head, and radius, relative to that of the head.
EYE_X, EYE_Y, EYE = 0.36, 0.15, 0.2

NumHeads = Annotated[int, Interval(1, 4)]


@dataclass(frozen=True)
class Head:
    """A head of a scene: a color of `COLORS`, its radius and its home."""

    color: str
    radius: float
    x: float
    y: float


@dataclass(frozen=True)
class Scene:
    """Content of a video: hue of the pale background, and the heads, the one in front last."""

    background_hue: Fraction
    heads: tuple[Head, ...]


def sample_scene(rng: np.random.Generator, num_heads: int) -> Scene:
    """Sample colors and radii independently and uniformly, and homes that are apart."""
    while True:
        colors = rng.choice(list(COLORS), num_heads)
        radii, (x, y) = rng.uniform(*RADII, num_heads), rng.uniform(*HOMES, (2, num_heads))
        distances = np.hypot(x[:, None] - x, y[:, None] - y) + np.eye(num_heads)
        if (distances >= MIN_DISTANCE * (radii[:, None] + radii)).all() or num_heads == 1:
            break
    heads = tuple(Head(str(c), float(r), float(a), float(b)) for c, r, a, b in zip(colors, radii, x, y, strict=True))
    return Scene(float(rng.random()), heads)


def scene_positions(scene: Scene, motion_seed: int, times: Array) -> Array:
    """Return the centers of the heads at `times [T]`, `[T, K, 2]` for K heads."""
    centers = [
        [
            home + MOTION * smooth_noise(np.random.default_rng([motion_seed, k, axis]), times / MOTION_FRAMES)
            for axis, home in enumerate((head.x, head.y))
        ]
        for k, head in enumerate(scene.heads)
    ]
    return np.moveaxis(np.array(centers), 2, 0)


def draw_scene(scene: Scene, motion_seed: int, num_frames: int, height: int, width: int) -> NDArray[np.uint8]:
    """Draw a video `[T, H, W, 3]` at 25 fps; the motion seed is independent of the scene."""
    positions = scene_positions(scene, motion_seed, np.arange(num_frames, dtype=np.float64))
    return np.concatenate(
        [_draw(scene, positions[first : first + CHUNK], height, width) for first in range(0, num_frames, CHUNK)]
    )


def _draw(scene: Scene, positions: Array, height: int, width: int) -> NDArray[np.uint8]:
    canvas = np.empty((len(positions), height, width, 3))
    canvas[:] = pale_color(scene.background_hue)
    across, down = pixel_positions(height, width)
    side = min(height, width)
    for head, centers in zip(scene.heads, np.moveaxis(positions, 1, 0), strict=True):
        u, v = ((each - c[:, None, None]) / head.radius for each, c in zip((across, down), centers.T, strict=True))
        eyes = np.hypot(np.abs(u) - EYE_X, v + EYE_Y) - EYE
        for color, distance in ((COLORS[head.color], np.hypot(u, v) - 1), (DARK, eyes)):
            cover = np.clip(0.5 - distance * head.radius * side, 0, 1)[..., None]
            canvas += cover * (np.array(color) - canvas)
    return (canvas + 0.5).astype(np.uint8)


@check_arguments
def make_scenes(
    dest: Path | str,
    *,
    num_videos: Count = 512,
    num_frames: Count = 64,
    num_heads: tuple[NumHeads, NumHeads] = (2, 4),
    resolution: tuple[Side, Side] = (64, 64),
    seed: Seed = 0,
    jpeg_quality: Annotated[int, Interval(1, 100)] | None = 95,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write a dataset of scenes to the zip `dest`; each record holds the video's scene and motion seed.

    Args:
        num_heads: minimum and maximum number of heads, all equally frequent.
        resolution: height and width in pixels.
        seed: random seed; video i depends only on `seed` and i, so a larger dataset begins with a smaller one.
        jpeg_quality: quality of the JPEG frames, 1..100, or None for PNG.

    Raises:
        StyleganvError: if `dest` exists or cannot be written.
    """
    check_destination(dest, overwrite=overwrite)
    height, width = resolution

    def videos() -> Iterator[tuple[str, NDArray[np.uint8], None, dict[str, Any]]]:
        for index in track(range(num_videos), progress, num_videos, "drawing scenes"):
            rng = np.random.default_rng([seed, index])
            scene = sample_scene(rng, int(rng.integers(num_heads[0], num_heads[1] + 1)))
            motion_seed = int(rng.integers(2**31))
            frames = draw_scene(scene, motion_seed, num_frames, height, width)
            yield f"scene{index:05d}", frames, None, {"scene": asdict(scene) | {"motion_seed": motion_seed}}

    write_dataset(dest, videos(), height=height, width=width, fps=FPS, jpeg_quality=jpeg_quality, overwrite=overwrite)
