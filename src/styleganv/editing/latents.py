"""Latents: the styles and the motion that make up a video. Read this file first.

    seed ──latents_from_seed──┐                    ┌──render_latents──▶ uint8 frames
    file ──load_latents───────┴─▶ Latents ──edits──┴──save_latents──▶ file

Every edit takes `Latents` and returns new ones; they are immutable. Content and motion are two fields, so
`replace(content, motion=other.motion)` puts the motion of one video on the content of another.

Shapes: T frames, L style layers, S slots, U width of a motion code, H height, W width. Times are in seconds.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from styleganv.errors import StyleganvError, describe
from styleganv.files import atomic_write
from styleganv.label_space import Component, Label, LabelArgument
from styleganv.methods.stylegan_v.motion import SlotNoise
from styleganv.methods.stylegan_v.sampler import Styles, VideoGenerator
from styleganv.noise import CONTENT, SeededNoise, normal
from styleganv.validation import Psi, Seed, check, check_arguments, short_repr
from styleganv.video_model import Frame

FORMAT = "styleganv-latents-1"
#: Of files with a blend of motions, which earlier versions would read as the first of them.
BLEND_FORMAT = "styleganv-latents-2"


@dataclass(frozen=True)
class MotionLatents:
    """Motion of a video at all times.

    Attributes:
        seed: motion seed, which gives the noise of every slot that `noise` does not hold.
        noise: motion noise of slots 0 … S−1 `[S, noise_dim]`, float32 on the CPU, e.g. from a projection; or None.
        label: label of a conditional model, whose motion depends on it too.
        shift: `[U]`, added to every motion code u; or None.
        others: weights and noise of further motions in a blend (`edits.blend_motions`), whose label and shift are None.
        weight: of this motion's own noise in the blend. All weights² add up to 1, so that the noise stays Gaussian.
    """

    seed: int
    noise: Tensor | None = None
    label: Label | None = None
    shift: Tensor | None = None
    others: "tuple[tuple[float, MotionLatents], ...]" = ()
    weight: float = 1.0

    @property
    def terms(self) -> "list[tuple[float, MotionLatents]]":
        """The motions whose noise is added, each with its weight."""
        return [(self.weight, MotionLatents(self.seed, self.noise)), *self.others]

    def slot_noise(self, noise_dim: int) -> SlotNoise:
        """Return the motion noise of any slot."""
        terms = [(weight, RecordedNoise(m.noise, SeededNoise([m.seed], noise_dim))) for weight, m in self.terms]
        return terms[0][1] if self.weight == 1 else partial(_add_noise, terms)


@dataclass(frozen=True)
class Latents:
    """Everything that distinguishes one video of a model from another.

    Attributes:
        styles: content, one style per layer `[L, w_dim]`, float32 on the CPU.
        motion: motion at all times.
    """

    styles: Tensor
    motion: MotionLatents


class RecordedNoise:
    """Motion noise of one video: recorded for its first slots, from a seed after those (a `SlotNoise`)."""

    def __init__(self, recorded: Tensor | None, beyond: SeededNoise) -> None:
        self.recorded, self.beyond = recorded, beyond

    def __call__(self, clip: Tensor, slots: Tensor) -> Tensor:
        """Return the noise of `slots [N, S]`, `[N, S, noise_dim]`; gradients flow to the recorded noise."""
        seeded = self.beyond(clip, slots)
        if self.recorded is None:
            return seeded
        is_recorded = slots < len(self.recorded)
        return torch.where(is_recorded[..., None].cpu(), self.recorded[slots.clamp(max=len(self.recorded) - 1)], seeded)


def _add_noise(terms: Sequence[tuple[float, SlotNoise]], clip: Tensor, slots: Tensor) -> Tensor:
    """Return the weighted sum of motion noise, a `SlotNoise` but for the terms."""
    return torch.stack([weight * noise(clip, slots) for weight, noise in terms]).sum(dim=0)


@check_arguments
def latents_from_seed(
    model: VideoGenerator,
    seed: Seed,
    *,
    motion_seed: Seed | None = None,
    psi: Psi = 1.0,
    label: LabelArgument | None = None,
) -> Latents:
    """Return the latents of `model.sample(seed=…)`, which takes the same arguments."""
    styles = model.styles_from_seed(seed, psi=psi, label=label).cpu().clone()
    motion = MotionLatents(seed if motion_seed is None else motion_seed, label=model.choose_label(seed, label))
    return Latents(styles, motion)


def read_finite(file: Any, name: str) -> Tensor:
    """Return a float32 tensor of an open safetensors file. Raises ValueError if it has other or non-finite numbers."""
    tensor = file.get_tensor(name)
    if not tensor.is_floating_point() or not bool(tensor.float().isfinite().all()):
        raise ValueError(f"{name} contains values that are not finite numbers")
    return tensor.float()


def load_latents(model: VideoGenerator, path: Path | str) -> Latents:
    """Return the latents in a file of `save_latents`, or in a folder of `styleganv project`.

    Raises:
        StyleganvError: if the file is missing, damaged, or of another model.
    """
    path = Path(path)
    if path.is_dir():
        path /= "latents.safetensors"
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: read_finite(file, name) for name in list(file.keys())}
        if metadata.get("format") not in (FORMAT, BLEND_FORMAT):
            raise StyleganvError(f"{path} is not a latents file: pass one that styleganv project or edit wrote.")
        motion = MotionLatents(
            check(f"{path}: motion_seed", int(metadata["motion_seed"]), int),
            tensors.get("motion_noise"),
            _load_label(metadata["label"]) if "label" in metadata else None,
            tensors.get("motion_shift"),
            **_load_blend(metadata, tensors, path),
        )
        latents = Latents(tensors["styles"], motion)
    except FileNotFoundError as error:
        raise StyleganvError(
            f"Latents file {path} not found: pass a file or folder that styleganv project or edit wrote."
        ) from error
    except (SafetensorError, KeyError, ValueError, RuntimeError, OSError) as error:
        raise StyleganvError(f"Cannot read latents {path} ({describe(error)}): create the file again.") from error
    _check(model, latents, path)
    return latents


@check_arguments
def truncate(model: VideoGenerator, latents: Latents, psi: Psi) -> Latents:
    """Return latents with the content moved toward the mean w: `psi` 1 keeps it, 0 is mean w. The motion stays.

    For a conditional model, this is the mean w of the latents' label.
    """
    if psi == 1:
        return latents
    mean = model.truncation.mean(model.label_tensor(latents.motion.label)).cpu()
    return replace(latents, styles=torch.lerp(mean.expand_as(latents.styles), latents.styles, psi))


def save_latents(path: Path | str, latents: Latents, *, overwrite: bool = False) -> None:
    """Write the latents to a safetensors file, which executes nothing when it is loaded."""
    motion = latents.motion
    tensors = {"styles": latents.styles, "motion_noise": motion.noise, "motion_shift": motion.shift}
    metadata = {"format": FORMAT, "motion_seed": str(motion.seed)}
    if motion.weight != 1:
        metadata |= {"format": BLEND_FORMAT, "motion_weights": json.dumps([weight for weight, _ in motion.terms])}
        metadata["motion_seeds"] = json.dumps([other.seed for _, other in motion.terms])
        tensors |= {f"motion_noise_{i}": other.noise for i, (_, other) in enumerate(motion.others, 1)}
    if motion.label is not None:
        metadata["label"] = json.dumps(motion.label)
    known = {name: x.detach().cpu().float().contiguous() for name, x in tensors.items() if x is not None}
    with atomic_write(path, overwrite=overwrite) as tmp_path:
        save_file(known, tmp_path, metadata)


def _load_blend(metadata: dict[str, str], tensors: dict[str, Tensor], path: Path) -> dict[str, Any]:
    """Return `others` and `weight` of motion latents in a file; nothing for a single motion."""
    if metadata["format"] == FORMAT:
        return {}
    weights = check(f"{path}: motion_weights", json.loads(metadata["motion_weights"]), list[float])
    seeds = check(f"{path}: motion_seeds", json.loads(metadata["motion_seeds"]), list[Seed])
    motions = [MotionLatents(seed, tensors.get(f"motion_noise_{i}")) for i, seed in enumerate(seeds)]
    if not weights or abs(sum(weight**2 for weight in weights) - 1) > 1e-6:
        raise ValueError(f"motion_weights {short_repr(weights)}")
    return {"weight": weights[0], "others": tuple(zip(weights, motions, strict=True))[1:]}


def _load_label(text: str) -> Label:
    """Return a label in a file. Raises ValueError if it is none."""
    label = json.loads(text)
    return check("label", label, int) if isinstance(label, int) else tuple(check("label", label, list[Component]))


def _check(model: VideoGenerator, latents: Latents, path: Path) -> None:
    """Raise StyleganvError if the latents do not match the model."""
    synthesis, motion = model.generator.synthesis, model.generator.motion
    shape = [synthesis.num_styles, model.generator.mapping.w_mean.numel()]
    problem = None
    if list(latents.styles.shape) != shape:
        problem = f"their styles are {list(latents.styles.shape)}, the model's {shape}"
    shift, config, noise_dim = latents.motion.shift, model.generator.config, motion.noise_dim if motion else 0
    for recorded in (each.noise for _, each in latents.motion.terms if each.noise is not None):
        if recorded.ndim != 2 or not len(recorded) or recorded.shape[1] != noise_dim:
            problem = f"their motion noise is {list(recorded.shape)}, the model's [slots, {noise_dim}]"
    if shift is not None and (motion is None or list(shift.shape) != [config.motion_code_dim]):
        problem = f"their motion shift is {list(shift.shape)}, the model's [{config.motion_code_dim}]"
    label = latents.motion.label
    if (label is not None) != bool(model.num_classes):
        problem = "only one of the two has classes"
    elif label is not None and (reason := model.labels.problem(label)):
        problem = f"their label {short_repr(label)} {reason}"
    if problem:
        raise StyleganvError(
            f"Latents {path} do not match this model ({problem}): use the model they were created with."
        )


def render_latents(
    model: VideoGenerator,
    latents: Latents,
    *,
    styles: Styles | None = None,
    time_map: Callable[[float], float] | None = None,
    start: float = 0.0,
    seconds: float | None = None,
    fps: float | None = None,
    loop: bool = False,
) -> Iterator[Frame]:
    """Yield uint8 frames `[H, W, 3]` in constant memory; see `VideoGenerator.render`.

    Args:
        styles: content instead of the latents' own, e.g. a function of the time for content that changes.
        time_map: function from video time to motion time in seconds; default: the identity.
        start, seconds, fps, loop: as for `VideoGenerator.stream`.
    """
    motion = latents.motion
    noise_dim = 0 if model.generator.motion is None else model.generator.motion.noise_dim
    content, slot_noise = latents.styles if styles is None else styles, motion.slot_noise(noise_dim)
    render = partial(model.render, content, slot_noise, label=motion.label, shift=motion.shift)
    return render(time_map=time_map, start=start, seconds=seconds, fps=fps, loop=loop)


def render_differentiably(
    model: VideoGenerator, styles: Tensor, motion: MotionLatents, times: Sequence[float] | Tensor
) -> Tensor:
    """Return the same frames for optimization: gradients flow to `styles`, `motion.noise` and `motion.shift`.

    For `styles [L, w_dim]` at `times [T]` in seconds they are `[T, 3, H, W]`; for `[N, L, w_dim]`, N contents in the
    same motion, `[N, T, 3, H, W]`. They are float32 on the model's device, roughly in −1..1, in the model's precision.
    """
    generator, codes = model.generator, None
    times_in_frames = torch.as_tensor(times, dtype=torch.float64) * model.fps
    if generator.motion is not None:
        label = model.label_tensor(motion.label)
        slot_noise = motion.slot_noise(generator.motion.noise_dim)
        # The generator's own motion network computes in float32, and on the CPU like the noise.
        codes = generator.motion.cpu()(times_in_frames[None], slot_noise, label, motion.shift).to(model.device)
    batch = styles[None] if styles.ndim == 2 else styles
    with model.autocast():
        frames = generator.synthesis(
            batch.to(model.device), None if codes is None else codes.expand(len(batch), -1, -1)
        )
    return frames.float().view(*styles.shape[:-2], *frames.shape[1:])


@torch.no_grad()
def compute_w_std(model: VideoGenerator) -> Tensor:
    """Return the standard deviation of w `[w_dim]` over content seeds (and labels), on the CPU."""
    num_samples = 1024
    z = torch.from_numpy(normal(0, CONTENT, 0, num_samples * model.generator.z_dim)).view(num_samples, -1)
    labels = model.labels.all()
    rows = [labels[i % len(labels)] for i in range(num_samples if labels else 0)]
    label = torch.from_numpy(np.stack([model.labels.to_vector(row) for row in rows])).to(model.device) if rows else None
    return model.generator.mapping(z.to(model.device), label).std(dim=0).cpu()
