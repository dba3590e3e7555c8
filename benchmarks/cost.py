"""What each preset takes, by card: the estimates of docs/cost.md. Nothing here is measured on a GPU.

    python benchmarks/cost.py estimate memory.json              (minutes per preset; run it again to continue)
    python benchmarks/cost.py table memory.json scaling.json    tables, with the file of `scaling.py measure`

Memory is what `train` estimates before it starts on a GPU. Time is the counted arithmetic of `scaling.py`, divided by
the card's peak in its data sheet and by the utilization that `scaling.py` assumes.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from scaling import ASSUMPTIONS, estimate
from scaling_parts import CLIPS, make_data

from styleganv.config import get_preset
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.training.batches import ClipDataset

#: Preset, the resolution that it is for, and whether activations are recomputed.
CASES = [
    ("64", 64, False),
    ("128", 128, False),
    ("256-faces", 256, False),
    ("256-faces", 256, True),
    ("512", 512, False),
]
#: Dense bfloat16 and float32 peaks in TFLOP/s (data sheets).
CARDS = {"RTX 3090": (71, 35.6), "RTX 4090": (165, 82.6), "A100": (312, 19.5), "H100": (989, 67)}


def estimate_memory(path: Path) -> None:
    """Write the estimated GiB of a step of 4 and of 8 clips at a time to a JSON file; it is linear in them."""
    results = json.loads(path.read_text()) if path.exists() else {}
    for preset, size, checkpointing in CASES:
        name = preset + ", checkpointing" * checkpointing
        if name in results:
            continue
        config = get_preset(preset)
        training = replace(config.training, gradient_checkpointing=checkpointing, precision="bfloat16")
        with tempfile.TemporaryDirectory() as folder:
            clips = ClipDataset(make_data(Path(folder) / "data.zip", size), training)
            steps = [replace(config, training=replace(training, micro_batch_size=n)) for n in (CLIPS, 2 * CLIPS)]
            results[name] = [estimate_step_memory_gib(step, clips, torch.device("cuda")) for step in steps]
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(name, results[name], flush=True)


def memory_table(results: dict[str, list[float]]) -> str:
    lines = ["| preset | 4 clips at a time | 8 | 16 | 32 |", "|---|---|---|---|---|"]
    for name, (few, more) in results.items():
        cells = [few + (more - few) * (n - CLIPS) / CLIPS for n in (4, 8, 16, 32)]
        preset, _, suffix = name.partition(",")
        lines.append(f"| `{preset}`{',' * bool(suffix)}{suffix} | " + " | ".join(f"{x:.1f} GiB" for x in cells) + " |")
    return "\n".join(lines)


def time_table(parts: dict[str, dict[str, float]]) -> str:
    lines = ["| preset | clips | " + " | ".join(CARDS) + " |", "|---|---|" + "---|" * len(CARDS)]
    for preset in ("256-faces", "1024"):
        training, cells = get_preset(preset).training, []
        for bfloat16, float32 in CARDS.values():
            card = replace(ASSUMPTIONS, bfloat16_flop_per_s=bfloat16 * 1e12, float32_flop_per_s=float32 * 1e12)
            speed = estimate(preset, parts[preset], 1, training.batch_size, card).clips_per_s
            cells.append(f"{speed:,.0f} clips/s, {training.total_clips / speed / 86400:.1f} days")
        lines.append(f"| `{preset}` | {training.total_clips / 1e6:g} M | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["estimate", "table"])
    parser.add_argument("memory", type=Path)
    parser.add_argument("scaling", type=Path, nargs="?")
    arguments = parser.parse_args()
    if arguments.action == "estimate":
        estimate_memory(arguments.memory)
    else:
        print(memory_table(json.loads(arguments.memory.read_text())), end="\n\n")
        print(time_table(json.loads(arguments.scaling.read_text())))
