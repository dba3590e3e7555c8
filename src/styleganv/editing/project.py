"""Projection: the content and the motion with which a model comes closest to a given clip.

    frames ──many seeds tried──▶ a seed's latents ──gradients──▶ Latents ──(fine-tuning)──▶ a model of its own

Beyond the motion slots that the clip sees the seed's noise goes on, so the clip never ends; and as a code sees `reach`
slots ahead, its motion turns into the seed's little by little.

Shapes: T frames, H height, W width. Times are in seconds.
"""

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from styleganv.editing.latents import Latents, latents_of, play
from styleganv.editing.perceptual import WINDOW, Perceptual, load_perceptual, psnr, ssim
from styleganv.editing.search import Clip, Space, clip_of, nearest, search, tune
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.sampler import VideoGenerator

MEASURES = ("psnr", "ssim", "perceptual")
#: Seeds that are tried before the search.
SEEDS = 64


@dataclass(frozen=True)
class Projection:
    """What was found.

    Attributes:
        latents: play them with `video`.
        video: the model; one of its own weights after fine-tuning.
        tuned: whether it is.
        psnr, ssim, perceptual: of each frame as it is played, against the real one; dB, −1..1, 0..4.
        history: `step`, `psnr` and `loss` of each look at the clip during the search.
        interrupted: whether Ctrl-C ended it early.
    """

    latents: Latents
    video: VideoGenerator
    tuned: bool
    psnr: tuple[float, ...]
    ssim: tuple[float, ...]
    perceptual: tuple[float, ...]
    history: tuple[dict[str, float], ...]
    interrupted: bool

    def means(self) -> dict[str, float]:
        """The three measures, averaged over frames."""
        return {name: float(np.mean(getattr(self, name))) for name in MEASURES}


def project(
    video: VideoGenerator,
    frames: NDArray[np.uint8],
    fps: float,
    *,
    space: Space = "w+",
    steps: int = 600,
    seed: int = 0,
    label: str | int | None = None,
    perceptual: Perceptual | None = None,
    tune_steps: int = 0,
    first_frame: bool = False,
) -> Projection:
    """The latents whose video is most like these frames. Ctrl-C ends the search and keeps the best so far.

    The same seed gives the same result on the same machine.

    Args:
        frames: `[T, H, W, 3]`, of the model's size, T ≥ 2.
        fps: of the frames.
        space: "w+" gives every layer a style of its own; "w" one to all: less alike, more like the model's own videos.
        steps: of the search; 0 gives the nearest of the seeds tried.
        seed: of the search, and of the motion beyond the clip.
        label: class of a conditional model; the best of all where left out.
        perceptual: the network that judges; the packaged one where left out.
        tune_steps: of fine-tuning a copy of the synthesis network to the clip, with the latents held.
        first_frame: fit the first frame only and leave the motion to a seed: what to compare with.

    Raises:
        StyleganvError: if the frames are too few or of another size, or the model makes images, or for an unknown
            class or space.
    """
    _check(video, frames, fps, space, steps, tune_steps)
    candidates = _candidates(video, seed, label)
    clip = clip_of(frames, fps, perceptual or load_perceptual(device=video.device), video.device)
    seen = clip.first() if first_frame else clip
    latents = nearest(video, seen, candidates)
    history: list[dict[str, float]] = []
    own, interrupted = video, False
    with tqdm(total=steps + tune_steps, desc="projecting", unit="step") as bar:
        try:
            for best, looked in search(
                video, seen, latents, space=space, steps=steps, seed=seed, move_noise=not first_frame, bar=bar
            ):
                latents = best
                history.append(looked)
            if tune_steps:
                own = _copied(video)
                tune(own, latents, clip, steps=tune_steps, seed=seed, bar=bar)
        except KeyboardInterrupt:
            interrupted = True
    own.generator.requires_grad_(False)
    return Projection(
        latents=latents,
        video=own,
        tuned=own is not video,
        history=tuple(history),
        interrupted=interrupted,
        **_measured(own, latents, clip, fps),
    )


def _check(
    video: VideoGenerator, frames: NDArray[np.uint8], fps: float, space: str, steps: int, tune_steps: int
) -> None:
    size = (video.height, video.width, 3)
    for fits, message in (
        (video.generator.motion is not None, "This model makes images and knows no motion: give a model of videos"),
        (frames.ndim == 4 and len(frames) >= 2, f"A clip of {len(frames)} frames is too short: give at least 2 frames"),
        (frames.shape[1:] == size, f"The frames are {list(frames.shape[1:])}, the model's {list(size)}: resize them"),
        (0 < fps < math.inf, f"A clip cannot have {fps:g} frames a second: give more than 0"),
        (space in get_args(Space), f"Space {space} is not known: choose w or w+"),
        (steps >= 0 and tune_steps >= 0, "Steps cannot be fewer than none: give 0 or more"),
    ):
        if not fits:
            raise StyleganvError(f"{message}.")


def _candidates(video: VideoGenerator, seed: int, label: str | int | None) -> list[Latents]:
    """Of seeds that follow from `seed`; where the class is to be chosen, of every class."""
    classes = video.generator.num_classes
    count = max(SEEDS, 4 * classes)
    if label is None and classes:
        return [latents_of(video, seed * count + i, label=i % classes) for i in range(count)]
    return [latents_of(video, seed * count + i, label=label) for i in range(count)]


def _copied(video: VideoGenerator) -> VideoGenerator:
    return VideoGenerator(
        deepcopy(video.generator),
        fps=video.fps,
        class_names=video.class_names,
        device=video.device,
        precision=video.precision,
        config=video.config,
    )


@torch.no_grad()
def _measured(video: VideoGenerator, latents: Latents, clip: Clip, fps: float) -> dict[str, tuple[float, ...]]:
    """The measures of each frame, of the whole levels that are played; SSIM is NaN where its window does not fit."""
    found: list[Tensor] = []
    frames = play(video, latents, seconds=len(clip.times) / fps, fps=fps)
    for frame, real in zip(frames, clip.frames.split(1), strict=True):
        x = torch.from_numpy(frame).permute(2, 0, 1)[None].to(real.device).float() / 255
        structure = ssim(x, real).to(x) if min(x.shape[-2:]) >= WINDOW else x.new_full((1,), math.nan)
        found.append(torch.cat([psnr(x, real), structure, clip.judge(x, real)]))
    return {name: tuple(column) for name, column in zip(MEASURES, torch.stack(found).T.tolist(), strict=True)}
