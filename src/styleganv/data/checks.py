"""Problems of a dataset that make training fail, as sentences with a remedy; `inspect` shows them as warnings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from styleganv.data.dataset import VideoDataset, spread
from styleganv.data.footage import (
    SIGNATURE_FRAMES,
    find_blank,
    find_cut,
    find_duplicates,
    has_overlay,
    reduce_frames,
    signature,
)
from styleganv.data.reduced import ReducedVideo, read_reduced
from styleganv.media.sources import shorten
from styleganv.progress import Progress, track

#: Videos that are compared with each other; of a larger dataset, a sample.
MAX_COMPARED = 1000
#: With fewer videos, networks memorize them.
MIN_VIDEOS = 50
#: Frames of a video, and pixels of their shorter side, on which overlays are sought.
OVERLAY_FRAMES, OVERLAY_SIDE = 16, 128


def find_problems(data: VideoDataset, videos: Sequence[ReducedVideo], progress: Progress | None = None) -> list[str]:
    """Return one sentence per kind of problem.

    Args:
        videos: sample of the dataset in which cuts, blank frames, overlays and stills are sought.

    Raises:
        StyleganvError: if a frame is damaged.
    """
    cuts, blank, overlays = [], [], []
    for video in track(videos, progress, len(videos), "checking footage"):
        if (cut := _find_cut(data, video)) is not None:
            cuts.append(f"{video.name} at {cut / data.fps:.2f} s")
        if len(found := find_blank(video.frames)):
            blank.append(f"{video.name} at {video.times[found[0]] / data.fps:.2f} s")
        if has_overlay(_overlay_frames(data, video.index)):
            overlays.append(video.name)
    still = [video.name for video in videos if video.is_still]
    checks = {
        "contain a cut": (cuts, "prepare them with --split-scenes"),
        "contain frames of a single color": (blank, "cut those off with --trim, or remove the videos"),
        "show text or a logo that stays in place, which generated videos will imitate": (
            overlays,
            "cut it off with --crop, or remove the videos",
        ),
        "do not move": (still, "remove those that are damaged"),
    }
    problems = [
        f"{len(names)} of {len(videos)} videos {problem} ({shorten(names)}): {remedy}."
        for problem, (names, remedy) in checks.items()
        if names
    ]
    copies = find_copies(data, progress, MAX_COMPARED)
    if copies:
        problems.append(f"Some videos show nearly the same ({shorten(copies)}): remove one of each pair.")
    return [*problems, *_count(data)]


def find_copies(data: VideoDataset, progress: Progress | None = None, max_videos: int | None = None) -> list[str]:
    """Return the pairs of videos that show nearly the same, as "a = b"; compare at most `max_videos` of a sample."""
    indices = spread(len(data), max_videos or len(data)).tolist()
    signatures = []
    for index in track(indices, progress, len(indices), "comparing videos"):
        last = data.videos[index].num_frames - 1
        signatures.append(signature(data.read(index, np.linspace(0, last, SIGNATURE_FRAMES).round().astype(int))))
    names = [data.videos[index].name for index in indices]
    return [f"{names[first]} = {names[second]}" for first, second in find_duplicates(np.stack(signatures))]


def _find_cut(data: VideoDataset, video: ReducedVideo) -> int | None:
    known = dict(zip(video.times.tolist(), video.frames, strict=True))

    @cache
    def read(time: int) -> np.ndarray:
        return known[time] if time in known else read_reduced(data, video.index, time)

    return find_cut(read, np.union1d(video.times, data.videos[video.index].num_frames - 1))


def _overlay_frames(data: VideoDataset, index: int) -> np.ndarray:
    return reduce_frames(data.read(index, spread(data.videos[index].num_frames, OVERLAY_FRAMES)), OVERLAY_SIDE)


def _count(data: VideoDataset) -> Iterator[str]:
    """Yield problems of numbers: too few videos, and frame rates that `prepare` had to change."""
    if len(data) < MIN_VIDEOS:
        yield (
            f"The dataset has few videos ({len(data)}), which networks memorize: add some, or pass --finetune and "
            "--augment ada to `styleganv train`."
        )
    rates = Counter(video.meta["source_fps"] for video in data.videos if "source_fps" in video.meta)
    if rates:
        shown = shorten([f"{count} of {fps:g} fps" for fps, count in rates.most_common()])
        yield (
            f"{rates.total()} of {len(data)} videos were resampled to {data.fps:g} fps ({shown}), so their frames "
            "repeat or are dropped: prepare videos of one frame rate, or a lower one with --fps."
        )
