"""Layouts of frames on one image: contact sheets, content/motion grids, film strips.

Shapes: T frames, H height, W width, R rows and C columns of images, N videos. Frames are uint8 RGB `[H, W, 3]`.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from styleganv.media.encoders import Frame


def tile(images: NDArray[np.uint8], *, gap: int = 2, background: int = 255, scale: int = 1) -> Frame:
    """Return `[R, C, H, W, 3]` as one image.

    Args:
        gap: pixels between neighbors.
        background: gray value of the gaps, 0..255.
        scale: enlarges every pixel to a square of this many pixels per side.

    Returns:
        uint8 `[R (scale H + gap) − gap, C (scale W + gap) − gap, 3]`.
    """
    images = np.asarray(images).repeat(scale, axis=2).repeat(scale, axis=3)
    rows, columns, height, width, _ = images.shape
    padded = np.full((rows, columns, height + gap, width + gap, 3), background, np.uint8)
    padded[:, :, :height, :width] = images
    sheet = padded.transpose(0, 2, 1, 3, 4).reshape(rows * (height + gap), columns * (width + gap), 3)
    return np.ascontiguousarray(sheet[: len(sheet) - gap, : sheet.shape[1] - gap])


def tile_videos(videos: NDArray[np.uint8], *, gap: int = 2, background: int = 255, scale: int = 1) -> Iterator[Frame]:
    """Yield `[R, C, T, H, W, 3]` as the T frames of one video; see `tile`."""
    for t in range(videos.shape[2]):
        yield tile(videos[:, :, t], gap=gap, background=background, scale=scale)


def contact_sheet(videos: NDArray[np.uint8], columns: int = 8, *, gap: int = 2, scale: int = 1) -> Frame:
    """Return one row per video of `[N, T, H, W, 3]`, with evenly spaced frames from the first to the last."""
    return tile(videos[:, _evenly_spaced(videos.shape[1], columns)], gap=gap, scale=scale)


def _evenly_spaced(total: int, count: int) -> NDArray[np.intp]:
    return np.linspace(0, total - 1, min(count, total)).round().astype(np.intp)


def content_motion_grid(frames: NDArray[np.uint8]) -> Frame:
    """Return a labeled image of M motion codes of N content codes, `[M, N, T, H, W, 3]`.

    Each row is a motion code, each column a content code, and each cell a film strip of four evenly spaced frames.
    Frames below 64 pixels are enlarged, frames above 96 reduced.
    """
    num_rows, num_columns, total = frames.shape[:3]
    shown = frames[:, :, _evenly_spaced(total, 4)]
    return labeled_sheet(
        np.stack([[film_strip(cell) for cell in row] for row in shown]),
        rows=[f"motion {row + 1}" for row in range(num_rows)],
        columns=[f"content {column + 1}" for column in range(num_columns)],
        note="Time runs to the right inside each strip.",
    )


def film_strip(frames: NDArray[np.uint8]) -> Frame:
    """Return the frames of `[T, H, W, 3]` side by side, at a readable size."""
    return tile(_readable(frames)[None], gap=1)


def labeled_sheet(cells: NDArray[np.uint8], *, rows: Sequence[str], columns: Sequence[str], note: str = "") -> Frame:
    """Return `[R, C, H, W, 3]` as one image with row names, column names and a note at the top."""
    font = ImageFont.load_default(size=15)
    gap, top = 10, 52
    left = 20 + max(84 - 20, *(math.ceil(font.getlength(row)) for row in rows))
    sheet = tile(cells, gap=gap)
    width = max(left + sheet.shape[1] + gap, left + math.ceil(font.getlength(note)) + gap)
    image = Image.new("RGB", (width, top + sheet.shape[0] + gap), "white")
    image.paste(Image.fromarray(sheet), (left, top))
    draw = ImageDraw.Draw(image)
    draw.text((left, 6), note, fill=(110, 110, 110), font=font)
    for column, name in enumerate(columns):
        x = left + column * (cells.shape[3] + gap) + cells.shape[3] // 2
        draw.text((x, top - 6), name, fill="black", font=font, anchor="mb")
    for row, name in enumerate(rows):
        y = top + row * (cells.shape[2] + gap) + cells.shape[2] // 2
        draw.text((left - 8, y), name, fill="black", font=font, anchor="rm")
    return np.asarray(image)


def _readable(images: NDArray[np.uint8], smallest: int = 64, largest: int = 96) -> NDArray[np.uint8]:
    """Scale `[T, H, W, 3]` to a readable height; enlarged pixels stay squares."""
    height, width = images.shape[1:3]
    if height > largest:
        size = (max(1, round(width * largest / height)), largest)
        return np.stack([np.asarray(Image.fromarray(i).resize(size, Image.Resampling.LANCZOS)) for i in images])
    scale = -(-smallest // height)
    return images.repeat(scale, axis=1).repeat(scale, axis=2)
