"""Presets: functions that return settings to start from."""

from collections.abc import Callable
from dataclasses import replace

from styleganv.config.run_config import LoggingConfig, ModelConfig, RunConfig, TrainingConfig
from styleganv.errors import StyleganvError


def tiny_cpu() -> RunConfig:
    """Return settings with small networks and batches, which learn 32² to 64² on a CPU within minutes.

    A short training requires a narrow w, which leaves motion to the motion code. The learning rate is doubled, since
    Adam moves a layer in proportion to the root of its inputs; it was tuned without `g_interval`. R1 is strong, because
    the discriminator would win otherwise. Small batches, the relativistic loss and the projected discriminator learn
    most per minute (docs/learning.md). The learning rate falls after a few minutes, or the generator would jump from
    one kind of video to another. The EMA has a half-life of a tenth of the clips seen, at most 10,000: with small
    batches the generator changes from step to step, and a longer average is steadier. The penalties decay as well
    (R3GAN; outlines looked sharper in one training). One thread is enough: such small layers take less time than waking
    other threads. float32 is faster than bfloat16 for them, even with matrix instructions.
    """
    return RunConfig(
        model=ModelConfig(channel_base=1024, channel_max=64, z_dim=32, w_dim=32, motion_dim=128),
        training=TrainingConfig(
            total_clips=200_000,
            batch_size=4,
            num_frames=2,
            loss="relativistic",
            second_discriminator="projected",
            lr=0.005,
            lr_decay_clips=4_000,
            r1_scale=0.04,
            r1_decay_clips=4_000,
            g_interval=None,
            ema_half_life=10_000,
            ema_rampup=0.1,
            precision="float32",
            num_threads=1,
        ),
        logging=LoggingConfig(log_every=320, snapshot_every=16_000, save_every=4_000, eval_every=None),
    )


def resolution_64() -> RunConfig:
    """Return settings for 64²."""
    return RunConfig(training=TrainingConfig(batch_size=32))


def resolution_128() -> RunConfig:
    """Return settings for 128²."""
    return RunConfig(training=TrainingConfig(batch_size=32))


def faces_256() -> RunConfig:
    """Return the paper's settings for FaceForensics: 256², fast motion."""
    return RunConfig(model=ModelConfig(slot_distance=16), training=TrainingConfig(total_clips=8_000_000, batch_size=64))


def sky_256() -> RunConfig:
    """Return the paper's settings for SkyTimelapse: 256², slow motion."""
    return replace(faces_256(), model=ModelConfig(slot_distance=256))


def resolution_512() -> RunConfig:
    """Return settings for 512², with twice the channels at each resolution."""
    return RunConfig(
        model=ModelConfig(channel_base=32768),
        training=TrainingConfig(total_clips=8_000_000, batch_size=32),
    )


def resolution_1024() -> RunConfig:
    """Return settings for 1024², with two frames per clip."""
    return RunConfig(
        model=ModelConfig(channel_base=32768),
        training=TrainingConfig(total_clips=8_000_000, batch_size=32, num_frames=2, lr=0.002),
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "tiny-cpu": tiny_cpu,
    "64": resolution_64,
    "128": resolution_128,
    "256-faces": faces_256,
    "256-sky": sky_256,
    "512": resolution_512,
    "1024": resolution_1024,
}


def get_preset(name: str) -> RunConfig:
    """Return the preset with this name.

    Raises:
        StyleganvError: if there is none; the message lists the names.
    """
    if name not in PRESETS:
        raise StyleganvError(f"Unknown preset {name!r}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]()
