"""Search for directions of a model: by variance, by a score of its videos, by annotations, or by a text.

Shapes: n samples, U width of a motion code, T frames, C channels, E width of a CLIP embedding, H height, W width.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from styleganv.editing.clip_model import choose_clip_model, embed_text, load_clip_model
from styleganv.editing.directions import (
    Directions,
    find_principal_directions,
    find_scored_direction,
    join_directions,
    sample_latents,
)
from styleganv.editing.latents import MotionLatents, latents_from_seed, render_latents
from styleganv.editing.scores import RESERVED_CHARACTERS, SCORES, load_annotations
from styleganv.errors import StyleganvError
from styleganv.media import sheets
from styleganv.methods.stylegan_v.alias_free import AliasFreeSynthesis
from styleganv.methods.stylegan_v.attention import AttentionSynthesis
from styleganv.methods.stylegan_v.motion import Motion
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.methods.stylegan_v.synthesis import SynthesisBlock
from styleganv.nn import modulate_kernel
from styleganv.options import DirectionOptions, Space
from styleganv.progress import Progress, track
from styleganv.video_model import Frame

#: Frames of each sample that are scored, and their distance in frames of the dataset.
SCORED_FRAMES, SCORED_STEP = 8, 4

#: Score of a uint8 clip `[T, H, W, 3]`.
Score = Callable[[NDArray[np.uint8]], float]


def find_directions(
    model: VideoGenerator, options: DirectionOptions = DirectionOptions(), *, progress: Progress | None = None
) -> Directions:
    """Return the directions of a model that `options` describe.

    Annotations with numbers give one direction. Two class names give the direction from the first to the second in
    alphabetical order; more give one direction each, away from the others.

    Args:
        options: what to search for, in which space and in how many samples.
        progress: called with videos scored and videos in all, for a score or text.

    Raises:
        StyleganvError: for an unknown score, invalid annotations, an unknown CLIP, or motion of an image model.
    """
    space, seeds = options.space, options.seeds
    if options.annotations is not None:
        annotated_seeds, columns = load_annotations(options.annotations)
        samples = sample_latents(model, space, annotated_seeds)
        return join_directions(
            [find_scored_direction(samples, column, name, space) for name, column in columns.items()]
        )
    if options.score is None and options.text is None:
        samples = sample_latents(model, space, seeds)
        effect = compute_motion_effect(model, samples) if space == "motion" else None
        return find_principal_directions(samples, options.num_directions, space, effect)
    name, score = _text_score(model, options) if options.text is not None else _named_score(options.score)
    samples = sample_latents(model, space, seeds)
    scores = [score(_clip(model, space, seed)) for seed in track(seeds, progress, len(seeds), f"scoring {name}")]
    return find_scored_direction(samples, scores, name, space)


def _named_score(name: str | None) -> tuple[str, Score]:
    if name not in SCORES:
        raise StyleganvError(f"Unknown score {name!r}: choose one of {', '.join(SCORES)}.")
    return name, SCORES[name]


def _text_score(model: VideoGenerator, options: DirectionOptions) -> tuple[str, Score]:
    """Return CLIP's similarity to the text, less that to the source text."""
    clip_model = load_clip_model(choose_clip_model(options.clip_model, model.source), device=model.device)
    text = options.text or ""
    target = embed_text(clip_model, text)
    if options.source_text is not None:
        target = target - embed_text(clip_model, options.source_text)

    @torch.inference_mode()
    def similarity(clip: NDArray[np.uint8]) -> float:
        frames = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 127.5 - 1
        return float((clip_model.embed_images(frames) @ target.T).mean())

    return "".join(" " if letter in RESERVED_CHARACTERS else letter for letter in text).strip(), similarity


def _clip(model: VideoGenerator, space: Space, seed: int) -> NDArray[np.uint8]:
    """Return the clip to score `[T, H, W, 3]`: a seed's content and motion, or its motion on the mean content."""
    latents = latents_from_seed(model, seed, psi=1.0 if space == "content" else 0.0)
    fps = model.fps / SCORED_STEP
    return np.stack(list(render_latents(model, latents, seconds=SCORED_FRAMES / fps, fps=fps)))


@torch.inference_mode()
def compute_motion_effect(model: VideoGenerator, codes: Tensor) -> Tensor:
    """Return what motion codes u `[n, U]` add to the first convolution of the mean content, `[n, C]`.

    In an alias-free network, it is what they add to its input; with attention, to layout and styles. It is measured at
    a slot, where v = M u. The effect is linear, as v is the same at every pixel. The network uses few directions of v
    and ignores the others.
    """
    generator = model.generator
    v = generator.motion.encoding.align(codes) if isinstance(generator.motion, Motion) else codes
    if isinstance(generator.synthesis, AliasFreeSynthesis):
        return generator.synthesis.input.motion_effect(v)
    if isinstance(generator.synthesis, AttentionSynthesis):
        return generator.synthesis.motion_effect(v)
    conv = cast(SynthesisBlock, generator.synthesis.blocks[0]).conv1
    kernel = modulate_kernel(conv.weight, conv.affine(generator.mapping.w_mean[None])[0])
    motion_kernel = kernel[:, len(generator.synthesis.constant) :].sum(dim=(2, 3))
    return v @ motion_kernel.T.to(v)


def draw_directions(
    model: VideoGenerator, directions: Directions, seed: int, *, progress: Progress | None = None
) -> Frame:
    """Return an image with one direction per row, from −3 to +3 standard deviations.

    Content is shown as single frames, motion as film strips over at least one and a half slots. The edits start from
    the seed's content at psi 0.5, where most still give intact frames.
    """
    is_content = directions.space == "content"
    strengths = (-3, -2, -1, 0, 1, 2, 3) if is_content else (-3, 0, 3)
    start = latents_from_seed(model, seed, psi=0.5)
    base = replace(start, motion=MotionLatents(seed, label=start.motion.label))
    num_frames = 1 if is_content else 6
    slot_distance = 0.0 if model.generator.motion is None else model.generator.motion.slot_distance
    fps = model.fps / max(SCORED_STEP, slot_distance / 4)

    def draw(name: str, strength: float) -> Frame:
        edited = directions.apply(base, name, strength)
        return sheets.film_strip(np.stack(list(render_latents(model, edited, seconds=num_frames / fps, fps=fps))))

    names = directions.names[:10]
    rows = [
        [draw(name, strength) for strength in strengths]
        for name in track(names, progress, len(names), "drawing directions")
    ]
    labels = [f"{name} ({share:.0%})" for name, share in zip(names, directions.share.tolist(), strict=False)]
    note = f"{directions.space} directions, in standard deviations (fraction of the variance)"
    if not is_content:
        note += "; time runs to the right inside each strip"
    columns = [f"{strength:+d}" if strength else "0" for strength in strengths]
    return sheets.labeled_sheet(np.array(rows), rows=labels, columns=columns, note=note)
