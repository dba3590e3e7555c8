"""StyleGAN2 (Karras et al. 2020): StyleGAN-V's networks on single frames, without motion."""

from dataclasses import replace

from styleganv.errors import StyleganvError
from styleganv.methods.method import Method
from styleganv.methods.stylegan_v import implementation
from styleganv.recipes import Settings


def _adapt(settings: Settings) -> Settings:
    """Single frames, no time."""
    return replace(
        settings, model=replace(settings.model, motion="none"), training=replace(settings.training, frames=1)
    )


def _check(settings: Settings) -> None:
    if settings.model.motion != "none":
        raise StyleganvError("--model stylegan2 makes images: set --motion none and --frames 1.")


METHOD = Method(name="stylegan2", title="StyleGAN2 (images)", implementation=implementation, adapt=_adapt, check=_check)
