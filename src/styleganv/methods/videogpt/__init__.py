"""VideoGPT (Yan et al. 2021)."""

from dataclasses import replace

from styleganv.errors import StyleganvError
from styleganv.methods.method import Implementation, Method, check_consecutive, check_loss
from styleganv.recipes import Settings


def _implementation() -> Implementation:
    from styleganv.methods.videogpt.networks import VideoGpt, VideoGptConfig, VideoGptVideos
    from styleganv.methods.videogpt.trainer import VideoGptTrainer

    return Implementation(
        config=VideoGptConfig, network=VideoGpt, sampler=VideoGptVideos, build_trainer=VideoGptTrainer
    )


def _adapt(settings: Settings) -> Settings:
    """16 consecutive frames, no augmentation, and the preset's learning rate (0.0025) brought to 0.0003."""
    return replace(
        settings,
        training=replace(
            settings.training, frames=16, max_span=15, lr=0.12 * settings.training.lr, checkpointing=False
        ),
        augment=replace(settings.augment, augment="none"),
    )


def _check(settings: Settings) -> None:
    training = settings.training
    if training.frames % 4 or training.frames < 16:
        raise StyleganvError(
            f"--model videogpt needs clips of 16 frames or more, a multiple of 4: set --frames 16 instead of "
            f"{training.frames}."
        )
    check_consecutive(settings)
    if settings.augment.augment != "none":
        raise StyleganvError("--model videogpt has no augmentation: set --augment none.")
    if training.checkpointing:
        raise StyleganvError("--model videogpt has no --checkpointing: leave it out, and lower --micro-batch instead.")
    check_loss(settings)


METHOD = Method(
    name="videogpt",
    title="VideoGPT",
    implementation=_implementation,
    adapt=_adapt,
    check=_check,
    published=("185.9 / –", "222.7 / –", "2880.6 / –"),
)
