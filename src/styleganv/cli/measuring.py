"""Commands that measure videos."""

import os
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from styleganv.cli.parsing import parse_resolution
from styleganv.options import Unset


def evaluate(
    real: Path,
    fake: Path,
    protocol: str = "frechet_efficientnet2048_16f",
    clips: Unset[int] = None,
    seeds: int = 1,
    per_class: bool = False,
    factors: bool = False,
    json: Unset[Path] = None,
    split: Unset[str] = None,
    resolution: Unset[str] = None,
    weights: Unset[str] = None,
    sha256: Unset[str] = None,
    psi: float = 1.0,
    device: Unset[str] = None,
    cache: Unset[Path] = None,
) -> None:
    """Measure how far generated videos are from real ones, whatever made them.

    Args:
        real: A data set, or a folder, zip or file of videos.
        fake: The same, or a model folder or run.
        protocol: Names with commas between; docs/evaluation.md lists them, and so does a wrong name.
        clips: Clips of each side instead of the protocol's number; the name then says so.
        seeds: Draws of clips, for a standard error.
        per_class: Measure each class by itself as well.
        factors: Also recover what videos of the built-in faces show, and compare that.
        json: A file to write everything to.
        split: A note for the report on which part of the data REAL is, such as train.
        resolution: Size to resize both to (64 or HEIGHTxWIDTH); needed only where they differ.
        weights: Of the published detectors: a folder, a file or a URL.
        sha256: What the weights' hash must be; several with commas between.
        psi: Truncation of a model.
        device: Such as cpu or cuda; the GPU, if there is one, where left out.
        cache: The folder of computed statistics; ~/.cache/styleganv/statistics where left out.
    """
    from styleganv.metrics.evaluate import evaluate as run

    report = run(
        real,
        fake,
        protocols=protocol.split(","),
        clips=clips,
        seeds=seeds,
        per_class=per_class,
        factors=factors,
        resolution=None if resolution is None else parse_resolution(resolution),
        weights=weights,
        sha256=sha256.split(",") if sha256 else (),
        split=split,
        psi=psi,
        device=device,
        cache=cache,
    )
    if os.environ.get("RANK", "0") == "0":
        print(report)
        if json is not None:
            report.write_json(json)


def diagnose(
    videos: Positional[Path],
    /,
    data: Unset[Path] = None,
    out: Path = Path("report.html"),
    json: Unset[Path] = None,
    count: Annotated[int, tyro.conf.arg(name="videos")] = 32,
    frames: int = 128,
    seed: int = 0,
    psi: float = 1.0,
    device: Unset[str] = None,
) -> None:
    """Judge motion: loops, turning back, speed, drift, flicker, sticking texture, and more, as one HTML page.

    Args:
        videos: A model folder or run, a data set, or video files of any program.
        data: What to compare with; for a run, the data set it was trained on where left out.
        out: The page to write.
        json: Where to write the numbers as JSON.
        count: Clips to watch of each.
        frames: Longest clip, in frames.
        seed: Of the choice of clips; the same gives the same report.
        psi: Truncation of a model.
        device: Of a model, such as cpu or cuda; the GPU, if there is one, where left out.
    """
    from styleganv.metrics.videos import open_videos
    from styleganv.motion_report.diagnose import diagnose as run
    from styleganv.motion_report.diagnose import training_data
    from styleganv.motion_report.page import write_page

    beside = data or training_data(videos)
    found = run(
        open_videos(videos, psi=psi, device=device),
        beside,
        count=count,
        frames=frames,
        seed=seed,
    )
    write_page(out, found)
    if json is not None:
        found.report.write_json(json)
    print(found.report)
    if beside is None:
        print("Without data to compare with: give --data for numbers beside these.")
    print(f"Report: {out}")
