"""All settings of a run as frozen dataclasses, presets, and settings files."""

from styleganv.config.presets import PRESETS, get_preset
from styleganv.config.run_config import (
    STDDEV_GROUP,
    AugmentConfig,
    LoggingConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)
from styleganv.config.settings_file import SettingsFile, load_settings, read_settings, save_settings
from styleganv.config.template import format_template

__all__ = [
    "PRESETS",
    "STDDEV_GROUP",
    "AugmentConfig",
    "LoggingConfig",
    "ModelConfig",
    "RunConfig",
    "SettingsFile",
    "TrainingConfig",
    "format_template",
    "get_preset",
    "load_settings",
    "read_settings",
    "save_settings",
]
