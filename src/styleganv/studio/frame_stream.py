"""Consecutive frames of a source, continued from one request of a viewer to the next."""

import time
from collections.abc import Callable, Iterator

from styleganv.studio.video_source import VideoSource
from styleganv.timeline.notation import VideoParams
from styleganv.timeline.timeline import Timeline
from styleganv.video_model import Frame

#: After this time without a request, a stream forgets its cached layers.
MAX_IDLE_SECONDS = 60.0


class FrameStream:
    """One viewer's stream: continues where the last request ended, and restarts where the next one jumps."""

    def __init__(self, source: VideoSource) -> None:
        self.source = source
        self._key: tuple[VideoParams | Timeline, float, str] | None = None
        self._time, self._last_read = 0.0, time.monotonic()
        self._frames: Iterator[Frame] = iter(())
        source.streams.add(self)

    def read(
        self,
        params: VideoParams | Timeline,
        *,
        start: float,
        fps: float,
        num_frames: int,
        is_over: Callable[[int], bool] = lambda _: False,
    ) -> list[Frame]:
        """Return up to `num_frames` frames from `start` on.

        There are fewer at the end of a finite video, and once `is_over` returns true for a number of frames.
        """
        key = (params, fps, self.source.version)
        # Kept until the first new frame exists: both streams share cached layers, which would be computed again.
        previous = self._frames
        if key != self._key or abs(start - self._time) > 1e-6:
            self._key = None  # in case the source fails
            self._frames = self.source.frames(params, start=start, fps=fps)
        frames: list[Frame] = []
        while len(frames) < num_frames and not (frames and is_over(len(frames))):
            frame = next(self._frames, None)
            if frame is None:
                break
            frames.append(frame)
        del previous
        self._key, self._time, self._last_read = key, start + len(frames) / fps, time.monotonic()
        return frames

    def drop(self) -> None:
        """Forget layers of earlier weights, and those that the viewer has not needed for a while."""
        is_idle = time.monotonic() - self._last_read > MAX_IDLE_SECONDS
        if self._key is not None and (is_idle or self._key[-1] != self.source.version):
            self._key, self._frames = None, iter(())
