"""StyleGAN-V: video as a continuous-time signal, in pure PyTorch.

prepare, inspect    videos → dataset
train, resume       dataset → run with a model
load, generate      model → videos; pretrained_models lists those that come with the package
evaluate, diagnose  generated and real videos → distances, motion report
export, push, pull  model → ONNX or torch.export; model ↔ Hugging Face Hub

Building blocks: RunConfig, VideoDataset, Clip, Generator, Discriminator, VideoModel, VideoGenerator.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from styleganv.openmp import wait_passively

__version__ = "0.1.0"

wait_passively()  # before anything loads torch

if TYPE_CHECKING:
    from styleganv.clip import Clip
    from styleganv.config import RunConfig
    from styleganv.data.dataset import VideoDataset
    from styleganv.data.inspect import inspect
    from styleganv.data.prepare import prepare
    from styleganv.errors import StyleganvError
    from styleganv.interop.export import export
    from styleganv.interop.hub import pull, push
    from styleganv.methods.loading import load
    from styleganv.methods.stylegan_v.discriminator import Discriminator
    from styleganv.methods.stylegan_v.generator import Generator
    from styleganv.methods.stylegan_v.sampler import VideoGenerator
    from styleganv.metrics.evaluate import evaluate
    from styleganv.metrics.options import EvaluateOptions
    from styleganv.motion_report.diagnose import diagnose
    from styleganv.options import (
        ComputeOptions,
        DirectionOptions,
        EditOptions,
        LatentsOptions,
        OutputOptions,
        PrepareOptions,
        ProjectOptions,
        SampleOptions,
    )
    from styleganv.pretrained import PretrainedModel, pretrained_models
    from styleganv.runs import resume, train
    from styleganv.video_files import generate
    from styleganv.video_model import VideoModel

# Loaded on first access, so that importing the package is quick and `--help` does not wait for torch.
_MODULES = {
    "Clip": "clip",
    "VideoDataset": "data.dataset",
    "inspect": "data.inspect",
    "prepare": "data.prepare",
    "StyleganvError": "errors",
    "VideoModel": "video_model",
    "VideoGenerator": "methods.stylegan_v.sampler",
    "load": "methods.loading",
    "generate": "video_files",
    "export": "interop.export",
    "pull": "interop.hub",
    "push": "interop.hub",
    "diagnose": "motion_report.diagnose",
    "evaluate": "metrics.evaluate",
    "EvaluateOptions": "metrics.options",
    "Discriminator": "methods.stylegan_v.discriminator",
    "Generator": "methods.stylegan_v.generator",
    "ComputeOptions": "options",
    "DirectionOptions": "options",
    "EditOptions": "options",
    "LatentsOptions": "options",
    "OutputOptions": "options",
    "PrepareOptions": "options",
    "ProjectOptions": "options",
    "SampleOptions": "options",
    "PretrainedModel": "pretrained",
    "pretrained_models": "pretrained",
    "RunConfig": "config",
    "resume": "runs",
    "train": "runs",
}

__all__ = [
    "Clip",
    "ComputeOptions",
    "DirectionOptions",
    "Discriminator",
    "EditOptions",
    "EvaluateOptions",
    "Generator",
    "LatentsOptions",
    "OutputOptions",
    "PrepareOptions",
    "PretrainedModel",
    "ProjectOptions",
    "RunConfig",
    "SampleOptions",
    "StyleganvError",
    "VideoDataset",
    "VideoGenerator",
    "VideoModel",
    "diagnose",
    "evaluate",
    "export",
    "generate",
    "inspect",
    "load",
    "prepare",
    "pretrained_models",
    "pull",
    "push",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'styleganv' has no attribute {name!r}")
    return getattr(import_module(f"styleganv.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
