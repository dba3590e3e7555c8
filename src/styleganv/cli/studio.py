"""The command that opens the studio."""

from pathlib import Path

from tyro.conf import Positional

from styleganv.errors import StyleganvError
from styleganv.options import DEFAULT_CLIP, Unset


def studio(
    models: Positional[tuple[Path, ...]],
    /,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: Unset[str] = None,
    open: bool = True,
    clip_model: str = DEFAULT_CLIP,
    device: Unset[str] = None,
) -> None:
    """See and steer models in the browser, beside the videos they learn from; needs styleganv[studio]. Ctrl-C ends it.

    Args:
        models: Model folders, or folders of runs.
        host: The address to listen at; at any but this machine's own a token is needed, and made up where left out.
        port: 0 takes a free one.
        token: What a browser must bring.
        open: The page in the browser of this machine.
        clip_model: The CLIP that understands texts: a folder, or a name on the Hugging Face hub.
        device: Such as cpu or cuda; the GPU, if there is one, where left out.
    """
    from styleganv.studio.server import studio as run

    if not models:
        raise StyleganvError("The studio needs a model: give the folder of one, or of a run.")
    run(models, host=host, port=port, token=token, open_page=open, clip=clip_model, device=device)
