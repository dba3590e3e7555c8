"""Projection: the latents whose video is closest to a given clip.

    frames ──compare seeds──▶ nearest seed's latents ──gradients──▶ Latents ──(fine-tuning)──▶ a model of its own

After the motion slots that the clip depends on, the noise is a seed's, so the video never ends. A motion code also
depends on the noise of the next `reach` slots, so the motion changes to the seed's gradually.

Shapes: T frames, H height, W width. Times are in seconds.
"""

import math
from copy import deepcopy
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from styleganv.editing.latents import Latents, latents_from_seed, render_differentiably, render_latents
from styleganv.editing.perceptual import WINDOW, Perceptual, load_perceptual, psnr, ssim
from styleganv.editing.preview import Preview
from styleganv.editing.search import TargetClip, find_nearest, finetune, search
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.options import ProjectOptions
from styleganv.progress import Progress, Stage
from styleganv.validation import FrameRate, check_arguments
from styleganv.video_model import to_uint8

MEASURES = ("psnr", "ssim", "perceptual")
#: Seeds that are compared with the clip before the search.
NUM_SEEDS = 64


@dataclass(frozen=True)
class Projection:
    """Result of a projection.

    Attributes:
        latents: the latents found; render them with `model`.
        model: the projected model, or a copy with weights of its own after fine-tuning.
        is_finetuned: whether `model` is such a copy.
        psnr, ssim, perceptual: comparison of each rendered frame with the real one; dB, −1..1, 0..4.
        history: `step`, `psnr` and `loss` of each evaluation during the search.
        interrupted: whether Ctrl-C ended it early.
    """

    latents: Latents
    model: VideoGenerator
    is_finetuned: bool
    psnr: tuple[float, ...]
    ssim: tuple[float, ...]
    perceptual: tuple[float, ...]
    history: tuple[dict[str, float], ...]
    interrupted: bool

    def means(self) -> dict[str, float]:
        """Return the means of the three measures over the frames."""
        return {name: float(np.mean(getattr(self, name))) for name in MEASURES}


@check_arguments
def project(
    model: VideoGenerator,
    frames: NDArray[np.uint8],
    fps: FrameRate,
    *,
    options: ProjectOptions = ProjectOptions(),
    perceptual: Perceptual | None = None,
    progress: Progress | None = None,
    preview: Preview | None = None,
) -> Projection:
    """Return the latents whose video is closest to these frames.

    A KeyboardInterrupt ends the search and keeps the best so far. The same seed gives the same result on the same
    machine.

    Args:
        frames: `[T, H, W, 3]`, of the model's size, T ≥ 2.
        fps: frame rate of the frames, in frames per second.
        options: how to search; 0 steps give the nearest of the compared seeds.
        perceptual: network that compares frames; default: the packaged one.
        preview: called with the middle frame of the clip, of the nearest seed and then of the best so far.

    Raises:
        StyleganvError: for too few frames, frames of another size, an image model or an unknown class.
    """
    _check(model, frames)
    candidates = _candidates(model, options.seed, options.label)
    clip = TargetClip.from_frames(frames, fps, perceptual or load_perceptual(device=model.device), model.device)
    target = clip.first_frame() if options.first_frame else clip
    latents = find_nearest(model, target, candidates, progress)
    _show(preview, model, latents, clip)
    history: list[dict[str, float]] = []
    own_model, interrupted = model, False
    try:
        stage = Stage(progress, options.num_steps + options.finetune_steps, "projecting")
        for best, evaluation in search(model, target, latents, options, stage):
            latents = best
            history.append(evaluation)
            _show(preview, model, latents, clip)
        if options.finetune_steps:
            own_model = deepcopy(model)
            finetune(own_model, latents, clip, options, stage)
    except KeyboardInterrupt:
        interrupted = True
    own_model.generator.requires_grad_(False)
    return Projection(
        latents=latents,
        model=own_model,
        is_finetuned=own_model is not model,
        history=tuple(history),
        interrupted=interrupted,
        **_compare(own_model, latents, clip, fps),
    )


def _show(preview: Preview | None, model: VideoGenerator, latents: Latents, clip: TargetClip) -> None:
    """Show the middle frame of the clip."""
    if preview is not None:
        time = clip.times[len(clip.times) // 2][None]
        with torch.no_grad():
            x = render_differentiably(model, latents.styles, latents.motion, time)
        preview(to_uint8(x)[0])


def _check(model: VideoGenerator, frames: NDArray[np.uint8]) -> None:
    size = [model.height, model.width, 3]
    if model.generator.motion is None:
        raise StyleganvError("Projection requires a model of videos, got an image model: use a StyleGAN-V model.")
    if frames.ndim != 4 or len(frames) < 2:
        raise StyleganvError(f"Projection requires at least 2 frames, got {len(frames)}: use a longer clip.")
    if list(frames.shape[1:]) != size:
        raise StyleganvError(f"Frames must be {size}, got {list(frames.shape[1:])}: resize them.")


def _candidates(model: VideoGenerator, seed: int, label: str | int | None) -> list[Latents]:
    """Return the latents of consecutive seeds; of every class, if none is given. Other labels are the seeds' own."""
    labels: list[str | int | None] = [label]
    if label is None and model.num_classes and model.labels.kind == "class":
        labels = list(map(model.labels.format, model.labels.all()))
    num_seeds = max(NUM_SEEDS, 4 * len(labels))
    seeds = range(seed * num_seeds, (seed + 1) * num_seeds)
    return [latents_from_seed(model, each, label=name) for each, name in zip(seeds, cycle(labels), strict=False)]


@torch.no_grad()
def _compare(model: VideoGenerator, latents: Latents, clip: TargetClip, fps: float) -> dict[str, tuple[float, ...]]:
    """Return the measures of each rendered uint8 frame; SSIM is NaN for frames smaller than its window."""
    rows: list[Tensor] = []
    frames = render_latents(model, latents, seconds=len(clip.times) / fps, fps=fps)
    for frame, real in zip(frames, clip.frames.split(1), strict=True):
        x = torch.from_numpy(frame).permute(2, 0, 1)[None].to(real.device).float() / 255
        similarity = ssim(x, real).to(x) if min(x.shape[-2:]) >= WINDOW else x.new_full((1,), math.nan)
        rows.append(torch.cat([psnr(x, real), similarity, clip.perceptual(x, real)]))
    return {name: tuple(column) for name, column in zip(MEASURES, torch.stack(rows).T.tolist(), strict=True)}
