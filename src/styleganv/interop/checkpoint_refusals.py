"""Networks that the official code can train and that cannot be imported: each refusal names the setting.

Weights decide wherever they show a setting. Only what no weight shows is read from the pickled settings.
"""

import re

from torch import Tensor

from styleganv.config import STDDEV_GROUP
from styleganv.interop.checkpoint_conversion import UnsupportedCheckpoint
from styleganv.interop.checkpoint_settings import find_settings
from styleganv.interop.pickle_interpreter import PickledObject


def refuse_generator(tensors: dict[str, Tensor]) -> None:
    """Raise an `UnsupportedCheckpoint` for a generator with settings that ours does not have."""
    if layers := _matches(tensors, r"synthesis\.(L\d+_\w*)\..*"):
        raise UnsupportedCheckpoint(f"a StyleGAN3 network, whose layers, e.g. {layers[0]}, differ from StyleGAN2's")
    if modules := _matches(tensors, r"(.*)\.weight_ih_l\d+"):
        raise UnsupportedCheckpoint(f"LSTM motion in {modules[0]} instead of two convolutions")
    colors = {tensor.shape[0] for name, tensor in tensors.items() if name.endswith(".torgb.weight") and tensor.ndim}
    if len(colors) == 1 and 3 not in colors:
        kind = "grayscale images" if colors == {1} else f"images of {max(colors)} channels"
        raise UnsupportedCheckpoint(f"{kind} in torgb instead of RGB")
    blocks, with_rgb = (_matches(tensors, rf"synthesis\.b(\d+)\.{layer}\.weight") for layer in ("conv1", "torgb"))
    if _matches(tensors, r"synthesis\.(b\d+)\.skip\.weight"):
        raise UnsupportedCheckpoint("architecture is resnet instead of skip")
    if len(blocks) > 1 and with_rgb == [max(blocks, key=int)]:
        raise UnsupportedCheckpoint("architecture is orig instead of skip")


def refuse_discriminator(network: PickledObject, tensors: dict[str, Tensor]) -> None:
    """Raise an `UnsupportedCheckpoint` for a discriminator with settings that ours does not have.

    The pickled `network` states those that no weight shows.
    """
    conv0, skip = (_matches(tensors, rf"(b\d+)\.{layer}\.weight") for layer in ("conv0", "skip"))
    if conv0 and not skip:
        kind = "orig" if len(_matches(tensors, r"(b\d+)\.fromrgb\.weight")) == 1 else "skip"
        raise UnsupportedCheckpoint(f"architecture is {kind} instead of resnet")
    groups = find_settings(network, r"\w*group_size")
    for name, value in groups.items():
        if value != STDDEV_GROUP and (value is not None or not any(groups.values())):
            raise UnsupportedCheckpoint(f"{_last(name)} is {value} instead of {STDDEV_GROUP}")
    for name, value in find_settings(network, "dummy_c").items():
        if value:
            raise UnsupportedCheckpoint(f"{_last(name)} is {value} instead of False")


def _matches(tensors: dict[str, Tensor], pattern: str) -> list[str]:
    """Return the first group of each name that matches, sorted."""
    return sorted({match[1] for name in tensors if (match := re.fullmatch(pattern, name))})


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]
