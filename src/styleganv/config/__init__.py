"""All settings of a run as frozen dataclasses, presets, and the file `settings.yaml`."""

from styleganv.config.presets import PRESETS, get_preset
from styleganv.config.run_config import (
    STDDEV_GROUP,
    AugmentConfig,
    LoggingConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)
from styleganv.config.settings_file import load_settings, save_settings

__all__ = [
    "PRESETS",
    "STDDEV_GROUP",
    "AugmentConfig",
    "LoggingConfig",
    "ModelConfig",
    "RunConfig",
    "TrainingConfig",
    "get_preset",
    "load_settings",
    "save_settings",
]
