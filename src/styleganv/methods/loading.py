"""Loading a trained model of any method."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from styleganv.methods import METHODS, get_method
from styleganv.model_folder import load_model, model_folder, sampler_arguments
from styleganv.options import Precision
from styleganv.validation import read_fields
from styleganv.video_model import VideoModel

logger = logging.getLogger(__name__)


def load(path: Path | str, *, device: str | torch.device | None = None, precision: Precision = "float32") -> VideoModel:
    """Load a model from its folder, from a training run, or from the package by its name.

    Args:
        path: model folder, run, or name of a pretrained model, e.g. faces-64.
        device: torch device. Default: the GPU if available.
        precision: precision of convolutions.

    Raises:
        StyleganvError: if `path` holds no model or a damaged one, or if the device or precision is not available.
    """
    networks: dict[str, Callable[..., nn.Module]] = {
        name: partial(_build_network, name, model_folder(path)) for name in METHODS
    }
    network, config = load_model(path, networks)
    sampler = get_method(config["model"]).implementation().sampler
    model = sampler(network, **sampler_arguments(path, config), device=device, precision=precision)
    logger.debug("Loaded %r", model)
    return model


def _build_network(method: str, folder: Path, **fields: Any) -> nn.Module:
    implementation = get_method(method).implementation()
    return implementation.network(read_fields(implementation.config, fields, folder / "config.json", "generator"))
