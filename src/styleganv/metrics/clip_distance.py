"""Distances of `evaluate` as a torchmetrics `Metric`, for clips that come in batches, e.g. from a training of your own.

Shapes: B clips of T frames, H height, W width; d features. Clips are uint8 `[B, T, 3, H, W]` in 0..255.
"""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.metrics.checks import check_num_frames
from styleganv.metrics.distances import METRICS
from styleganv.metrics.features import load_feature_extractor
from styleganv.metrics.protocols import DEFAULT_PROTOCOL, named_protocol
from styleganv.metrics.statistics import Moments, Statistics

try:
    from torchmetrics import Metric
except ImportError as error:
    raise StyleganvError("ClipDistance requires torchmetrics: run pip install 'styleganv[torchmetrics]'.") from error


class ClipDistance(Metric):
    """Distance between real and generated clips by a protocol, over all batches and processes.

    It equals that of `evaluate` for the same clips; choosing them, and their number, is up to the caller.

    Args:
        protocol: name in `PROTOCOLS`; its number of clips is ignored.
        weights, sha256: see `load_feature_extractor`.
        extractor_device: torch device of the network.
        kwargs: those of `torchmetrics.Metric`.

    Raises:
        StyleganvError: for an unknown protocol, or missing weights.
    """

    is_differentiable, full_state_update = False, False

    def __init__(
        self,
        protocol: str = DEFAULT_PROTOCOL,
        *,
        weights: str | Path | None = None,
        sha256: Sequence[str] = (),
        extractor_device: torch.device | str = "cpu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.protocol = named_protocol(protocol)
        extractor = self.protocol.extractor
        self.extractor = load_feature_extractor(extractor, weights=weights, sha256=sha256, device=extractor_device)
        check_num_frames([self.protocol], {extractor: self.extractor})
        for name in ("real", "fake"):
            if self.protocol.metric == "frechet":
                self.add_state(name, _pack(Moments.empty(self.extractor.dims)), dist_reduce_fx=_merge)
            else:
                self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, clips: Tensor, *, real: bool) -> None:
        """Add clips to the real ones, or to the generated ones. Raises StyleganvError for clips of another shape."""
        expected = self.protocol.num_frames
        if clips.dtype != torch.uint8 or clips.ndim != 5 or clips.shape[1:3] != (expected, 3):
            raise StyleganvError(
                f"{self.protocol.name} requires clips of uint8 [B, {expected}, 3, H, W], got {clips.dtype} "
                f"{list(clips.shape)}: convert them."
            )
        features = self.extractor(clips)
        name = "real" if real else "fake"
        if self.protocol.metric == "frechet":
            state = getattr(self, name)
            added = _pack(Moments.of(features)).to(state)
            setattr(self, name, _merge(torch.stack([state, added])))
        else:
            getattr(self, name).append(features.to(self.device))

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Return the distance; if the protocol has several numbers, all by their keys.

        Raises:
            ValueError: for too few clips.
        """
        measured = METRICS[self.protocol.metric](self._statistics("real"), self._statistics("fake"), 0, False)
        numbers = {self.protocol.key + suffix: torch.tensor(number) for suffix, number in measured.items()}
        return numbers if len(numbers) > 1 else next(iter(numbers.values()))

    def _statistics(self, name: str) -> Statistics:
        state = getattr(self, name)
        if self.protocol.metric == "frechet":
            return _unpack(state.cpu())
        parts = state if isinstance(state, list) else [state]  # torchmetrics joins the features of all processes
        return torch.cat([torch.empty(0, self.extractor.dims), *(part.cpu() for part in parts)])


def _pack(moments: Moments) -> Tensor:
    """Return moments as one tensor `[1 + d + d²]`, which processes exchange."""
    count = torch.tensor([moments.count], dtype=torch.float64)
    return torch.cat([count, moments.mean, moments.scatter.flatten()])


def _unpack(packed: Tensor) -> Moments:
    dims = int((len(packed) - 1) ** 0.5)  # d ≤ √(d + d²) < d + 1
    return Moments(int(packed[0]), packed[1 : 1 + dims], packed[1 + dims :].view(dims, dims))


def _merge(packed: Tensor) -> Tensor:
    """Return the moments of several sets `[sets, 1 + d + d²]` as one."""
    return _pack(reduce(Moments.merge, map(_unpack, packed.cpu()))).to(packed)
