"""What is kept of a set of features: their moments, gathered while they stream by, or the features themselves; and the
cache on disk that spares doing it twice.

Shapes: n features of d numbers each. Moments are float64, features float32.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from styleganv import distributed
from styleganv.errors import StyleganvError
from styleganv.files import atomic_write

#: Names the folder of the cache instead of ~/.cache/styleganv/statistics.
CACHE_VARIABLE = "STYLEGANV_CACHE"
#: Counted up whenever the same key would give other numbers.
CACHE_FORMAT = 1


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of features: all that a Fréchet distance needs, in memory independent of n.

    Attributes:
        count: n.
        mean: `[d]`, float64.
        scatter: `[d, d]`, float64: the sum of outer products of deviations from the mean.
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def none(cls, dims: int) -> "Moments":
        """Of no features at all: what `merged` starts from."""
        return cls(0, torch.zeros(dims, dtype=torch.float64), torch.zeros(dims, dims, dtype=torch.float64))

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Of features `[n, d]`."""
        if len(features) == 0:
            return cls.none(features.shape[1])
        mean = features.double().mean(dim=0)
        deviations = features.double() - mean
        return cls(len(features), mean, deviations.T @ deviations)

    def merged(self, other: "Moments") -> "Moments":
        """Of both sets together. Merging deviations keeps what is lost where large sums are subtracted in the end
        (Chan, Golub and LeVeque 1983)."""
        count = self.count + other.count
        if count == 0:
            return self
        apart = other.mean - self.mean
        between = torch.outer(apart, apart) * (self.count * other.count / count)
        return Moments(count, self.mean + apart * (other.count / count), self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Tensor:
        """`[d, d]`, divided by n − 1; needs n ≥ 2."""
        return self.scatter / (self.count - 1)


Statistics = Moments | Tensor


def gather_statistics(batches: Iterable[Tensor], dims: int, *, moments: bool) -> Statistics:
    """Moments, or the features `[n, dims]` themselves, of all processes' batches of features `[items, dims]`.

    Args:
        batches: this process's share. Features are put back in turn: a batch of process 0, one of process 1, ….
    """
    if not moments:
        kept = distributed.all_gather([batch.float().cpu() for batch in batches])
        longest = max(map(len, kept))
        in_turn = [part[i] for i in range(longest) for part in kept if i < len(part)]
        return torch.cat([torch.empty(0, dims), *in_turn])
    total = Moments.none(dims)
    for batch in batches:
        total = total.merged(Moments.of(batch.cpu()))
    parts = distributed.all_gather(total)
    total = parts[0]
    for part in parts[1:]:
        total = total.merged(part)
    return total


def pooled(parts: list[Statistics]) -> Statistics:
    """Statistics of several sets as one; all of one kind, or all made moments."""
    if all(isinstance(part, Tensor) for part in parts):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    total, *others = (part if isinstance(part, Moments) else Moments.of(part) for part in parts)
    for other in others:
        total = total.merged(other)
    return total


def count_of(statistics: Statistics) -> int:
    return statistics.count if isinstance(statistics, Moments) else len(statistics)


def cache_folder(folder: Path | str | None = None) -> Path:
    """`folder`, or what the variable STYLEGANV_CACHE names, or ~/.cache/styleganv/statistics."""
    return Path(folder or os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "styleganv" / "statistics")


def cached_statistics(folder: Path, key: dict[str, Any], compute: Callable[[], Statistics]) -> Statistics:
    """Statistics by the content they are of: read if they are on disk, whole; else computed, and kept.

    Args:
        key: JSON of everything that the numbers depend on.
    """

    def packed() -> dict[str, Tensor]:
        made = compute()
        if isinstance(made, Tensor):
            return {"features": made}
        return {"count": torch.tensor(made.count), "mean": made.mean, "scatter": made.scatter}

    found = cached(folder, key, packed)
    return found["features"] if "features" in found else Moments(int(found["count"]), found["mean"], found["scatter"])


def cached(folder: Path, key: dict[str, Any], compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors by name, from the cache or from `compute`, which all processes call if one of them has no copy."""
    text = json.dumps({"format": CACHE_FORMAT} | key, sort_keys=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()}.bin"
    found = _read(path)
    if not distributed.any_process(found is None) and found is not None:
        return found
    made = compute()
    if distributed.rank() == 0:
        payload = safetensors.torch.save({name: tensor.contiguous() for name, tensor in made.items()})
        try:
            with atomic_write(path) as tmp_path:
                tmp_path.write_bytes(hashlib.sha256(payload).digest() + payload)
        except StyleganvError as error:  # the numbers are there, and may have taken an hour
            print(f"The cache was not written: {error}", file=sys.stderr)
    return made


def _read(path: Path) -> dict[str, Tensor] | None:
    """What `cached` wrote; None where there is nothing or it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, payload = data[:32], data[32:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    try:
        return safetensors.torch.load(payload)
    except SafetensorError:
        return None
