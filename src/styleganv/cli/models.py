"""Commands that move models in and out."""

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from styleganv.options import Unset


def import_(
    file: Positional[Path],
    dest: Positional[Path],
    /,
    fps: float = 25.0,
    network: Literal["G_ema", "G"] = "G_ema",
) -> None:
    """Turn a released pickle of StyleGAN-V, or of StyleGAN2-ADA's images, into a model, without running it.

    Args:
        file: Such as network-snapshot-025000.pkl.
        dest: The model folder to write.
        fps: Frames a second of the data it was trained on, which a pickle does not say.
        network: The averaged generator, or the one that was being trained.
    """
    from styleganv.interop.import_pickle import import_pickle

    print(import_pickle(file, dest, fps=fps, network=network))


def swap(low: Positional[Path], high: Positional[Path], dest: Positional[Path], /, resolution: int) -> None:
    """Make one model of two: shapes and motion of the first, textures and colours of the second.

    Args:
        low: A model folder or run, whose layers below the resolution are taken.
        high: Another of the same sizes, best fine-tuned from the first or from the same model.
        dest: The model folder to write.
        resolution: From where on the layers are those of HIGH, such as 16.
    """
    from styleganv.interop.swap import swap as run

    print(f"Model: {run(low, high, dest, resolution=resolution)}")


def export(model: Positional[Path], file: Positional[Path], /) -> None:
    """Write a model as programs that run without styleganv, checked against it.

    Args:
        model: A model folder, or the folder of a run.
        file: FILE.onnx for onnxruntime, or FILE.pt2 for torch.export; content comes from FILE-mapping beside it.
    """
    from styleganv.interop.export import export as run

    for written in run(model, file):
        print(written)


def push(
    model: Positional[Path],
    dest: Positional[str],
    /,
    license: Unset[str] = None,
    private: bool = False,
) -> None:
    """Publish a model with its card on the Hugging Face hub, or in a folder laid out like a repository there.

    Args:
        model: A model folder, or the folder of a run.
        dest: USER/NAME of the hub, or a folder that begins with . or /, such as ./published.
        license: For the card, such as mit or cc-by-4.0; without it the card says that none is stated.
        private: Only you can see the repository, if it is new.
    """
    from styleganv.interop.hub import push as run

    print(run(model, dest, license=license, private=private))


def pull(source: Positional[str], dest: Positional[Path], /, revision: Unset[str] = None) -> None:
    """Fetch a model from the Hugging Face hub.

    Args:
        source: USER/NAME of the hub, or a folder that begins with . or /.
        dest: The new folder for the model.
        revision: A branch, tag or commit; the main branch where left out.
    """
    from styleganv.interop.hub import pull as run

    folder = run(source, dest, revision=revision)
    print(f"Model: {folder}. Next: styleganv generate {folder} --out videos --seeds 0-7")
