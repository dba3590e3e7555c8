"""Sources of video that the page can play: the interface, and the real videos of a dataset.

Times are in seconds. Shapes: H height, W width.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

import numpy as np

from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.media import sheets
from styleganv.studio.access import public_name
from styleganv.studio.work_queue import WorkQueue
from styleganv.timeline.notation import Term, VideoParams
from styleganv.timeline.timeline import Timeline
from styleganv.video_model import Frame

if TYPE_CHECKING:
    from styleganv.studio.frame_stream import FrameStream

#: Part of each version: what search results and directions are depends on the studio that found them.
SESSION = token_hex(4)


@dataclass(frozen=True)
class SourceMetadata:
    """What the page needs to know of a source to offer the controls that apply to it.

    Attributes:
        name: unique among the sources of a studio.
        kind: a model, a run (a model that may still be trained, with a log), or real videos.
        title: of the method, or "real videos".
        ready: False for a run that has not saved weights yet.
        loaded: False for a run whose weights are not in memory, until it is played; only its name, title and size are
            known.
        version: changes with the weights, and from one studio to the next.
        class_names: empty unless each video has one class.
        label_hint: names of the classes or numbers that a label as text may have; empty for other models.
        num_layers: number of style layers; 0 if the source has no latents to edit.
        max_seconds: duration of the longest video; None if videos are endless.
    """

    name: str
    kind: Literal["model", "run", "real"]
    title: str
    width: int
    height: int
    fps: float
    version: str = ""
    ready: bool = True
    loaded: bool = True
    class_names: tuple[str, ...] = ()
    label_hint: str = ""
    num_layers: int = 0
    max_seconds: float | None = None
    supports_any_fps: bool = False
    supports_motion_seed: bool = False
    supports_truncation: bool = False
    is_image_model: bool = False


class VideoSource(ABC):
    """Something that the page can play.

    Attributes:
        path: as the user gave it.
        name: the path as clients see it; `open_sources` makes it unique.
        version: changes with the weights.
        queue: all work with the source, in one thread.
        streams: the streams of its viewers.
    """

    path: str

    @property
    def version(self) -> str:
        return SESSION

    @cached_property
    def name(self) -> str:
        return public_name(self.path)

    @cached_property
    def queue(self) -> WorkQueue:
        return WorkQueue(self.path)

    @cached_property
    def streams(self) -> "WeakSet[FrameStream]":
        return WeakSet()

    @abstractmethod
    def metadata(self) -> SourceMetadata:
        """Return what the page needs to know."""

    @abstractmethod
    def frames(self, params: VideoParams | Timeline, *, start: float, fps: float) -> Iterator[Frame]:
        """Return the frames `[H, W, 3]` from `start` on, in constant memory; of a grid, all cells in one frame.

        Raises:
            StyleganvError: if the source cannot show these parameters.
        """

    def refresh(self) -> None:
        """Load newer weights, if there are any, and replace the present ones; one thread calls it every few seconds."""
        return

    def direction_names(self) -> list[str]:
        """Return the names of the directions that can be edited, e.g. "content 1" and "motion 3"."""
        return []


class RealVideoSource(VideoSource):
    """The real videos of a dataset. The content seed selects one of them, which repeats."""

    def __init__(self, dataset: VideoDataset) -> None:
        self.dataset, self.path = dataset, str(dataset.path)
        self.name = f"real: {dataset.path.name}"

    def metadata(self) -> SourceMetadata:
        data = self.dataset
        return SourceMetadata(self.name, "real", "real videos", data.width, data.height, data.fps)

    def frames(self, params: VideoParams | Timeline, *, start: float, fps: float) -> Iterator[Frame]:
        data, (rows, columns) = self.dataset, params.grid
        terms = params.content if isinstance(params, VideoParams) else params.stated("content", (Term(0),))[0][1]
        first = terms[0].source if isinstance(terms[0].source, int) else 0
        videos = [(first + i) % len(data) for i in range(rows * columns)]
        for i in count():
            index = int((start + i / fps) * data.fps + 1e-6)
            cells = [data.read(video, [index % data.videos[video].num_frames])[0] for video in videos]
            images = np.stack(cells).transpose(0, 2, 3, 1)
            yield sheets.tile(images.reshape(rows, columns, *images.shape[1:]))


def find_source(sources: Sequence[VideoSource], name: Any) -> VideoSource:
    """Return a source by its name. Raises StyleganvError if there is none."""
    for source in sources:
        if source.name == name:
            return source
    raise StyleganvError(f"{name} is not open in this studio: select another model.")
