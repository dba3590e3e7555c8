"""From a released pickle to a model folder.

pickle ──read_pickle──▶ Node ──tensors_of──▶ name → tensor ──generator_from, discriminator_from──▶ networks
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.interop.pickle_machine import Node
from styleganv.interop.released import NotReleased, discriminator_from, generator_from
from styleganv.interop.unpickle import read_pickle
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.model_folder import save_model

MAX_TENSORS = 10_000


@dataclass(frozen=True)
class Imported:
    """What became of a pickle; `str` tells it to a person."""

    dest: Path
    network: str
    generator: Generator
    discriminator: Discriminator | None
    fps: float
    remarks: list[str]

    def __str__(self) -> str:
        found = asdict(self.generator.config)
        names = ["z_dim", "w_dim", "mapping_layers", "num_classes", "channel_base", "channel_max"]
        kind = "images"
        if self.generator.motion is not None:
            kind = "videos"
            names += ["motion_noise_dim", "motion_code_dim", "num_frequencies", "motion_kernel"]
            names += ["slot_distance", "longest_period"]
        sizes = ", ".join(f"{name} {found[name]}" for name in names)
        lines = [f"{self.network}, a generator of {kind} of {self.generator.height}×{self.generator.width}", sizes]
        if self.discriminator is not None:
            lines.append(f"D, a discriminator of T = {self.discriminator.num_frames}, kept for training")
        lines += [f"{self.fps:g} frames a second (a pickle does not say: --fps)", *self.remarks]
        return "\n".join(["Read off the weights:", *(f"  {line}" for line in lines), f"Model: {self.dest}"])


def import_pickle(
    path: Path | str, dest: Path | str, *, fps: float = 25.0, network: Literal["G_ema", "G"] = "G_ema"
) -> Imported:
    """A released pickle (StyleGAN-V, or StyleGAN2-ADA's images) as a model folder.

    Args:
        path: `network-snapshot-*.pkl`; nothing in it is run.
        dest: the model folder to write; with the discriminator's weights, for `train --finetune`, if they fit.
        fps: of the data it was trained on, which pickles do not say.
        network: the averaged generator, or the one that was being trained.

    Raises:
        StyleganvError: if the file is refused (see `read_pickle`), holds other networks, or `fps` is not above 0.
    """
    path, dest = Path(path), Path(dest)
    if not 0 < fps < math.inf:
        raise StyleganvError(f"--fps {fps:g} is no frame rate: give frames a second, such as 25.")
    content = read_pickle(path)
    if not isinstance(content, dict) or not isinstance(content.get(network), Node):
        raise StyleganvError(f"{path} holds no network {network}: give a network-snapshot-*.pkl of StyleGAN-V.")
    limit = path.stat().st_size // 2
    try:
        generator, remarks = generator_from(tensors_of(content[network], limit))
    except NotReleased as error:
        raise StyleganvError(f"{network} of {path} {error}") from None
    discriminator = None
    try:
        if not isinstance(content.get("D"), Node):
            raise NotReleased("is not there.")
        discriminator = discriminator_from(tensors_of(content["D"], limit), num_classes=generator.num_classes)
    except NotReleased as error:
        remarks.append(f"Without a discriminator: D {error}")
    save_model(
        dest,
        generator,
        data={"fps": fps, "class_names": [f"class{k}" for k in range(generator.num_classes)]},
        training={"imported_from": path.name} | _frames_seen(content),
        discriminator=discriminator,
    )
    return Imported(dest, network, generator, discriminator, fps, remarks)


def _frames_seen(content: dict[Any, Any]) -> dict[str, int]:
    stats = content.get("stats")
    items = stats.items if isinstance(stats, Node) else stats
    seen = items.get("cur_nimg") if isinstance(items, dict) else None
    return {"frames_seen": seen} if isinstance(seen, int) else {}


def tensors_of(network: Node, max_elements: int) -> dict[str, Tensor]:
    """Parameters and buffers of a network and of the modules within, by their dotted names.

    `max_elements` in all: a file of n bytes holds at most n/2, but could show the same ones again and again.

    Raises:
        NotReleased: if the modules are not a tree of weights, or hold more elements.
    """
    found: dict[str, Tensor] = {}
    waiting = [("", network)]
    while waiting:
        prefix, module = waiting.pop()
        if not isinstance(module.state, dict) or len(prefix) > 200:
            raise NotReleased("is no tree of modules: get the file from where it was released.")
        for group in ("_parameters", "_buffers", "_modules"):
            members = module.state.get(group, {})
            for name, value in members.items() if isinstance(members, dict) else ():
                if isinstance(value, Node) and group == "_modules":
                    waiting.append((f"{prefix}{name}.", value))
                elif isinstance(value, Tensor):
                    found[f"{prefix}{name}"] = value
        if len(found) + len(waiting) > MAX_TENSORS or sum(t.numel() for t in found.values()) > max_elements:
            raise NotReleased("has more weights than its file can hold: get the file from where it was released.")
    return found
