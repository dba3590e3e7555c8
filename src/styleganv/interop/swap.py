"""Two models made one: the coarse layers of one, the fine layers of the other (Pinkney and Adler 2020)."""

import copy
from pathlib import Path

from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.pretrained import load_generator
from styleganv.model_folder import save_model
from styleganv.nn.layers import resolutions


def swap_layers(low: Generator, high: Generator, resolution: int) -> Generator:
    """A generator with the blocks of `low` below `resolution` (of the longer side) and those of `high` from it on.

    The mapping to w, the constant and motion are those of `low`, so the two should have a common past (one fine-tuned
    from the other): otherwise the styles of one mean nothing to the layers of the other.

    Raises:
        StyleganvError: if their synthesis networks differ, or if no block begins at `resolution`.
    """
    ours, theirs = low.synthesis.state_dict(), high.synthesis.state_dict()
    other = [name for name in ours | theirs if name not in ours or name not in theirs]
    other += [name for name in ours if name in theirs and ours[name].shape != theirs[name].shape]
    if other or (low.height, low.width) != (high.height, high.width):
        raise StyleganvError(
            "Layers can be swapped between networks of the same sizes only, and these differ "
            f"({low.height}x{low.width} and {high.height}x{high.width}; {', '.join(other[:3]) or 'all layers fit'}): "
            "fine-tune one from the other."
        )
    levels = [max(level) for level in resolutions(low.height, low.width)]
    if resolution not in levels[1:]:
        raise StyleganvError(
            f"--resolution {resolution} is where no layers of this network begin: choose one of "
            f"{', '.join(map(str, levels[1:]))}."
        )
    swapped = copy.deepcopy(low)
    for i in range(levels.index(resolution), len(levels)):
        swapped.synthesis.blocks[i].load_state_dict(high.synthesis.blocks[i].state_dict())
    return swapped


def swap(low: Path | str, high: Path | str, dest: Path | str, *, resolution: int) -> Path:
    """`swap_layers` of two model folders (or runs) as a third, with the frame rate and classes of the first.

    Raises:
        StyleganvError: as `swap_layers`, or if a folder is no model.
    """
    first, config = load_generator(low)
    second, _ = load_generator(high)
    swapped = swap_layers(first, second, resolution)
    training = {"swapped": {"low": str(low), "high": str(high), "resolution": resolution}}
    save_model(dest, swapped, data=config["data"], training=training)
    return Path(dest)
