"""Frames as images for the browser: uint8 RGB `[H, W, 3]`, lossless where this is small and fast enough."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from styleganv.data.frames import encode_frame
from styleganv.video_model import Frame

JPEG_QUALITY = 95
#: Largest image that is sent lossless: 1 ms at 64² and 3 ms at 128², where a JPEG takes 0.1 ms.
MAX_LOSSLESS_PIXELS = 128 * 128
#: Of the sprites of thumbnails, 0 to 100.
SPRITE_QUALITY = 80


def encode_image(frame: Frame) -> tuple[str, bytes]:
    """Return the media type and the bytes of a frame: lossless WebP up to 128², JPEG above."""
    if frame.shape[0] * frame.shape[1] > MAX_LOSSLESS_PIXELS:
        return "image/jpeg", encode_frame(frame, JPEG_QUALITY)
    # Other methods take 3 to 20 times as long for 10% less; at method 0 the effort (`quality`) changes nothing.
    return "image/webp", _encode_webp(frame, lossless=True, method=0, quality=0)


def encode_sprite(frames: Sequence[Frame]) -> bytes:
    """Return frames side by side as one WebP."""
    return _encode_webp(np.concatenate(frames, axis=1), method=2, quality=SPRITE_QUALITY)


def reduce_frame(frame: Frame, size: int) -> Frame:
    """Return a frame reduced to at most `size` pixels on its longer side; a smaller one as it is."""
    scale = size / max(frame.shape[:2])
    if scale >= 1:
        return frame
    height, width = (max(1, round(side * scale)) for side in frame.shape[:2])
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))


def _encode_webp(frame: Frame, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="WEBP", **options)
    return buffer.getvalue()
