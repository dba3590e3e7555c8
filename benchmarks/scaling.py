"""What training on many GPUs takes: parts measured on this machine, and what is calculated from them.

    python benchmarks/scaling.py measure scaling.json      (about ten minutes on two cores)
    python benchmarks/scaling.py calculate scaling.json    tables, from the file and from ASSUMPTIONS

`scaling_parts.py` measures.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling_parts import CLIPS, SIZES, measure

from styleganv.config import get_preset


@dataclass(frozen=True)
class Assumptions:
    """What this machine cannot measure."""

    bfloat16_flop_per_s: float = 312e12
    """Peak of the data sheet of an A100 for dense bfloat16 products."""
    float32_flop_per_s: float = 19.5e12
    """Peak of the data sheet of an A100 for float32; R1 uses no TF32."""
    bfloat16_utilization: float = 0.2
    float32_utilization: float = 0.5
    """Fractions of the peaks that training reaches."""
    launch_s: float = 10e-6
    """Time in which the CPU starts one operation on the GPU."""
    gpus_per_node: int = 8
    node_bytes_per_s: float = 200e9
    """All-reduce within a node (NVLink), per GPU."""
    fast_bytes_per_s: float = 20e9
    """All-reduce between nodes, per node: 200 Gbit/s at 80 %."""
    slow_bytes_per_s: float = 1.0e9
    """The same with 10 Gbit/s Ethernet at 80 %."""
    largest_micro_batches: tuple[int, int] = (16, 4)
    """Clips at a time that fit a card with 80 GB, for each preset of `SIZES`."""
    total_clips: int = 10_000_000


ASSUMPTIONS = Assumptions()


@dataclass(frozen=True)
class Estimate:
    """A training on `gpus` GPUs; seconds are those of one step."""

    gpus: int
    batch: int
    arithmetic: float
    launches: float
    averaging: float
    averaging_slow: float
    saves_per_step: float

    @property
    def seconds(self) -> float:
        """Arithmetic and launches overlap; averaging and saving do not."""
        return max(self.arithmetic, self.launches) + self.averaging + self.saves_per_step

    @property
    def clips_per_s(self) -> float:
        return self.batch / self.seconds


def estimate(preset: str, parts: dict[str, float], gpus: int, batch: int, a: Assumptions = ASSUMPTIONS) -> Estimate:
    """Calculate a step from measured and counted parts and assumptions."""
    config = get_preset(preset)
    local, interval = batch / gpus, config.training.r1_interval
    micro_batches = max(1.0, local / dict(zip(SIZES, a.largest_micro_batches, strict=True))[preset])
    flop, flop_r1 = parts["flop"] / CLIPS, (parts["flop_r1"] - parts["flop"]) / CLIPS / interval
    arithmetic = local * (
        flop / a.bfloat16_flop_per_s / a.bfloat16_utilization + flop_r1 / a.float32_flop_per_s / a.float32_utilization
    )
    calls = parts["calls"] + (parts["calls_r1"] - parts["calls"]) / interval
    sent = 4 * (parts["parameters_g"] + parts["parameters_d"] * (1 + 1 / interval))
    nodes, within = max(1, gpus // a.gpus_per_node), min(gpus, a.gpus_per_node)
    inner = 2 * (within - 1) / within * sent / a.node_bytes_per_s
    outer = 2 * (nodes - 1) / nodes * sent
    saves = parts["save_s"] * batch / config.logging.save_every
    return Estimate(
        gpus,
        batch,
        arithmetic,
        micro_batches * calls * a.launch_s,
        inner + outer / a.fast_bytes_per_s,
        inner + outer / a.slow_bytes_per_s,
        saves,
    )


def measured_table(results: dict[str, Any]) -> str:
    """Return a Markdown table of what was measured on this machine, and what was counted."""
    parts = [results[preset] for preset in SIZES]
    opening = results["opening"]

    def row(name: str, show: Callable[[dict[str, Any]], str]) -> str:
        return f"| {name} | " + " | ".join(show(each) for each in parts) + " |"

    def step(each: dict[str, Any]) -> str:
        if "step_cpu_s" not in each:
            return "not measured"
        return f"{each['step_cpu_s']:.0f} s, {each['step_cpu_s_r1']:.0f} s ({each['precision']})"

    lines = [
        "| measured | " + " | ".join(f"`{preset}`, {size}²" for preset, size in SIZES.items()) + " |",
        "|---|---|---|",
        row("reading a clip, one process", lambda e: f"{1e3 * e['read_cpu_s_per_clip']:.1f} ms"),
        row("size of a frame (drawn, with noise)", lambda e: f"{e['bytes_per_frame'] / 1e3:.0f} kB"),
        row(f"step of {CLIPS} clips, one thread; with R1", step),
        row("checkpoint", lambda e: f"{e['checkpoint_bytes'] / 1e6:,.0f} MB"),
        row("saving it, loading it", lambda e: f"{e['save_s']:.1f} s, {e['load_s']:.1f} s"),
        row("gradients of the generator", lambda e: f"{e['averaging']['bytes'] / 1e6:.0f} MB"),
        row("sent to average them, per process", lambda e: f"{e['averaging']['bytes_sent_by_both'] / 2e6:.0f} MB"),
        row("all-reduce of two processes", lambda e: f"{e['averaging']['all_reduce_s']:.2f} s"),
        row("the same with copies", lambda e: f"{e['averaging']['average_gradients_s']:.2f} s"),
        "",
        f"Opening a dataset takes {1e6 * opening['open_s_per_frame']:.0f} µs and "
        f"{opening['memory_bytes_per_frame']:,.0f} bytes per frame, in each process. A data-loading process takes",
        f"another {1e6 * opening['open_worker_s_per_frame']:.0f} µs per frame before its first clip.",
        "",
        "| counted | " + " | ".join(f"`{preset}`" for preset in SIZES) + " |",
        "|---|---|---|",
        row(
            "parameters, generator and discriminator",
            lambda e: f"{e['parameters_g'] / 1e6:.1f} M, {e['parameters_d'] / 1e6:.1f} M",
        ),
        row("arithmetic per clip", lambda e: f"{e['flop'] / CLIPS / 1e12:.2f} TFLOP"),
        row("more with R1, every 16th step", lambda e: f"{(e['flop_r1'] - e['flop']) / CLIPS / 1e12:.2f} TFLOP"),
        row("operations per micro-batch; with R1", lambda e: f"{e['calls']:,}; {e['calls_r1']:,}"),
    ]
    return "\n".join(lines)


def assumed_table(a: Assumptions = ASSUMPTIONS) -> str:
    """Return a Markdown table of the assumptions."""
    lines = [
        "| assumed | value |",
        "|---|---|",
        f"| bfloat16 (data sheet of an A100) | {a.bfloat16_flop_per_s / 1e12:g} TFLOP/s |",
        f"| reached in training | {a.bfloat16_utilization:.0%} |",
        f"| float32 without TF32, for R1 (same data sheet) | {a.float32_flop_per_s / 1e12:g} TFLOP/s |",
        f"| reached in R1 | {a.float32_utilization:.0%} |",
        f"| time to start an operation on the GPU | {a.launch_s * 1e6:g} µs |",
        f"| GPUs per node | {a.gpus_per_node} |",
        f"| all-reduce within a node (NVLink) | {a.node_bytes_per_s / 1e9:g} GB/s |",
        f"| all-reduce between nodes, fast (200 Gbit/s at 80%) | {a.fast_bytes_per_s / 1e9:g} GB/s |",
        f"| all-reduce between nodes, slow (10 Gbit/s at 80%) | {a.slow_bytes_per_s / 1e9:g} GB/s |",
        f"| clips at a time per GPU, at most (`256-faces`, `1024`) | {', '.join(map(str, a.largest_micro_batches))} |",
        "| checkpoints | saved as fast as here |",
        "| evaluations, snapshots | not included |",
    ]
    return "\n".join(lines)


def table(preset: str, parts: dict[str, Any], a: Assumptions = ASSUMPTIONS) -> str:
    """Return a Markdown table for 1 to 64 GPUs: at the preset's batch, then at four and eight clips per GPU."""
    config = get_preset(preset)
    usual = config.training.batch_size
    rows = [(1, usual), (8, usual), (16, usual), (64, usual), (64, 256), (64, 512)]
    lines = [
        "| GPUs | batch (per GPU) | arithmetic | launches | averaging (fast, slow network) | saving | clips/s "
        "| 10⁷ clips | of ideal | reading: cores, MB/s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    one = estimate(preset, parts, 1, usual, a).clips_per_s
    for gpus, batch in rows:
        if batch % gpus:
            lines.append(f"| {gpus} | {batch} | rejected: not divisible | | | | | | | |")
            continue
        e = estimate(preset, parts, gpus, batch, a)
        frames = config.training.num_frames
        reading = e.clips_per_s * frames * parts["bytes_per_frame"] / 1e6
        lines.append(
            f"| {gpus} | {batch} ({batch // gpus}) | {1e3 * e.arithmetic:,.0f} ms | {1e3 * e.launches:,.0f} ms "
            f"| {1e3 * e.averaging:,.0f}, {1e3 * e.averaging_slow:,.0f} ms | {1e3 * e.saves_per_step:.1f} ms "
            f"| {e.clips_per_s:,.0f} | {a.total_clips / e.clips_per_s / 3600:,.1f} h "
            f"| {e.clips_per_s / gpus / one:.0%} | {e.clips_per_s * parts['read_cpu_s_per_clip']:.1f}, {reading:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["measure", "calculate"])
    parser.add_argument("file", type=Path, help="JSON file of the measurements")
    options = parser.parse_args()
    if options.action == "measure":
        measure(options.file)
        return
    results = json.loads(options.file.read_text())
    print(f"{measured_table(results)}\n\n{assumed_table()}")
    for preset in SIZES:
        print(f"\n{preset}\n\n{table(preset, results[preset])}")


if __name__ == "__main__":
    main()
