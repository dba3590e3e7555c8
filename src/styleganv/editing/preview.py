"""Pictures of a long search: the best result so far, in a file that another program shows.

Shapes: H height, W width.
"""

import os
import time
from collections.abc import Callable

from PIL import Image

from styleganv.files import atomic_write
from styleganv.video_model import Frame

#: Set this environment variable to the path of a WebP file to get a picture of the best result so far.
PREVIEW_VARIABLE = "STYLEGANV_PREVIEW"
#: Minimum time between two pictures.
PREVIEW_SECONDS = 1.0

#: Called with a frame `[H, W, 3]`.
Preview = Callable[[Frame], None]


def preview_from_environment() -> Preview | None:
    """Return a function that writes frames to the file in `PREVIEW_VARIABLE`, at most one per second; None if unset."""
    path = os.environ.get(PREVIEW_VARIABLE)
    written = float("-inf")

    def show(frame: Frame) -> None:
        nonlocal written
        if path and time.monotonic() - written >= PREVIEW_SECONDS:
            with atomic_write(path, overwrite=True) as tmp_path:
                Image.fromarray(frame).save(tmp_path, "WEBP", lossless=True)
            written = time.monotonic()

    return show if path else None
