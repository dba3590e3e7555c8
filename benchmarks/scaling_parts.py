"""The parts of scaling.py that are measured on this machine, or counted.

Reading, a training step, the averaging of gradients by two processes, checkpoints and the opening of a dataset are
timed. Operations and parameters are counted, which needs no time and no memory, since the tensors are fake. Times are
those of the processor (one thread) where others may use the machine too, and of the clock for disk and network.
"""

import json
import multiprocessing
import os
import pickle
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from run import machine
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from styleganv.config import RunConfig, get_preset
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
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


def seconds_of(action: Callable[[], object], clock: Callable[[], float], repeats: int = 1) -> float:
    """Return the smallest time of an action, by `time.process_time` or `time.perf_counter`."""
    times = []
    for _ in range(repeats):
        started = clock()
        action()
        times.append(clock() - started)
    return min(times)


cpu_seconds = partial(seconds_of, clock=time.process_time)
clock_seconds = partial(seconds_of, clock=time.perf_counter)


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
    return pickle.loads(pickle.dumps(data)).read(0, [0])


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
