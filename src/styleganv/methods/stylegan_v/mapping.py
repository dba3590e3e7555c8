"""Mapping network: z and class → w, the content style of a whole video.

Shapes: B clips, K classes.
"""

import itertools

import torch
from torch import Tensor, nn

from styleganv.nn.layers import Dense, normalize

W_MEAN_DECAY = 0.995


class Mapping(nn.Module):
    """`z [B, z_dim]`, `label [B, K]` → `w [B, w_dim]`, with a running mean of w for truncation."""

    w_mean: Tensor

    def __init__(self, z_dim: int, w_dim: int, *, num_layers: int = 2, num_classes: int = 0) -> None:
        super().__init__()
        self.embed = Dense(num_classes, w_dim) if num_classes else None
        widths = [z_dim + (w_dim if num_classes else 0)] + [w_dim] * num_layers
        self.layers = nn.Sequential(
            *[Dense(n_in, n_out, activate=True, lr_multiplier=0.01) for n_in, n_out in itertools.pairwise(widths)]
        )
        self.register_buffer("w_mean", torch.zeros(w_dim))

    def forward(self, z: Tensor, label: Tensor | None = None, *, psi: float = 1.0) -> Tensor:
        """Return w, truncated towards its mean: `w_mean + psi (w − w_mean)`; psi = 1 applies no truncation.

        Raises:
            ValueError: if a class-conditional model gets no label.
        """
        if self.embed is not None and label is None:
            raise ValueError("A class-conditional model requires a label: pass label [B, K].")
        with torch.autocast(z.device.type, enabled=False):
            x = normalize(z)
            if self.embed is not None:
                x = torch.cat([x, normalize(self.embed(label))], dim=1)
            w = self.layers(x)
        return w if psi == 1.0 else self.w_mean.lerp(w, psi)

    @torch.no_grad()
    def update_mean(self, batch_mean: Tensor) -> None:
        """Move the running mean towards the mean of w over the whole batch of a training step, `[w_dim]`."""
        self.w_mean.lerp_(batch_mean.to(self.w_mean.dtype), 1 - W_MEAN_DECAY)
