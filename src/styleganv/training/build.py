"""From settings to the trainer of the model they name."""

from collections.abc import Callable

import torch

from styleganv.data.dataset import VideoDataset
from styleganv.recipes import Settings
from styleganv.training.gan import GanTrainer, build_networks
from styleganv.training.trainer import Trainer


def build_trainer(settings: Settings, data: VideoDataset, device: torch.device) -> Trainer:
    """Freshly initialised, for a data set, on a device; the same seed gives the same weights."""
    return TRAINERS[settings.model.kind](settings, data, device)


def _gan(settings: Settings, data: VideoDataset, device: torch.device) -> Trainer:
    return GanTrainer(settings, *build_networks(settings, data, device))


def _mocogan(settings: Settings, data: VideoDataset, device: torch.device) -> Trainer:
    from styleganv.training.mocogan import build

    return build(settings, data, device)


def _mocogan_stylegan2(settings: Settings, data: VideoDataset, device: torch.device) -> Trainer:
    from styleganv.training.mocogan_stylegan2 import build

    return build(settings, data, device)


def _digan(settings: Settings, data: VideoDataset, device: torch.device) -> Trainer:
    from styleganv.training.digan import DiganTrainer, build_networks

    return DiganTrainer(settings, *build_networks(settings, data, device))


def _videogpt(settings: Settings, data: VideoDataset, device: torch.device) -> Trainer:
    from styleganv.training.videogpt import VideoGptTrainer

    return VideoGptTrainer(settings, data, device)


#: Each kind of model; the files of the baselines are imported when they are asked for.
TRAINERS: dict[str, Callable[[Settings, VideoDataset, torch.device], Trainer]] = {
    "stylegan-v": _gan,
    "stylegan2": _gan,
    "mocogan": _mocogan,
    "mocogan-stylegan2": _mocogan_stylegan2,
    "digan": _digan,
    "videogpt": _videogpt,
}
