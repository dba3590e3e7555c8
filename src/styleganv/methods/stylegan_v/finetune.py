"""Finetuning: the settings of a pretrained model's networks, and its matching weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from styleganv.config import RunConfig, load_settings
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.alias_free import AliasFreeSynthesis
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.pretrained import load_discriminator, load_generator, load_projected
from styleganv.methods.stylegan_v.projected import ProjectedDiscriminator
from styleganv.methods.stylegan_v.trainer import frozen_parameters
from styleganv.methods.stylegan_v.transfer import (
    IN_PART,
    copy_discriminator_weights,
    copy_generator_weights,
    copy_weights,
    summarize,
)
from styleganv.training.checkpoint import has_checkpoint, load_checkpoint

#: Settings of motion, which an image model does not have.
MOTION_SETTINGS = {
    "motion",
    "motion_layers",
    "motion_noise",
    "motion_path",
    "slot_distance",
    "shortest_period",
    "longest_period",
    "amplitude",
}


@dataclass(frozen=True)
class PretrainedWeights:
    """A model to initialize from.

    Attributes:
        path: model folder, run, or name of a pretrained model, e.g. faces-64.
        generator: the averaged generator.
        discriminator: state of the discriminator; None if there is none.
        condition: how time distances enter the discriminator; None for images or without a discriminator.
        temporal_shift: whether frames exchange channels in the discriminator.
        projected: state of the second discriminator; None if there is none.
    """

    path: Path
    generator: Generator
    discriminator: Mapping[str, Tensor] | None = None
    condition: str | None = None
    projected: Mapping[str, Tensor] | None = None
    temporal_shift: bool = False


def load_pretrained(path: Path | str) -> PretrainedWeights:
    """Load a model folder, a pretrained model, or a run, whose checkpoint has the discriminators."""
    path = Path(path)
    generator, _ = load_generator(path)
    if has_checkpoint(path):
        config = load_settings(path / "settings.yaml")
        state = load_checkpoint(path / "checkpoint.pt")
        condition = config.model.condition if config.training.num_frames > 1 else None
        projected, temporal_shift = state.get("projected"), config.model.temporal_shift
        return PretrainedWeights(path, generator, state["discriminator"], condition, projected, temporal_shift)
    discriminator = load_discriminator(path)
    if discriminator is None:
        return PretrainedWeights(path, generator)
    condition = discriminator.config.condition if discriminator.num_frames > 1 else None
    projected, temporal_shift = load_projected(path), discriminator.config.temporal_shift
    return PretrainedWeights(path, generator, discriminator.state_dict(), condition, projected, temporal_shift)


def match_pretrained(config: RunConfig, source: PretrainedWeights) -> RunConfig:
    """Return the settings with the widths of the pretrained networks.

    The EMA starts with the pretrained weights, so its half-life needs no ramp-up, unless the settings make it long.

    Between an image model and a video model, the settings of motion stay as they are. Motion may enter all layers of a
    model in which it entered the first one, since new motion styles do not change its videos.
    """
    fields = asdict(source.generator.config)
    same = {name: fields[name] for name in asdict(config.model) if name in fields}
    if fields["motion_layers"] == "first":
        del same["motion_layers"]
    if "none" in (config.model.motion, fields["motion"]):
        same = {name: value for name, value in same.items() if name not in MOTION_SETTINGS}
    else:
        same["motion_dim"] = fields["motion_code_dim"]
    if source.condition is not None:
        same["condition"] = source.condition
    if config.training.num_frames > 1 and source.temporal_shift:
        same["temporal_shift"] = True
    training = config.training if config.training.ema_half_life else replace(config.training, ema_rampup=None)
    return replace(config, model=replace(config.model, **same), training=training)


def describe_differences(config: RunConfig, matched: RunConfig) -> str | None:
    """Return a message about settings that `match_pretrained` replaced by those of the model; None if none was."""
    given, used = asdict(config.model), asdict(matched.model)
    replaced = [
        f"--{name.replace('_', '-')} {_show(used[name])} (given: {_show(value)})"
        for name, value in given.items()
        if value not in (used[name], "auto")
    ]
    return f"Settings of the pretrained model replace those given: {', '.join(replaced)}." if replaced else None


def _show(value: object) -> str:
    """Return a setting as the user writes it."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def copy_matching_weights(
    source: PretrainedWeights, config: RunConfig, generator: Generator, discriminator: Discriminator
) -> list[str]:
    """Copy the matching weights into new networks; return messages about what was copied and what is new.

    Raises:
        StyleganvError: if no block matches, if an alias-free model has another size, if newly initialized weights would
            be frozen, or if growing would set copied layers aside.
    """
    _check_growth(source, config, generator)
    _check_size(source, generator)
    new = copy_generator_weights(generator, source.generator)
    if not any(
        name.startswith(("synthesis.blocks.", "synthesis.layers.")) for name in generator.state_dict().keys() - set(new)
    ):
        raise StyleganvError(
            f"No layer of the model {source.path} matches a network for this dataset: train from scratch."
        )
    messages = [_describe(source, "generator", generator, new)]
    if source.discriminator is None:
        new = list(discriminator.state_dict())
        messages.append(f"The discriminator is newly initialized: {source.path} has none.")
    else:
        sizes = [(network.height, network.width) for network in (generator, source.generator)]
        new = copy_discriminator_weights(discriminator, sizes[0], source.discriminator, sizes[1])
        messages.append(_describe(source, "discriminator", discriminator, new))
    _check_frozen(config, discriminator, new)
    return messages


def _describe(source: PretrainedWeights, title: str, network: nn.Module, new: list[str]) -> str:
    exceptions = f", except (newly initialized): {summarize(network, new)}" if new else ""
    return f"Copied the {title} from {source.path}{exceptions}."


def copy_projected(source: PretrainedWeights, projected: ProjectedDiscriminator) -> str:
    """Copy the matching weights of the second discriminator; return a message about what was copied and what is new."""
    if source.projected is None:
        return f"The second discriminator is newly initialized: {source.path} has none."
    return _describe(source, "second discriminator", projected, copy_weights(projected, source.projected))


def _check_growth(source: PretrainedWeights, config: RunConfig, generator: Generator) -> None:
    """Raise a StyleganvError if the network would grow from less than what the source has learned."""
    start, sides = config.training.grow_from, [max(x.height, x.width) for x in (generator, source.generator)]
    if start is not None and start < min(sides):
        remedy = f"pass --grow-from {sides[1]}, or omit it" if sides[1] < sides[0] else "omit it"
        raise StyleganvError(f"--grow-from {start} would skip trained layers of {source.path}: {remedy}.")


def _check_size(source: PretrainedWeights, generator: Generator) -> None:
    """Raise a StyleganvError if an alias-free network has another size than the source: all of its layers change."""
    sizes = [(network.height, network.width) for network in (source.generator, generator)]
    if sizes[0] != sizes[1] and isinstance(generator.synthesis, AliasFreeSynthesis):
        (height, width), (new_height, new_width) = sizes
        raise StyleganvError(
            f"The alias-free model {source.path} is for {height}x{width} frames, got {new_height}x{new_width}: "
            "prepare the dataset at the size of the model, or train a new one."
        )


def _check_frozen(config: RunConfig, discriminator: Discriminator, new: list[str]) -> None:
    """Raise a StyleganvError if a newly initialized weight would be frozen."""
    names = {id(parameter): name for name, parameter in discriminator.named_parameters()}
    frozen = {names[id(p)] for p in frozen_parameters(discriminator, config.training.freeze_d)}
    if untrained := sorted(frozen & {name.removesuffix(IN_PART) for name in new}):
        raise StyleganvError(
            f"--freeze-d {config.training.freeze_d} would freeze newly initialized weights ({untrained[0]}): "
            "freeze fewer blocks, or none."
        )
