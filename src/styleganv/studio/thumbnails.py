"""Thumbnails of videos: a few small frames side by side in one image, which the page plays as a sprite."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from styleganv.errors import StyleganvError
from styleganv.studio.address import params_from_query
from styleganv.studio.images import encode_sprite, reduce_frame
from styleganv.studio.video_params import MAX_START_SECONDS, number
from styleganv.studio.video_source import VideoSource
from styleganv.studio.work_queue import Turn
from styleganv.timeline.notation import VideoParams
from styleganv.video_model import Frame

#: Thumbnails of a client that may wait at once for one model.
MAX_WAITING = 64
MIN_SIZE, MAX_SIZE = 8, 512
MAX_FRAMES = 16
MIN_STEP, MAX_STEP = 0.01, 60.0


@dataclass(frozen=True)
class ThumbnailParams:
    """What a thumbnail shows.

    Attributes:
        params: the video; of a grid, its first cell.
        start: time of the first frame, in seconds.
        size: pixels of the longer side of a frame.
        frames: number of frames.
        step: seconds of the video from one frame to the next.
    """

    params: VideoParams
    start: float = 0.0
    size: int = 64
    frames: int = 8
    step: float = 0.25

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "ThumbnailParams":
        """Return the parameters in the query of a URL. Raises StyleganvError if one is mistyped or out of range."""
        params = replace(params_from_query(query), grid=(1, 1))
        try:
            return cls(
                params=params,
                start=number(float(query.get("t", "0")), 0, MAX_START_SECONDS),
                size=int(number(int(query.get("size", "64")), MIN_SIZE, MAX_SIZE)),
                frames=int(number(int(query.get("frames", "8")), 1, MAX_FRAMES)),
                step=number(float(query.get("step", "0.25")), MIN_STEP, MAX_STEP),
            )
        except ValueError as error:
            raise StyleganvError(f"Invalid thumbnail ({error}): correct its address.") from error


def render_thumbnail(
    source: VideoSource, thumbnail: ThumbnailParams, turn: Turn, *, is_canceled: Callable[[], bool] = lambda: False
) -> bytes:
    """Return a sprite as WebP: the frames from left to right; the last one is repeated where the video ends.

    Viewers get their frames in between. Once `is_canceled` returns true, it returns no bytes.

    Raises:
        StyleganvError: if the source cannot show the parameters.
    """
    frames: list[Frame] = []
    videos: list[Iterator[Frame]] = []  # Kept until the end, because they share cached layers.
    for i in range(thumbnail.frames):
        turn.give_way()
        if is_canceled():
            return b""
        videos.append(_video_from(source, thumbnail, i))
        frames.append(reduce_frame(next(videos[-1]), thumbnail.size))
    return encode_sprite(frames)


def _video_from(source: VideoSource, thumbnail: ThumbnailParams, index: int) -> Iterator[Frame]:
    """Return the video from the time of one frame on, so that the source computes this frame alone."""
    start, data = thumbnail.start + index * thumbnail.step, source.metadata()
    if data.max_seconds is not None:
        start = min(start, data.max_seconds - 1 / data.fps)
    if not data.supports_any_fps:
        start = round(start * data.fps) / data.fps
    return source.frames(thumbnail.params, start=start, fps=data.fps)
