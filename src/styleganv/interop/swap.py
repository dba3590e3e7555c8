"""Layer swapping: the coarse layers of one model, the fine layers of another (Pinkney and Adler 2020)."""

import copy
from pathlib import Path

from styleganv.errors import StyleganvError
from styleganv.files import check_destination
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.pretrained import load_generator
from styleganv.methods.stylegan_v.synthesis import Synthesis
from styleganv.model_folder import MODEL_FILES, save_model
from styleganv.nn.layers import resolutions
from styleganv.validation import check_arguments


def swap_layers(low: Generator, high: Generator, resolution: int) -> Generator:
    """Return a generator with the blocks of `low` below `resolution` (longer side) and of `high` from it on.

    The mapping network, the constant input and motion are those of `low`. So the two should share an ancestor (one
    fine-tuned from the other); otherwise the layers of `high` do not match the styles of `low`.

    Raises:
        StyleganvError: if a network is not the paper's, if they differ in size, or no block starts at `resolution`.
    """
    if not (isinstance(low.synthesis, Synthesis) and isinstance(high.synthesis, Synthesis)):
        raise StyleganvError("Only layers of models with --synthesis skip can be swapped: use two of them.")
    ours, theirs = low.synthesis.state_dict(), high.synthesis.state_dict()
    other = [name for name in ours | theirs if name not in ours or name not in theirs]
    other += [name for name in ours if name in theirs and ours[name].shape != theirs[name].shape]
    if other or (low.height, low.width) != (high.height, high.width):
        raise StyleganvError(
            f"Swapping layers requires networks of the same size, got {low.height}x{low.width} and "
            f"{high.height}x{high.width} (differing layers: {', '.join(other[:3]) or 'none'}): fine-tune one "
            "from the other."
        )
    starts = [max(sides) for sides in resolutions(low.height, low.width)]
    if resolution not in starts[1:]:
        raise StyleganvError(
            f"--resolution must be one of {', '.join(map(str, starts[1:]))} for this network, got {resolution}: "
            "change it."
        )
    swapped = copy.deepcopy(low)
    assert isinstance(swapped.synthesis, Synthesis)
    for i in range(starts.index(resolution), len(starts)):
        swapped.synthesis.blocks[i].load_state_dict(high.synthesis.blocks[i].state_dict())
    return swapped


@check_arguments
def swap(low: Path | str, high: Path | str, dest: Path | str, *, resolution: int, overwrite: bool = False) -> Path:
    """Swap layers of two model folders or runs into a new model folder, with the fps and classes of the first.

    Raises:
        StyleganvError: as `swap_layers`, if a folder is not a model, or if `dest` exists; with `overwrite`, if it holds
            anything but a model.
    """
    check_destination(dest, overwrite=overwrite, contents=MODEL_FILES)
    first, config = load_generator(low)
    second, _ = load_generator(high)
    swapped = swap_layers(first, second, resolution)
    training = {"swapped": {"low": str(low), "high": str(high), "resolution": resolution}}
    save_model(dest, swapped, data=config["data"], training=training, overwrite=overwrite)
    return Path(dest)
