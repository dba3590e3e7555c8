"""A model is a folder: `model.safetensors` with the weights, `config.json` with all else; nothing pickled.

An imported one may have `discriminator.safetensors` too, to train on from.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from styleganv.allocator import keep_freed_memory
from styleganv.errors import StyleganvError
from styleganv.files import written_whole
from styleganv.video_model import VideoModel

M = TypeVar("M", bound=VideoModel)

FORMAT = 1
#: The kind of a model whose config.json does not say.
STYLEGAN_V = "stylegan-v"


def save_model(
    folder: Path | str,
    generator: nn.Module,
    *,
    kind: str = STYLEGAN_V,
    data: dict[str, Any],
    training: dict[str, Any],
    discriminator: nn.Module | None = None,
) -> None:
    """Write the folder whole.

    Args:
        generator: the network that makes videos; its `config` builds it again.
        kind: of model.
        data: of the training set: at least `fps` and `class_names`.
        training: how far the weights were trained: `clips_seen`, `frames_seen`, … (for people).
        discriminator: to train on from.
    """
    config = {"format": FORMAT, "model": kind, "generator": stored(generator), "data": data, "training": training}
    if discriminator is not None:
        config["discriminator"] = stored(discriminator)
    with written_whole(folder) as part:
        part.mkdir()
        for name, network in (("model", generator), ("discriminator", discriminator)):
            if network is not None:
                weights = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
                save_file(weights, part / f"{name}.safetensors")
        (part / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def stored(network: nn.Module) -> dict[str, Any]:
    """Return the fields of a network's config."""
    return asdict(cast(Any, network).config)


def model_folder(place: Path | str) -> Path:
    """The folder of a model: `place` itself, or `model/` of the run there."""
    place = Path(place)
    run = not (place / "config.json").exists() and (place / "model" / "config.json").exists()
    return place / "model" if run else place


def load_model(
    folder: Path | str, networks: Mapping[str, Callable[..., nn.Module]]
) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a model folder (or of a run's `model/`) on the CPU in evaluation mode, and its config.

    Args:
        networks: what builds each kind of model, from its arguments.

    Raises:
        StyleganvError: if the folder is no model, of another kind, of a newer format, or damaged.
    """
    folder = model_folder(folder)
    try:
        config = json.loads((folder / "config.json").read_text())
        if config["format"] != FORMAT:
            raise StyleganvError(
                f"{folder} has model format {config['format']}, this program reads {FORMAT}: update styleganv."
            )
        kind = config.setdefault("model", STYLEGAN_V)
        if kind not in networks:
            raise StyleganvError(f"The model in {folder} is a {kind}: give one of {', '.join(networks)}.")
        with torch.random.fork_rng(devices=[]):
            network = networks[kind](**config["generator"])
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StyleganvError(
            f"{folder} is not a model: give a folder with config.json and model.safetensors, or a training run."
        ) from error
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise StyleganvError(f"The model in {folder} is damaged ({reason}): copy or train it again.") from error
    return network.eval().requires_grad_(False), config


def ready(model: M) -> M:
    """The same; on a CPU, the process keeps a layer's memory for the next."""
    if model.device.type == "cpu":
        keep_freed_memory()
    return model


def sampler_arguments(path: Path | str, config: dict[str, Any]) -> dict[str, Any]:
    """What a `VideoModel` takes from a model folder's `config.json`."""
    try:
        fps, class_names = float(config["data"]["fps"]), list(config["data"]["class_names"])
    except (KeyError, TypeError, ValueError) as error:
        raise StyleganvError(
            f"The config.json of the model in {path} lacks a valid fps or class_names under data: "
            "copy or train it again."
        ) from error
    return {"fps": fps, "class_names": class_names, "config": config}
