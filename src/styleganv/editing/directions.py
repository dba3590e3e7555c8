"""Directions: ways to change every video of a model alike, found in samples of its latents.

    content: added to the styles w;  motion: added to the codes u, so the edit holds at all times

`principal_directions` looks for what varies most (PCA, as GANSpace does); `scored_direction` for what goes along with a
score or a label. Strengths are counted in standard deviations of the samples.

Shapes: n samples, N directions, D latent width (w or u), T frames, H height, W width, L style layers, U code width.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from styleganv import noise
from styleganv.editing.edits import checked_layer
from styleganv.editing.latents import Latents, MotionLatents, latents_of, play
from styleganv.editing.scores import SCORES, read_labels
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.media import sheets
from styleganv.methods.stylegan_v.motion import Motion
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.methods.stylegan_v.synthesis import SynthesisBlock
from styleganv.nn import modulated_kernel

Space = Literal["content", "motion"]
FORMAT = "styleganv-directions-1"
#: Frames that a score sees of each sample, and how far apart, in frames of the data.
SCORED_FRAMES, SCORED_STEP = 8, 4
BATCH = 256


@dataclass(frozen=True)
class Directions:
    """Named directions in one space.

    Attributes:
        space: content (w) or motion (u).
        vectors: `[N, D]`, of length 1.
        scale: `[N]`, standard deviation of the samples along each.
        share: `[N]`, of the variance of the samples (of their effect, for motion) along each, 0..1.
        names: N names without the signs of `NAMELESS`.
    """

    space: Space
    vectors: Tensor
    scale: Tensor
    share: Tensor
    names: tuple[str, ...]

    def moved(self, latents: Latents, name: str, strength: float, layers: Iterable[int] | None = None) -> Latents:
        """The latents moved along a direction, by so many standard deviations; of content, only at `layers` if given.

        Raises:
            StyleganvError: for an unknown name or layer, or layers of a motion.
        """
        if name not in self.names:
            raise StyleganvError(f"There is no direction {name!r}: choose one of {', '.join(self.names)}.")
        index = self.names.index(name)
        step = strength * self.scale[index] * self.vectors[index]
        if self.space == "motion":
            if layers is not None:
                raise StyleganvError(f"Direction {name} is one of motion, which has no layers: leave out the layers.")
            before = latents.motion.shift
            return replace(latents, motion=replace(latents.motion, shift=step if before is None else before + step))
        styles = latents.styles.clone()
        for layer in range(len(styles)) if layers is None else layers:
            styles[checked_layer(layer, len(styles))] += step
        return replace(latents, styles=styles)


def principal_directions(samples: Tensor, count: int, space: Space, effect: Tensor | None = None) -> Directions:
    """The `count` directions along which `samples [n, D]` vary most, named 1, 2, … from the widest on.

    Where samples vary alike in all directions (motion codes nearly do), `effect [n, E]` tells which of it matters:
    then the components are those of the effect, each the direction of the samples that goes along with one.
    A principal component has no sign of its own; here its largest entry is positive.
    """
    centred = samples.double() - samples.double().mean(dim=0)
    seen = centred if effect is None else effect.double() - effect.double().mean(dim=0)
    _, widths, components = torch.linalg.svd(seen, full_matrices=False)
    count = min(count, len(samples) - 1, *samples.shape[1:], *seen.shape[1:])
    share = (widths.square() / widths.square().sum())[:count]
    vectors = components[:count]
    if effect is not None:
        vectors = torch.nn.functional.normalize((seen @ vectors.T).T @ centred, dim=1)
    vectors = vectors * vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True)).sign()
    scale = (centred @ vectors.T).square().sum(dim=0).div(len(samples) - 1).sqrt()
    names = tuple(str(i + 1) for i in range(count))
    return Directions(space, vectors.float(), scale.float(), share.float(), names)


def scored_direction(samples: Tensor, scores: Sequence[float] | Tensor, name: str, space: Space) -> Directions:
    """The direction along which a score rises: the covariance of `samples [n, D]` with `scores [n]`.

    For two labels, 0 and 1, it is the difference of their means. It follows how latents vary, where a regression would
    also step where no latents are.

    Raises:
        StyleganvError: if all scores are the same.
    """
    centred = samples.double() - samples.double().mean(dim=0)
    scores = torch.as_tensor(scores, dtype=torch.float64)
    covariance = ((scores - scores.mean())[:, None] * centred).mean(dim=0)
    length = covariance.norm()
    if not (length > 0 and length.isfinite()):
        raise StyleganvError(f"All samples have the same {name}, so it shows no direction: score other or more seeds.")
    vector = covariance / length
    along = (centred @ vector).square().mean()
    share = along / centred.square().sum(dim=1).mean()
    return Directions(space, vector[None].float(), along.sqrt()[None].float(), share[None].float(), (name,))


@torch.inference_mode()
def sample_latents(video: VideoGenerator, space: Space, seeds: Sequence[int]) -> Tensor:
    """w `[n, w_dim]` of contents, or u `[n, U]` (the codes of slot 0) of motions, one for each seed, on the CPU.

    Raises:
        StyleganvError: for motions of a model without.
    """
    generator, found = video.generator, []
    if space == "motion" and generator.motion is None:
        raise StyleganvError("This model has no motion: find directions of its content.")
    for first in range(0, len(seeds), BATCH):
        batch = list(seeds[first : first + BATCH])
        label = None
        if generator.num_classes:
            label = torch.eye(generator.num_classes)[[video.class_of(seed) for seed in batch]]
        if space == "content":
            z = np.stack([noise.normal(seed, noise.CONTENT, 0, generator.z_dim) for seed in batch])
            on = None if label is None else label.to(video.device)
            found.append(generator.mapping(torch.from_numpy(z).to(video.device), on).cpu())
            continue
        assert generator.motion is not None
        motion = generator.motion.cpu()
        slot_noise = noise.SeededNoise(batch, motion.noise_dim)
        if isinstance(motion, Motion):
            slots = torch.arange(motion.reach + 1).expand(len(batch), -1)
            found.append(motion.codes(torch.arange(len(batch)), slots, slot_noise, label)[:, 0])
        else:  # a recurrent motion comes to itself after some frames
            times = torch.full((len(batch), 1), 16.0)
            found.append(motion(times, slot_noise, label)[:, 0])
    return torch.cat(found).float()


def find_directions(
    video: VideoGenerator,
    space: Space = "content",
    *,
    count: int = 10,
    samples: int = 2000,
    seed: int = 0,
    score: str | None = None,
    labels: Path | str | None = None,
) -> Directions:
    """What varies most in a model; or what goes along with a score of its videos, or with labels that a person gave.

    Args:
        count: of principal directions.
        samples: how many seeds to draw, from `seed` on.
        score: a key of `SCORES`.
        labels: a CSV file of `seed,label` lines: numbers, or names (two: from the first to the second in the order of
            the alphabet; more: one direction for each, away from the rest).

    Raises:
        StyleganvError: for an unknown space or score, both a score and labels, or labels that cannot be used.
    """
    if space not in get_args(Space):
        raise StyleganvError(f"There is no space {space!r}: choose {' or '.join(get_args(Space))}.")
    if samples < 3 or count < 1:
        raise StyleganvError("Directions need at least 3 samples and a count of 1.")
    if score is not None and labels is not None:
        raise StyleganvError("A score and labels each show a direction of their own: give one of them.")
    if labels is not None:
        seeds, columns = read_labels(labels)
        found = sample_latents(video, space, seeds)
        return _joined([scored_direction(found, values, name, space) for name, values in columns.items()])
    seeds = list(range(seed, seed + samples))
    if score is None:
        found = sample_latents(video, space, seeds)
        return principal_directions(found, count, space, motion_effect(video, found) if space == "motion" else None)
    if score not in SCORES:
        raise StyleganvError(f"There is no score {score!r}: choose one of {', '.join(SCORES)}.")
    return judged_direction(video, space, SCORES[score], score, seeds)


@torch.inference_mode()
def motion_effect(video: VideoGenerator, codes: Tensor) -> Tensor:
    """What motion codes u `[n, U]` add to the first convolution of the mean content `[n, C]`, at a slot, where v = M u.

    It is linear, as v is the same at every pixel. The network looks at a few of v's directions and ignores the rest.
    """
    generator = video.generator
    v = generator.motion.encoding.align(codes) if isinstance(generator.motion, Motion) else codes
    conv = cast(SynthesisBlock, generator.synthesis.blocks[0]).conv1
    kernel = modulated_kernel(conv.weight, conv.affine(generator.mapping.w_mean[None])[0])
    of_motion = kernel[:, len(generator.synthesis.constant) :].sum(dim=(2, 3))
    return v @ of_motion.T.to(v)


def judged_direction(
    video: VideoGenerator,
    space: Space,
    judge: Callable[[NDArray[np.uint8]], float],
    name: str,
    seeds: Sequence[int],
) -> Directions:
    """The direction along which a score rises, from a clip `[T, H, W, 3]` of each seed; with a progress bar."""
    scores = [judge(_clip(video, space, seed)) for seed in tqdm(seeds, desc=f"scoring {name}", unit="video")]
    return scored_direction(sample_latents(video, space, seeds), scores, name, space)


def _clip(video: VideoGenerator, space: Space, seed: int) -> NDArray[np.uint8]:
    """What a score sees of a seed `[T, H, W, 3]`: its content and motion, or its motion on the mean content."""
    latents = latents_of(video, seed, psi=1.0 if space == "content" else 0.0)
    fps = video.fps / SCORED_STEP
    return np.stack(list(play(video, latents, seconds=SCORED_FRAMES / fps, fps=fps)))


def _joined(parts: Sequence[Directions]) -> Directions:
    vectors, scale, share = (torch.cat([getattr(p, name) for p in parts]) for name in ("vectors", "scale", "share"))
    return Directions(parts[0].space, vectors, scale, share, tuple(name for part in parts for name in part.names))


def save_directions(path: Path | str, directions: Directions) -> None:
    """Write the file whole."""
    about = {"format": FORMAT, "space": directions.space, "names": json.dumps(directions.names)}
    tensors = {name: getattr(directions, name).contiguous() for name in ("vectors", "scale", "share")}
    with atomic_write(path) as tmp_path:
        save_file(tensors, tmp_path, about)


def load_directions(video: VideoGenerator, path: Path | str) -> Directions:
    """Directions as `save_directions` wrote them, for this model.

    Raises:
        StyleganvError: if the file is missing, damaged, or of a model of another width.
    """
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise StyleganvError(f"{path} holds no directions: give a file that styleganv directions wrote.")
            vectors, scale, share = (file.get_tensor(name) for name in ("vectors", "scale", "share"))
        found = Directions(cast(Space, about["space"]), vectors, scale, share, tuple(json.loads(about["names"])))
        count, tensors = len(found.names), (vectors, scale, share)
        shapes = [list(tensor.shape) for tensor in tensors]
        if found.space not in get_args(Space) or shapes != [[count, vectors.shape[-1]], [count], [count]]:
            raise ValueError(f"space {found.space}, {count} names, shapes {shapes}")
        if not all(bool(tensor.isfinite().all()) for tensor in tensors):
            raise ValueError("its numbers are not all finite")
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise StyleganvError(f"The directions {path} cannot be read ({error}): find them again.") from error
    width = sample_latents(video, found.space, [0]).shape[1]
    if found.vectors.shape[1] != width:
        raise StyleganvError(
            f"The directions {path} are of another model (width {found.vectors.shape[1]}, this one's is {width}): find "
            "them with this model."
        )
    return found


def directions_sheet(video: VideoGenerator, directions: Directions, seed: int) -> NDArray[np.uint8]:
    """One direction a row, from −3 to +3 standard deviations: stills of content, film strips of motion.

    They start from the seed's content half-way to the mean, from where 3 still leads to what the model knows. A strip
    sees one and a half slots or more, so that motion shows in slow models too.
    """
    strengths = (-3, -2, -1, 0, 1, 2, 3) if directions.space == "content" else (-3, 0, 3)
    start = latents_of(video, seed, psi=0.5)
    base = replace(start, motion=MotionLatents(seed, label=start.motion.label))
    count = 1 if directions.space == "content" else 6
    slot = 0.0 if video.generator.motion is None else video.generator.motion.slot_distance
    fps = video.fps / max(SCORED_STEP, slot / 4)

    def cell(name: str, strength: float) -> NDArray[np.uint8]:
        clip = play(video, directions.moved(base, name, strength), seconds=count / fps, fps=fps)
        return sheets.film_strip(np.stack(list(clip)))

    names = directions.names[:10]
    rows = [
        [cell(name, strength) for strength in strengths]
        for name in tqdm(names, desc="drawing directions", unit="direction")
    ]
    labels = [f"{name} ({share:.0%})" for name, share in zip(names, directions.share.tolist(), strict=False)]
    note = f"{directions.space} directions, in standard deviations (share of the variance)"
    if count > 1:
        note += "; time runs to the right inside each strip"
    columns = [f"{strength:+d}" if strength else "0" for strength in strengths]
    return sheets.labeled_sheet(np.array(rows), rows=labels, columns=columns, note=note)
