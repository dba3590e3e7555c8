"""The sources of a studio: their unique names, and the thread that follows runs in training."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from styleganv.data.dataset import VideoDataset
from styleganv.motion_report.diagnose import training_data
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_source import RealVideoSource, VideoSource
from styleganv.studio.work_queue import Priority, QueueClosedError, Turn

logger = logging.getLogger(__name__)

#: Interval between checks for new weights of runs.
REFRESH_SECONDS = 2.0
#: Added to the nice value of the thread that loads weights.
NICENESS = 10


def open_sources(paths: Sequence[Path | str], *, device: str | None = None) -> list[VideoSource]:
    """Return the models, followed by each training dataset that still exists."""
    models = [StudioModel(path, device=device) for path in paths]
    datasets = dict.fromkeys(filter(None, map(training_data, paths)))
    sources: list[VideoSource] = [*models, *(RealVideoSource(VideoDataset(path)) for path in datasets)]
    make_names_unique(sources)
    return sources


def make_names_unique(sources: Sequence[VideoSource]) -> None:
    """Add a number to each name that an earlier source has: the same ones for the same paths in the same order."""
    names: set[str] = set()
    for source in sources:
        name, number = source.name, 1
        while source.name in names:
            number += 1
            source.name = f"{name} ({number})"
        names.add(source.name)


class SourceWatcher:
    """A thread that loads new weights of runs, and drops what viewers no longer need.

    Args:
        on_change: called in the thread after the list of sources, or what is known of one, has changed.
    """

    def __init__(self, sources: Sequence[VideoSource], on_change: Callable[[], None]) -> None:
        self._sources, self._on_change = sources, on_change
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sources", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after it has loaded what it is loading."""
        self._is_closing.set()
        self._thread.join()

    def _watch(self) -> None:
        lower_priority()
        before = self._versions()
        while not self._is_closing.wait(REFRESH_SECONDS):
            for source in list(self._sources):
                try:
                    source.refresh()
                    drop_stale_streams(source)
                except QueueClosedError:
                    return
                except Exception:
                    logger.exception("Cannot update %s:", source.name)
            if (versions := self._versions()) != before:
                before = versions
                self._on_change()

    def _versions(self) -> list[tuple[str, str]]:
        return [(source.name, source.version) for source in list(self._sources)]


def drop_stale_streams(source: VideoSource) -> None:
    """Let the source's thread drop what streams hold of earlier weights, or of viewers that have paused."""

    def drop(_: Turn) -> None:
        for stream in list(source.streams):
            stream.drop()

    if source.streams:
        source.queue.submit(Priority.THUMBNAILS, source, drop)  # The turns of viewers do not end for it.


def lower_priority() -> None:
    """Let the other threads of this process go first, and those that PyTorch starts for this one, where possible."""
    if sys.platform == "linux":  # Elsewhere the priority is that of the whole process.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
