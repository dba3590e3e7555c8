"""Settings with a few changes."""

from dataclasses import replace
from typing import Any

from styleganv.recipes import Settings


def with_training(settings: Settings, **changes: Any) -> Settings:
    return replace(settings, training=replace(settings.training, **changes))
