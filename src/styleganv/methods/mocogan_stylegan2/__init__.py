"""MoCoGAN with StyleGAN2's networks."""

from dataclasses import replace

from styleganv.config import RunConfig
from styleganv.methods.method import Implementation, Method
from styleganv.methods.mocogan import check_clips


def _implementation() -> Implementation:
    from styleganv.methods.mocogan_stylegan2.networks import (
        MocoganStylegan2,
        MocoganStylegan2Config,
        MocoganStylegan2Videos,
    )
    from styleganv.methods.mocogan_stylegan2.trainer import build_trainer

    return Implementation(
        config=MocoganStylegan2Config,
        network=MocoganStylegan2,
        sampler=MocoganStylegan2Videos,
        build_trainer=build_trainer,
    )


def _adapt(config: RunConfig) -> RunConfig:
    """Return the settings with 16 consecutive frames."""
    return replace(
        config,
        model=replace(config.model, motion="lstm"),
        training=replace(config.training, num_frames=16, max_span=15),
    )


METHOD = Method(
    name="mocogan-stylegan2",
    title="MoCoGAN + StyleGAN2",
    implementation=_implementation,
    adapt=_adapt,
    check=check_clips,
)
