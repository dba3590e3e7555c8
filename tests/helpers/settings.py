"""RunConfig with a few changes."""

from dataclasses import replace
from typing import Any

from styleganv.config import RunConfig


def with_training(settings: RunConfig, **changes: Any) -> RunConfig:
    return replace(settings, training=replace(settings.training, **changes))
