"""A model folder: `model.safetensors` with the weights, `config.json` with everything else; nothing is pickled.

An imported model may also have `discriminator.safetensors`, for finetuning.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write

FORMAT = 1
#: Files of a model folder.
MODEL_FILES = ("config.json", "model.safetensors", "discriminator.safetensors")
#: The method of a model whose config.json does not name one.
STYLEGAN_V = "stylegan-v"


def save_model(
    folder: Path | str,
    network: nn.Module,
    *,
    method: str = STYLEGAN_V,
    data: dict[str, Any],
    training: dict[str, Any],
    discriminator: nn.Module | None = None,
    overwrite: bool = False,
) -> None:
    """Write a model folder atomically.

    Args:
        network: the network that generates videos; its `config` is stored.
        method: name of the method.
        data: facts about the dataset, at least `fps` and `class_names`.
        training: how long the weights were trained (`clips_seen`, `frames_seen`, …), for information.
        discriminator: for finetuning.
        overwrite: replace a model in `folder`; other files in it stay.

    Raises:
        StyleganvError: if `folder` exists or cannot be written.
    """
    config = {"format": FORMAT, "model": method, "generator": _fields(network), "data": data, "training": training}
    if discriminator is not None:
        config["discriminator"] = _fields(discriminator)
    with atomic_write(folder, overwrite=overwrite, contents=MODEL_FILES) as tmp_path:
        for name, part in (("model", network), ("discriminator", discriminator)):
            if part is not None:
                weights = {key: value.detach().cpu().contiguous() for key, value in part.state_dict().items()}
                save_file(weights, tmp_path / f"{name}.safetensors")
        (tmp_path / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _fields(network: nn.Module) -> dict[str, Any]:
    """Return the fields of the dataclass that a network is built from."""
    return asdict(cast(Any, network).config)


def model_folder(path: Path | str) -> Path:
    """Return `path`, or `path/model` if it is a run."""
    path = Path(path)
    is_run = not (path / "config.json").exists() and (path / "model" / "config.json").exists()
    return path / "model" if is_run else path


def load_model(
    folder: Path | str, networks: Mapping[str, Callable[..., nn.Module]]
) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network of a model folder or run, on the CPU in evaluation mode, and the contents of `config.json`.

    Args:
        networks: per method, the function that builds the network from the stored fields.

    Raises:
        StyleganvError: if the folder is not a model, or one of another method, a newer format, or damaged.
    """
    folder = model_folder(folder)
    try:
        config = json.loads((folder / "config.json").read_text())
        if config["format"] != FORMAT:
            raise StyleganvError(
                f"{folder} has model format {config['format']}, this version reads {FORMAT}: update styleganv."
            )
        method = config.setdefault("model", STYLEGAN_V)
        if method not in networks:
            raise StyleganvError(
                f"The model in {folder} was trained with {method}, which is not supported here: pass one of "
                f"{', '.join(networks)}."
            )
        with torch.random.fork_rng(devices=[]):
            network = networks[method](**config["generator"])
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StyleganvError(
            f"{folder} is not a model: pass a folder with config.json and model.safetensors, or a training run."
        ) from error
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise StyleganvError(f"The model in {folder} is damaged ({reason}): copy or train it again.") from error
    return network.eval().requires_grad_(False), config


def sampler_arguments(path: Path | str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `VideoModel` that a model folder's `config.json` stores.

    Raises:
        StyleganvError: if one of them is missing or invalid.
    """
    try:
        fps, class_names = float(config["data"]["fps"]), list(config["data"]["class_names"])
    except (KeyError, TypeError, ValueError) as error:
        raise StyleganvError(
            f"The config.json of the model in {path} lacks a valid fps or class_names under data: "
            "copy or train it again."
        ) from error
    return {"fps": fps, "class_names": class_names, "config": config, "source": model_folder(path)}
