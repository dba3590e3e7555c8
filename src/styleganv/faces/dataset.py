"""Writes drawn faces as a dataset that training reads."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from styleganv.data.dataset import write_dataset
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import FPS, sample_face


def make_faces(
    dest: Path | str,
    *,
    num_videos: int = 512,
    num_frames: int = 64,
    resolution: tuple[int, int] = (64, 64),
    seed: int = 0,
    quality: int | None = 95,
) -> None:
    """Write a dataset of drawn faces to `dest`, a zip; each record carries the video's factors.

    Args:
        resolution: height, width in pixels.
        seed: video number i depends on `seed` and i alone, so a larger dataset begins with a smaller one.
        quality: of the JPEG frames, 1..100, or None for PNG.

    Raises:
        StyleganvError: if `dest` cannot be written.
    """
    height, width = resolution

    def videos() -> Iterator[tuple[str, NDArray[np.uint8], None, dict[str, Any]]]:
        for index in tqdm(range(num_videos), desc="drawing faces", unit="video"):
            rng = np.random.default_rng([seed, index])
            face, motion_seed = sample_face(rng), int(rng.integers(2**31))
            factors = asdict(face) | {"motion_seed": motion_seed}
            yield (
                f"face{index:05d}",
                draw_video(face, motion_seed, num_frames, height, width),
                None,
                {"factors": factors},
            )

    write_dataset(dest, videos(), height=height, width=width, fps=FPS, quality=quality, class_names=[])
