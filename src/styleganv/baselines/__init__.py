"""The systems that StyleGAN-V is compared with: a file each, with the network and the videos it can make.

Their trainers are in `training/`, under the same names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from styleganv.video_model import VideoModel


@dataclass(frozen=True)
class Baseline:
    """A kind of model: `network(**arguments)` builds it, `videos(network, fps=…, …)` samples from it."""

    network: Callable[..., nn.Module]
    videos: Callable[..., VideoModel]


def _mocogan() -> Baseline:
    from styleganv.baselines.mocogan import Mocogan, MocoganVideos

    return Baseline(Mocogan, MocoganVideos)


def _mocogan_stylegan2() -> Baseline:
    from styleganv.baselines.mocogan_stylegan2 import MocoganStylegan2, MocoganStylegan2Videos

    return Baseline(MocoganStylegan2, MocoganStylegan2Videos)


def _digan() -> Baseline:
    from styleganv.baselines.digan import DiganGenerator, DiganVideos

    return Baseline(DiganGenerator, DiganVideos)


def _videogpt() -> Baseline:
    from styleganv.baselines.videogpt import VideoGpt, VideoGptVideos

    return Baseline(VideoGpt, VideoGptVideos)


#: Each kind by name, imported when it is asked for.
BASELINES: dict[str, Callable[[], Baseline]] = {
    "mocogan": _mocogan,
    "mocogan-stylegan2": _mocogan_stylegan2,
    "digan": _digan,
    "videogpt": _videogpt,
}


def build(kind: str, **arguments: Any) -> nn.Module:
    """The network of a kind from its arguments."""
    return BASELINES[kind]().network(**arguments)
