"""Directions: edits that change every video of a model in the same way, computed from samples of its latents.

    content: added to the styles w;  motion: added to the motion codes u, so the edit holds at all times

`find_principal_directions` computes those of largest variance (PCA, as in GANSpace); `find_scored_direction` computes
the one along which a score or a label changes. Strengths are in standard deviations of the samples.

Shapes: n samples, N directions, D latent width (w or u), L style layers, U width of a motion code.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from styleganv import noise
from styleganv.editing.edits import check_layer
from styleganv.editing.latents import Latents, read_finite
from styleganv.errors import StyleganvError, describe
from styleganv.files import atomic_write
from styleganv.methods.stylegan_v.motion import Motion
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.options import Space
from styleganv.validation import Amount, check, check_arguments

FORMAT = "styleganv-directions-1"
BATCH_SIZE = 256
#: Time in frames at which recurrent motion is sampled, when it has left its initial state.
RECURRENT_SAMPLE_TIME = 16.0


@dataclass(frozen=True)
class Directions:
    """Named directions in one space.

    Attributes:
        space: content (w) or motion (u).
        vectors: `[N, D]`, of length 1.
        scale: `[N]`, standard deviation of the samples along each direction.
        share: `[N]`, fraction of the variance of the samples (for motion, of their effect) along each, 0..1.
        names: N names without the `RESERVED_CHARACTERS`.
    """

    space: Space
    vectors: Tensor
    scale: Tensor
    share: Tensor
    names: tuple[str, ...]

    @check_arguments
    def apply(self, latents: Latents, name: str, strength: Amount, layers: Iterable[int] | None = None) -> Latents:
        """Return the latents moved along a direction.

        Args:
            strength: distance in standard deviations.
            layers: style layers to change, for a direction of content; default: all.

        Raises:
            StyleganvError: for an unknown name or layer, or layers of a direction of motion.
        """
        if name not in self.names:
            raise StyleganvError(f"Unknown direction {name!r}: choose one of {', '.join(self.names)}.")
        index = self.names.index(name)
        step = strength * self.scale[index] * self.vectors[index]
        if self.space == "motion":
            if layers is not None:
                raise StyleganvError(f"Direction {name} changes motion, which has no layers: omit the layers.")
            shift = latents.motion.shift
            return replace(latents, motion=replace(latents.motion, shift=step if shift is None else shift + step))
        styles = latents.styles.clone()
        for layer in range(len(styles)) if layers is None else layers:
            check_layer(layer, len(styles))
            styles[layer] += step
        return replace(latents, styles=styles)


def find_principal_directions(
    samples: Tensor, num_directions: int, space: Space, effect: Tensor | None = None
) -> Directions:
    """Return the directions of largest variance of `samples [n, D]`, named 1, 2, … in descending order.

    Samples such as motion codes vary almost equally in all directions. For those, `effect [n, E]` measures what
    matters: the components are then those of the effect, each as the direction of the samples that causes it. The sign
    of a principal component is arbitrary; here its largest entry is positive.
    """
    centered = samples.double() - samples.double().mean(dim=0)
    analyzed = centered if effect is None else effect.double() - effect.double().mean(dim=0)
    _, singular_values, components = torch.linalg.svd(analyzed, full_matrices=False)
    num_directions = min(num_directions, len(samples) - 1, *samples.shape[1:], *analyzed.shape[1:])
    share = (singular_values.square() / singular_values.square().sum())[:num_directions]
    vectors = components[:num_directions]
    if effect is not None:
        vectors = torch.nn.functional.normalize((analyzed @ vectors.T).T @ centered, dim=1)
    vectors = vectors * vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True)).sign()
    scale = (centered @ vectors.T).square().sum(dim=0).div(len(samples) - 1).sqrt()
    names = tuple(str(i + 1) for i in range(num_directions))
    return Directions(space, vectors.float(), scale.float(), share.float(), names)


def find_scored_direction(samples: Tensor, scores: Sequence[float] | Tensor, name: str, space: Space) -> Directions:
    """Return the direction along which a score increases: the covariance of `samples [n, D]` with `scores [n]`.

    For two labels, 0 and 1, it is the difference of their means. It follows the distribution of the latents; a
    regression could leave it.

    Raises:
        StyleganvError: if all scores are equal.
    """
    centered = samples.double() - samples.double().mean(dim=0)
    scores = torch.as_tensor(scores, dtype=torch.float64)
    covariance = ((scores - scores.mean())[:, None] * centered).mean(dim=0)
    length = covariance.norm()
    if not (length > 0 and length.isfinite()):
        raise StyleganvError(f"All samples have the same {name}, which gives no direction: sample other or more seeds.")
    vector = covariance / length
    variance = (centered @ vector).square().mean()
    share = variance / centered.square().sum(dim=1).mean()
    return Directions(space, vector[None].float(), variance.sqrt()[None].float(), share[None].float(), (name,))


@torch.inference_mode()
def sample_latents(model: VideoGenerator, space: Space, seeds: Sequence[int]) -> Tensor:
    """Return w `[n, w_dim]` of content seeds, or u `[n, U]` (the codes of slot 0) of motion seeds, on the CPU.

    Raises:
        StyleganvError: for motion of an image model.
    """
    generator, samples = model.generator, []
    if space == "motion" and generator.motion is None:
        raise StyleganvError("Directions of motion require a video model, got an image model: use space content.")
    for first in range(0, len(seeds), BATCH_SIZE):
        batch = list(seeds[first : first + BATCH_SIZE])
        label = None
        if generator.num_classes:
            rows = [model.labels.to_vector(model.label_from_seed(seed)) for seed in batch]
            label = torch.from_numpy(np.stack(rows))
        if space == "content":
            z = np.stack([noise.normal(seed, noise.CONTENT, 0, generator.z_dim) for seed in batch])
            label = None if label is None else label.to(model.device)
            samples.append(generator.mapping(torch.from_numpy(z).to(model.device), label).cpu())
            continue
        assert generator.motion is not None
        motion = generator.motion.cpu()
        slot_noise = noise.SeededNoise(batch, motion.noise_dim)
        if isinstance(motion, Motion):
            slots = torch.arange(motion.lookahead_slots + 1).expand(len(batch), -1)
            samples.append(motion.compute_codes(torch.arange(len(batch)), slots, slot_noise, label)[:, 0])
        else:
            times = torch.full((len(batch), 1), RECURRENT_SAMPLE_TIME)
            samples.append(motion(times, slot_noise, label)[:, 0])
    return torch.cat(samples).float()


def join_directions(parts: Sequence[Directions]) -> Directions:
    """Return the directions of several sets of one space as one set."""
    vectors, scale, share = (torch.cat([getattr(p, name) for p in parts]) for name in ("vectors", "scale", "share"))
    return Directions(parts[0].space, vectors, scale, share, tuple(name for part in parts for name in part.names))


def save_directions(path: Path | str, directions: Directions, *, overwrite: bool = False) -> None:
    """Write the directions to a safetensors file."""
    metadata = {"format": FORMAT, "space": directions.space, "names": json.dumps(directions.names)}
    tensors = {name: getattr(directions, name).contiguous() for name in ("vectors", "scale", "share")}
    with atomic_write(path, overwrite=overwrite) as tmp_path:
        save_file(tensors, tmp_path, metadata)


def load_directions(model: VideoGenerator, path: Path | str) -> Directions:
    """Return the directions in a file of `save_directions`.

    Raises:
        StyleganvError: if the file is missing, damaged, or of a model of another width.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise StyleganvError(f"{path} is not a directions file: pass one that styleganv directions wrote.")
            vectors, scale, share = (read_finite(file, name) for name in ("vectors", "scale", "share"))
        space: Space = cast(Space, metadata["space"])
        names = tuple(check(f"{path}: names", json.loads(metadata["names"]), list[str]))
        shapes = [list(tensor.shape) for tensor in (vectors, scale, share)]
        if space not in get_args(Space) or shapes != [[len(names), vectors.shape[-1]], [len(names)], [len(names)]]:
            raise ValueError(f"space {space}, {len(names)} names, shapes {shapes}")
    except (SafetensorError, KeyError, ValueError, TypeError, IndexError, RuntimeError, OSError) as error:
        raise StyleganvError(
            f"Cannot read directions {path} ({describe(error)}): run styleganv directions again."
        ) from error
    width = sample_latents(model, space, [0]).shape[1]
    if vectors.shape[1] != width:
        raise StyleganvError(
            f"Directions {path} do not match this model (their width is {vectors.shape[1]}, the model's {width}): use "
            "the model they were found in."
        )
    return Directions(space, vectors, scale, share, names)
