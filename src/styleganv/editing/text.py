"""Edits by text: contents that CLIP finds nearer to a sentence, by optimisation or along one direction for all.

Only styles change, and they are judged at moments all over the video, so an edit holds at any time and leaves motion
to the motion code. The idea is that of StyleCLIP (Patashnik et al. 2021).

Shapes: L style layers, E embedding width, T frames.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from styleganv.editing.clip_model import ClipModel
from styleganv.editing.directions import Directions, judged_direction, sample_latents
from styleganv.editing.edits import checked_layer
from styleganv.editing.latents import Latents, differentiable_frames, spread_of_w
from styleganv.editing.scores import NAMELESS
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.sampler import VideoGenerator

#: Moments are drawn from the first so many slots of the video; all later ones are alike.
SLOTS = 16


def edit_by_text(
    video: VideoGenerator,
    latents: Latents,
    text: str,
    clip: ClipModel,
    *,
    steps: int = 100,
    frames: int = 4,
    starts: int = 64,
    rate: float = 0.1,
    stay: float = 0.03,
    identity: Callable[[Tensor, Tensor], Tensor] | None = None,
    keep: float = 0.3,
    layers: Sequence[int] | None = None,
    seed: int = 0,
) -> Latents:
    """The latents with a content that shows what the text says; the motion is the same object as before.

    Args:
        text: such as "a green square".
        steps: of Adam.
        frames: of the video, at random moments, seen in each step.
        starts: other contents that are tried as a start: where CLIP sees no difference near by, nothing leads away.
        rate: of Adam, in standard deviations of w; it falls to 0 along a cosine.
        stay: weight of the squared distance from where it started, in standard deviations of w.
        identity: a distance of pictures in 0..1, `[T, 3, H, W]` each → `[T]`, such as `perceptual.Perceptual`: what the
            text does not speak of shall stay as it was.
        keep: weight of `identity`.
        layers: to change, 0 the coarsest; all where left out.
        seed: of the moments and of the other contents.

    Raises:
        StyleganvError: for an empty text, no steps, or a layer that is not there.
    """
    wanted = _embedded(clip, text)
    if steps < 1 or frames < 1:
        raise StyleganvError(f"Editing by text cannot take {steps} steps of {frames} frames: choose 1 or more of each.")
    start = latents.styles
    chosen = torch.zeros(len(start), 1)
    for layer in range(len(start)) if layers is None else layers:
        chosen[checked_layer(layer, len(start))] = 1
    spread = spread_of_w(video).clamp_min(1e-8)
    random = torch.Generator().manual_seed(seed)
    slot = 1.0 if video.generator.motion is None else video.generator.motion.slot_distance

    def shown(offset: Tensor, times: Tensor) -> Tensor:
        return differentiable_frames(video, start + chosen * spread * offset, latents.motion, times)

    def moments() -> tuple[Tensor, Tensor | None]:
        """Times, and the video as it was at them, if that matters."""
        times = torch.rand(frames, generator=random, dtype=torch.float64) * SLOTS * slot / video.fps
        with torch.no_grad():
            return times, None if identity is None else shown(torch.zeros_like(start), times)

    def judged(offset: Tensor, times: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """Distance from the text, and the whole loss."""
        after = shown(offset, times)
        far = 1 - (clip.images(after) @ wanted.T).mean()
        loss = far + stay * (chosen * offset).square().sum() / (chosen.sum() * len(spread))
        if identity is not None and before is not None:
            loss = loss + keep * identity(after / 2 + 0.5, before / 2 + 0.5).mean()
        return far, loss

    with tqdm(total=starts + steps, desc="editing", unit="step") as bar:
        offset, seen = torch.zeros_like(start), moments()
        with torch.no_grad():
            least = float(judged(offset, *seen)[1])
            for w in sample_latents(video, "content", range(seed, seed + starts)) if starts else ():
                tried = (w - start) / spread
                if (total := float(judged(tried, *seen)[1])) < least:
                    offset, least = tried, total
                bar.update()
        offset.requires_grad_()
        optimizer = torch.optim.Adam([offset], lr=rate)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * step / steps)) / 2
            far, loss = judged(offset, *moments())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.set_postfix(distance=f"{float(far.detach()):.3f}")
            bar.update()
    return replace(latents, styles=(start + chosen * spread * offset).detach())


def text_direction(
    video: VideoGenerator,
    text: str,
    clip: ClipModel,
    *,
    source_text: str | None = None,
    seeds: Sequence[int] = range(200),
) -> Directions:
    """One direction for all contents: that along which CLIP finds them nearer to the text, among random ones.

    Nothing is optimised: it is the covariance of w with CLIP's judgement (`directions.scored_direction`).

    Args:
        source_text: what shall become less; where left out, only nearness to `text` counts.

    Raises:
        StyleganvError: for an empty text.
    """
    wanted = _embedded(clip, text)
    if source_text is not None:
        wanted = wanted - _embedded(clip, source_text)

    @torch.inference_mode()
    def nearness(shown: NDArray[np.uint8]) -> float:
        frames = torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 127.5 - 1
        return float((clip.images(frames) @ wanted.T).mean())

    name = "".join(" " if letter in NAMELESS else letter for letter in text).strip()
    return judged_direction(video, "content", nearness, name, list(seeds))


def _embedded(clip: ClipModel, text: str) -> Tensor:
    """`[1, E]`."""
    if not text.strip():
        raise StyleganvError("The text is empty: say what the video shall show, such as 'a green square'.")
    return clip.texts([text])
