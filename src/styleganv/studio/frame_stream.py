"""Consecutive frames of a source, continued from one request of a viewer to the next."""

from collections.abc import Callable, Iterator

from styleganv.studio.video_source import VideoSource
from styleganv.timeline.notation import VideoParams
from styleganv.timeline.timeline import Timeline
from styleganv.video_model import Frame


class FrameStream:
    """One viewer's stream: continues where the last request ended, and restarts where the next one jumps."""

    def __init__(self, source: VideoSource) -> None:
        self.source = source
        self._key: tuple[VideoParams | Timeline, float, int] | None = None
        self._time = 0.0
        self._frames: Iterator[Frame] = iter(())

    def read(
        self,
        params: VideoParams | Timeline,
        *,
        start: float,
        fps: float,
        num_frames: int,
        is_canceled: Callable[[], bool] = lambda: False,
    ) -> list[Frame]:
        """Return up to `num_frames` frames from `start` on.

        There are fewer at the end of a finite video, and once `is_canceled` returns true after the first frame.
        """
        key = (params, fps, self.source.reload())
        # Kept until the first new frame exists: both streams share cached layers, which would be computed again.
        previous = self._frames
        if key != self._key or abs(start - self._time) > 1e-6:
            self._key = None  # in case the source fails
            self._frames = self.source.frames(params, start=start, fps=fps)
        frames: list[Frame] = []
        while len(frames) < num_frames and not (frames and is_canceled()):
            frame = next(self._frames, None)
            if frame is None:
                break
            frames.append(frame)
        del previous
        self._key, self._time = key, start + len(frames) / fps
        return frames
