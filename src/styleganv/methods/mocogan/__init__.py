"""MoCoGAN (Tulyakov et al., CVPR 2018)."""

from dataclasses import replace

from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.methods.method import Implementation, Method, check_consecutive, check_loss, check_no_augmentation


def _implementation() -> Implementation:
    from styleganv.methods.mocogan.networks import Mocogan, MocoganConfig, MocoganVideos
    from styleganv.methods.mocogan.trainer import build_trainer

    return Implementation(config=MocoganConfig, network=Mocogan, sampler=MocoganVideos, build_trainer=build_trainer)


def _adapt(config: RunConfig) -> RunConfig:
    """Return the settings with narrow noise, 16 consecutive frames and no augmentation."""
    return replace(
        config,
        model=replace(config.model, motion="lstm", z_dim=50, motion_dim=10),
        training=replace(
            config.training,
            num_frames=16,
            max_span=15,
            lr=0.0002,
            micro_batch_size=None,
            gradient_checkpointing=False,
        ),
        augment=replace(config.augment, augment="none"),
    )


def check_clips(config: RunConfig) -> None:
    """Check that motion is recurrent and frames are consecutive."""
    if config.model.motion != "lstm":
        raise StyleganvError(f"--method {config.model.method} requires recurrent motion: set --motion lstm.")
    check_consecutive(config)
    check_loss(config)


def _check(config: RunConfig) -> None:
    check_clips(config)
    check_no_augmentation(config)
    if config.training.micro_batch_size or config.training.gradient_checkpointing:
        raise StyleganvError(
            "--method mocogan does not support --micro-batch-size or --gradient-checkpointing: omit them."
        )


METHOD = Method(
    name="mocogan",
    title="MoCoGAN",
    implementation=_implementation,
    adapt=_adapt,
    check=_check,
    published=("124.7 / 257.3", "206.6 / 575.9", "2886.9 / 3679.0"),
)
