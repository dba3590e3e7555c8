"""Commands that measure videos."""

import os
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from styleganv.cli.console import progress_bar
from styleganv.cli.parsing import parse_resolution
from styleganv.files import check_destination
from styleganv.options import ComputeOptions, EvaluateOptions, Overwrite, Unset


def evaluate(
    real: Path,
    fake: Path,
    protocol: str = "frechet_efficientnet2048_16f",
    resolution: Unset[str] = None,
    json: Unset[Path] = None,
    features: Unset[Path] = None,
    overwrite: Overwrite = False,
    evaluation: OmitArgPrefixes[EvaluateOptions] = EvaluateOptions(),
    compute: OmitArgPrefixes[ComputeOptions] = ComputeOptions(),
) -> None:
    """Measure the distance between real and generated videos from any source.

    Args:
        real: Real videos: a dataset, or a folder, zip or file of videos.
        fake: Generated videos: a model (folder, run or pretrained), or the same sources as --real.
        protocol: Comma-separated protocols, or a set such as released; see docs/evaluation.md.
        resolution: Size in pixels to resize both to: 64, or HEIGHTxWIDTH; required if they differ.
        json: JSON file to write the full report to.
        features: npz file to write the features of each clip of the first repeat to.
    """
    from styleganv.metrics.evaluate import evaluate as run

    check_destination(json, features, overwrite=overwrite)
    with progress_bar() as progress:
        report = run(
            real,
            fake,
            protocols=protocol.split(","),
            resolution=None if resolution is None else parse_resolution(resolution),
            features=features,
            overwrite=overwrite,
            options=evaluation,
            compute=compute,
            progress=progress,
        )
    if os.environ.get("RANK", "0") == "0":
        print(report)
        if json is not None:
            report.write_json(json, overwrite=overwrite)


def diagnose(
    videos: Annotated[Positional[Path], tyro.conf.arg(metavar="VIDEOS")],
    /,
    data: Unset[Path] = None,
    out: Path = Path("report.html"),
    json: Unset[Path] = None,
    overwrite: Overwrite = False,
    num_videos: int = 32,
    max_frames: int = 128,
    seed: int = 0,
    psi: float = 1.0,
    compute: OmitArgPrefixes[ComputeOptions] = ComputeOptions(),
) -> None:
    """Write an HTML report on motion: loops, reversal, speed, drift, flicker and more.

    Args:
        videos: Model (folder, run or pretrained), dataset, or videos from any other source.
        data: Dataset or videos to compare with. Default: for a run, its training dataset.
        out: HTML page to write.
        json: JSON file to write the numbers to.
        num_videos: Number of videos to measure, one clip each.
        max_frames: Maximum number of frames per clip.
        seed: Random seed for the choice of clips.
        psi: Truncation psi of a model: 1 = full variety, 0 = mean w.
    """
    from styleganv.motion_report.diagnose import diagnose as run
    from styleganv.motion_report.diagnose import training_data
    from styleganv.motion_report.page import write_page
    from styleganv.videos import open_videos

    check_destination(out, json, overwrite=overwrite)
    data = data or training_data(videos)
    opened = open_videos(videos, psi=psi, device=compute.device, precision=compute.precision)
    with progress_bar() as progress:
        analysis = run(opened, data, num_videos=num_videos, max_frames=max_frames, seed=seed, progress=progress)
        write_page(out, analysis, progress, overwrite=overwrite)
    if json is not None:
        analysis.report.write_json(json, overwrite=overwrite)
    print(analysis.report)
    if data is None:
        print("No dataset to compare with: pass one with --data to rate the numbers.")
    print(f"Report: {out}")
