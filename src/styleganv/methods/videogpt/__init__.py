"""VideoGPT (Yan et al. 2021)."""

from dataclasses import replace

from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.methods.method import Implementation, Method, check_consecutive, check_loss, check_no_augmentation


def _implementation() -> Implementation:
    from styleganv.methods.videogpt.networks import VideoGpt, VideoGptConfig, VideoGptVideos
    from styleganv.methods.videogpt.trainer import VideoGptTrainer

    return Implementation(
        config=VideoGptConfig, network=VideoGpt, sampler=VideoGptVideos, build_trainer=VideoGptTrainer
    )


def _adapt(config: RunConfig) -> RunConfig:
    """Return the settings with 16 consecutive frames, no augmentation, and a learning rate of 0.0003 for 0.0025."""
    return replace(
        config,
        training=replace(
            config.training, num_frames=16, max_span=15, lr=0.12 * config.training.lr, gradient_checkpointing=False
        ),
        augment=replace(config.augment, augment="none"),
    )


def _check(config: RunConfig) -> None:
    training = config.training
    if training.num_frames % 4 or training.num_frames < 16:
        raise StyleganvError(
            f"--method videogpt requires clips of at least 16 frames, a multiple of 4, got {training.num_frames}: "
            "set --num-frames 16."
        )
    check_consecutive(config)
    check_no_augmentation(config)
    if training.gradient_checkpointing:
        raise StyleganvError(
            "--method videogpt does not support --gradient-checkpointing: lower --micro-batch-size instead."
        )
    check_loss(config)


METHOD = Method(
    name="videogpt",
    title="VideoGPT",
    implementation=_implementation,
    adapt=_adapt,
    check=_check,
    label_kinds=("class",),
    published=("185.9 / –", "222.7 / –", "2880.6 / –"),
)
