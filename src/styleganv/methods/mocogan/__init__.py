"""MoCoGAN (Tulyakov et al., CVPR 2018)."""

from dataclasses import replace

from styleganv.errors import StyleganvError
from styleganv.methods.method import Implementation, Method, check_consecutive, check_loss
from styleganv.recipes import Settings


def _implementation() -> Implementation:
    from styleganv.methods.mocogan.networks import Mocogan, MocoganConfig, MocoganVideos
    from styleganv.methods.mocogan.trainer import build

    return Implementation(config=MocoganConfig, network=Mocogan, sampler=MocoganVideos, build_trainer=build)


def _adapt(settings: Settings) -> Settings:
    """Narrow noise, 16 consecutive frames, no augmentation."""
    return replace(
        settings,
        model=replace(settings.model, motion="lstm", z_dim=50, motion_dim=10),
        training=replace(settings.training, frames=16, max_span=15, lr=0.0002, micro_batch=None, checkpointing=False),
        augment=replace(settings.augment, augment="none"),
    )


def check_clips(settings: Settings) -> None:
    """A recurrent motion of its own, and consecutive frames."""
    if settings.model.motion != "lstm":
        raise StyleganvError(
            f"--model {settings.model.kind} has a recurrent motion of its own: leave --motion at lstm."
        )
    check_consecutive(settings)
    check_loss(settings)


def _check(settings: Settings) -> None:
    check_clips(settings)
    if settings.augment.augment != "none":
        raise StyleganvError("--model mocogan has no augmentation: set --augment none.")
    if settings.training.micro_batch or settings.training.checkpointing:
        raise StyleganvError("--model mocogan takes a batch at once: leave out --micro-batch and --checkpointing.")


METHOD = Method(
    name="mocogan",
    title="MoCoGAN",
    implementation=_implementation,
    adapt=_adapt,
    check=_check,
    published=("124.7 / 257.3", "206.6 / 575.9", "2886.9 / 3679.0"),
)
