"""StyleGAN-V (Skorokhodov, Tulyakov and Elhoseiny, CVPR 2022). Read `generator.py` first."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

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
    """Check that only the paper's network grows or takes motion in all layers, and that codes split among objects.

    Raises:
        StyleganvError: for the first setting that does not fit.
    """
    model = config.model
    if model.synthesis != "skip":
        for option, is_set in (
            ("--grow-from", config.training.grow_from is not None),
            ("--motion-layers all", model.motion_layers == "all"),
        ):
            if is_set:
                raise StyleganvError(f"{option} requires --synthesis skip, got {model.synthesis}: omit it.")
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


def _with_model(**changes: Any) -> Callable[[RunConfig], RunConfig]:
    """Return a function that changes settings of the networks."""
    return lambda config: replace(config, model=replace(config.model, **changes))


def _more_frames(config: RunConfig) -> RunConfig:
    """Return the settings with 8 frames per clip."""
    return replace(config, training=replace(config.training, num_frames=8))


def _later(title: str, **changes: Any) -> Ablation:
    """Return a variant from later work than the paper."""
    return Ablation(f"StyleGAN-V, {title}", _with_model(**changes), is_published=False)


METHOD = Method(
    name="stylegan-v",
    title="StyleGAN-V",
    implementation=implementation,
    check=check_synthesis,
    has_own_losses=False,
    ablations={
        "lstm": Ablation("StyleGAN-V, LSTM motion", _with_model(motion="lstm")),
        "unconditioned": Ablation("StyleGAN-V, no time conditioning", _with_model(condition="none")),
        "more-frames": Ablation("StyleGAN-V, 8 frames per clip", _more_frames),
        "bspline": _later("B-spline", motion_path="bspline"),
        "multiscale-noise": _later("multiscale noise", motion_noise="multiscale"),
        "motion-layers": _later("motion in all layers", motion_layers="all"),
        "temporal-shift": _later("temporal shift", temporal_shift=True),
        "alias-free": _later("alias-free synthesis", synthesis="alias-free"),
        "attention": _later("attention synthesis", synthesis="attention"),
    },
    published=("47.4 / –", "79.5 / 197.0", "1431.0 / 1773.4"),
)
