"""Limits of an uploaded video, checked in the process of the search that decodes it."""

from pathlib import Path

import av
from PIL import Image

#: An 8K video has 33 million pixels per frame.
MAX_PIXELS = 7680 * 4320
MAX_SECONDS = 3600.0


def check_upload(path: Path | str) -> None:
    """Exit with one sentence if the header of a video states frames too large or a duration too long."""
    try:
        if Path(path).suffix == ".webp":
            with Image.open(path) as image:
                size, seconds = image.size, 0.0
        else:
            # A playlist must not open other files.
            with open(path, "rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
                stream = container.streams.video[0]
                size, seconds = (stream.width, stream.height), float((container.duration or 0) / av.time_base)
    except (av.FFmpegError, OSError, IndexError, ValueError, Image.DecompressionBombError):
        return  # The command says what is wrong with it.
    if size[0] * size[1] > MAX_PIXELS:
        raise SystemExit(
            f"styleganv: {path} has frames of {size[0]}x{size[1]}, but uploads are limited to {MAX_PIXELS:,} pixels "
            "per frame: scale it down."
        )
    if seconds > MAX_SECONDS:
        raise SystemExit(
            f"styleganv: {path} is {seconds:.0f} s long, but uploads are limited to {MAX_SECONDS:.0f} s: cut it."
        )
