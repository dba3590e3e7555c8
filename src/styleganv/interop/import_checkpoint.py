"""Import of an official checkpoint as a model folder.

pickle ──read_pickle──▶ PickledObject ──extract_tensors──▶ tensors ──convert_*──▶ networks ──▶ model folder
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.files import check_destination
from styleganv.interop.checkpoint_conversion import (
    UnsupportedCheckpoint,
    convert_discriminator,
    convert_generator,
)
from styleganv.interop.checkpoint_refusals import refuse_discriminator, refuse_generator
from styleganv.interop.checkpoint_settings import find_settings
from styleganv.interop.pickle_interpreter import PickledObject
from styleganv.interop.safe_unpickler import read_pickle
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.model_folder import MODEL_FILES, save_model
from styleganv.validation import FrameRate, check_arguments

MAX_TENSORS = 10_000
MAX_SLOT_DISTANCE = 10**9


@dataclass(frozen=True)
class ImportReport:
    """Result of `import_checkpoint`; `str()` formats it for the user."""

    dest: Path
    network: str
    generator: Generator
    discriminator: Discriminator | None
    fps: float
    warnings: list[str]

    def __str__(self) -> str:
        config = asdict(self.generator.config)
        names = ["z_dim", "w_dim", "mapping_layers", "num_classes", "channel_base", "channel_max"]
        output = "image"
        if self.generator.motion is not None:
            output = "video"
            names += ["motion_noise_dim", "motion_code_dim", "num_frequencies", "motion_kernel"]
            names += ["slot_distance", "shortest_period", "longest_period"]
        lines = [
            f"{self.network}: {output} generator of {self.generator.height}×{self.generator.width}",
            ", ".join(f"{name} {config[name]}" for name in names if config[name] is not None),
        ]
        if self.discriminator is not None:
            lines.append(f"D: discriminator of {self.discriminator.num_frames} frames, kept for training")
        lines += [f"{self.fps:g} fps (not stored in checkpoints: set it with --fps)", *self.warnings]
        return "\n".join([f"Model: {self.dest}", *(f"  {line}" for line in lines)])


@check_arguments
def import_checkpoint(
    path: Path | str,
    dest: Path | str,
    *,
    fps: FrameRate = 25.0,
    network: Literal["G_ema", "G"] = "G_ema",
    overwrite: bool = False,
) -> ImportReport:
    """Import an official checkpoint (StyleGAN-V, or StyleGAN2-ADA for images) as a model folder.

    Args:
        path: `network-snapshot-*.pkl`; no code in it is run.
        dest: model folder to write, with the discriminator for `train --finetune` if it is supported.
        fps: frame rate of the dataset in frames per second, which checkpoints do not store.

    Raises:
        StyleganvError: if `dest` exists or holds anything but a model, the file is unsafe or damaged (see
            `read_pickle`) or holds other networks, or `fps` is out of range.
    """
    path, dest = Path(path), Path(dest)
    check_destination(dest, overwrite=overwrite, contents=MODEL_FILES)
    content = read_pickle(path)
    if not isinstance(content, dict) or not isinstance(content.get(network), PickledObject):
        raise StyleganvError(f"Network {network} not found in {path}: pass a network-snapshot-*.pkl of StyleGAN-V.")
    max_elements = path.stat().st_size // 2  # two bytes per element, if each is stored
    try:
        tensors = extract_tensors(content[network], max_elements)
        refuse_generator(tensors)
        generator, warnings = convert_generator(tensors, _slot_distance(content[network]))
    except UnsupportedCheckpoint as reason:
        raise StyleganvError(
            f"{network} of {path} is not supported ({reason}): pass a checkpoint of StyleGAN-V or "
            "StyleGAN2-ADA with their default architecture."
        ) from None
    discriminator = None
    try:
        if not isinstance(content.get("D"), PickledObject):
            raise UnsupportedCheckpoint("not in the file")
        tensors = extract_tensors(content["D"], max_elements)
        refuse_discriminator(content["D"], tensors)
        discriminator = convert_discriminator(tensors, num_classes=generator.num_classes)
    except UnsupportedCheckpoint as reason:
        warnings.append(f"Discriminator not imported ({reason}).")
    save_model(
        dest,
        generator,
        data={"fps": fps, "class_names": [f"class{k}" for k in range(generator.num_classes)]},
        training={"imported_from": path.name} | _frames_seen(content),
        discriminator=discriminator,
        overwrite=overwrite,
    )
    return ImportReport(dest, network, generator, discriminator, fps, warnings)


def _slot_distance(network: PickledObject) -> float | None:
    """Return the frames between noise slots; None if the settings do not store them."""
    values = set(find_settings(network, r"motion\.motion_z_distance").values()) - {None}
    if not values:
        return None
    value, *others = values
    if others or not isinstance(value, int | float) or not 0 < value <= MAX_SLOT_DISTANCE:
        raise UnsupportedCheckpoint(f"motion_z_distance is {', '.join(sorted(map(str, values)))[:100]}")
    return float(value)


def _frames_seen(content: dict[Any, Any]) -> dict[str, int]:
    stats = content.get("stats")
    items = stats.items if isinstance(stats, PickledObject) else stats
    seen = items.get("cur_nimg") if isinstance(items, dict) else None
    return {"frames_seen": seen} if isinstance(seen, int) else {}


def extract_tensors(network: PickledObject, max_elements: int) -> dict[str, Tensor]:
    """Return the parameters and buffers of a network and its submodules, by dotted name.

    Args:
        max_elements: limit on the total size, because a file can refer to the same tensor many times.

    Raises:
        UnsupportedCheckpoint: if the modules are not a tree of weights, or exceed the limit.
    """
    tensors: dict[str, Tensor] = {}
    pending, num_modules = [("", network)], 0
    while pending:
        prefix, module = pending.pop()
        num_modules += 1
        if not isinstance(module.state, dict) or len(prefix) > 200:
            raise UnsupportedCheckpoint("not a tree of modules")
        for group in ("_parameters", "_buffers", "_modules"):
            members = module.state.get(group, {})
            for name, value in members.items() if isinstance(members, dict) else ():
                if isinstance(value, PickledObject) and group == "_modules":
                    pending.append((f"{prefix}{name}.", value))
                elif isinstance(value, Tensor):
                    tensors[f"{prefix}{name}"] = value
        too_many = max(num_modules, len(tensors) + len(pending)) > MAX_TENSORS
        if too_many or sum(t.numel() for t in tensors.values()) > max_elements:
            raise UnsupportedCheckpoint("more weights than the file can hold")
    return tensors
