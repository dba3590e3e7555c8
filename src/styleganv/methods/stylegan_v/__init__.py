"""StyleGAN-V (Skorokhodov, Tulyakov and Elhoseiny, CVPR 2022). Read `generator.py` first."""

from dataclasses import replace

from styleganv.config import RunConfig
from styleganv.errors import StyleganvError
from styleganv.methods.method import Ablation, Implementation, Method


def implementation() -> Implementation:
    """Import and return the code, which StyleGAN2 shares."""
    from styleganv.methods.stylegan_v.config import GeneratorConfig
    from styleganv.methods.stylegan_v.generator import Generator
    from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
    from styleganv.methods.stylegan_v.sampler import VideoGenerator
    from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks

    return Implementation(
        config=GeneratorConfig,
        network=Generator,
        sampler=VideoGenerator,
        build_trainer=lambda config, data, device: GanTrainer(config, *build_networks(config, data, device)),
        estimate_memory=estimate_step_memory_gib,
    )


def check_synthesis(config: RunConfig) -> None:
    """Check that only the paper's network grows, and that all objects get equal parts of the codes.

    Raises:
        StyleganvError: if another network is to grow, or a dimension cannot be split.
    """
    model = config.model
    if model.synthesis != "skip" and config.training.grow_from is not None:
        raise StyleganvError(f"--grow-from requires --synthesis skip, got {model.synthesis}: omit it.")
    if model.synthesis != "attention":
        return
    parts, widths = model.num_objects + 1, {"--z-dim": model.z_dim, "--w-dim": model.w_dim}
    if model.motion != "none":
        widths["--motion-dim"] = model.motion_dim
    for option, width in widths.items():
        if width % parts:
            raise StyleganvError(
                f"{option} must be a multiple of --num-objects + 1 = {parts}, got {width}: change one of them."
            )


def _lstm(config: RunConfig) -> RunConfig:
    """Return the settings with motion codes of an LSTM."""
    return replace(config, model=replace(config.model, motion="lstm"))


def _unconditioned(config: RunConfig) -> RunConfig:
    """Return the settings with a discriminator without time conditioning."""
    return replace(config, model=replace(config.model, condition="none"))


def _more_frames(config: RunConfig) -> RunConfig:
    """Return the settings with 8 frames per clip."""
    return replace(config, training=replace(config.training, num_frames=8))


def _temporal_shift(config: RunConfig) -> RunConfig:
    """Return the settings with a discriminator whose frames exchange channels."""
    return replace(config, model=replace(config.model, temporal_shift=True))


def _multiscale_noise(config: RunConfig) -> RunConfig:
    """Return the settings with motion noise on several time scales."""
    return replace(config, model=replace(config.model, motion_noise="multiscale"))


def _motion_layers(config: RunConfig) -> RunConfig:
    """Return the settings with motion in all layers."""
    return replace(config, model=replace(config.model, motion_layers="all"))


def _alias_free(config: RunConfig) -> RunConfig:
    """Return the settings with alias-free synthesis."""
    return replace(config, model=replace(config.model, synthesis="alias-free"))


def _attention(config: RunConfig) -> RunConfig:
    """Return the settings with several objects."""
    return replace(config, model=replace(config.model, synthesis="attention"))


METHOD = Method(
    name="stylegan-v",
    title="StyleGAN-V",
    implementation=implementation,
    check=check_synthesis,
    has_own_losses=False,
    ablations={
        "lstm": Ablation("StyleGAN-V, LSTM motion", _lstm),
        "unconditioned": Ablation("StyleGAN-V, no time conditioning", _unconditioned),
        "alias-free": Ablation("StyleGAN-V, alias-free synthesis", _alias_free),
        "attention": Ablation("StyleGAN-V, attention synthesis", _attention),
        "more-frames": Ablation("StyleGAN-V, 8 frames per clip", _more_frames),
        "temporal-shift": Ablation("StyleGAN-V, temporal shift", _temporal_shift),
        "motion-layers": Ablation("StyleGAN-V, motion in all layers", _motion_layers),
        "multiscale-noise": Ablation("StyleGAN-V, multiscale noise", _multiscale_noise),
    },
    published=("47.4 / –", "79.5 / 197.0", "1431.0 / 1773.4"),
)
