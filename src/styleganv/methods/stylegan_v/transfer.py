"""Weights of one network for another of other sizes: what fits is taken, the rest stays as it is, and is named.

Blocks belong together by their resolution (the longer side, which also decides their channels), not by their number.
What is new beside something taken starts at zero where that lets the network begin as the one it comes from: motion,
classes and further resolutions are then learned on top of pictures that are there already, instead of destroying
them in the first steps. (The gradient of such a weight is not zero, so it learns at once.)
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.nn.layers import resolutions

IN_PART = " (in part)"


@torch.no_grad()
def copy_generator_weights(network: Generator, source: Generator) -> list[str]:
    """Put into `network` what fits of `source`; returns the names of the weights for which there was nothing."""
    levels = [max(level) for level in resolutions(network.height, network.width)]
    theirs = {max(level): i for i, level in enumerate(resolutions(source.height, source.width))}
    constant = len(network.synthesis.constant)
    # Several things come in side by side here; the first of them is taken by itself.
    first = {
        "synthesis.blocks.0.conv1.weight": _First(1, constant),
        "synthesis.blocks.0.conv1.affine.weight": _First(0, constant),
        "synthesis.blocks.0.conv1.affine.bias": _First(0, constant),
        "mapping.layers.0.weight": _First(1, network.z_dim, equalized=True),
    }
    if network.motion is not None:
        first["motion.convs.0.weight"] = _First(1, network.motion.noise_dim, equalized=True)
    same = {f"synthesis.blocks.{i}.": f"synthesis.blocks.{theirs.get(level)}." for i, level in enumerate(levels)}
    new = _take(network, source.state_dict(), same, first)
    for i, level in enumerate(levels):
        if level > max(theirs):
            network.get_parameter(f"synthesis.blocks.{i}.to_rgb.weight").zero_()
    return new


@torch.no_grad()
def copy_discriminator_weights(
    network: Discriminator, size: tuple[int, int], weights: Mapping[str, Tensor], source: tuple[int, int]
) -> list[str]:
    """Likewise from the `weights` of a discriminator; `size` and `source` are (height, width) of the two."""
    levels = [max(level) for level in resolutions(*size)[::-1]]
    theirs = {max(level): i for i, level in enumerate(resolutions(*source)[::-1])}
    same = {f"blocks.{i}.": f"blocks.{theirs.get(level)}." for i, level in enumerate(levels)}
    if levels[0] != max(source):  # colours enter elsewhere
        same["from_rgb."] = "-."
    new = _take(network, weights, same, {})
    for name in new:
        if re.fullmatch(r"blocks\.\d+\.affine\.weight", name) and name.replace("affine", "conv0") not in new:
            network.get_parameter(name).zero_()
    return new


def summarize(network: nn.Module, names: list[str]) -> str:
    """Names of weights in few words: where all of a module's are meant, the module's."""
    whole, parts = {name for name in names if IN_PART not in name}, [name for name in names if IN_PART in name]

    def grouped(module: nn.Module, prefix: str) -> list[str]:
        inside = {f"{prefix}{name}" for name in module.state_dict()}
        if inside and prefix and inside <= whole:
            return [prefix[:-1]]
        own = [
            f"{prefix}{name}"
            for name, _ in chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
        ]
        children = [grouped(child, f"{prefix}{name}.") for name, child in module.named_children()]
        return [name for name in own if name in whole] + list(chain.from_iterable(children))

    return ", ".join(grouped(network, "") + parts)


@dataclass(frozen=True)
class _First:
    """The first `count` along a dimension of a weight; an `equalized` one is used divided by the root of its inputs."""

    along: int
    count: int
    equalized: bool = False

    def take(self, ours: Tensor, theirs: Tensor) -> bool:
        """Whether they could be taken; of inputs (dimension 1), the others become zero."""
        both = [list(x.shape) for x in (ours, theirs)]
        lengths = [shape.pop(self.along) for shape in both]
        if both[0] != both[1] or min(lengths) < self.count:
            return False
        if self.along == 1:
            ours.zero_()
        gain = (lengths[0] / lengths[1]) ** 0.5 if self.equalized else 1.0
        ours.narrow(self.along, 0, self.count).copy_(theirs.narrow(self.along, 0, self.count) * gain)
        return True


def _take(
    network: nn.Module, weights: Mapping[str, Tensor], same: Mapping[str, str], first: Mapping[str, _First]
) -> list[str]:
    """`same`: beginnings of our names → of theirs."""
    new = []
    for name, ours in network.state_dict().items():
        begin = next((begin for begin in same if name.startswith(begin)), "")
        theirs = weights.get(same.get(begin, "") + name.removeprefix(begin))
        if theirs is not None and theirs.shape == ours.shape:
            ours.copy_(theirs)
        elif theirs is not None and name in first and first[name].take(ours, theirs):
            if ours.shape[first[name].along] > first[name].count:
                new.append(name + IN_PART)
        else:
            new.append(name)
    return new
