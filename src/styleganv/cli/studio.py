"""The command that opens the studio."""

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from styleganv.errors import StyleganvError
from styleganv.options import Device, Unset
from styleganv.studio.studio_options import StudioOptions


def studio(
    models: Annotated[
        Positional[tuple[Path, ...]], tyro.conf.arg(metavar="MODEL [MODEL ...]", help_behavior_hint="(required)")
    ],
    /,
    open: bool = True,
    clip_model: Unset[str] = None,
    device: Device = None,
    access: OmitArgPrefixes[StudioOptions] = StudioOptions(),
) -> None:
    """Explore models and watch trainings in the browser. Requires styleganv[studio].

    Args:
        models: Model folders, runs, folders of runs, or pretrained models, e.g. faces-64.
        open: Open the page in the default browser.
        clip_model: CLIP for text edits: a folder, or a Hugging Face Hub name. Default: the model's own, else OpenAI's.
    """
    from styleganv.studio.server import run_studio

    if not models:
        raise StyleganvError("The studio requires a model: pass a model folder or a run.")
    run_studio(models, access, open_page=open, clip_model=clip_model, device=device)
