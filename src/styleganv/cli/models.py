"""Commands that exchange models."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from styleganv.cli.console import progress_bar
from styleganv.cli.parsing import ModelPath
from styleganv.options import Overwrite, Unset

_Dest = Annotated[Positional[Path], tyro.conf.arg(metavar="DEST")]


def models() -> None:
    """List the pretrained models. Every command accepts their names."""
    from styleganv.pretrained import pretrained_models

    for model in pretrained_models():
        print(f"{model.name}: {model.title}, {model.width}x{model.height}, {model.fps:g} fps")
        print(f"    Trained on {model.data} ({model.clips_seen:,} clips). License: {model.license}")
        print(f"    Card: {model.folder / 'README.md'}")


def import_(
    file: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE")],
    dest: _Dest,
    /,
    fps: float = 25.0,
    network: Literal["G_ema", "G"] = "G_ema",
    overwrite: Overwrite = False,
) -> None:
    """Convert an official StyleGAN-V or StyleGAN2-ADA checkpoint without running its code.

    Args:
        file: Checkpoint, e.g. network-snapshot-025000.pkl.
        dest: Model folder to write.
        fps: Frame rate of its dataset, in frames per second; not stored in checkpoints.
        network: Averaged generator (G_ema) or trained generator (G).
    """
    from styleganv.interop.import_checkpoint import import_checkpoint

    print(import_checkpoint(file, dest, fps=fps, network=network, overwrite=overwrite))


def swap(
    low: Annotated[Positional[Path], tyro.conf.arg(metavar="LOW")],
    high: Annotated[Positional[Path], tyro.conf.arg(metavar="HIGH")],
    dest: _Dest,
    /,
    resolution: int,
    overwrite: Overwrite = False,
) -> None:
    """Combine two models: shapes and motion of LOW, textures and colors of HIGH.

    Args:
        low: Model folder, run or pretrained model for the layers below --resolution.
        high: Model of the same size, ideally fine-tuned from LOW or from the same model.
        dest: Model folder to write.
        resolution: First resolution that comes from HIGH, in pixels, e.g. 16.
    """
    from styleganv.interop.swap import swap as run

    print(f"Model: {run(low, high, dest, resolution=resolution, overwrite=overwrite)}")


def export(
    model: ModelPath,
    dest: _Dest,
    /,
    format: Unset[Literal["onnx", "pt2", "web"]] = None,
    overwrite: Overwrite = False,
) -> None:
    """Export a model to files that run without styleganv, and verify them: ONNX, PyTorch, or a page for browsers.

    Args:
        dest: .onnx (onnxruntime) or .pt2 (PyTorch) file; DEST-mapping maps z to styles. With --format web, a folder.
        format: onnx, pt2, or web (a page that plays the video). Default: by the suffix of DEST.
    """
    from styleganv.interop.export import export as run

    with progress_bar() as progress:
        files = run(model, dest, format=format, overwrite=overwrite, progress=progress)
    print(*files, sep="\n")
    if format == "web":
        print(f"Next: python -m http.server -d {shlex.quote(str(dest))}, then open http://localhost:8000")


def push(
    model: ModelPath,
    dest: Annotated[Positional[str], tyro.conf.arg(metavar="DEST")],
    /,
    license: Unset[str] = None,
    private: bool = False,
    overwrite: Overwrite = False,
) -> None:
    """Upload a model and its card to the Hugging Face Hub, or write them to a local folder.

    Args:
        dest: USER/NAME on the Hub, or a folder starting with . or /, e.g. ./published.
        license: License for the card, e.g. mit or cc-by-4.0. Default: not stated.
        private: Create a private repository.
    """
    from styleganv.interop.hub import push as run

    with progress_bar() as progress:
        url = run(model, dest, license=license, private=private, overwrite=overwrite, progress=progress)
    print(url)


def pull(
    source: Annotated[Positional[str], tyro.conf.arg(metavar="SOURCE")],
    dest: _Dest,
    /,
    revision: Unset[str] = None,
    overwrite: Overwrite = False,
) -> None:
    """Download a model from the Hugging Face Hub.

    Args:
        source: USER/NAME on the Hub, or a folder starting with . or /.
        dest: Model folder to write.
        revision: Branch, tag or commit. Default: the main branch.
    """
    from styleganv.interop.hub import pull as run

    folder = run(source, dest, revision=revision, overwrite=overwrite)
    print(f"Model: {folder}. Next: styleganv generate {folder} --out videos --seeds 0-7")
