"""Models that come with the package, found by name without a network connection.

Each is a model folder beside this file, with its card (README.md). `examples/pretrained.sh` trains and packages them.
"""

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class PretrainedModel:
    """A model that comes with the package.

    Attributes:
        name: what `load` and every command accept, e.g. faces-64.
        folder: its model folder, with the card in README.md.
        title: what its videos show.
        data: dataset it was trained on.
        license: terms of the weights.
        height, width: size of its videos, in pixels.
        fps: frame rate of its dataset.
        clips_seen: clips of its training.
    """

    name: str
    folder: Path
    title: str
    data: str
    license: str
    height: int
    width: int
    fps: float
    clips_seen: int


def pretrained_models() -> list[PretrainedModel]:
    """Return the pretrained models, in the order of their names."""
    return [_describe(path.parent) for path in sorted(FOLDER.glob("*/config.json"))]


def pretrained_names() -> list[str]:
    """Return the names of the pretrained models."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def pretrained_folder(name: Path | str) -> Path | None:
    """Return the folder of a pretrained model; None for any other name."""
    return FOLDER / name if str(name) in pretrained_names() else None


def _describe(folder: Path) -> PretrainedModel:
    config = json.loads((folder / "config.json").read_text())
    return PretrainedModel(
        name=folder.name,
        folder=folder,
        **config["metadata"],
        height=config["generator"]["height"],
        width=config["generator"]["width"],
        fps=config["data"]["fps"],
        clips_seen=config["training"]["clips_seen"],
    )
