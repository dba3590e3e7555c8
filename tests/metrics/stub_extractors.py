"""Stubs for the published weights files (small random TorchScript with the same interfaces), and videos in memory."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from shapes import draw_video, sample_factors
from torch import Tensor, nn

from styleganv.metrics.report import Report
from styleganv.metrics.statistics import Statistics, StatisticsCollector


class I3D(nn.Module):
    """Interface of `i3d_torchscript.pt`."""

    def __init__(self, features: int = 400) -> None:
        super().__init__()
        self.register_buffer("mix", torch.randn(8 * 3 * 4 * 4, features, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        assert x.dim() == 5 and x.shape[1] == 3 and x.shape[2] >= 10 and x.dtype == torch.float32
        assert rescale and resize and return_features
        x = F.adaptive_avg_pool3d(x / 127.5 - 1, [8, 4, 4])
        return x.flatten(1) @ self.mix / 20


class C3D(nn.Module):
    """Logits of 101 classes for clips of 112×112, without options."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mix", torch.randn(4 * 3 * 4 * 4, 101, generator=torch.Generator().manual_seed(1)))

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == 3 and x.shape[2] == 16 and x.shape[3] == 112 and x.shape[4] == 112
        return F.adaptive_avg_pool3d(x / 127.5 - 1, [4, 4, 4]).flatten(1) @ self.mix


class Inception(nn.Module):
    """Interface of `inception-2015-12-05.pt`."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(2)
        self.register_buffer("mix", torch.randn(3 * 8 * 8, 2048, generator=random) / 14)
        self.register_buffer("head", torch.randn(2048, 1008, generator=random) / 45)

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert x.dtype == torch.uint8 and x.dim() == 4
        features = F.adaptive_avg_pool2d(x.float() / 127.5 - 1, [8, 8]).flatten(1) @ self.mix
        return features if return_features else (features @ self.head).softmax(dim=1)


STUBS = {"i3d_torchscript.pt": I3D, "c3d_ucf101.pt": C3D, "inception-2015-12-05.pt": Inception}


class ArrayVideos:
    """Videos `[N, T, 3, H, W]` in memory, which count how often they are read and measured."""

    def __init__(
        self, frames: np.ndarray, name: str = "array", labels: list[int] | None = None, **changes: Any
    ) -> None:
        self.frames, self.name, self.labels = frames, name, labels
        self.count: int | None = len(frames)
        self.fps, (self.height, self.width) = 25.0, frames.shape[3:]
        self.class_names = [f"class{k}" for k in sorted(set(labels))] if labels else []
        self.reads = self.lengths_asked = 0
        self.storage = {"format": "none"}
        for attribute, value in changes.items():
            setattr(self, attribute, value)

    @property
    def identity(self) -> dict[str, Any]:
        digest = hash(self.frames.tobytes())
        return {"kind": "array", "sha256": f"{digest:x}", "storage": self.storage}

    def length(self, index: int) -> int:
        self.lengths_asked += 1
        return self.frames.shape[1]

    def label(self, index: int) -> int | None:
        return self.labels[index] if self.labels else None

    def video_name(self, index: int) -> str:
        return f"{self.name} {index}"

    def read(self, index: int, frames: Any) -> np.ndarray:
        self.reads += 1
        return self.frames[index][np.asarray(frames)]


def gathered(batches: Iterable[Tensor], dims: int, *, moments: bool) -> Statistics:
    """Collect the batches of all processes."""
    collector = StatisticsCollector(dims, moments=moments)
    for batch in batches:
        collector.add(batch)
    return collector.gather()


def drawn(first: int, count: int, num_frames: int, side: int = 32) -> np.ndarray:
    """Draw the shapes `first`, … as `[count, T, 3, side, side]`."""
    videos = [
        draw_video(sample_factors(np.random.default_rng([0, i])), num_frames, side, side)
        for i in range(first, first + count)
    ]
    return np.stack(videos).transpose(0, 1, 4, 2, 3)


def value(report: Report, index: int = 0) -> float:
    """Return the first measure of a report's result."""
    return next(iter(report.results[index].measures.values())).mean
