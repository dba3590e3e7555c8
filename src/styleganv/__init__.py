"""StyleGAN-V: video as a continuous-time signal, in pure PyTorch.

prepare, inspect    videos → dataset
train, resume       dataset → run with a model
load, generate      model → videos; pretrained_models lists those that come with the package
render              project file → video; Project and Timeline, read_project and write_project are what it holds
evaluate, diagnose  generated and real videos → distances, motion report
export, push, pull  model → ONNX, torch.export or web page; model ↔ Hugging Face Hub
Video               frames → what a notebook shows

Building blocks: RunConfig, TrainingConfig, VideoDataset, ClipDataset, Clip, Generator, Discriminator, VideoModel,
VideoGenerator.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from styleganv.openmp import wait_passively

__version__ = "0.1.0"

wait_passively()  # before anything loads torch

if TYPE_CHECKING:
    from styleganv.clip import Clip as Clip
    from styleganv.config import RunConfig as RunConfig
    from styleganv.config import TrainingConfig as TrainingConfig
    from styleganv.data.dataset import VideoDataset as VideoDataset
    from styleganv.data.inspect import inspect as inspect
    from styleganv.data.prepare import prepare as prepare
    from styleganv.errors import StyleganvError as StyleganvError
    from styleganv.interop.export import export as export
    from styleganv.interop.hub import pull as pull
    from styleganv.interop.hub import push as push
    from styleganv.media.notebook import Video as Video
    from styleganv.methods.loading import load as load
    from styleganv.methods.stylegan_v.discriminator import Discriminator as Discriminator
    from styleganv.methods.stylegan_v.generator import Generator as Generator
    from styleganv.methods.stylegan_v.sampler import VideoGenerator as VideoGenerator
    from styleganv.metrics.evaluate import evaluate as evaluate
    from styleganv.motion_report.diagnose import diagnose as diagnose
    from styleganv.options import ComputeOptions as ComputeOptions
    from styleganv.options import DirectionOptions as DirectionOptions
    from styleganv.options import EditOptions as EditOptions
    from styleganv.options import EvaluateOptions as EvaluateOptions
    from styleganv.options import LatentsOptions as LatentsOptions
    from styleganv.options import OutputOptions as OutputOptions
    from styleganv.options import PrepareOptions as PrepareOptions
    from styleganv.options import ProjectOptions as ProjectOptions
    from styleganv.options import SampleOptions as SampleOptions
    from styleganv.pretrained import PretrainedModel as PretrainedModel
    from styleganv.pretrained import pretrained_models as pretrained_models
    from styleganv.runs import resume as resume
    from styleganv.runs import train as train
    from styleganv.timeline.project import Project as Project
    from styleganv.timeline.project import read_project as read_project
    from styleganv.timeline.project import render as render
    from styleganv.timeline.project import write_project as write_project
    from styleganv.timeline.timeline import Timeline as Timeline
    from styleganv.training.batches import ClipDataset as ClipDataset
    from styleganv.video_files import generate as generate
    from styleganv.video_model import VideoModel as VideoModel

# Loaded on first access, so that importing the package is quick and `--help` does not wait for torch.
_MODULES = {
    "Clip": "clip",
    "VideoDataset": "data.dataset",
    "inspect": "data.inspect",
    "prepare": "data.prepare",
    "StyleganvError": "errors",
    "Video": "media.notebook",
    "VideoModel": "video_model",
    "VideoGenerator": "methods.stylegan_v.sampler",
    "load": "methods.loading",
    "generate": "video_files",
    "export": "interop.export",
    "pull": "interop.hub",
    "push": "interop.hub",
    "diagnose": "motion_report.diagnose",
    "evaluate": "metrics.evaluate",
    "EvaluateOptions": "options",
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
    "TrainingConfig": "config",
    "Project": "timeline.project",
    "Timeline": "timeline.timeline",
    "read_project": "timeline.project",
    "render": "timeline.project",
    "write_project": "timeline.project",
    "ClipDataset": "training.batches",
    "resume": "runs",
    "train": "runs",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'styleganv' has no attribute {name!r}")
    return getattr(import_module(f"styleganv.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
