"""MoCoGAN with StyleGAN2's networks."""

from dataclasses import replace

from styleganv.methods.method import Implementation, Method
from styleganv.methods.mocogan import check_clips
from styleganv.recipes import Settings


def _implementation() -> Implementation:
    from styleganv.methods.mocogan_stylegan2.networks import (
        MocoganStylegan2,
        MocoganStylegan2Config,
        MocoganStylegan2Videos,
    )
    from styleganv.methods.mocogan_stylegan2.trainer import build

    return Implementation(
        config=MocoganStylegan2Config,
        network=MocoganStylegan2,
        sampler=MocoganStylegan2Videos,
        build_trainer=build,
    )


def _adapt(settings: Settings) -> Settings:
    """16 consecutive frames."""
    return replace(
        settings,
        model=replace(settings.model, motion="lstm"),
        training=replace(settings.training, frames=16, max_span=15),
    )


METHOD = Method(
    name="mocogan-stylegan2",
    title="MoCoGAN + StyleGAN2",
    implementation=_implementation,
    adapt=_adapt,
    check=check_clips,
)
