"""What each preset takes, by card: the estimates of docs/cost.md. Nothing here is measured on a GPU.

    python benchmarks/cost.py count cost.json    (minutes per preset; run it again to continue)
    python benchmarks/cost.py table cost.json    tables, from the file and from data sheets

Memory is what `train` estimates before it starts on a GPU. Arithmetic is counted, and divided by the card's peak, with
the utilization that `scaling.py` assumes.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from scaling import ASSUMPTIONS
from scaling_parts import CLIPS, count_step, make_data

from styleganv.config import get_preset
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.training.batches import ClipDataset

#: Preset and the resolution that it is for.
SIZES = {"64": 64, "128": 128, "256-faces": 256, "512": 512, "1024": 1024}
#: Presets whose memory with gradient checkpointing is estimated, which takes minutes.
CHECKPOINTED = ("256-faces", "512", "1024")
#: GB of memory, and dense bfloat16 and float32 peaks in TFLOP/s (data sheets).
CARDS = {"RTX 3090": (24, 71, 35.6), "RTX 4090": (24, 165, 82.6), "A100": (80, 312, 19.5), "H100": (80, 989, 67)}
#: Fraction of a card's memory that a step may take.
USABLE = 0.9


def count(path: Path) -> None:
    """Write the estimated memory and the counted arithmetic of every preset to a JSON file."""
    results = json.loads(path.read_text()) if path.exists() else {}
    for preset, size in SIZES.items():
        parts = results.setdefault(preset, {})
        with tempfile.TemporaryDirectory() as folder:
            data = make_data(Path(folder) / "data.zip", size)
            if "flop" not in parts:
                parts |= count_step(preset, data)
            config = get_preset(preset)
            for checkpointing in (False, True)[: 1 + (preset in CHECKPOINTED)]:
                for clips in (CLIPS, 2 * CLIPS):
                    name = f"gib_{clips}" + "_checkpointing" * checkpointing
                    if name in parts:
                        continue
                    training = replace(
                        config.training,
                        micro_batch_size=clips,
                        gradient_checkpointing=checkpointing,
                        precision="bfloat16",
                    )
                    step = replace(config, training=training)
                    parts[name] = estimate_step_memory_gib(step, ClipDataset(data, training), torch.device("cuda"))
                    path.write_text(json.dumps(results, indent=1) + "\n")
                    print(preset, name, round(parts[name], 1), flush=True)


def memory_gib(parts: dict[str, float], clips: int, suffix: str = "") -> float | None:
    """Return the memory of a step of so many clips at a time, which is linear in them; None if it was not estimated."""
    few, more = (parts.get(f"gib_{n}{suffix}") for n in (CLIPS, 2 * CLIPS))
    return None if few is None or more is None else few + (more - few) * (clips - CLIPS) / CLIPS


def clips_per_s(parts: dict[str, float], bfloat16: float, float32: float, r1_interval: int) -> float:
    """Return the clips per second of a card with these peaks in TFLOP/s."""
    flop, flop_r1 = parts["flop"] / CLIPS, (parts["flop_r1"] - parts["flop"]) / CLIPS / r1_interval
    a = ASSUMPTIONS
    seconds = flop / (bfloat16 * 1e12 * a.bfloat16_utilization) + flop_r1 / (float32 * 1e12 * a.float32_utilization)
    return 1 / seconds


def memory_table(results: dict[str, dict[str, float]]) -> str:
    lines = ["| preset | 4 clips | 8 clips | 16 clips | 4 clips, checkpointing |", "|---|---|---|---|---|"]
    for preset, parts in results.items():
        cells = [memory_gib(parts, clips) for clips in (4, 8, 16)] + [parts.get("gib_4_checkpointing")]
        lines.append(f"| `{preset}` | " + " | ".join("" if x is None else f"{x:.1f} GiB" for x in cells) + " |")
    return "\n".join(lines)


def time_table(results: dict[str, dict[str, float]]) -> str:
    lines = ["| preset | clips | " + " | ".join(CARDS) + " |", "|---|---|" + "---|" * len(CARDS)]
    for preset, parts in results.items():
        training, cells = get_preset(preset).training, []
        for gb, *peaks in CARDS.values():
            needed = min(memory_gib(parts, CLIPS) or 0, parts.get("gib_4_checkpointing", float("inf")))
            speed = clips_per_s(parts, *peaks, training.r1_interval)
            days = training.total_clips / speed / 86400
            fits = needed <= USABLE * gb
            cells.append(f"{speed:,.0f} clips/s, {days:.1f} days" if fits else "does not fit")
        lines.append(f"| `{preset}` | {training.total_clips / 1e6:g} M | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["count", "table"])
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    if arguments.action == "count":
        count(arguments.file)
    else:
        found = json.loads(arguments.file.read_text())
        print(memory_table(found), time_table(found), sep="\n\n")
