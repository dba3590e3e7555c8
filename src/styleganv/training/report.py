"""What a run shows: progress bar, append-only log, TensorBoard, curves and snapshots. Rank 0 only."""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from styleganv.media import sheets, writing
from styleganv.training import curves
from styleganv.video_model import VideoModel

SNAPSHOT_CONTENTS, SNAPSHOT_MOTIONS = 6, 4


class Report:
    """Writes into the run folder `out`: `log.jsonl`, `tensorboard/`, `curves.png`, `snapshots/`."""

    def __init__(self, out: Path, *, clips_seen: int, total_clips: int, minutes: float | None) -> None:
        self.out = out
        self.deadline = None if minutes is None else time.monotonic() + 60 * minutes
        self.tensorboard = SummaryWriter(str(out / "tensorboard"), purge_step=clips_seen)
        # With a time limit the remaining clips say nothing about the remaining time, which the postfix shows.
        timed = "{desc}: {n:,} clips [{elapsed}, {rate_fmt}{postfix}]"
        self.bar = tqdm(
            total=total_clips,
            initial=clips_seen,
            unit="clip",
            desc="training",
            smoothing=0.05,
            dynamic_ncols=True,
            bar_format=None if minutes is None else timed,
        )
        self.last_time, self.last_clips = time.monotonic(), clips_seen
        self.write({"event": "start", "clips_seen": clips_seen})

    def write(self, record: dict[str, Any]) -> None:
        """Append a line to the log; earlier lines are never touched."""
        with open(self.out / "log.jsonl", "a") as file:
            file.write(json.dumps(record | {"time": round(time.time(), 3)}) + "\n")

    def progress(self, clips: int) -> None:
        self.bar.update(clips)

    def statistics(self, clips_seen: int, frames_seen: int, values: dict[str, float]) -> None:
        now = time.monotonic()
        speed = (clips_seen - self.last_clips) / max(now - self.last_time, 1e-9)
        self.last_time, self.last_clips = now, clips_seen
        values = values | {"clips_per_second": speed}
        self.write({"clips_seen": clips_seen, "frames_seen": frames_seen, **values})
        for name, value in values.items():
            self.tensorboard.add_scalar(name, value, clips_seen)
        shown = {"G": values.get("loss_g"), "D": values.get("loss_d"), "p": values.get("augment_p")}
        shown |= {"stage": values.get("stage"), "VQ-VAE": values.get("loss_vqvae"), "GPT": values.get("loss_gpt")}
        if self.deadline is not None:
            shown["min left"] = max(0.0, (self.deadline - now) / 60)
        self.bar.set_postfix({name: f"{value:.2f}" for name, value in shown.items() if value is not None})

    def snapshot(self, clips_seen: int, videos: VideoModel) -> None:
        """A grid of contents and motions from fixed seeds, as picture and as video, and the curves so far; other
        contents instead of other motions where motion has no seeds."""
        seconds = max(2.0, 32 / videos.fps)
        if videos.max_frames is not None:
            seconds = min(seconds, videos.max_frames / videos.fps)
        if videos.motion_seeds:
            grid = videos.grid(range(SNAPSHOT_CONTENTS), range(SNAPSHOT_MOTIONS), seconds=seconds)
            picture = sheets.content_motion_grid(grid)
        else:
            seeds = range(SNAPSHOT_CONTENTS * SNAPSHOT_MOTIONS)
            each = np.stack([videos.sample(seed=seed, seconds=seconds) for seed in seeds])
            grid = each.reshape(SNAPSHOT_MOTIONS, SNAPSHOT_CONTENTS, *each.shape[1:])
            picture = sheets.contact_sheet(each, scale=max(1, 64 // videos.height))
        name = f"{clips_seen:09d}"
        writing.write_image(self.out / "snapshots" / f"{name}.png", picture)
        scale = max(1, 96 // videos.height)
        writing.write_video(
            self.out / "snapshots" / f"{name}.mp4", sheets.tile_videos(grid, scale=scale), fps=videos.fps
        )
        self.tensorboard.add_image("snapshot", np.asarray(picture), clips_seen, dataformats="HWC")
        self.curves()

    def evaluation(self, clips_seen: int, values: dict[str, float]) -> None:
        self.write({"clips_seen": clips_seen, **values})
        for name, value in values.items():
            self.tensorboard.add_scalar(name, value, clips_seen)
        self.curves()

    def curves(self) -> None:
        records = read_log(self.out / "log.jsonl")
        if records:
            curves.plot_curves(self.out / "curves.png", records)

    def finish(self, clips_seen: int, reason: str) -> None:
        self.write({"event": reason, "clips_seen": clips_seen})
        self.curves()

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever happened, the bar ends its line, so that a message after it can be read."""
        self.bar.close()
        self.tensorboard.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The statistics of a log in the order of clips; a stretch that was repeated after a crash counts once."""
    latest: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        if record.get("event") == "start":
            latest = {clips: kept for clips, kept in latest.items() if clips <= record["clips_seen"]}
        elif "event" not in record:
            latest[record["clips_seen"]] = latest.get(record["clips_seen"], {}) | record
    return [latest[clips] for clips in sorted(latest)]


def say(text: str) -> None:
    """A line for the person, above the progress bar."""
    tqdm.write(text, file=sys.stderr)


def peak_memory_gib(device: torch.device) -> float:
    """Most memory taken so far: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    status = Path("/proc/self/status")  # on Linux getrusage may give that of the process that started this one
    if status.exists() and (most := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(most[1]) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
