"""A trained model of any method, from its folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from styleganv.methods import METHODS, get_method
from styleganv.model_folder import load_model, sampler_arguments
from styleganv.video_model import Precision, VideoModel


def load(path: Path | str, *, device: str | torch.device | None = None, precision: Precision = "float32") -> VideoModel:
    """The model in a model folder or a training run, of any method, ready to sample; on a GPU if there is one and none
    is named.

    Raises:
        StyleganvError: if `path` holds no model, or a damaged one, or the device or precision is unknown.
    """
    networks: dict[str, Callable[..., nn.Module]] = {name: partial(_network, name) for name in METHODS}
    network, config = load_model(path, networks)
    sampler = get_method(config["model"]).implementation().sampler
    return sampler(network, **sampler_arguments(path, config), device=device, precision=precision)


def _network(method: str, **arguments: Any) -> nn.Module:
    implementation = get_method(method).implementation()
    return implementation.network(implementation.config(**arguments))
