"""Output of a run in addition to its model: log, trackers, curves, snapshots and a page of them. Rank 0 only.

None of it can end a training: what cannot be written is missing, after one warning per kind.
"""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from styleganv.config import RunConfig
from styleganv.files import atomic_write
from styleganv.media import sheets, writing
from styleganv.media.enlarging import enlarge_grid
from styleganv.training import curves
from styleganv.training.log_file import DIVERSITY, read_log, read_records
from styleganv.training.run_page import snapshots, write_run_page
from styleganv.training.trackers import TrackedRun, Tracker, parse_trackers
from styleganv.video_model import VideoModel

logger = logging.getLogger(__name__)

#: Columns and rows of a snapshot.
NUM_CONTENT_SEEDS, NUM_MOTION_SEEDS = 6, 4
#: Scalars that the progress bar shows → their labels.
BAR_LABELS = {
    "loss_g": "G",
    "loss_d": "D",
    "augment_p": "p",
    "stage": "stage",
    "loss_vqvae": "VQ-VAE",
    "loss_gpt": "GPT",
}


class RunLog:
    """Writer of `log.jsonl`, `curves.png`, `snapshots/` and `index.html` in the run folder `out`, and of its trackers.

    What a run wrote after the checkpoint that it resumes from is dropped, because it is written again.

    Attributes:
        state: how the run ended; "failed" until it does.
        notes: the latest scalars as text, for the progress bar.
        has_evaluation: whether the log has an evaluation at the checkpoint that the run resumes from.
    """

    def __init__(self, out: Path, *, clips_seen: int, config: RunConfig | None = None, run_id: str = "") -> None:
        """Start the log at a checkpoint; `config` and `run_id`, by which they know a run, are for the trackers."""
        self.out, self.path = out, out / "log.jsonl"
        self.last_time, self.last_clips = time.monotonic(), clips_seen
        self.notes: list[str] = []
        self.failed: set[str] = set()
        self.unwritten = b""
        self.plotted: list[dict[str, Any]] = []
        self.trackers: list[Tracker] = []
        self.state = "failed"
        self.has_evaluation = False
        with self.reporting("log"):
            self._truncate(clips_seen)
        config = config or RunConfig()
        run = TrackedRun(out, run_id, clips_seen, asdict(config))
        for tracker in parse_trackers(config.logging.trackers).values():
            with self.reporting(f"{tracker.title} data"):
                self.trackers.append(tracker(run))
        limits = {"total_clips": config.training.total_clips, "minutes": config.training.minutes}
        self.write({"event": "start", "clips_seen": clips_seen} | limits)

    @contextmanager
    def reporting(self, kind: str) -> Iterator[None]:
        """Turn errors into one warning per kind of output."""
        try:
            yield
        except Exception as error:
            logger.debug("Details:", exc_info=True)
            if kind not in self.failed:
                self.failed.add(kind)
                logger.warning(
                    f"Skipping the {kind} of {self.out}, training continues: {str(error) or type(error).__name__}"
                )

    def _truncate(self, clips_seen: int) -> None:
        """Drop damaged lines of the log, and records from after the checkpoint."""
        if self.path.exists():
            records = [record for record in read_records(self.path) if record["clips_seen"] <= clips_seen]
            others = {"event", "frames_seen", DIVERSITY}
            scores = [record for record in records if not others & record.keys()]
            self.has_evaluation = any(record["clips_seen"] == clips_seen for record in scores)
            with atomic_write(self.path, overwrite=True) as tmp_path:
                tmp_path.write_bytes(b"".join(map(_to_line, records)))

    def write(self, record: dict[str, Any]) -> None:
        """Append a record to the log; if that fails, the next call tries again."""
        self.unwritten += _to_line(record | {"time": round(time.time(), 3)})
        with self.reporting("log"), open(self.path, "ab", buffering=0) as file:
            size = file.tell()
            if file.write(self.unwritten) < len(self.unwritten):  # the disk is full
                file.truncate(size)
                raise OSError("the disk is full")
            self.unwritten = b""

    def flush(self) -> None:
        """Write everything to disk, so that a checkpoint saved next is never ahead of the log."""
        with self.reporting("log"), open(self.path, "rb+") as file:
            os.fsync(file.fileno())
        self._track("flush")

    def has_snapshot(self, clips_seen: int) -> bool:
        """Return whether there are an image and a video of this point of the training."""
        return all(self._snapshot(clips_seen, suffix).exists() for suffix in (".png", ".mp4"))

    def last_snapshot(self, clips_seen: int) -> int:
        """Return the clips seen at the last snapshot up to a point of the training; 0 without any."""
        return max((number for number in snapshots(self.out) if number <= clips_seen), default=0)

    def _snapshot(self, clips_seen: int, suffix: str) -> Path:
        return self.out / "snapshots" / f"{clips_seen:09d}{suffix}"

    def write_scalars(self, clips_seen: int, frames_seen: int, scalars: dict[str, float]) -> None:
        """Log means since the last call, and the speed in clips per second."""
        now = time.monotonic()
        speed = (clips_seen - self.last_clips) / max(now - self.last_time, 1e-9)
        self.last_time, self.last_clips = now, clips_seen
        scalars = scalars | {"clips_per_second": speed}
        self.write({"clips_seen": clips_seen, "frames_seen": frames_seen, **scalars})
        self._track("log_scalars", clips_seen, scalars)
        shown = [f"{title} {scalars[name]:.2f}" for name, title in BAR_LABELS.items() if name in scalars]
        self.notes = [f"{speed:.1f} clips/s", " ".join(shown)]

    def write_snapshot(self, clips_seen: int, videos: VideoModel) -> None:
        """Write a grid of fixed content and motion seeds, as image and as video, and the curves.

        A model without motion seeds shows more content seeds instead.
        """
        with self.reporting("snapshots"):
            self._track("log_snapshot", clips_seen, *self._write_snapshot(clips_seen, videos))
        self.flush()
        self.write_curves()
        self.write_page()

    def _write_snapshot(self, clips_seen: int, videos: VideoModel) -> tuple[Path, Path]:
        """Write the image and the video; return their paths."""
        seconds = max(2.0, 32 / videos.fps)
        if videos.max_frames is not None:
            seconds = min(seconds, videos.max_frames / videos.fps)
        if videos.supports_motion_seed:
            grid = videos.grid(range(NUM_CONTENT_SEEDS), range(NUM_MOTION_SEEDS), seconds=seconds)
            image = sheets.content_motion_grid(grid)
        else:
            seeds = range(NUM_CONTENT_SEEDS * NUM_MOTION_SEEDS)
            samples = np.stack([videos.sample(seed=seed, seconds=seconds) for seed in seeds])
            grid = samples.reshape(NUM_MOTION_SEEDS, NUM_CONTENT_SEEDS, *samples.shape[1:])
            image = sheets.contact_sheet(samples, scale=max(1, 64 // videos.height))
        image_path, video_path = self._snapshot(clips_seen, ".png"), self._snapshot(clips_seen, ".mp4")
        self.write({"clips_seen": clips_seen, DIVERSITY: float(grid[0, :, 0].std(axis=0).mean())})
        writing.write_image(image_path, image, overwrite=True)
        tiled = (sheets.tile(enlarge_grid(grid[:, :, t])) for t in range(grid.shape[2]))
        writing.write_video(video_path, tiled, fps=videos.fps, overwrite=True)
        return image_path, video_path

    def write_evaluation(self, clips_seen: int, scores: dict[str, float]) -> None:
        """Log the scores of an evaluation."""
        self.write({"clips_seen": clips_seen, **scores})
        self._track("log_scalars", clips_seen, scores)
        self.flush()
        self.write_curves()
        self.write_page()

    def write_curves(self) -> None:
        """Plot the log so far, unless all of it has been plotted."""
        with self.reporting("curves"):
            records = read_log(self.path)
            if records != self.plotted:
                curves.plot_curves(self.out / "curves.png", records)
                self.plotted = records

    def write_page(self, *, finished: bool = False) -> None:
        """Write `index.html`, which shows the files of the run."""
        with self.reporting("page"):
            write_run_page(self.out, read_log(self.path), finished=finished)

    def finish(self, clips_seen: int, event: str) -> None:
        """Log why the run stopped (end, interrupted or diverged), and plot."""
        self.state = "finished" if event == "end" else event
        self.write({"event": event, "clips_seen": clips_seen})
        self.write_curves()

    def _track(self, action: str, *arguments: Any) -> None:
        """Call a method of every tracker."""
        for tracker in self.trackers:
            with self.reporting(f"{tracker.title} data"):
                getattr(tracker, action)(*arguments)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.write_page(finished=True)
        self._track("finish", self.state)


def _to_line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def peak_memory_gib(device: torch.device) -> float:
    """Return the peak memory so far in GiB: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    status = Path("/proc/self/status")  # on Linux getrusage may report that of the parent process
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(peak[1]) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
