"""StyleGAN-V (Skorokhodov, Tulyakov and Elhoseiny, CVPR 2022). Read `generator.py` first."""

from dataclasses import replace

from styleganv.config import RunConfig
from styleganv.methods.method import Ablation, Implementation, Method, accept


def implementation() -> Implementation:
    """StyleGAN2 has the same one."""
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


def _lstm(config: RunConfig) -> RunConfig:
    """Motion codes of an LSTM that walks from frame to frame."""
    return replace(config, model=replace(config.model, motion="lstm"))


def _unconditioned(config: RunConfig) -> RunConfig:
    """A discriminator that is not told the times of what it sees."""
    return replace(config, model=replace(config.model, condition="none"))


def _more_frames(config: RunConfig) -> RunConfig:
    """8 frames a clip."""
    return replace(config, training=replace(config.training, num_frames=8))


METHOD = Method(
    name="stylegan-v",
    title="StyleGAN-V",
    implementation=implementation,
    check=accept,
    ablations={
        "lstm": Ablation("StyleGAN-V, LSTM motion", _lstm),
        "unconditioned": Ablation("StyleGAN-V, times not told", _unconditioned),
        "more-frames": Ablation("StyleGAN-V, 8 frames a clip", _more_frames),
    },
    published=("47.4 / –", "79.5 / 197.0", "1431.0 / 1773.4"),
)
