"""Statistics of a set of features, either moments or the features themselves, and their cache on disk.

Shapes: n features of d numbers each. Moments are float64, features float32.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from styleganv import distributed
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write, user_cache

logger = logging.getLogger(__name__)

#: Environment variable for the cache folder, instead of ~/.cache/styleganv/statistics.
CACHE_VARIABLE = "STYLEGANV_CACHE"
#: Version of the cached numbers; increased if the same key would give others.
CACHE_FORMAT = 1


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of features, as a Fréchet distance requires; the memory does not depend on n.

    Attributes:
        count: n.
        mean: `[d]`, float64.
        scatter: sum of outer products of deviations from the mean, `[d, d]`, float64.
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def empty(cls, dims: int) -> "Moments":
        """Return the moments of no features, which `merge` starts from."""
        return cls(0, torch.zeros(dims, dtype=torch.float64), torch.zeros(dims, dims, dtype=torch.float64))

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Return the moments of features `[n, d]`."""
        if len(features) == 0:
            return cls.empty(features.shape[1])
        mean = features.double().mean(dim=0)
        deviations = features.double() - mean
        return cls(len(features), mean, deviations.T @ deviations)

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both sets together.

        Merging deviations avoids the cancellation of large sums (Chan, Golub and LeVeque 1983).
        """
        count = self.count + other.count
        if count == 0:
            return self
        difference = other.mean - self.mean
        between = torch.outer(difference, difference) * (self.count * other.count / count)
        return Moments(count, self.mean + difference * (other.count / count), self.scatter + other.scatter + between)

    def covariance(self, correction: int = 1) -> Tensor:
        """Return the covariance `[d, d]`, divided by n − `correction`; requires n ≥ 2."""
        return self.scatter / (self.count - correction)


Statistics = Moments | Tensor


class StatisticsCollector:
    """Collects the features of this process batch by batch, as moments or as they are."""

    def __init__(self, dims: int, *, moments: bool) -> None:
        self.dims = dims
        self.mine: Moments | list[Tensor] = Moments.empty(dims) if moments else []

    def add(self, batch: Tensor) -> None:
        """Add features `[items, dims]`."""
        if isinstance(self.mine, Moments):
            self.mine = self.mine.merge(Moments.of(batch.cpu()))
        else:
            self.mine.append(batch.float().cpu())

    def gather(self) -> Statistics:
        """Return the moments, or the features `[n, dims]` themselves, of all processes.

        Features keep the order in which batches were distributed: one of process 0, one of process 1, ….
        """
        if isinstance(self.mine, Moments):
            return reduce(Moments.merge, distributed.all_gather(self.mine))
        per_process = distributed.all_gather(self.mine)
        longest = max(map(len, per_process))
        in_order = [part[i] for i in range(longest) for part in per_process if i < len(part)]
        return torch.cat([torch.empty(0, self.dims), *in_order])


def pool(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of several sets as one: features if all are features, else moments."""
    if all(isinstance(part, Tensor) for part in parts):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    return reduce(Moments.merge, (part if isinstance(part, Moments) else Moments.of(part) for part in parts))


def count_of(statistics: Statistics) -> int:
    return statistics.count if isinstance(statistics, Moments) else len(statistics)


def cache_folder(folder: Path | str | None = None) -> Path:
    """Return `folder`, else the value of STYLEGANV_CACHE, else ~/.cache/styleganv/statistics."""
    return Path(folder or os.environ.get(CACHE_VARIABLE) or user_cache() / "statistics")


def pack(statistics: Statistics) -> dict[str, Tensor]:
    """Return statistics as tensors by name, for the cache."""
    if isinstance(statistics, Tensor):
        return {"features": statistics}
    return {"count": torch.tensor(statistics.count), "mean": statistics.mean, "scatter": statistics.scatter}


def unpack(tensors: dict[str, Tensor]) -> Statistics:
    """Return the statistics that `pack` packed."""
    if "features" in tensors:
        return tensors["features"]
    return Moments(int(tensors["count"]), tensors["mean"], tensors["scatter"])


def cached(folder: Path, dependencies: dict[str, Any], compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return tensors by name, from the cache or from `compute`, which all processes call if one of them has no copy."""
    key = cache_key(dependencies)
    tensors = read_cache(folder, key)
    if tensors is None:
        tensors = compute()
        write_cache(folder, key, tensors)
    return tensors


def cache_key(dependencies: dict[str, Any]) -> str:
    """Return the key of what depends on these values."""
    return json.dumps({"format": CACHE_FORMAT} | dependencies, sort_keys=True)


def read_cache(folder: Path, key: str) -> dict[str, Tensor] | None:
    """Return tensors from the cache; None if one of the processes has no copy."""
    tensors = _read(_cache_file(folder, key))
    return None if distributed.any_process(tensors is None) else tensors


def write_cache(folder: Path, key: str, tensors: dict[str, Tensor]) -> None:
    """Write tensors that all processes have to the cache; only warn if that fails."""
    if distributed.rank() > 0:
        return
    payload = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    try:
        with atomic_write(_cache_file(folder, key), overwrite=True) as tmp_path:
            tmp_path.write_bytes(hashlib.sha256(payload).digest() + payload)
    except StyleganvError as error:  # the numbers may have taken an hour
        logger.warning(f"Cannot write the cache: {error}")


def _cache_file(folder: Path, key: str) -> Path:
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()}.bin"


def _read(path: Path) -> dict[str, Tensor] | None:
    """Return what `cached` wrote; None if the file is missing or damaged."""
    try:
        data = path.read_bytes()
        digest, payload = data[:32], data[32:]
        return safetensors.torch.load(payload) if hashlib.sha256(payload).digest() == digest else None
    except (OSError, SafetensorError):
        return None
