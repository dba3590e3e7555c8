"""The inputs of fake clips in a training step: functions of the seed and the clip's number.

Shapes: B clips, T frames a clip, S slots, K classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from styleganv.methods.stylegan_v.motion import Motion, RecurrentMotion
from styleganv.noise import torch_random
from styleganv.training.batches import ClipDataset


@dataclass(frozen=True)
class FakeInputs:
    """Inputs of B fake clips: z `[B, Z]`, times `[B, T]` float64, motion noise (slot noise, or as the model takes it),
    label `[B, K]` or None."""

    z: Tensor
    times: Tensor
    noise: "ClipNoise | Tensor"
    label: Tensor | None


@dataclass(frozen=True)
class ClipNoise:
    """A `SlotNoise` of the only slots that B clips see: `slots [B, S, noise_dim]`, from slot `first [B]` of each on."""

    slots: Tensor
    first: Tensor

    @property
    def num_slots(self) -> int:
        return self.slots.shape[1]

    def __call__(self, clip: Tensor, slot: Tensor) -> Tensor:
        return self.slots[clip[:, None], slot - self.first[clip, None]]


def sample_fake_inputs(
    clips: ClipDataset,
    numbers: list[int],
    *,
    phase: int,
    z_dim: int,
    motion: Motion | RecurrentMotion | None,
    longest: int,
    device: torch.device,
) -> FakeInputs:
    """Draw inputs for the fake clips `numbers`; `phase` tells the two networks' draws apart.

    Only the noise slots that a clip can see are drawn: those from its start on, or all from the first for a
    recurrent motion.
    """
    times, labels = zip(*[clips.fake_inputs(2 * n + phase, longest=longest) for n in numbers], strict=True)
    t = torch.from_numpy(np.stack(times)).to(device)
    first = torch.zeros(len(numbers), dtype=torch.long, device=device)
    num_slots, noise_dim = 0, 0
    if isinstance(motion, Motion):
        first = torch.floor(t[:, 0] / motion.slot_distance).long()
        num_slots, noise_dim = motion.window(clips.max_span), motion.noise_dim
    elif motion is not None:
        num_slots, noise_dim = longest + 1, motion.noise_dim
    random = [torch_random(device, clips.seed, 10 + phase, n) for n in numbers]
    z = torch.stack([torch.randn(z_dim, generator=g, device=device) for g in random])
    slots = torch.stack([torch.randn(num_slots, noise_dim, generator=g, device=device) for g in random])

    label = torch.stack(labels).to(device)
    return FakeInputs(z, t, ClipNoise(slots, first), label if label.shape[1] else None)
