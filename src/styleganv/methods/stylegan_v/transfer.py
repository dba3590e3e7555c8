"""Copying weights between networks of different sizes; what does not match stays as initialized.

Blocks are matched by resolution, not by index; the resolution is the longer side, which also determines the channels.
Newly initialized weights next to copied ones are set to zero if the network then starts as the source network. Motion,
classes and further resolutions are thus learned on top of existing images instead of destroying them in the first
steps. The gradients of these weights are not zero, so they learn from the first step on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

import torch
from torch import Tensor, nn

from styleganv.methods.stylegan_v.alias_free import AliasFreeSynthesis
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.synthesis import Synthesis
from styleganv.nn.layers import resolutions

#: Appended to the names of weights of which only a part was copied.
IN_PART = " (in part)"


@torch.no_grad()
def copy_generator_weights(network: Generator, source: Generator) -> list[str]:
    """Copy the matching weights of `source` into `network`; return the names of the newly initialized ones."""
    sizes = [max(size) for size in resolutions(network.height, network.width)]
    source_blocks = {max(size): i for i, size in enumerate(resolutions(source.height, source.width))}
    # The inputs of these weights are concatenated from several parts; the first part is copied by itself.
    slices = {"mapping.layers.0.weight": _LeadingSlice(1, network.z_dim // network.mapping.num_parts, equalized=True)}
    if isinstance(network.synthesis, Synthesis):
        num_constant = len(network.synthesis.constant)
        slices |= {
            "synthesis.blocks.0.conv1.weight": _LeadingSlice(1, num_constant),
            "synthesis.blocks.0.conv1.affine.weight": _LeadingSlice(0, num_constant),
            "synthesis.blocks.0.conv1.affine.bias": _LeadingSlice(0, num_constant),
            # Newly initialized, the readout is zero.
            "synthesis.blocks.0.attentions.0.query": _LeadingSlice(0, num_constant),
            "synthesis.blocks.0.attentions.0.readout": _LeadingSlice(0, num_constant),
        }
    if network.motion is not None:
        slices["motion.convs.0.weight"] = _LeadingSlice(1, network.motion.noise_dim, equalized=True)
    prefixes = {
        f"synthesis.blocks.{i}.": f"synthesis.blocks.{source_blocks.get(size)}." for i, size in enumerate(sizes)
    }
    new = copy_weights(network, source.state_dict(), prefixes, slices)
    for i, size in enumerate(sizes):
        if size > max(source_blocks) and not isinstance(network.synthesis, AliasFreeSynthesis):
            network.get_parameter(f"synthesis.blocks.{i}.to_rgb.weight").zero_()
    return new


@torch.no_grad()
def copy_discriminator_weights(
    network: Discriminator, size: tuple[int, int], weights: Mapping[str, Tensor], source_size: tuple[int, int]
) -> list[str]:
    """Copy the matching `weights` of a discriminator; return the names of the newly initialized ones.

    Args:
        network: discriminator to change.
        size: its height and width.
        weights: state of the source discriminator.
        source_size: height and width of the source discriminator.
    """
    sizes = [max(one) for one in resolutions(*size)[::-1]]
    source_blocks = {max(one): i for i, one in enumerate(resolutions(*source_size)[::-1])}
    prefixes = {f"blocks.{i}.": f"blocks.{source_blocks.get(one)}." for i, one in enumerate(sizes)}
    if sizes[0] != max(source_size):  # from-RGB is at another resolution, which may be one that this network grows from
        prefixes["from_rgb."] = "-."
    for i, one in enumerate(sizes[1:]):
        prefixes[f"lower_from_rgb.{i}."] = "from_rgb." if one == max(source_size) else "-."
    new = copy_weights(network, weights, prefixes, {})
    for name in new:
        if re.fullmatch(r"blocks\.\d+\.affine\.weight", name) and name.replace("affine", "conv0") not in new:
            network.get_parameter(name).zero_()
    return new


def summarize(network: nn.Module, names: list[str]) -> str:
    """Return the names of weights as a list; if all weights of a module are among them, as the module's name."""
    complete, parts = {name for name in names if IN_PART not in name}, [name for name in names if IN_PART in name]

    def group(module: nn.Module, prefix: str) -> list[str]:
        inside = {f"{prefix}{name}" for name in module.state_dict()}
        if inside and prefix and inside <= complete:
            return [prefix[:-1]]
        own = chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
        children = [group(child, f"{prefix}{name}.") for name, child in module.named_children()]
        return [prefix + name for name, _ in own if prefix + name in complete] + list(chain.from_iterable(children))

    return ", ".join(group(network, "") + parts)


@dataclass(frozen=True)
class _LeadingSlice:
    """The first `count` entries of a weight along a dimension.

    An `equalized` weight is divided by the square root of its number of inputs when it is used.
    """

    dim: int
    count: int
    equalized: bool = False

    def copy(self, target: Tensor, source: Tensor) -> bool:
        """Copy the slice if all other dimensions match; for inputs (dimension 1), the rest becomes zero.

        Returns:
            Whether the slice was copied.
        """
        shapes = [list(x.shape) for x in (target, source)]
        lengths = [shape.pop(self.dim) for shape in shapes]
        if shapes[0] != shapes[1] or min(lengths) < self.count:
            return False
        if self.dim == 1:
            target.zero_()
        gain = (lengths[0] / lengths[1]) ** 0.5 if self.equalized else 1.0
        target.narrow(self.dim, 0, self.count).copy_(source.narrow(self.dim, 0, self.count) * gain)
        return True


@torch.no_grad()
def copy_weights(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    prefixes: Mapping[str, str] = MappingProxyType({}),
    slices: Mapping[str, _LeadingSlice] = MappingProxyType({}),
) -> list[str]:
    """Copy the matching weights by name; return the names of the newly initialized ones.

    Args:
        network: network to change.
        weights: state of the source network.
        prefixes: prefixes of the network's names → those of the source.
        slices: names of weights of which a part can be copied.
    """
    new = []
    for name, target in network.state_dict().items():
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        source = weights.get(prefixes.get(prefix, "") + name.removeprefix(prefix))
        if source is not None and source.shape == target.shape:
            target.copy_(source)
        elif source is not None and name in slices and slices[name].copy(target, source):
            if target.shape[slices[name].dim] > slices[name].count:
                new.append(name + IN_PART)
        else:
            new.append(name)
    return new
