"""DIGAN (Yu et al., ICLR 2022)."""

from dataclasses import replace

from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.methods.method import Implementation, Method, check_loss


def _implementation() -> Implementation:
    from styleganv.methods.digan.networks import DiganConfig, DiganGenerator, DiganVideos
    from styleganv.methods.digan.trainer import DiganTrainer, build_networks

    return Implementation(
        config=DiganConfig,
        network=DiganGenerator,
        sampler=DiganVideos,
        build_trainer=lambda config, data, device: DiganTrainer(config, *build_networks(config, data, device)),
    )


def _adapt(config: RunConfig) -> RunConfig:
    """Return the settings with two frames from a window of 16, a fixed weight of R1, and plain Adam."""
    own = replace(config.training, num_frames=2, max_span=15, r1_gamma=1.0, g_interval=None)
    return replace(config, training=own)


def _check(config: RunConfig) -> None:
    if config.training.num_frames != 2:
        raise StyleganvError(
            f"--method digan requires clips of 2 frames, got {config.training.num_frames}: set --num-frames 2."
        )
    check_loss(config)


METHOD = Method(
    name="digan",
    title="DIGAN",
    implementation=_implementation,
    adapt=_adapt,
    check=_check,
    published=("62.5 / 1824.7", "83.1 / 196.7", "1630.2 / 2293.7"),
)
