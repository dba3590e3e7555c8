"""Takes: which part of which source becomes one video of the dataset.

Trimming, cropping, labels, scenes and the rules of published datasets make lists of takes, or transform them;
`encoding.py` turns takes into frames. Nothing here decodes a video.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from styleganv.label_space import Label
from styleganv.media.sources import VideoSource

#: Times of takes are written with milliseconds, those of frames with microseconds.
TOLERANCE = 0.0005


@dataclass(frozen=True)
class Box:
    """A crop in pixels of the decoded, upright frame; `left` and `top` count from 0."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.left},{self.top},{self.width},{self.height}"

    def fits(self, height: int, width: int) -> bool:
        """Return whether the crop is inside a frame."""
        return self.left + self.width <= width and self.top + self.height <= height


@dataclass(frozen=True)
class Take:
    """One video of the dataset to be: a stretch of a source, cropped and labeled.

    Attributes:
        name: name in the dataset; '/' becomes '_' there, and a duplicate gets a number.
        source: the video that it is taken from.
        label: its label, or None.
        start: time of the first frame, in seconds from the start of the source, or if negative from its end.
        stop: time before which the take ends, like `start`; None for the end of the source.
        crop: part of each frame to use; None for all of it.
        mask: video of the same frames, white where the crop is to be; `masks.py` makes a crop of it.
    """

    name: str
    source: VideoSource
    label: Label | None = None
    start: float = 0.0
    stop: float | None = None
    crop: Box | None = None
    mask: VideoSource | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it lasts from the start to the end of its source."""
        return self.start == 0 and self.stop is None

    def span(self, seconds: float) -> tuple[float, float]:
        """Return start and stop from the start of a source of this duration; stop is infinite for its end."""
        start = self.start if self.start >= 0 else max(0.0, seconds + self.start)
        if self.stop is None:
            return start, float("inf")
        return start, self.stop if self.stop >= 0 else seconds + self.stop


def whole_takes(videos: Iterable[VideoSource], label_of: Mapping[str, Label]) -> list[Take]:
    """Return one take per source, all of it, with the labels by video name."""
    return [Take(video.name, video, label_of.get(video.name)) for video in videos]


def trim_and_crop(
    takes: Iterable[Take], trim: tuple[float | None, float | None] | None, crop: tuple[int, int, int, int] | None
) -> list[Take]:
    """Return takes with a start, stop and crop of the user's; what is None stays as it is.

    Args:
        trim: start and stop in seconds, as of a `Take`.
        crop: left, top, width and height in pixels.
    """
    start, stop = trim or (None, None)
    return [
        replace(
            take,
            start=take.start if start is None else start,
            stop=take.stop if stop is None else stop,
            crop=take.crop if crop is None else Box(*crop),
        )
        for take in takes
    ]


def by_source(takes: Iterable[Take]) -> list[Sequence[Take]]:
    """Return groups of successive takes of the same source, which is then decoded only once."""
    return [tuple(group) for _, group in groupby(takes, key=lambda take: take.source.name)]
