"""A model folder: `model.safetensors` with the weights, `config.json` with everything else; nothing is pickled.

For fine-tuning it may also have `discriminator.safetensors`, and `projected.safetensors` with the weights of the second
discriminator; a run adds its record (`record.py`). For readers it may have a card and pictures, and for edits by text a
CLIP of its own in `clip/`.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from styleganv.errors import StyleganvError, describe
from styleganv.files import atomic_write, check_destination
from styleganv.label_space import LabelSpace
from styleganv.pretrained import pretrained_folder, pretrained_names
from styleganv.record import RECORD
from styleganv.validation import FrameRate, check

FORMAT = 1
#: What generation needs.
WEIGHTS = ("config.json", "model.safetensors")
#: Files that training writes.
MODEL_FILES = (*WEIGHTS, "discriminator.safetensors", "projected.safetensors", RECORD)
CARD, PREVIEW = "README.md", "preview.webp"
#: Generated frames above the nearest training frames; only pretrained models have it.
NEIGHBORS = "neighbors.png"
#: Subfolder for the model's own CLIP, and its files as `transformers` names them.
OWN_CLIP = "clip"
CLIP_FILES = (
    *("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json", CARD),
)
#: What goes with the weights wherever they are copied, and what a repository of the Hub holds.
COMPANIONS = (CARD, PREVIEW, NEIGHBORS, *(f"{OWN_CLIP}/{name}" for name in CLIP_FILES))
PUBLISHED_FILES = (*WEIGHTS, *COMPANIONS, RECORD)
#: The method of a model whose config.json does not name one.
STYLEGAN_V = "stylegan-v"


def save_model(
    folder: Path | str,
    network: nn.Module,
    *,
    method: str = STYLEGAN_V,
    data: dict[str, Any],
    training: dict[str, Any],
    metadata: dict[str, str] | None = None,
    discriminator: nn.Module | None = None,
    projected: nn.Module | None = None,
    dtype: torch.dtype = torch.float32,
    overwrite: bool = False,
) -> None:
    """Write a model folder atomically.

    Args:
        network: the network that generates videos; its `config` is stored.
        data: facts about the dataset, at least `fps` and what `LabelSpace.to_dict` returns.
        training: how long the weights were trained (`clips_seen`, `frames_seen`, …), for information.
        metadata: title, data and license of a pretrained model.
        discriminator, projected: the discriminator and the second one, for fine-tuning.
        dtype: type of the stored weights; loading converts them to float32.
        overwrite: replace a model in `folder`; other files in it stay.

    Raises:
        StyleganvError: if `folder` exists or cannot be written.
    """
    config: dict[str, Any] = {"format": FORMAT, "model": method, "generator": _fields(network)}
    config |= {"data": data, "training": training} | ({"metadata": metadata} if metadata else {}) | {"sha256": {}}
    if discriminator is not None:
        config["discriminator"] = _fields(discriminator)
    with atomic_write(folder, overwrite=overwrite, contents=MODEL_FILES) as tmp_path:
        for name, part in (("model", network), ("discriminator", discriminator), ("projected", projected)):
            if part is not None:
                config["sha256"][f"{name}.safetensors"] = _write_weights(tmp_path / f"{name}.safetensors", part, dtype)
        _write_config(tmp_path, config)


def save_again(
    folder: Path | str,
    network: nn.Module,
    config: Mapping[str, Any],
    *,
    source: Path | None,
    overwrite: bool = False,
) -> None:
    """Write the folder of a loaded model atomically, with the present weights of its network.

    Args:
        network: as for `save_model`.
        config: contents of `config.json`; the fields of the network and the hash of its weights are updated.
        source: folder the model was loaded from, whose other files are copied; it may be `folder` itself.
        overwrite: replace a model in `folder`.

    Raises:
        StyleganvError: if `folder` exists, contains files that no model has, or cannot be written.
    """
    contents = (*MODEL_FILES, *COMPANIONS)
    check_destination(folder, overwrite=overwrite, contents=contents)
    with atomic_write(folder, overwrite=overwrite, contents=contents) as tmp_path:
        if source is not None:
            copy_files(source, tmp_path, contents)
        digest = _write_weights(tmp_path / "model.safetensors", network, torch.float32)
        hashes = config.get("sha256", {}) | {"model.safetensors": digest}
        _write_config(tmp_path, {**config, "generator": _fields(network), "sha256": hashes})


def copy_files(source: Path, dest: Path, names: Iterable[str]) -> None:
    """Copy those of the named files that exist in `source` to the folder `dest`."""
    for name in names:
        if (source / name).is_file():
            (dest / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, dest / name)


def _write_weights(path: Path, module: nn.Module, dtype: torch.dtype) -> str:
    """Write the weights of a module and return the hash of the file."""
    weights = {key: value.detach().to("cpu", dtype).contiguous() for key, value in module.state_dict().items()}
    payload = safetensors.torch.save(weights)
    path.write_bytes(payload)
    return hashlib.sha256(payload).hexdigest()


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _fields(network: nn.Module) -> dict[str, Any]:
    """Return the fields of the dataclass that a network is built from."""
    return asdict(cast(Any, network).config)


def load_weights(folder: Path, name: str, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights in a file of a model folder.

    Args:
        config: contents of `config.json`; it lacks a hash if version 0.1 wrote it.

    Raises:
        ValueError: if the file is not the one that was written, or a weight is not finite.
        SafetensorError, OSError: if the file cannot be read.
    """
    payload = (folder / name).read_bytes()
    expected = config.get("sha256", {}).get(name)
    if expected not in (None, hashlib.sha256(payload).hexdigest()):
        raise ValueError(f"wrong hash of {name}")
    weights = safetensors.torch.load(payload)
    check_finite(weights)
    return weights


def check_finite(weights: Mapping[str, Tensor]) -> None:
    """Raise a ValueError that names the first weight that is not finite."""
    for name, weight in weights.items():
        if not bool(weight.isfinite().all()):
            raise ValueError(f"{name} is not finite")


def model_folder(path: Path | str) -> Path:
    """Return the model folder of a path: itself, `model/` in a run, or that of a pretrained model."""
    path = Path(path)
    pretrained = None if path.exists() else pretrained_folder(path)
    if pretrained is not None:
        return pretrained
    is_run = not (path / "config.json").exists() and (path / "model" / "config.json").exists()
    return path / "model" if is_run else path


def is_model(path: Path | str) -> bool:
    """Return whether there is a model folder, a run or a pretrained model at `path`."""
    return (model_folder(path) / "config.json").is_file()


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
                f"{folder} has model format {config['format']}, but this version reads {FORMAT}: update styleganv."
            )
        method = config.setdefault("model", STYLEGAN_V)
        if method not in networks:
            raise StyleganvError(
                f"The model in {folder} was trained with {method}, which is not supported here: pass one of "
                f"{', '.join(networks)}."
            )
        with torch.random.fork_rng(devices=[]):
            network = networks[method](**config["generator"])
        network.load_state_dict(load_weights(folder, "model.safetensors", config))
    except (FileNotFoundError, NotADirectoryError) as error:
        if pretrained := pretrained_folder(folder):
            raise StyleganvError(
                f"{folder} is not a model, but hides the pretrained model of that name: rename it, or pass "
                f"{pretrained}."
            ) from error
        raise StyleganvError(
            f"{folder} is not a model: pass a folder with config.json and model.safetensors, a training run, or one of "
            f"{', '.join(pretrained_names())}."
        ) from error
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise StyleganvError(
            f"The model in {folder} is damaged ({describe(error)}): copy or train it again."
        ) from error
    return network.eval().requires_grad_(False), config


def sampler_arguments(path: Path | str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `VideoModel` in `config.json`. Raises StyleganvError if one is missing or invalid."""
    folder = model_folder(path)
    data = check(f"{folder / 'config.json'}: data", config.get("data"), dict)
    prefix = f"{folder / 'config.json'}: data."
    fps = check(f"{prefix}fps", data.get("fps"), FrameRate)
    return {"fps": fps, "labels": LabelSpace.from_dict(prefix, data), "config": config, "source": folder}
