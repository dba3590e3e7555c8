"""From a video file to a folder with its projection: latents, pictures to compare, numbers, and the tuned model.

Shapes: T frames, H height, W width; frames are uint8 RGB.
"""

import json
import math
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from styleganv.data.prepare import fit_frame
from styleganv.editing.latents import play, save_latents
from styleganv.editing.perceptual import Perceptual, load_perceptual
from styleganv.editing.project import MEASURES, Projection, project
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.media import sheets, writing
from styleganv.media.sources import find_videos
from styleganv.methods.stylegan_v.sampler import Frame, VideoGenerator, load_video_generator
from styleganv.metrics.features import sha256_of
from styleganv.model_folder import save_model
from styleganv.options import ProjectOptions

#: What a folder of a projection holds; one with anything else in it is never replaced.
NAMES = frozenset({"latents.safetensors", "comparison.mp4", "comparison.png", "continued.mp4", "report.json", "model"})
#: Small frames are enlarged to about this height.
SHOWN_HEIGHT = 192


def project_video(
    model: Path | str,
    source: Path | str,
    out: Path | str,
    *,
    start: float = 0.0,
    seconds: float = 2.0,
    label: str | int | None = None,
    options: ProjectOptions = ProjectOptions(),
    perceptual: Path | str | None = None,
    device: str | None = None,
) -> Projection:
    """Project a clip of a video and write all of it into the folder `out`, whole or not at all.

    Args:
        source: a video file, or a folder of frames; cropped to the centre, resized and resampled to the model's.
        start, seconds: of the clip in the video; a shorter video is taken to its end.
        perceptual: a network's file, as `load_perceptual` takes it.
        label: as for `project`.

    Raises:
        StyleganvError: for an unreadable or too short video, a value out of range, or a folder with other things in it.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= NAMES):
        raise StyleganvError(f"{out} holds more than a projection: choose a new folder.")
    video = load_video_generator(model, device=device)
    judge = load_perceptual(perceptual, device=video.device)
    frames = read_clip(video, source, start=start, seconds=seconds)
    found = project(
        video,
        frames,
        video.fps,
        space=options.space,
        steps=options.num_steps,
        seed=options.seed,
        label=label,
        perceptual=judge,
        tune_steps=options.finetune_steps,
        first_frame=options.first_frame,
    )
    told = {
        "model": {"path": str(model), "sha256": _model_hash(Path(model))},
        "source": {"path": str(source), "start": start, "frames": len(frames), "fps": video.fps},
        "settings": asdict(options),
    }
    _write(out, found, frames, told, judge)
    return found


def read_clip(video: VideoGenerator, source: Path | str, *, start: float, seconds: float) -> Frame:
    """Frames `[T, H, W, 3]` of the model's size and rate."""
    if not (0 <= start < math.inf and 0 < seconds < math.inf):
        raise StyleganvError(
            f"A clip cannot start at {start:g} and last {seconds:g} seconds: give 0 or more, and more."
        )
    found = find_videos(source)
    if len(found) > 1:
        raise StyleganvError(f"{source} holds {len(found)} videos: give one of them, such as {found[0].name}.")
    first, count = round(start * video.fps), video.num_frames(seconds)
    frames = islice(found[0].frames(video.fps), first, first + count)
    clip = [fit_frame(frame, video.height, video.width) for frame in frames]
    if len(clip) < 2:
        raise StyleganvError(
            f"{source} has {len(clip)} frames from second {start:g} on, at the model's {video.fps:g} a second: "
            "give a longer clip or an earlier --start."
        )
    return np.stack(clip)


def _write(out: Path, found: Projection, real: Frame, told: dict[str, Any], judge: Perceptual) -> None:
    video, latents = found.video, found.latents
    scale = max(1, round(SHOWN_HEIGHT / video.height))
    seconds = len(real) / video.fps
    with atomic_write(out) as tmp_path:
        tmp_path.mkdir()
        save_latents(tmp_path / "latents.safetensors", latents)
        longer = play(video, latents, seconds=2 * seconds)
        shown = np.stack(list(tqdm(longer, total=2 * len(real), desc="writing", unit="frame", delay=2)))
        pairs = np.stack([real, shown[: len(real)]])
        writing.write_video(tmp_path / "comparison.mp4", sheets.tile_videos(pairs[None], scale=scale), video.fps)
        writing.write_image(tmp_path / "comparison.png", sheets.contact_sheet(pairs, scale=scale))
        writing.write_video(tmp_path / "continued.mp4", (f.repeat(scale, 0).repeat(scale, 1) for f in shown), video.fps)
        if found.tuned:
            config = video.config
            trained = {**config.get("training", {}), "tuned_to": told["source"]}
            save_model(tmp_path / "model", video.generator, data=config["data"], training=trained)
        report = told | {
            "label": latents.motion.label,
            "interrupted": found.interrupted,
            "perceptual_network": {"name": judge.name, "sha256": judge.sha256},
            "mean": {name: _finite(x) for name, x in found.means().items()},
            "frames": {name: [_finite(x) for x in getattr(found, name)] for name in MEASURES},
            "history": found.history,
        }
        (tmp_path / "report.json").write_text(json.dumps(report, indent=2) + "\n")


def _finite(value: float) -> float | None:
    """JSON knows no infinity, which is the PSNR of equal pictures."""
    return value if math.isfinite(value) else None


def _model_hash(folder: Path) -> str:
    """Of the weights' file of a model folder, or of a run's."""
    place = folder / "model.safetensors"
    return sha256_of(place if place.exists() else folder / "model" / "model.safetensors")
