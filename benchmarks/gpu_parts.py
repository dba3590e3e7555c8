"""Parts of gpu.py, each of which prints Markdown.

Rates are medians of runs in turns. A share compares with plain convolutions of the same precision, measured in the same
process, of which the fastest counts; R1 is compared with exact float32. Operations are those of ordinary convolutions.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import run
import torch
from run import Plain, Run, machine, operations, seconds_of

from styleganv import distributed
from styleganv.config import ModelConfig, RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.methods import apply_method
from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.methods.stylegan_v.sampler import VideoGenerator
from styleganv.methods.stylegan_v.synthesis import ModulatedConv
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.nn.compiling import LayerCompiler
from styleganv.training.backends import step_backends
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.fitting import available_memory_gib, choose_memory, memory_options
from styleganv.video_model import choose_dtype

#: Clips per step by resolution, at most as many as a card of 24 GB takes by the estimate.
CLIPS = {64: 32, 128: 16, 256: 8, 512: 4, 1024: 4}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
NUM_FRAMES, R1_INTERVAL = 3, 16


def in_turns(runs: Sequence[Run], device: torch.device, seconds: float) -> list[float]:
    """Return the median seconds of each, of rounds after the first, which is not counted; at least two."""
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(rounds) < 3 or time.perf_counter() < end:
        rounds.append([seconds_of(run, device) for run in runs])
    return [float(np.median(each)) for each in zip(*rounds[1:], strict=True)]


def model_config(size: int, tiny: bool) -> ModelConfig:
    if tiny:
        return ModelConfig(channel_base=512, channel_max=16, z_dim=32, w_dim=32, motion_dim=32)
    return ModelConfig(channel_base=32768 if size > 256 else 16384)


def make_data(folder: str, size: int) -> VideoDataset:
    """Return a dataset of two smooth moving patterns."""
    across = np.linspace(0, 4 * np.pi, size)
    waves = [127.5 + 120 * np.sin(across[:, None] + across + t / 5) for t in range(40)]
    frames = [wave[..., None].repeat(3, 2).astype(np.uint8) for wave in waves]
    path = Path(folder) / "data.zip"
    write_dataset(path, [(name, frames, None, {}) for name in "ab"], height=size, width=size, fps=25)
    return VideoDataset(path)


class Steps:
    """Training steps of a trainer on one batch."""

    def __init__(self, config: RunConfig, data: VideoDataset, device: torch.device) -> None:
        self.clips, self.device, self.tf32 = ClipDataset(data, config.training), device, config.training.tf32
        self.trainer = GanTrainer(config, *build_networks(config, data, device))
        batch = config.training.batch_size
        self.real = next(iterate_batches(self.clips, first=0, batch_size=batch, num_workers=0, device=device))

    def run(self, *, r1: bool) -> None:
        self.trainer.step = 0 if r1 else 1
        with step_backends(self.device, tf32=self.tf32):
            self.trainer.train_step(self.clips, self.real)

    @property
    def runs(self) -> list[Run]:
        """A step without R1, and one with it."""
        return [partial(self.run, r1=r1) for r1 in (False, True)]


def mean_step(seconds: Sequence[float]) -> float:
    """Return the mean time of a step, from that without R1 and that with it."""
    return seconds[0] + (seconds[1] - seconds[0]) / R1_INTERVAL


def print_heads(names: str) -> None:
    """Begin a table; its rows follow as they are measured, so that a part that is stopped shows some."""
    heads = names.split(", ")
    print_row(heads)
    print_row(["---"] * len(heads))


def print_row(row: Sequence[str]) -> None:
    print("| " + " | ".join(row) + " |", flush=True)


def print_machine(options: argparse.Namespace) -> None:
    device = options.device
    print(machine(device))
    if device.type == "cuda":
        for i in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(i)
            capability = f"{card.major}.{card.minor}"
            print(f"- {card.name}, capability {capability}, {card.total_memory / 2**30:.1f} GiB")
        print(f"- CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    print(f"- precision auto: {choose_dtype('auto', device)}, {available_memory_gib(device):.1f} GiB free\n")
    print_heads("precision, matrix product (TFLOP/s), convolution (TFLOP/s)")
    for name in ("float32", "TF32", "bfloat16"):
        dtype = DTYPES.get(name, torch.float32)
        with step_backends(device, tf32=name == "TF32"):
            print_row([name, *(f"{rate / 1e12:.2f}" for rate in plain_rates(dtype, device, options.tiny))])


def plain_rates(dtype: torch.dtype, device: torch.device, tiny: bool) -> tuple[float, float]:
    """Return the operations per second of a large matrix product, and of the fastest plain convolution."""
    side = 256 if tiny else 8192
    a, b = (torch.randn(side, side, dtype=dtype, device=device) for _ in range(2))
    plain = Plain(dtype, device)
    product, *convolutions = in_turns([lambda: a @ b, *plain.runs], device, 0.0 if tiny else 2.0)
    return 2 * side**3 / product, plain.rate(convolutions)


def training_config(options: argparse.Namespace, precision: str) -> RunConfig:
    clips = 4 if options.tiny else CLIPS.get(options.size, 4)
    frames = 2 if options.size >= 1024 else NUM_FRAMES
    training = TrainingConfig(batch_size=clips, num_frames=frames, precision=precision, compile=False)  # type: ignore[arg-type]
    config = RunConfig(model=model_config(options.size, options.tiny), training=training)
    return replace(config, augment=replace(config.augment, augment_p=0.5))


def print_training(options: argparse.Namespace) -> None:
    """Measure steps in each precision, and what video costs over images with as many frames."""
    device = options.device
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(folder, options.size)
        config = training_config(options, "auto")
        clips = ClipDataset(data, config.training)
        config = choose_memory(config, clips, estimate_step_memory_gib, device, lambda _: True)
        estimate = estimate_step_memory_gib(config, clips, device)
        print(f"Memory options chosen: {memory_options(config, training_config(options, 'auto')) or 'none'}.")
        print(f"Estimate: {estimate:.2f} GiB.\n")
        heads = "precision, clips, clips/s, ms/step, ms more with R1, share of TFLOP/s, GiB"
        print_heads(heads)
        print_row(measure_training(config, data, options))
        if choose_dtype("auto", device) == torch.bfloat16:
            print_row(measure_training(with_training(config, precision="float32"), data, options))
        print(f"\nVideo over images with as many frames: {cost_of_video(config, data, options):+.1%} (paper: +5%).")


def measure_training(config: RunConfig, data: VideoDataset, options: argparse.Namespace) -> list[str]:
    """Return a row of the table of training."""
    device, batch = options.device, config.training.batch_size
    dtype = choose_dtype(config.training.precision, device)
    plain, exact = Plain(dtype, device), Plain(torch.float32, device)
    reset_peak(device)
    steps = Steps(config, data, device)
    with step_backends(device, tf32=False):
        *rates, step, with_r1 = in_turns([*plain.runs, *exact.runs, *steps.runs], device, options.seconds)
    memory = peak_gib(device)
    count, count_r1 = (operations(run) for run in steps.runs)
    middle = len(plain.runs)
    rate, exact_rate = plain.rate(rates[:middle]), exact.rate(rates[middle:])
    floor = count / rate + (count_r1 - count) / R1_INTERVAL / exact_rate
    mean = mean_step([step, with_r1])
    row = [str(dtype).removeprefix("torch."), str(batch), f"{batch / mean:.2f}", f"{1000 * step:.1f}"]
    return [*row, f"{1000 * (with_r1 - step):.1f}", f"{floor / mean:.0%} of {rate / 1e12:.2f}", memory]


def with_training(config: RunConfig, **changes: Any) -> RunConfig:
    return replace(config, training=replace(config.training, **changes))


def cost_of_video(config: RunConfig, data: VideoDataset, options: argparse.Namespace) -> float:
    """Return how much longer a step takes than one of the image model."""
    training = config.training
    frames = training.batch_size * training.num_frames
    images = apply_method(with_training(config, batch_size=frames, micro_batch_size=None), "stylegan2")
    steps, other = (Steps(each, data, options.device) for each in (config, images))
    times = in_turns([*steps.runs, *other.runs], options.device, options.seconds)
    return mean_step(times[:2]) / mean_step(times[2:]) - 1


def reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> str:
    return f"{torch.cuda.max_memory_reserved(device) / 2**30:.2f}" if device.type == "cuda" else "–"


def print_generation(options: argparse.Namespace) -> None:
    """Measure videos in each precision, on GPUs with CUDA graphs and without; frames must be the same."""
    device, size = options.device, options.size
    config = model_config(size, options.tiny)
    sizes = {"z_dim": config.z_dim, "w_dim": config.w_dim, "motion_noise_dim": config.motion_dim}
    sizes |= {"motion_code_dim": config.motion_dim, "num_frequencies": config.motion_dim // 2}
    channels = {"channel_base": config.channel_base, "channel_max": config.channel_max}
    network = Generator(GeneratorConfig(size, size, **sizes, **channels)).eval()
    clip = torch.zeros(1, network.z_dim), torch.arange(8)[None]
    per_frame = operations(lambda: network(*clip)) / 8
    print_heads("precision, CUDA graphs, frames/s, share of TFLOP/s, first frame (s), GiB, frames as without graphs")
    for name, dtype in DTYPES.items():
        if name == "bfloat16" and choose_dtype("auto", device) != torch.bfloat16:
            continue
        plain = Plain(dtype, device)
        expected: Any = None
        for graphs in (False, True) if device.type == "cuda" else (False,):
            videos = VideoGenerator(network, fps=25, device=device, precision=name)  # type: ignore[arg-type]
            videos.cuda_graphs = graphs
            first = seconds_of(lambda videos=videos: next(videos.stream(seed=0)), device)  # type: ignore[misc]
            reset_peak(device)
            stream, number = videos.stream(seed=1), 32 if device.type == "cuda" else 8
            frames = list(islice(stream, number))
            expected = frames if expected is None else expected
            some = partial(islice, stream, number)
            *rates, seconds = in_turns([*plain.runs, lambda some=some: list(some())], device, options.seconds / 2)  # type: ignore[misc]
            rate = plain.rate(rates)
            share = f"{number * per_frame / seconds / rate:.0%} of {rate / 1e12:.2f}"
            row = [name, "yes" if graphs else "no", f"{number / seconds:.1f}", share, f"{first:.2f}", peak_gib(device)]
            print_row([*row, "yes" if np.array_equal(frames, expected) else "NO"])


def print_compile(options: argparse.Namespace) -> None:
    """Compare layers and whole training steps with the same ones compiled."""
    device, dtype = options.device, choose_dtype("auto", options.device)
    backend = "aot_eager" if options.tiny else "inductor"  # the latter requires a compiler
    print_heads("channels, resolution, ms, ms compiled, speed-up, difference of gradients, compilation (s)")
    for channels, size in ((8, 16),) if options.tiny else ((512, 32), (128, 128)):
        layer, compiled = (ModulatedConv(channels, channels, 512).to(device) for _ in range(2))
        compiled.load_state_dict(layer.state_dict())
        LayerCompiler(backend).compile_layers(compiled, ModulatedConv)
        x = torch.randn(24, channels, size, size, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        x, w = x.requires_grad_(), torch.randn(8, 512, device=device)

        def run_layer(layer: Any, x: Any = x, w: Any = w) -> Any:
            return torch.autograd.grad(layer(x, w).float().square().mean(), [x, layer.weight, layer.affine.weight])

        runs: list[Run] = [partial(run_layer, layer), partial(run_layer, compiled)]
        first = seconds_of(runs[1], device)
        pairs = zip(run_layer(layer), run_layer(compiled), strict=True)
        error = max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)
        plain, fast = in_turns(runs, device, options.seconds / 4)
        times = [f"{1000 * plain:.2f}", f"{1000 * fast:.2f}", f"{plain / fast:.2f}"]
        print_row([str(channels), str(size), *times, f"{error:.1e}", f"{first:.1f}"])
    options.size = 16 if options.tiny else 64
    print(f"\nTraining at {options.size}²; the first step compiles:\n")
    print_heads("layers, precision, clips, clips/s, ms/step, ms more with R1, first step (s), GiB")
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(folder, options.size)
        for name in ("plain", "compiled"):
            config = training_config(options, "auto")
            row = measure_steps(config, data, device, backend if name == "compiled" else None, options.seconds)
            print_row([name, *row])


def measure_steps(
    config: RunConfig, data: VideoDataset, device: torch.device, backend: str | None, seconds: float
) -> list[str]:
    """Return a row of the table of steps; their layers are compiled by the backend, if any."""
    reset_peak(device)
    steps = Steps(config, data, device)
    if backend is not None:
        steps.trainer.compiler = LayerCompiler(backend)
        steps.trainer.compile_layers()
    first = seconds_of(steps.runs[0], device)
    step, with_r1 = in_turns(steps.runs, device, seconds)
    batch = config.training.batch_size
    row = [str(steps.trainer.dtype).removeprefix("torch."), str(batch), f"{batch / mean_step([step, with_r1]):.2f}"]
    return [*row, f"{1000 * step:.1f}", f"{1000 * (with_r1 - step):.1f}", f"{first:.1f}", peak_gib(device)]


def print_processes(options: argparse.Namespace) -> None:
    """Measure two processes against one with the same clips per process; both must end with the same weights."""
    device = options.device
    if "RANK" in os.environ:
        with distributed.processes() as own:
            print_two(options, device if device.type == "cpu" else own)
        return
    if device.type == "cuda" and torch.cuda.device_count() < 2:
        print("There is one GPU: skipped.")
        return
    print(f"One process: {measure_process(options, device)[0]:.2f} clips/s", flush=True)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = ["processes", "--device", device.type, *(["--tiny"] if options.tiny else [])]
    subprocess.run([*launcher, __file__, *arguments], check=True, env={"OMP_NUM_THREADS": "1", **os.environ})


def print_two(options: argparse.Namespace, device: torch.device) -> None:
    rate, weights = measure_process(options, device)
    sums = distributed.all_gather(weights)
    if distributed.rank() == 0:
        print(f"\nTwo processes: {rate:.2f} clips/s; the same weights on both: {len(set(sums)) == 1}")
        if len(set(sums)) > 1:
            sys.exit(1)


def measure_process(options: argparse.Namespace, device: torch.device) -> tuple[float, float]:
    """Return the clips per second of all processes, and the sum of the weights after the same number of steps."""
    options.size = 16 if options.tiny else 256
    config = training_config(options, "auto")
    batch = config.training.batch_size * distributed.world_size()
    config = with_training(config, batch_size=batch)
    with tempfile.TemporaryDirectory() as folder:
        steps = Steps(config, make_data(folder, options.size), device)
        number = 4 if options.tiny else 20
        for _ in range(2):
            steps.run(r1=True)
        seconds = seconds_of(lambda: [steps.run(r1=False) for _ in range(number)], device)
        total = sum(float(p.detach().double().abs().sum()) for p in steps.trainer.generator.parameters())
    return number * batch / seconds, total


PARTS: dict[str, Any] = {
    "machine": print_machine,
    "training": print_training,
    "generation": print_generation,
    "processes": print_processes,
    "compile": print_compile,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    options.seconds = 0.0 if options.tiny else 6.0
    if options.tiny:
        run.PLAIN_CONVOLUTIONS = ((16, 16, 1),)
        torch.set_num_threads(1)  # tiny layers only wait for a second one
    PARTS[options.part](options)


if __name__ == "__main__":
    main()
