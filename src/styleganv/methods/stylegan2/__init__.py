"""StyleGAN2 (Karras et al. 2020): StyleGAN-V's networks on single frames, without motion."""

from dataclasses import replace

from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.methods.method import Method
from styleganv.methods.stylegan_v import check_synthesis, implementation


def _adapt(config: RunConfig) -> RunConfig:
    """Return the settings for single frames without motion."""
    return replace(config, model=replace(config.model, motion="none"), training=replace(config.training, num_frames=1))


def _check(config: RunConfig) -> None:
    if config.model.motion != "none":
        raise StyleganvError("--method stylegan2 generates images: set --motion none and --num-frames 1.")
    check_synthesis(config)


METHOD = Method(
    name="stylegan2",
    title="StyleGAN2 (images)",
    implementation=implementation,
    adapt=_adapt,
    check=_check,
    has_own_losses=False,
)
