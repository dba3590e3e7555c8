"""Inputs of a training step: real clips, and the inputs of generated ones as functions of the seed and clip index.

Shapes: B clips, T frames per clip, S slots, K classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from styleganv import distributed
from styleganv.clip import Clip
from styleganv.methods.stylegan_v.motion import Motion, RecurrentMotion
from styleganv.noise import torch_random
from styleganv.training.batches import ClipDataset

#: Which network a step updates. Generated clips are drawn separately for each.
GENERATOR_PHASE, DISCRIMINATOR_PHASE = 0, 1

#: Purposes of random numbers. A purpose is part of the seed, so no two of them share numbers.
NOISE_PURPOSE = 10  # plus the phase
AUGMENT_G_FAKE, AUGMENT_D_FAKE, AUGMENT_D_REAL, AUGMENT_R1, AUGMENT_G_REAL, AUGMENT_R2 = 20, 21, 22, 23, 24, 25


#: Largest time of generated clips with recurrent motion, in frames: the cost of a time grows with it.
MAX_RECURRENT_TIME = 1024


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


@dataclass(frozen=True)
class FakeInputs:
    """Generator inputs of B clips.

    Attributes:
        z: content noise `[B, z_dim]`.
        times: `[B, T]` in frames, float64.
        noise: motion noise, by slot or as the generator takes it.
        label: one-hot classes `[B, K]`; None without classes.
    """

    z: Tensor
    times: Tensor
    noise: ClipNoise | Tensor
    label: Tensor | None


def local_clip_indices(clips_seen: int, num_clips: int) -> list[int]:
    """Return the indices of this process's clips in a step, counted over the whole training."""
    return [clips_seen + distributed.rank() + distributed.world_size() * i for i in range(num_clips)]


def scale_frames(clip: Clip) -> Clip:
    """Return the clips with float frames in −1..1 instead of uint8 in 0..255."""
    return Clip(clip.frames.float() / 127.5 - 1, clip.times, clip.label)


def draw_noise(
    clips: ClipDataset, clip_indices: list[int], phase: int, *sizes: tuple[int, ...], device: torch.device
) -> list[Tensor]:
    """Return normal noise `[B, *size]` for each of the sizes; each clip has a random generator of its own."""
    random = [torch_random(device, clips.seed, NOISE_PURPOSE + phase, index) for index in clip_indices]
    return [torch.stack([torch.randn(size, generator=g, device=device) for g in random]) for size in sizes]


def stack_labels(labels: list[Tensor], device: torch.device) -> Tensor | None:
    """Return the one-hot classes `[B, K]` on the device; None for K = 0."""
    label = torch.stack(labels).to(device)
    return label if label.shape[1] else None


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

    Only the noise slots that a clip uses are drawn: from its first time on, or from slot 0 on for recurrent motion,
    whose times end at `MAX_RECURRENT_TIME`.

    Args:
        clips: dataset whose times and classes are imitated.
        clip_indices: indices of the clips, over the whole training.
        phase: `GENERATOR_PHASE` or `DISCRIMINATOR_PHASE`.
        z_dim: width of z.
        motion: motion network; None for images.
        device: where the tensors are created.
    """
    longest = MAX_RECURRENT_TIME if isinstance(motion, RecurrentMotion) else None
    drawn = [clips.fake_inputs(2 * index + phase, longest=longest) for index in clip_indices]
    times = torch.from_numpy(np.stack([t for t, _ in drawn])).to(device)
    first = torch.zeros(len(clip_indices), dtype=torch.long, device=device)
    num_slots, noise_dim = 0, 0
    if isinstance(motion, Motion):
        first = torch.floor(times[:, 0] / motion.slot_distance).long()
        num_slots, noise_dim = motion.max_slots(clips.max_span), motion.noise_dim
    elif motion is not None:
        num_slots, noise_dim = MAX_RECURRENT_TIME + 1, motion.noise_dim
    z, slots = draw_noise(clips, clip_indices, phase, (z_dim,), (num_slots, noise_dim), device=device)
    return FakeInputs(z, times, ClipNoise(slots, first), stack_labels([label for _, label in drawn], device))
