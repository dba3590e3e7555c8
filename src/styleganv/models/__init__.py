"""The networks. Read `generator.py` first."""

from styleganv.models.discriminator import Discriminator
from styleganv.models.generator import Generator

__all__ = ["Discriminator", "Generator"]
