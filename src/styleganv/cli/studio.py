"""The command that opens the studio."""

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from styleganv.errors import StyleganvError
from styleganv.options import Device, Unset


def studio(
    models: Annotated[
        Positional[tuple[Path, ...]], tyro.conf.arg(metavar="MODEL [MODEL ...]", help_behavior_hint="(required)")
    ],
    /,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: Unset[str] = None,
    certificate: Unset[Path] = None,
    key: Unset[Path] = None,
    open: bool = True,
    clip_model: Unset[str] = None,
    device: Device = None,
    favorites: Path = Path("favorites"),
) -> None:
    """Explore models and their training videos in the browser. Requires styleganv[studio].

    Args:
        models: Model folders, runs, or pretrained models, e.g. faces-64.
        host: Address to listen on; any but a loopback address requires a token.
        port: Port to listen on; 0 = any free port.
        token: Access token that clients must supply. Default: random unless --host is loopback.
        certificate: PEM file of a certificate chain, to serve HTTPS.
        key: PEM file of its private key. Default: in the file of --certificate.
        open: Open the page in the default browser.
        clip_model: CLIP for text edits: a folder, or a Hugging Face Hub name. Default: the model's own, else OpenAI's.
        favorites: Folder of favorites, created on the first save.
    """
    from styleganv.studio.server import run_studio

    if not models:
        raise StyleganvError("The studio requires a model: pass a model folder or a run.")
    run_studio(
        models,
        host=host,
        port=port,
        token=token,
        certificate=certificate,
        key=key,
        open_page=open,
        clip_model=clip_model,
        device=device,
        favorites=favorites,
    )
