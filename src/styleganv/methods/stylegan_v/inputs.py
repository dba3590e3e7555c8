"""Inputs of a training step: real clips, and the inputs of generated ones as functions of the seed and clip index.

Noise is drawn on the CPU, for the clips of all processes at once; each process takes its rows. It is therefore the same
on every device, for any number of processes and any size of micro-batches, and one generator serves a whole step.

Shapes: B clips of this process, T frames per clip, S slots, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from styleganv import distributed
from styleganv.clip import Clip
from styleganv.data.sampling import MAX_FAKE_TIME
from styleganv.methods.stylegan_v.motion import Motion, RecurrentMotion
from styleganv.noise import torch_random
from styleganv.training.augment import NUM_UNIFORM
from styleganv.training.batches import ClipDataset, copy_async

#: Which network a step updates. Generated clips are drawn separately for each.
GENERATOR_PHASE, DISCRIMINATOR_PHASE = 0, 1

#: Purposes of random numbers. A purpose is part of the seed, so no two of them share numbers.
NOISE_PURPOSE = 10  # plus the phase
AUGMENT_G_FAKE, AUGMENT_D_FAKE, AUGMENT_D_REAL, AUGMENT_R1, AUGMENT_G_REAL, AUGMENT_R2 = 20, 21, 22, 23, 24, 25


@dataclass(frozen=True)
class ClipNoise:
    """A `SlotNoise` restricted to the slots that B clips use.

    Attributes:
        slots: noise `[B, S, noise_dim]`.
        first: the first slot of each clip, `[B]`.
    """

    slots: Tensor
    first: Tensor

    @property
    def num_slots(self) -> int:
        """Return S."""
        return self.slots.shape[1]

    def __call__(self, clip: Tensor, slot: Tensor) -> Tensor:
        return self.slots[clip[:, None], slot - self.first[clip, None]]

    def __getitem__(self, rows: slice) -> "ClipNoise":
        """Return the noise of some of the clips."""
        return ClipNoise(self.slots[rows], self.first[rows])


@dataclass(frozen=True)
class FakeInputs:
    """Generator inputs of B clips.

    Attributes:
        z: content noise `[B, z_dim]`.
        times: `[B, T]` in frames, float64.
        noise: motion noise, by slot or as the generator takes it.
        label: `[B, K]`; None without labels.
    """

    z: Tensor
    times: Tensor
    noise: ClipNoise | Tensor
    label: Tensor | None

    def split(self, num_parts: int) -> list["FakeInputs"]:
        """Return strided parts, the inputs of micro-batches."""
        parts = [slice(part, None, num_parts) for part in range(num_parts)]
        return [
            FakeInputs(self.z[p], self.times[p], self.noise[p], None if self.label is None else self.label[p])
            for p in parts
        ]


def local_clip_indices(clips_seen: int, num_clips: int) -> list[int]:
    """Return the indices of this process's clips in a step, counted over the whole training."""
    return [clips_seen + distributed.rank() + distributed.world_size() * i for i in range(num_clips)]


def scale_frames(clip: Clip) -> Clip:
    """Return the clips with float frames in −1..1 instead of uint8 in 0..255."""
    return Clip(clip.frames.float() / 127.5 - 1, clip.times, clip.label)


def draw_rows(
    draw: Callable[..., Tensor],
    seed: int,
    purpose: int,
    clip_indices: list[int],
    *sizes: tuple[int, ...],
    device: torch.device,
) -> list[Tensor]:
    """Return random numbers `[B, *size]` for each of the sizes, with one generator for the whole step.

    Args:
        draw: `torch.randn` or `torch.rand`.
        seed: random seed of the run.
        purpose: separates numbers of the same step.
        clip_indices: all indices of this process in a step, as `local_clip_indices` returns them.
        sizes: shapes of the numbers of a clip.
        device: where the numbers are used; they are drawn on the CPU.
    """
    rank, world_size = distributed.rank(), distributed.world_size()
    random = torch_random(torch.device("cpu"), seed, purpose, clip_indices[0] - rank)
    num_clips = len(clip_indices) * world_size
    drawn = [draw((num_clips, *size), generator=random) for size in sizes]
    return [copy_async(numbers[rank::world_size].contiguous(), device) for numbers in drawn]


def draw_noise(
    clips: ClipDataset, clip_indices: list[int], phase: int, *sizes: tuple[int, ...], device: torch.device
) -> list[Tensor]:
    """Return normal noise `[B, *size]` for each of the sizes, for all clips of this process in a step."""
    return draw_rows(torch.randn, clips.seed, NOISE_PURPOSE + phase, clip_indices, *sizes, device=device)


class AugmentNumbers:
    """Uniform numbers for the augmentation, drawn once per step and purpose for all micro-batches."""

    def __init__(self, seed: int, batch_size: int, device: torch.device) -> None:
        self.seed, self.batch_size, self.device = seed, batch_size, device
        self._drawn: dict[int, tuple[list[int], Tensor]] = {}

    def __call__(self, purpose: int, clip_indices: list[int], num_parts: int) -> Tensor:
        """Return `[B, NUM_UNIFORM]` for the B clips of a micro-batch, one of `num_parts`."""
        first = clip_indices[0] - clip_indices[0] % self.batch_size
        step_indices = local_clip_indices(first, len(clip_indices) * num_parts)
        if purpose not in self._drawn or self._drawn[purpose][0] != step_indices:
            size = (NUM_UNIFORM,)
            (numbers,) = draw_rows(torch.rand, self.seed, purpose, step_indices, size, device=self.device)
            self._drawn[purpose] = step_indices, numbers
        return self._drawn[purpose][1][step_indices.index(clip_indices[0]) :: num_parts]


def stack_labels(labels: list[Tensor], device: torch.device) -> Tensor | None:
    """Return the labels `[B, K]` on the device; None for K = 0."""
    label = torch.stack(labels)
    return copy_async(label, device) if label.shape[1] else None


def sample_fake_inputs(
    clips: ClipDataset,
    clip_indices: list[int],
    *,
    phase: int,
    z_dim: int,
    motion: Motion | RecurrentMotion | None,
    device: torch.device,
) -> FakeInputs:
    """Draw the inputs of generated clips.

    Only the noise slots that a clip uses are drawn: from its first time on, or from slot 0 on for recurrent motion.

    Args:
        clips: dataset whose times and labels are imitated.
        clip_indices: all indices of this process in a step, as `local_clip_indices` returns them.
        phase: `GENERATOR_PHASE` or `DISCRIMINATOR_PHASE`.
        z_dim: width of z.
        motion: motion network; None for images.
        device: where the tensors are created.
    """
    drawn = [clips.fake_inputs(2 * index + phase) for index in clip_indices]
    times = copy_async(torch.from_numpy(np.stack([t for t, _ in drawn])), device)
    first = torch.zeros(len(clip_indices), dtype=torch.long, device=device)
    num_slots, noise_dim = 0, 0
    if isinstance(motion, Motion):
        first = torch.floor(times[:, 0] / motion.slot_distance).long()
        num_slots, noise_dim = motion.max_slots(clips.max_span), motion.noise_dim
    elif motion is not None:
        num_slots, noise_dim = MAX_FAKE_TIME + 1, motion.noise_dim
    z, slots = draw_noise(clips, clip_indices, phase, (z_dim,), (num_slots, noise_dim), device=device)
    return FakeInputs(z, times, ClipNoise(slots, first), stack_labels([label for _, label in drawn], device))
