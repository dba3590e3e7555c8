"""Finetuning: the settings of a pretrained model's networks, and its matching weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from styleganv.config import RunConfig, load_settings
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.pretrained import load_discriminator, load_generator, load_projected
from styleganv.methods.stylegan_v.projected import ProjectedDiscriminator
from styleganv.methods.stylegan_v.trainer import frozen_parameters
from styleganv.methods.stylegan_v.transfer import IN_PART, copy_discriminator_weights, copy_generator_weights, summarize
from styleganv.training.checkpoint import has_checkpoint, load_checkpoint


@dataclass(frozen=True)
class PretrainedWeights:
    """A model to initialize from.

    Attributes:
        path: model folder, run, or name of a packaged model, e.g. faces-64.
        generator: the averaged generator.
        discriminator: state of the discriminator; None if there is none.
        condition: how time distances enter the discriminator; None for images or without a discriminator.
        projected: state of the second discriminator; None if there is none.
    """

    path: Path
    generator: Generator
    discriminator: Mapping[str, Tensor] | None = None
    condition: str | None = None
    projected: Mapping[str, Tensor] | None = None


def load_pretrained(path: Path | str) -> PretrainedWeights:
    """Load a model folder or a model of the package, or a run, whose checkpoint has the discriminators."""
    path = Path(path)
    generator, _ = load_generator(path)
    if has_checkpoint(path):
        config = load_settings(path / "settings.yaml")
        state = load_checkpoint(path / "checkpoint.pt")
        condition = config.model.condition if config.training.num_frames > 1 else None
        return PretrainedWeights(path, generator, state["discriminator"], condition, state.get("projected"))
    discriminator = load_discriminator(path)
    if discriminator is None:
        return PretrainedWeights(path, generator)
    condition = discriminator.config.condition if discriminator.num_frames > 1 else None
    return PretrainedWeights(path, generator, discriminator.state_dict(), condition, load_projected(path))


def match_pretrained(config: RunConfig, source: PretrainedWeights) -> RunConfig:
    """Return the settings with the widths of the pretrained networks.

    The EMA starts with the pretrained weights, so its half-life needs no ramp-up, unless the settings make it long.

    Between an image model and a video model, the settings of motion stay as they are.
    """
    fields = asdict(source.generator.config)
    same = {name: fields[name] for name in asdict(config.model) if name in fields}
    if "none" in (config.model.motion, fields["motion"]):
        for name in ("motion", "slot_distance", "longest_period", "amplitude"):
            del same[name]
    else:
        same["motion_dim"] = fields["motion_code_dim"]
    if source.condition is not None:
        same["condition"] = source.condition
    training = config.training if config.training.ema_half_life else replace(config.training, ema_rampup=None)
    return replace(config, model=replace(config.model, **same), training=training)


def copy_matching_weights(
    source: PretrainedWeights, config: RunConfig, generator: Generator, discriminator: Discriminator
) -> list[str]:
    """Copy the matching weights into new networks; return messages about what was copied and what is new.

    Raises:
        StyleganvError: if no block matches, or if newly initialized weights would be frozen.
    """
    new = copy_generator_weights(generator, source.generator)
    if not any(name.startswith("synthesis.blocks.") for name in generator.state_dict().keys() - set(new)):
        raise StyleganvError(
            f"No layer of the model {source.path} matches a network for this dataset: train a new one."
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
    if not new:
        return f"All weights of the {title} are from {source.path}."
    return f"Newly initialized in the {title}, the rest is from {source.path}: {summarize(network, new)}."


def copy_projected(source: PretrainedWeights, projected: ProjectedDiscriminator) -> str:
    """Copy the second discriminator if all its weights match; return a message."""
    shapes = [
        {name: weight.shape for name, weight in (x or {}).items()} for x in (source.projected, projected.state_dict())
    ]
    if source.projected is None or shapes[0] != shapes[1]:
        return f"The second discriminator is newly initialized: {source.path} has none that matches."
    projected.load_state_dict(source.projected)
    return f"All weights of the second discriminator are from {source.path}."


def _check_frozen(config: RunConfig, discriminator: Discriminator, new: list[str]) -> None:
    """Raise a StyleganvError if a newly initialized weight would be frozen."""
    names = {id(parameter): name for name, parameter in discriminator.named_parameters()}
    frozen = {names[id(p)] for p in frozen_parameters(discriminator, config.training.freeze_d)}
    if untrained := sorted(frozen & {name.removesuffix(IN_PART) for name in new}):
        raise StyleganvError(
            f"--freeze-d {config.training.freeze_d} would freeze newly initialized weights ({untrained[0]}): "
            "freeze fewer blocks, or none."
        )
