"""What training on many GPUs takes: parts measured on this machine, and what is calculated from them.

    python benchmarks/scaling.py measure scaling.json      (about ten minutes on two cores)
    python benchmarks/scaling.py calculate scaling.json    tables, from the file and from ASSUMPTIONS

`measure` times reading, a training step, the averaging of gradients by two processes, checkpoints and the opening of a
dataset. It also counts operations and parameters, which needs no time and no memory, since the tensors are fake. Times
are those of the processor (one thread) where others may use the machine too, and of the clock for disk and network.
"""

import argparse
import json
import multiprocessing
import os
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from run import machine
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from styleganv.config import RunConfig, get_preset
from styleganv.data.dataset import VideoDataset, write_dataset
from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face
from styleganv.methods.stylegan_v.memory import _fake_parameters, _fake_tensors
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.nn import winograd
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.checkpoint import load_checkpoint, save_checkpoint
from styleganv.training.gradients import AveragedGradients

CPU = torch.device("cpu")
#: Preset and the resolution that it is for.
SIZES = {"256-faces": 256, "1024": 1024}
#: Presets whose step is timed: others take more memory than two cores usually have.
TIMED = ("256-faces",)
#: Clips of the counted and timed steps: a group of the minibatch standard deviation.
CLIPS = 4
#: Standard deviation of the noise on drawn frames: without it, they would be smaller files than frames of a camera.
NOISE = 6.0
#: Entries of the dataset whose opening is timed.
ENTRIES = 100_000


def make_data(path: Path, size: int) -> VideoDataset:
    """Write four drawn videos of 33 frames with noise, and open them."""
    random = np.random.default_rng(0)
    videos = []
    for i in range(4):
        frames = draw_video(sample_face(random), i, num_frames=33, height=size, width=size)
        noisy = frames + random.normal(0, NOISE, frames.shape)
        videos.append((f"{i}", list(noisy.clip(0, 255).astype(np.uint8)), None, {}))
    write_dataset(path, videos, height=size, width=size, fps=25)
    return VideoDataset(path)


def small_step(preset: str) -> RunConfig:
    """Return the settings of a preset with a batch of `CLIPS`."""
    config = get_preset(preset)
    return replace(config, training=replace(config.training, batch_size=CLIPS, micro_batch_size=None))


def cpu_seconds(action: Callable[[], object], repeats: int = 1) -> float:
    """Return the smallest processor time of an action."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        action()
        times.append(time.process_time() - started)
    return min(times)


def clock_seconds(action: Callable[[], object], repeats: int = 1) -> float:
    """Return the smallest time of an action by the clock."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def measure_reading(preset: str, data: VideoDataset) -> dict[str, float]:
    clips = ClipDataset(data, get_preset(preset).training)
    count = 64 if data.height <= 256 else 16
    seconds = cpu_seconds(lambda: [clips[i] for i in range(count)], repeats=3) / count
    num_frames = sum(video.num_frames for video in data.videos)
    return {"read_cpu_s_per_clip": seconds, "bytes_per_frame": data.path.stat().st_size / num_frames}


class Counter(TorchDispatchMode):
    """Counts the operations that a GPU would have to start, and the arithmetic of products and convolutions.

    The arithmetic is that of PyTorch's own formulas. Views and empty tensors start nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.flop = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        views = any(value.alias_info and not value.alias_info.is_write for value in func._schema.returns)
        self.calls += not (views or func.namespace == "prim" or "empty" in func.__name__)
        if formula := flop_registry.get(func._overloadpacket):
            self.flop += formula(*args, **(kwargs or {}), out_val=result)
        return result


def count_step(preset: str, data: VideoDataset) -> dict[str, float]:
    """Count parameters, operations and arithmetic of a step of `CLIPS` clips, without and with R1."""
    config, counts = small_step(preset), {}
    clips = ClipDataset(data, config.training)
    real = next(iterate_batches(clips, first=0, batch_size=CLIPS, num_workers=0, device=CPU))
    networks = build_networks(config, data)
    winograd.enabled = False  # which needs less arithmetic than ordinary convolutions
    counts["parameters_g"], counts["parameters_d"] = (sum(p.numel() for p in n.parameters()) for n in networks)
    with _fake_tensors() as mode:
        for network in networks:
            _fake_parameters(network, mode)
        trainer = GanTrainer(config, *networks)
        fake = replace(real, frames=torch.empty_like(mode.from_tensor(real.frames)))
        for name, step in (("_r1", 0), ("", 1)):
            trainer.train_step(clips, fake)  # optimizers create their state
            trainer.step = step
            with Counter() as counter:
                trainer.train_step(clips, fake)
            counts[f"flop{name}"], counts[f"calls{name}"] = counter.flop, counter.calls
    winograd.enabled = True
    return counts


def measure_step(preset: str, data: VideoDataset) -> dict[str, Any]:
    """Time a step of `CLIPS` clips by one thread, with R1 and then without."""
    torch.set_num_threads(1)
    config = small_step(preset)
    clips = ClipDataset(data, config.training)
    real = next(iterate_batches(clips, first=0, batch_size=CLIPS, num_workers=0, device=CPU))
    trainer = GanTrainer(config, *build_networks(config, data))
    results: dict[str, Any] = {"precision": str(trainer.dtype).removeprefix("torch.")}
    for name, trainer.step in (("_r1", 0), ("", 1)):
        results[f"step_cpu_s{name}"] = cpu_seconds(lambda: trainer.train_step(clips, real))
    return results


def measure_checkpoint(preset: str, data: VideoDataset) -> dict[str, float]:
    """Save and load the state of a trainer whose optimizers have made a step."""
    trainer = GanTrainer(small_step(preset), *build_networks(small_step(preset), data))
    for optimizer, _ in trainer.optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        path, state = Path(folder) / "checkpoint.pt", trainer.state_dict()
        save = clock_seconds(lambda: save_checkpoint(path, state), repeats=2)
        load = clock_seconds(lambda: load_checkpoint(path))
        return {"checkpoint_bytes": path.stat().st_size, "save_s": save, "load_s": load}


def measure_averaging(parameters: int) -> dict[str, float]:
    """Average gradients by two processes on this machine, through its loopback device."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    jobs = [context.Process(target=_average, args=(rank, port, parameters, results)) for rank in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    return results.get()


def _average(rank: int, port: int, parameters: int, results: Any) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"tcp://localhost:{port}", rank=rank, world_size=2)
    weights = [torch.nn.Parameter(torch.zeros(2**18)) for _ in range(parameters // 2**18)]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    sent = Path("/sys/class/net/lo/statistics/tx_bytes")
    flat = torch.ones(sum(w.numel() for w in weights))
    whole, alone, bytes_sent = [], [], []
    for _ in range(5):
        dist.barrier()
        before = int(sent.read_text()) if sent.exists() else 0
        alone.append(clock_seconds(lambda: dist.all_reduce(flat)))
        dist.barrier()
        bytes_sent.append((int(sent.read_text()) if sent.exists() else 0) - before)
        whole.append(clock_seconds(AveragedGradients(weights).finish))
    if rank == 0:
        results.put(
            {
                "bytes": 4 * flat.numel(),
                "all_reduce_s": min(alone),
                "average_gradients_s": min(whole),
                "bytes_sent_by_both": min(bytes_sent),
            }
        )
    dist.destroy_process_group()


def measure_opening() -> dict[str, float]:
    """Open a dataset of many tiny frames, as each process does, and as each of its data workers does again."""
    frame = np.zeros((16, 16, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.zip"
        videos = ((f"video{i:07d}", [frame] * 100, None, {}) for i in range(ENTRIES // 100))
        write_dataset(path, videos, height=16, width=16, fps=25)
        before = memory_bytes()
        data = VideoDataset(path)  # the first, since later ones use the memory of earlier ones again
        taken = memory_bytes() - before
        seconds = cpu_seconds(lambda: VideoDataset(path), repeats=2)
        worker = cpu_seconds(lambda: _read_in_new_process(data), repeats=2)
    return {
        "open_s_per_frame": seconds / ENTRIES,
        "open_worker_s_per_frame": worker / ENTRIES,
        "memory_bytes_per_frame": taken / ENTRIES,
    }


def _read_in_new_process(data: VideoDataset) -> np.ndarray:
    data._handle = None  # which a new process lacks
    return data.read(0, [0])


def memory_bytes() -> int:
    """Return the memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(path: Path) -> None:
    """Write all that is measured or counted to a JSON file."""
    results: dict[str, Any] = {"machine": machine(CPU), "load": os.getloadavg(), "opening": measure_opening()}
    for preset, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            data = make_data(Path(folder) / "data.zip", size)
            parts = results[preset] = measure_reading(preset, data) | count_step(preset, data)
            parts |= measure_checkpoint(preset, data)
            parts["averaging"] = measure_averaging(parts["parameters_g"])
            if preset in TIMED:
                parts |= measure_step(preset, data)
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(preset, json.dumps(parts, indent=1), flush=True)


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
        f"| all-reduce between nodes, fast (200 Gbit/s at 80 %) | {a.fast_bytes_per_s / 1e9:g} GB/s |",
        f"| all-reduce between nodes, slow (10 Gbit/s at 80 %) | {a.slow_bytes_per_s / 1e9:g} GB/s |",
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
            lines.append(f"| {gpus} | {batch} | refused: not divisible | | | | | | | |")
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
