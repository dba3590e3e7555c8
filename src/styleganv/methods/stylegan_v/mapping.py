"""Mapping network: z and class → w, the content style of a whole video. Truncation: w → closer to its mean.

Shapes: B clips, K classes.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.func import functional_call

from styleganv.nn.layers import Dense, normalize
from styleganv.noise import CONTENT, normal

W_MEAN_DECAY = 0.995
#: Number of z over which the mean w of a label is taken; its standard error is 1/64 of the standard deviation of w.
NUM_MEAN_SAMPLES = 4096


class Mapping(nn.Module):
    """`z [B, z_dim]`, `label [B, K]` → `w [B, w_dim]`, with a running mean of w for truncation.

    With several parts (for several objects), z and w are split into as many equal parts. The same layers map each part
    of z to that of w, so that the parts are independent.
    """

    w_mean: Tensor

    def __init__(
        self, z_dim: int, w_dim: int, *, num_layers: int = 2, num_classes: int = 0, num_parts: int = 1
    ) -> None:
        super().__init__()
        for name, width in (("z_dim", z_dim), ("w_dim", w_dim)):
            if width % num_parts:
                raise ValueError(f"{name} must be a multiple of {num_parts} parts, got {width}")
        self.z_dim, self.num_classes, self.num_parts = z_dim, num_classes, num_parts
        part = w_dim // num_parts
        self.embed = Dense(num_classes, part) if num_classes else None
        widths = [z_dim // num_parts + (part if num_classes else 0)] + [part] * num_layers
        self.layers = nn.Sequential(
            *[Dense(n_in, n_out, activate=True, lr_multiplier=0.01) for n_in, n_out in itertools.pairwise(widths)]
        )
        self.register_buffer("w_mean", torch.zeros(w_dim))

    def forward(self, z: Tensor, label: Tensor | None = None, *, psi: float = 1.0) -> Tensor:
        """Return w, truncated toward its running mean: `w_mean + psi (w − w_mean)`; psi = 1 applies no truncation.

        The running mean is that of all classes; `Truncation` has one for each label.

        Raises:
            ValueError: if a class-conditional model gets no label.
        """
        if self.embed is not None and label is None:
            raise ValueError("A class-conditional model requires a label: pass label [B, K].")
        with torch.autocast(z.device.type, enabled=False):
            x = normalize(z.reshape(-1, self.z_dim // self.num_parts))
            if self.embed is not None:
                embedded = normalize(self.embed(label)).repeat_interleave(self.num_parts, dim=0)
                x = torch.cat([x, embedded], dim=1)
            w = self.layers(x).reshape(-1, len(self.w_mean))
        return w if psi == 1.0 else self.w_mean.lerp(w, psi)

    @torch.no_grad()
    def update_mean(self, batch_mean: Tensor) -> None:
        """Move the running mean toward the mean of w over the whole batch of a training step, `[w_dim]`."""
        self.w_mean.lerp_(batch_mean.to(self.w_mean.dtype), 1 - W_MEAN_DECAY)


def mean_samples(mapping: Mapping) -> Tensor:
    """Return the z over which the mean w of a label is taken, `[NUM_MEAN_SAMPLES, z_dim]`."""
    return torch.from_numpy(normal(0, CONTENT, 0, NUM_MEAN_SAMPLES * mapping.z_dim)).view(NUM_MEAN_SAMPLES, -1)


@torch.inference_mode(False)
@torch.no_grad()
def compute_label_means(mapping: Mapping, labels: Tensor) -> Tensor:
    """Return the mean w of each of the `labels [n, K]`, `[n, w_dim]`, float32 on the CPU.

    They are means over the same `NUM_MEAN_SAMPLES` z, computed in float64 on the CPU. They therefore do not depend on
    the mapping's device, and hardly on the machine.
    """
    weights = {name: weight.detach().cpu().double() for name, weight in mapping.state_dict().items()}
    z = mean_samples(mapping).double()
    rows = labels.cpu().double()[:, None].expand(-1, len(z), -1)
    means = [functional_call(mapping, weights, (z, row)).mean(dim=0) for row in rows]
    return torch.stack(means).float()


class Truncation:
    """Truncation toward the running mean of w or, with labels, towards the mean w of the content's label.

    The mean of a label is computed when it is first needed, and again after the weights have changed.
    """

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self._by_label: dict[tuple[float, ...], Tensor] = {}
        self._versions: list[tuple[int, int]] = []

    def __call__(self, w: Tensor, label: Tensor | None, psi: float) -> Tensor:
        """Return `mean + psi (w − mean)` for `w [..., w_dim]` of one `label [1, K]`; psi = 1 applies no truncation."""
        return w if psi == 1 else self.mean(label).lerp(w, psi)

    def mean(self, label: Tensor | None) -> Tensor:
        """Return the mean w of a label `[1, K]`, or for None the running mean, `[w_dim]` on the mapping's device."""
        w_mean = self.mapping.w_mean
        if label is None:
            return w_mean
        versions = [(weight.data_ptr(), weight._version) for weight in self.mapping.parameters()]
        if versions != self._versions:
            self._by_label, self._versions = {}, versions
        key = tuple(label[0].tolist())
        mean = self._by_label.get(key)
        if mean is None:
            mean = self._by_label[key] = compute_label_means(self.mapping, label)[0]
        return mean.to(w_mean.device)
