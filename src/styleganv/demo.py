"""The full pipeline once, on the built-in dataset: draw videos of faces, train on them, generate new ones."""

import logging
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from styleganv.config import RunConfig, get_preset
from styleganv.data.dataset import VideoDataset
from styleganv.faces.dataset import make_faces
from styleganv.files import check_destination
from styleganv.media import sheets, writing
from styleganv.options import OutputOptions, SampleOptions
from styleganv.progress import Progress
from styleganv.runs import train
from styleganv.validation import Positive, check_arguments
from styleganv.video_files import generate

logger = logging.getLogger(__name__)

#: Files of the folder; one with anything else is refused.
DEMO_FILES = ("data.zip", "real.png", "videos/seed*.mp4", "grid.mp4", "grid.png", "run/*")

#: Size of the drawn dataset: 24,576 frames, which one core draws in 30 seconds.
NUM_VIDEOS, NUM_FRAMES, RESOLUTION = 512, 48, 64


@check_arguments
def demo(out: Path | str = "runs/demo", *, minutes: Positive = 10.0, progress: Progress | None = None) -> None:
    """Draw faces, train for `minutes`, and write videos, a grid and curves to `out`; a run found there is resumed.

    Videos have 64×64 pixels. A CPU trains with the preset tiny-cpu, a GPU with the preset 64.
    """
    started = time.monotonic()
    out = Path(out)
    check_destination(out, overwrite=True, contents=DEMO_FILES)
    gpu = torch.cuda.is_available()
    data = out / "data.zip"
    if not data.exists():
        logger.info(f"1/3  Drawing {NUM_VIDEOS} videos of cartoon faces (about 30 seconds) …")
        make_faces(
            data, num_videos=NUM_VIDEOS, num_frames=NUM_FRAMES, resolution=(RESOLUTION, RESOLUTION), progress=progress
        )
    _write_real(VideoDataset(data), out / "real.png")

    logger.info(f"2/3  Training for {minutes:g} minutes on {'the GPU' if gpu else 'the CPU'} …")
    config = demo_settings(minutes, gpu=gpu)
    train(data, out / "run", config, or_resume=True, progress=progress)

    logger.info("3/3  Generating …")
    videos = generate(
        out / "run",
        out / "videos",
        seeds=range(8),
        sample=SampleOptions(seconds=4.0),
        progress=progress,
        output=OutputOptions(scale=4, overwrite=True),
    )
    generate(
        out / "run",
        out,
        seeds=range(6),
        motion_seeds=range(4),
        format="grid",
        sample=SampleOptions(seconds=2.0),
        progress=progress,
        output=OutputOptions(scale=3, overwrite=True),
    )
    # `make demo` installs into an environment that the user's shell may not have activated.
    command = "styleganv" if shutil.which("styleganv") else sys.argv[0]
    logger.info(
        f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes. Results:\n"
        f"  {out / 'grid.png'}    one content seed per column, one motion seed per row (grid.mp4 is the video)\n"
        f"  {out / 'videos'}/    {len(videos)} generated videos\n"
        f"  {out / 'real.png'}    training videos, for comparison\n"
        f"  {out / 'run'}/       the training: curves.png, snapshots/ and the model\n"
        f"Next, generate more: {command} generate {out / 'run'} --out videos --seeds 8-15\n"
        f"Or train on your own videos:\n"
        f"  {command} prepare FOLDER data.zip --resolution 64\n"
        f"  {command} train data.zip --out runs/mine\n"
        f"  {command} generate runs/mine --out videos --seeds 0-7"
    )


def demo_settings(minutes: float, *, gpu: bool) -> RunConfig:
    """Return a preset with finer motion noise, as faces move fast, and no augmentation, as there are many videos."""
    config = get_preset("64" if gpu else "tiny-cpu")
    return replace(
        config,
        model=replace(config.model, slot_distance=8.0),
        training=replace(config.training, minutes=minutes),
        augment=replace(config.augment, augment="none"),
    )


def _write_real(data: VideoDataset, path: Path) -> None:
    """Write a contact sheet of the dataset, for comparison."""
    frames = [data.read(video, range(0, 32, 4)).transpose(0, 2, 3, 1) for video in range(8)]
    writing.write_image(path, sheets.contact_sheet(np.stack(frames)), overwrite=True)
