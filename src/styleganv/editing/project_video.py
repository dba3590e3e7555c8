"""Projection of a video file: a folder with latents, comparisons, measures and the fine-tuned model.

Shapes: T frames, H height, W width; frames are uint8 RGB.
"""

import json
import math
from dataclasses import asdict
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any

import numpy as np

from styleganv.data.encoding import fit_frame
from styleganv.editing.latents import render_latents, save_latents
from styleganv.editing.perceptual import Perceptual, load_perceptual
from styleganv.editing.preview import preview_from_environment
from styleganv.editing.project import MEASURES, Projection, project
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write, check_destination
from styleganv.media import sheets, writing
from styleganv.media.sources import find_videos
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator
from styleganv.metrics.features import sha256_of
from styleganv.model_folder import MODEL_FILES, model_folder, save_model
from styleganv.options import ProjectOptions
from styleganv.progress import Progress, track
from styleganv.validation import NonNegative, Positive, check_arguments
from styleganv.video_model import Frame

#: Files of the folder of a projection.
FILES = (
    "latents.safetensors",
    "comparison.mp4",
    "comparison.png",
    "continued.mp4",
    "report.json",
    *(f"model/{name}" for name in MODEL_FILES),
)
#: Height in pixels to which small frames are enlarged, about.
DISPLAY_HEIGHT = 192


@check_arguments
def project_video(
    model: Path | str,
    source: Path | str,
    out: Path | str,
    *,
    start: NonNegative = 0.0,
    seconds: Positive = 2.0,
    options: ProjectOptions = ProjectOptions(),
    perceptual: Path | str | None = None,
    device: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Projection:
    """Project a clip of a video and write the folder `out` atomically.

    Args:
        model: model folder, run, or name of a pretrained model.
        source: video file or folder of frames; cropped to the center, resized and resampled to match the model.
        start, seconds: start and duration of the clip in seconds; a shorter video is used to its end.
        perceptual: TorchScript file of a network, as for `load_perceptual`.
        device: torch device; default: cuda if available.

    Raises:
        StyleganvError: for an unreadable or too short video, a value out of range, or a folder that exists or has
            other contents.
    """
    check_destination(out, overwrite=overwrite, contents=FILES)
    video_model = load_video_generator(model, device=device)
    network = load_perceptual(perceptual, device=video_model.device)
    frames = read_clip(video_model, source, start=start, seconds=seconds)
    projection = project(
        video_model,
        frames,
        video_model.fps,
        options=options,
        perceptual=network,
        progress=progress,
        preview=preview_from_environment(),
    )
    metadata = {
        "model": {"path": str(model), "sha256": sha256_of(model_folder(model) / "model.safetensors")},
        "source": {"path": str(source), "start": start, "num_frames": len(frames), "fps": video_model.fps},
        "settings": asdict(options),
    }
    with atomic_write(out, overwrite=overwrite, contents=FILES) as tmp_path:
        _write(tmp_path, projection, frames, metadata, network, progress)
    return projection


@check_arguments
def read_clip(model: VideoGenerator, source: Path | str, *, start: NonNegative, seconds: Positive) -> Frame:
    """Return the frames `[T, H, W, 3]` of a clip, at the size and frame rate of the model.

    Raises:
        StyleganvError: for an unreadable or too short video, or a value out of range.
    """
    videos = find_videos(source)
    if len(videos) > 1:
        raise StyleganvError(f"{source} contains {len(videos)} videos: pass one of them, e.g. {videos[0].name}.")
    first, num_frames = round(start * model.fps), model.num_frames(seconds)
    decoded = videos[0].decode(model.fps, start=first / model.fps)
    frames = islice(dropwhile(lambda frame: frame.time < (first - 0.5) / model.fps, decoded), num_frames)
    clip = [fit_frame(frame.pixels, model.height, model.width) for frame in frames]
    if len(clip) < 2:
        raise StyleganvError(
            f"{source} has {len(clip)} frames after {start:g} seconds at {model.fps:g} fps, projection requires 2: "
            "use a longer clip or an earlier --start."
        )
    return np.stack(clip)


def _write(
    out: Path,
    projection: Projection,
    real: Frame,
    metadata: dict[str, Any],
    perceptual: Perceptual,
    progress: Progress | None,
) -> None:
    model, latents = projection.model, projection.latents
    scale = max(1, round(DISPLAY_HEIGHT / model.height))
    seconds = len(real) / model.fps
    save_latents(out / "latents.safetensors", latents)
    rendered = render_latents(model, latents, seconds=2 * seconds)
    frames = np.stack(list(track(rendered, progress, 2 * len(real), "writing")))
    pairs = np.stack([real, frames[: len(real)]])
    writing.write_video(out / "comparison.mp4", sheets.tile_videos(pairs[None], scale=scale), model.fps)
    writing.write_image(out / "comparison.png", sheets.contact_sheet(pairs, scale=scale))
    enlarged = (frame.repeat(scale, 0).repeat(scale, 1) for frame in frames)
    writing.write_video(out / "continued.mp4", enlarged, model.fps)
    if projection.is_finetuned:
        training = {**model.config.get("training", {}), "tuned_to": metadata["source"]}
        save_model(out / "model", model.generator, data=model.config["data"], training=training)
    report = metadata | {
        "label": latents.motion.label,
        "interrupted": projection.interrupted,
        "perceptual_network": {"name": perceptual.name, "sha256": perceptual.sha256},
        "mean": {name: _finite(x) for name, x in projection.means().items()},
        "frames": {name: [_finite(x) for x in getattr(projection, name)] for name in MEASURES},
        "history": projection.history,
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")


def _finite(value: float) -> float | None:
    """Return None for infinity, the PSNR of equal images, which JSON cannot represent."""
    return value if math.isfinite(value) else None
