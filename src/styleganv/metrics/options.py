"""Options that `evaluate` and its command share: documented and validated once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from styleganv.options import Repeats, Unset
from styleganv.validation import Count, Interval, Psi, Validated


@dataclass(frozen=True)
class EvaluateOptions(Validated):
    """What to evaluate, on how many clips, and with which weights."""

    num_clips: Unset[Annotated[int, Interval(2)]] = None
    """Number of real and generated clips (each), 2 or more. Default: the protocol's."""
    num_repeats: Repeats = 1
    """Number of random draws of clips; 2 or more give a standard error."""
    num_frames: Unset[Count] = None
    """Frames per clip, e.g. 4 for short videos. Default: the protocol's."""
    per_class: bool = False
    """Also evaluate each class that both sets contain."""
    factors: bool = False
    """Also compare the ground-truth factors of the built-in faces."""
    split: Unset[str] = None
    """Dataset split of the real videos, e.g. train; only stated in the report."""
    psi: Psi = 1.0
    """Truncation psi of a model: 1 = full variety, 0 = mean w."""
    weights: Annotated[
        str | Path | None, tyro.conf.DisallowNone, tyro.conf.arg(metavar="PATH", help_behavior_hint="")
    ] = None
    """Weights of the published feature extractors: folder, file or URL."""
    sha256: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[HASH ...]", help_behavior_hint="")] = ()
    """Accepted SHA-256 hashes of the weights. Default: any."""
    cache: Unset[Path] = None
    """Folder for computed statistics. Default: ~/.cache/styleganv/statistics."""
