"""Tiny random models as folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.model_folder import save_model

FPS = 25.0


def save(folder: Path, class_names: Sequence[str] | None = None, **arguments: Any) -> Path:
    """The folder of a tiny random network; its classes are class0, class1, … by default."""
    torch.manual_seed(0)
    sizes = dict(z_dim=16, w_dim=16, channel_max=8, motion_noise_dim=16, motion_code_dim=16, num_frequencies=8)
    generator = Generator(GeneratorConfig(**({"height": 16, "width": 16, "slot_distance": 8} | sizes | arguments)))
    names = class_names or [f"class{k}" for k in range(generator.num_classes)]
    save_model(folder, generator, data={"fps": FPS, "class_names": list(names)}, training={})
    return folder
