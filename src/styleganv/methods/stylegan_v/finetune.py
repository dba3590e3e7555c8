"""Where a training starts that goes on from a model: its networks' settings, and what fits of its weights."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor

from styleganv.config import RunConfig, load_settings
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.pretrained import load_discriminator, load_generator
from styleganv.methods.stylegan_v.trainer import frozen_parameters
from styleganv.methods.stylegan_v.transfer import IN_PART, copy_discriminator_weights, copy_generator_weights, summarize
from styleganv.training.checkpoint import load_checkpoint


@dataclass(frozen=True)
class PretrainedWeights:
    """A model to go on from.

    Attributes:
        discriminator: its weights, if there is one.
        condition: how time enters it, if it has one and judges more than images.
    """

    place: Path
    generator: Generator
    discriminator: Mapping[str, Tensor] | None = None
    condition: str | None = None


def load_pretrained(place: Path | str) -> PretrainedWeights:
    """A model folder, or a run, whose checkpoint has the discriminator too."""
    place = Path(place)
    generator, _ = load_generator(place)
    if (place / "checkpoint.pt").exists():
        config = load_settings(place / "settings.yaml")
        weights = load_checkpoint(place / "checkpoint.pt")["discriminator"]
        return PretrainedWeights(
            place, generator, weights, config.model.condition if config.training.num_frames > 1 else None
        )
    judge = load_discriminator(place)
    if judge is None:
        return PretrainedWeights(place, generator)
    return PretrainedWeights(
        place, generator, judge.state_dict(), judge.config.condition if judge.num_frames > 1 else None
    )


def match_pretrained(config: RunConfig, source: PretrainedWeights) -> RunConfig:
    """The settings with the widths of the source's networks, whose average needs no ramp-up from nothing.

    An image model has no motion, so that is as set; and so is the motion of a video model for images.
    """
    theirs = asdict(source.generator.config)
    same = {name: theirs[name] for name in asdict(config.model) if name in theirs}
    if "none" in (config.model.motion, theirs["motion"]):
        for name in ("motion", "slot_distance", "longest_period", "amplitude"):
            del same[name]
    else:
        same["motion_dim"] = theirs["motion_code_dim"]
    if source.condition is not None:
        same["condition"] = source.condition
    training = replace(config.training, ema_rampup=None)
    return replace(config, model=replace(config.model, **same), training=training)


def copy_matching_weights(
    source: PretrainedWeights, config: RunConfig, generator: Generator, discriminator: Discriminator
) -> list[str]:
    """Take what fits into the new networks; returns sentences about what is new.

    Raises:
        StyleganvError: if hardly anything fits, or if what is to be frozen is new.
    """
    new = copy_generator_weights(generator, source.generator)
    if not any(name.startswith("synthesis.blocks.") for name in generator.state_dict().keys() - set(new)):
        raise StyleganvError(f"No layer of the model {source.place} fits a network for this data: train a new one.")
    remarks = []
    if new:
        remarks.append(f"New in the generator, the rest is that of {source.place}: {summarize(generator, new)}.")
    if source.discriminator is None:
        new = list(discriminator.state_dict())
        remarks.append(f"The discriminator is new, as {source.place} has none.")
    else:
        sizes = [(network.height, network.width) for network in (generator, source.generator)]
        new = copy_discriminator_weights(discriminator, sizes[0], source.discriminator, sizes[1])
        if new:
            remarks.append(
                f"New in the discriminator, the rest is that of {source.place}: {summarize(discriminator, new)}."
            )
    names = {id(parameter): name for name, parameter in discriminator.named_parameters()}
    frozen = {names[id(p)] for p in frozen_parameters(discriminator, config.training.freeze_d)}
    made = sorted(frozen & {name.removesuffix(IN_PART) for name in new})
    if made:
        raise StyleganvError(
            f"--freeze-d {config.training.freeze_d} would keep what is new and has learned nothing ({made[0]}): "
            "freeze fewer blocks, or none."
        )
    return remarks
