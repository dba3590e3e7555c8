"""Videos that a notebook shows, embedded in it.

Shapes: T frames, H height, W width, R rows and C columns of videos.
"""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from styleganv.errors import StyleganvError
from styleganv.media import page
from styleganv.media.enlarging import WATCHABLE, WATCHABLE_IN_GRID, watchable_scale
from styleganv.media.sheets import tile_videos
from styleganv.media.writing import check_video, write_video

#: Largest HTML of a video, in bytes.
MAX_BYTES = 1_000_000
#: What is tried to stay below: every nth row and column, and a constant rate factor of H.264.
_STEPS, _CRFS = (1, 2, 4, 8), (18, 28, 38)
#: A higher constant rate factor saves less than this.
_CRF_SAVES = 16


@dataclass(frozen=True, repr=False, eq=False)
class Video:
    """Frames that a notebook shows as a looping video: the last line of a cell, or an argument of `display`.

    Attributes:
        frames: uint8 `[T, H, W, 3]`, as `VideoModel.sample` returns; or `[R, C, T, H, W, 3]`, as `VideoModel.grid`.
        fps: frames per second.
        caption: text below.
    """

    frames: NDArray[np.uint8]
    fps: float
    caption: str = ""

    def __post_init__(self) -> None:
        shape = np.shape(self.frames)
        if len(shape) not in (4, 6) or shape[-1] != 3 or 0 in shape or self.frames.dtype != np.uint8:
            kind = f"{getattr(self.frames, 'dtype', type(self.frames).__name__)} {shape}"
            raise StyleganvError(f"Frames must be uint8 [T, H, W, 3] or [R, C, T, H, W, 3], got {kind}: pass an array.")
        check_video("video.mp4", self.fps)

    def __repr__(self) -> str:
        *grid, total, height, width, _ = self.frames.shape
        tiles = f"{grid[0]}x{grid[1]} videos of " if grid else ""
        return f"<Video: {tiles}{total} frames, {width}x{height} pixels, {self.fps:g} fps>"

    def _repr_html_(self) -> str:
        """Return a `<video>` of at most `MAX_BYTES`; if that is impossible, a sentence that says so."""
        *grid, _, height, width, _ = self.frames.shape
        scale = watchable_scale(height, width, WATCHABLE_IN_GRID if grid else WATCHABLE)
        for data in self._encodings():
            if len(data) * 4 / 3 + 2 * len(self.caption) + 1000 <= MAX_BYTES:
                label = self.caption or repr(self)
                columns = grid[1] if grid else 1
                tag = page.video_tag(page.data_uri("video/mp4", data), label, width=columns * width * scale)
                return f"<div>{tag}<br>{html.escape(self.caption)}</div>"
        return f"<pre>{html.escape(repr(self))} is too long to be embedded: write it to a file.</pre>"

    def _encodings(self) -> Iterator[bytes]:
        """Yield mp4 files: ever more compressed, then ever smaller."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "video.mp4"
            for step in _STEPS:
                frames = self.frames[..., ::step, ::step, :]
                for crf in _CRFS:
                    tiled = iter(frames) if frames.ndim == 4 else tile_videos(frames)
                    write_video(path, tiled, self.fps, crf=crf, overwrite=True)
                    yield path.read_bytes()
                    if path.stat().st_size > _CRF_SAVES * MAX_BYTES:
                        break
