"""Augmentation that is safe for video: one transform for all frames of a clip, chosen by given random numbers.

The default transforms keep the meaning of motion: small shifts and zooms, brightness, contrast, saturation and hue.
Shapes: B clips, T frames per clip.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

NUM_UNIFORM = 24
"""Number of uniform random numbers that `augment` requires per clip."""


def augment(frames: Tensor, p: Tensor, uniform: Tensor, *, rotation: bool = False, mirror: bool = False) -> Tensor:
    """Apply one random transform per clip to all its frames.

    Args:
        frames: `[B, T, 3, H, W]` in −1..1.
        p: probability of each transform, a scalar in 0..1.
        uniform: `[B, NUM_UNIFORM]`, uniform in 0..1; the only source of randomness.
        rotation, mirror: also apply these, which are known to leak into generated videos.

    Returns:
        `[B, T, 3, H, W]`, with reflected borders; twice differentiable in `frames`.
    """
    batch, num_frames, _, height, width = frames.shape
    applied = (uniform[:, ::2] < p).to(frames.dtype)
    normal = torch.erfinv((2 * uniform[:, 1::2] - 1).clamp(-0.999, 0.999)).to(frames.dtype) * 2**0.5
    value = applied * normal  # a transform that is not applied has strength 0

    grid = F.affine_grid(
        _affine(value, applied, width / height, rotation=rotation, mirror=mirror),
        [batch, 3, height, width],
        align_corners=False,
    ).repeat_interleave(num_frames, dim=0)
    x = F.grid_sample(frames.flatten(0, 1), grid, padding_mode="reflection", align_corners=False)
    x = x.unflatten(0, (batch, num_frames))

    matrix, offset = _color(value)
    x = torch.einsum("bij,btjhw->btihw", matrix, x) + offset[:, None, None, None, None]
    return x


def _affine(value: Tensor, applied: Tensor, aspect: float, *, rotation: bool, mirror: bool) -> Tensor:
    """Return sampling matrices `[B, 2, 3]`: shift (std 1/8 of the side), zoom and squeeze (std 0.2 octaves)."""
    zoom = torch.exp2(0.2 * value[:, 2])
    squeeze = torch.exp2(0.2 * value[:, 3])
    angle = math.pi / 8 * value[:, 4] if rotation else torch.zeros_like(zoom)
    # Half of the applied mirrors are the identity, so a clip is mirrored with probability p / 2.
    flip = 1 - 2 * applied[:, 5] * (value[:, 5] > 0) if mirror else torch.ones_like(zoom)
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([flip * zoom * squeeze * cos, -flip * zoom * squeeze * sin / aspect, 0.25 * value[:, 0]], 1)
    row_y = torch.stack([zoom / squeeze * sin * aspect, zoom / squeeze * cos, 0.25 * value[:, 1]], 1)
    return torch.stack([row_x, row_y], dim=1)


def _color(value: Tensor) -> tuple[Tensor, Tensor]:
    """Return color matrices `[B, 3, 3]` and offsets `[B]`: brightness, contrast, saturation, and hue."""
    brightness, contrast = 0.2 * value[:, 6], torch.exp2(0.5 * value[:, 7])
    saturation, angle = torch.exp2(value[:, 8]), math.pi / 6 * value[:, 9]
    gray = torch.full((3,), 1 / 3**0.5, dtype=value.dtype, device=value.device)
    along = torch.outer(gray, gray)
    across = torch.eye(3, dtype=value.dtype, device=value.device) - along
    cross = torch.linalg.cross(torch.eye(3, dtype=value.dtype, device=value.device), gray.expand(3, 3)).T
    hue = along + angle.cos()[:, None, None] * across + angle.sin()[:, None, None] * cross
    matrix = (along + saturation[:, None, None] * across) @ hue * contrast[:, None, None]
    return matrix, brightness


class AdaptiveAugmentation:
    """Controller of ADA (Karras et al. 2020), which adjusts p so that the discriminator does not overfit.

    The sign of the discriminator's logits on real clips, averaged over 4 steps, is held at a target.
    """

    INTERVAL = 4

    def __init__(self, p: float, *, target: float, max_p: float, clips: int, device: torch.device) -> None:
        self.p = torch.tensor(p, device=device)
        self.target, self.max_p, self.clips = target, max_p, clips
        self.sign_sum = torch.zeros((), device=device)
        self.steps = 0

    def update(self, sign: Tensor, batch: int) -> None:
        """Add the mean sign over this step's batch; every 4 steps, adjust p."""
        self.sign_sum = self.sign_sum + sign  # not in-place: a saved state holds the same tensor
        self.steps += 1
        if self.steps % self.INTERVAL == 0:
            direction = torch.sign(self.sign_sum / self.INTERVAL - self.target)
            self.p = (self.p + direction * batch * self.INTERVAL / self.clips).clamp(0, self.max_p)
            self.sign_sum = torch.zeros_like(self.sign_sum)

    def state_dict(self) -> dict[str, Tensor | int]:
        return {"p": self.p, "sign_sum": self.sign_sum, "steps": self.steps}

    def load_state_dict(self, state: dict) -> None:
        self.p, self.sign_sum = state["p"].to(self.p.device), state["sign_sum"].to(self.p.device)
        self.steps = state["steps"]
