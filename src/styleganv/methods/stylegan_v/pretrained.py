"""Reading StyleGAN-V's networks from a model folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from styleganv.errors import StyleganvError, describe
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.model_folder import STYLEGAN_V, load_model, load_weights, model_folder
from styleganv.validation import read_fields


def load_generator(folder: Path | str) -> tuple[Generator, dict[str, Any]]:
    """Return a StyleGAN-V generator and the contents of its `config.json`; see `load_model`.

    Raises:
        StyleganvError: as `load_model`, and if the model is of another method.
    """

    def build(**fields: Any) -> Generator:
        return Generator(read_fields(GeneratorConfig, fields, model_folder(folder) / "config.json", "generator"))

    generator, config = load_model(folder, {STYLEGAN_V: build})
    assert isinstance(generator, Generator)
    return generator, config


def load_discriminator(folder: Path | str) -> Discriminator | None:
    """Return the discriminator of a model folder; None if it has none.

    Raises:
        StyleganvError: if the discriminator is damaged.
    """
    folder = model_folder(folder)
    if not (folder / "discriminator.safetensors").exists():
        return None
    with _read_config(folder) as config, torch.random.fork_rng(devices=[]):
        discriminator = Discriminator(
            read_fields(DiscriminatorConfig, config["discriminator"], folder / "config.json", "discriminator")
        )
        discriminator.load_state_dict(load_weights(folder, "discriminator.safetensors", config))
        return discriminator


def load_projected(folder: Path | str) -> dict[str, Tensor] | None:
    """Return the weights of the second discriminator of a model folder, in float32; None if it has none.

    Raises:
        StyleganvError: if the file is damaged.
    """
    folder = model_folder(folder)
    if not (folder / "projected.safetensors").exists():
        return None
    with _read_config(folder) as config:
        weights = load_weights(folder, "projected.safetensors", config)
        return {name: weight.float() for name, weight in weights.items()}


@contextmanager
def _read_config(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the contents of `config.json`; an error in it, or in what is loaded with it, becomes a StyleganvError."""
    try:
        yield json.loads((folder / "config.json").read_text())
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, OSError) as error:
        raise StyleganvError(
            f"The discriminator in {folder} is damaged ({describe(error)}): copy or import it again."
        ) from error
