"""DIGAN (Yu et al., ICLR 2022)."""

from dataclasses import replace

from styleganv.errors import StyleganvError
from styleganv.methods.method import Implementation, Method, check_loss
from styleganv.recipes import Settings


def _implementation() -> Implementation:
    from styleganv.methods.digan.networks import DiganConfig, DiganGenerator, DiganVideos
    from styleganv.methods.digan.trainer import DiganTrainer, build_networks

    return Implementation(
        config=DiganConfig,
        network=DiganGenerator,
        sampler=DiganVideos,
        build_trainer=lambda settings, data, device: DiganTrainer(settings, *build_networks(settings, data, device)),
    )


def _adapt(settings: Settings) -> Settings:
    """Two frames of a window of 16, a fixed weight of R1."""
    return replace(settings, training=replace(settings.training, frames=2, max_span=15, r1_gamma=1.0))


def _check(settings: Settings) -> None:
    if settings.training.frames != 2:
        raise StyleganvError(
            f"--model digan compares two frames: set --frames 2 instead of {settings.training.frames}."
        )
    check_loss(settings)


METHOD = Method(
    name="digan",
    title="DIGAN",
    implementation=_implementation,
    adapt=_adapt,
    check=_check,
    published=("62.5 / 1824.7", "83.1 / 196.7", "1630.2 / 2293.7"),
)
