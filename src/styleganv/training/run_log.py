"""Output of a run in addition to its model: append-only log, TensorBoard, curves and snapshots. Rank 0 only."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from styleganv.media import sheets, writing
from styleganv.training import curves
from styleganv.video_model import VideoModel

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
    """Writer of `log.jsonl`, `tensorboard/`, `curves.png` and `snapshots/` in the run folder `out`.

    Attributes:
        notes: the latest scalars as text, for the progress bar.
    """

    def __init__(self, out: Path, *, clips_seen: int) -> None:
        self.out = out
        self.tensorboard = SummaryWriter(str(out / "tensorboard"), purge_step=clips_seen)
        self.last_time, self.last_clips = time.monotonic(), clips_seen
        self.notes: list[str] = []
        self.write({"event": "start", "clips_seen": clips_seen})

    def write(self, record: dict[str, Any]) -> None:
        """Append a record to the log; earlier records never change."""
        with open(self.out / "log.jsonl", "a") as file:
            file.write(json.dumps(record | {"time": round(time.time(), 3)}) + "\n")

    def write_scalars(self, clips_seen: int, frames_seen: int, scalars: dict[str, float]) -> None:
        """Log means since the last call, and the speed in clips per second."""
        now = time.monotonic()
        speed = (clips_seen - self.last_clips) / max(now - self.last_time, 1e-9)
        self.last_time, self.last_clips = now, clips_seen
        scalars = scalars | {"clips_per_second": speed}
        self.write({"clips_seen": clips_seen, "frames_seen": frames_seen, **scalars})
        self._add_scalars(clips_seen, scalars)
        shown = [f"{title} {scalars[name]:.2f}" for name, title in BAR_LABELS.items() if name in scalars]
        self.notes = [f"{speed:.1f} clips/s", " ".join(shown)]

    def write_snapshot(self, clips_seen: int, videos: VideoModel) -> None:
        """Write a grid of fixed content and motion seeds, as image and as video, and the curves.

        A model without motion seeds shows more content seeds instead.
        """
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
        path = self.out / "snapshots" / f"{clips_seen:09d}"
        writing.write_image(path.with_suffix(".png"), image, overwrite=True)
        tiled = sheets.tile_videos(grid, scale=max(1, 96 // videos.height))
        writing.write_video(path.with_suffix(".mp4"), tiled, fps=videos.fps, overwrite=True)
        self.tensorboard.add_image("snapshot", np.asarray(image), clips_seen, dataformats="HWC")
        self.write_curves()

    def write_evaluation(self, clips_seen: int, scores: dict[str, float]) -> None:
        """Log the scores of an evaluation."""
        self.write({"clips_seen": clips_seen, **scores})
        self._add_scalars(clips_seen, scores)
        self.write_curves()

    def write_curves(self) -> None:
        """Plot the log so far."""
        records = read_log(self.out / "log.jsonl")
        if records:
            curves.plot_curves(self.out / "curves.png", records)

    def finish(self, clips_seen: int, event: str) -> None:
        """Log why the run stopped, and plot."""
        self.write({"event": event, "clips_seen": clips_seen})
        self.write_curves()

    def _add_scalars(self, clips_seen: int, scalars: dict[str, float]) -> None:
        for name, value in scalars.items():
            self.tensorboard.add_scalar(name, value, clips_seen)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.tensorboard.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log in the order of clips; clips repeated after a crash count once."""
    latest: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record.get("event") == "start":
            latest = {clips: previous for clips, previous in latest.items() if clips <= record["clips_seen"]}
        elif "event" not in record:
            latest[record["clips_seen"]] = latest.get(record["clips_seen"], {}) | record
    return [latest[clips] for clips in sorted(latest)]


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
