"""Splitting of takes at cuts, found by the adaptive detector of PySceneDetect (`pip install 'styleganv[scenes]'`)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from styleganv.data.takes import TOLERANCE, Take
from styleganv.errors import StyleganvError
from styleganv.media.decoding import DecodedFrame

#: Longer side of the frames that are searched, in pixels.
SEARCH_SIDE = 256
#: Frames before and after each one that the detector compares it with.
WINDOW = 2


def make_detector() -> Any:
    """Return a new detector of cuts; also tells early whether there is one.

    Raises:
        StyleganvError: if PySceneDetect is not installed.
    """
    try:
        from scenedetect.detectors import AdaptiveDetector
    except ImportError as error:  # of the package, or of a library that OpenCV needs
        raise StyleganvError(
            f"--split-scenes requires PySceneDetect ({error}): run pip install 'styleganv[scenes]'."
        ) from error
    return AdaptiveDetector(min_scene_len=1, window_width=WINDOW)


def find_cuts(frames: Iterable[DecodedFrame]) -> list[float]:
    """Return the times in seconds of the first frame after each cut; the frames before damage are searched."""
    from scenedetect import FrameTimecode

    detector, times, cuts = make_detector(), [0.0] * WINDOW, []

    def search(pixels: np.ndarray, time: float) -> None:
        times.append(time)
        cuts.extend(detector.process_frame(FrameTimecode(len(times) - 1, 25.0), pixels))

    last = None
    try:
        for frame in frames:
            step = -(-max(frame.pixels.shape) // SEARCH_SIDE)
            pixels = np.ascontiguousarray(frame.pixels[::step, ::step, ::-1])  # OpenCV has blue first
            # The ends are repeated, because the detector finds nothing in its window there.
            for _ in range(1 if last is not None else 1 + WINDOW):
                search(pixels, frame.time)
            last = frame.time, pixels
    except StyleganvError:
        pass  # the encoder reports it
    if last is not None:
        for _ in range(WINDOW):
            search(last[1], last[0])
    return [times[cut.frame_num] for cut in cuts]


def split_at(take: Take, cuts: Iterable[float], seconds: float) -> list[Take]:
    """Return one take per scene; the take itself without a cut in it.

    Args:
        cuts: times in a source of this duration in seconds.
    """
    start, stop = take.span(seconds)
    inner = [cut for cut in cuts if start + TOLERANCE < cut < stop - TOLERANCE]
    if not inner:
        return [take]
    starts, stops = [start, *inner], [*inner, take.stop if take.stop is None else stop]
    pieces = enumerate(zip(starts, stops, strict=True))
    return [replace(take, name=f"{take.name}_scene{i:03d}", start=low, stop=high) for i, (low, high) in pieces]
