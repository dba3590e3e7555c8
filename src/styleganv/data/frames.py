"""Frames as JPEG or PNG: uint8 RGB `[H, W, 3]` in 0..255."""

import io

import numpy as np
from PIL import Image

from styleganv.media.files import ZIP_ERRORS

try:
    import simplejpeg
except ImportError:  # no wheel for this platform; Pillow is slower
    simplejpeg = None

#: Errors of damaged entries of a zip and of damaged images.
FRAME_ERRORS = (*ZIP_ERRORS, KeyError, OSError, Image.DecompressionBombError)


def encode_frame(frame: np.ndarray, jpeg_quality: int | None) -> bytes:
    """Encode a uint8 `[H, W, 3]` frame as JPEG without chroma subsampling, or as PNG if `jpeg_quality` is None."""
    if jpeg_quality is not None and simplejpeg is not None:
        pixels = np.ascontiguousarray(frame)
        return simplejpeg.encode_jpeg(pixels, quality=jpeg_quality, colorspace="RGB", colorsubsampling="444")
    buffer = io.BytesIO()
    if jpeg_quality is None:
        Image.fromarray(frame).save(buffer, format="PNG")
    else:
        Image.fromarray(frame).save(buffer, format="JPEG", quality=jpeg_quality, subsampling=0)
    return buffer.getvalue()


def decode_frame(data: bytes) -> np.ndarray:
    """Decode JPEG or PNG bytes to uint8 `[H, W, 3]`. Raises ValueError or OSError if damaged."""
    if simplejpeg is not None and data[:2] == b"\xff\xd8":
        return simplejpeg.decode_jpeg(data, colorspace="RGB")
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def recompress(clips: np.ndarray, jpeg_quality: int) -> np.ndarray:
    """Return uint8 frames `[..., 3, H, W]` as they look once stored by `encode_frame`."""
    frames = clips.reshape(-1, *clips.shape[-3:]).transpose(0, 2, 3, 1)
    stored = np.stack([decode_frame(encode_frame(frame, jpeg_quality)) for frame in frames])
    return np.ascontiguousarray(stored.transpose(0, 3, 1, 2)).reshape(clips.shape)


def frame_size(data: bytes) -> tuple[int, int]:
    """Return height and width from the header of a JPEG or PNG, without decoding it. Raises like `decode_frame`."""
    if simplejpeg is not None and data[:2] == b"\xff\xd8":
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        return height, width
    with Image.open(io.BytesIO(data)) as image:
        return image.height, image.width
