"""The built-in dataset of drawn faces."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from styleganv.data.dataset_writer import write_dataset
from styleganv.errors import StyleganvError
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import FPS, OPTIONS, Face, sample_face
from styleganv.files import check_destination
from styleganv.progress import Progress, track
from styleganv.validation import Count, Fraction, Interval, Seed, Side, check, check_arguments


@check_arguments
def make_faces(
    dest: Path | str,
    *,
    num_videos: Count = 512,
    num_frames: Count = 64,
    resolution: tuple[Side, Side] = (64, 64),
    seed: Seed = 0,
    jpeg_quality: Annotated[int, Interval(1, 100)] | None = 95,
    fixed: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write a dataset of drawn faces to the zip `dest`; each record holds the video's ground-truth factors.

    Args:
        resolution: height and width in pixels.
        seed: random seed; video i depends only on `seed` and i, so a larger dataset begins with a smaller one.
        jpeg_quality: quality of the JPEG frames, 1..100, or None for PNG.
        fixed: factors of `Face` that all videos share, e.g. {"head": "wide", "hue": 0.3}.

    Raises:
        StyleganvError: if `dest` exists or cannot be written, or for an unknown factor or option.
    """
    check_destination(dest, overwrite=overwrite)
    fixed = dict(fixed or {})
    _check_factors(fixed)
    height, width = resolution

    def videos() -> Iterator[tuple[str, NDArray[np.uint8], None, dict[str, Any]]]:
        for index in track(range(num_videos), progress, num_videos, "drawing faces"):
            rng = np.random.default_rng([seed, index])
            face, motion_seed = replace(sample_face(rng), **fixed), int(rng.integers(2**31))
            meta = {"factors": asdict(face) | {"motion_seed": motion_seed}}
            yield f"face{index:05d}", draw_video(face, motion_seed, num_frames, height, width), None, meta

    write_dataset(dest, videos(), height=height, width=width, fps=FPS, jpeg_quality=jpeg_quality, overwrite=overwrite)


def _check_factors(fixed: Mapping[str, Any]) -> None:
    """Raise a StyleganvError for a factor that faces do not have, or an option that it does not have."""
    names = [field.name for field in fields(Face)]
    for name, value in fixed.items():
        if name not in names:
            raise StyleganvError(f"Unknown factor {name!r} of faces: choose one of {', '.join(names)}.")
        if name in OPTIONS and value not in OPTIONS[name]:
            raise StyleganvError(f"Unknown {name} {value!r}: choose one of {', '.join(OPTIONS[name])}.")
        if name not in OPTIONS:
            check(f"The factor {name}", value, Fraction)
