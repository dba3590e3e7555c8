"""One table of how fast this machine generates, trains, reads and encodes, each compared with what the machine can do.

    python benchmarks/run.py                        everything (20 minutes on two cores)
    python benchmarks/run.py generation --sizes 64  a part of it

A rate is the median of `--repeats` runs. What is compared runs in turns, since a shared machine's speed changes within
seconds: plain convolutions, of which the fastest counts, then generating or training, and again. Operations are those
PyTorch's own counter finds when all convolutions are ordinary ones, so that Winograd's, which need fewer, can exceed
100 %. The table is printed and written to `benchmarks/results/`. Numbers of two runs compare only if their machines do.
"""

import argparse
import datetime
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from styleganv.allocator import keep_freed_memory
from styleganv.config import ModelConfig, RunConfig, TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.faces.dataset import make_faces
from styleganv.media import writing
from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.methods.stylegan_v.sampler import CHUNK, VideoGenerator
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.nn import winograd
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.training.run_log import peak_memory_gib

RESULTS = Path(__file__).parent / "results"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: (channels, resolution, images): shapes that large networks spend their time in.
PLAIN_CONVOLUTIONS = ((512, 32, 8), (256, 64, 8), (128, 128, 4))


Run = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, its rate, and how that compares with what the machine can do."""

    what: str
    rate: str
    fraction: str = ""
    memory: str = ""


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(run: Run, device: torch.device) -> float:
    started = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - started


def in_turns(runs: Sequence[Run], repeats: int, device: torch.device) -> list[float]:
    """The median seconds of each, of `repeats` rounds after one that is not counted."""
    rounds = [[seconds_of(run, device) for run in runs] for _ in range(repeats + 1)][1:]
    return [statistics.median(each) for each in zip(*rounds, strict=True)]


def median_seconds(run: Run, repeats: int, device: torch.device) -> float:
    return in_turns([run], repeats, device)[0]


class Operations(TorchDispatchMode):
    """Counts with PyTorch's own formulas (its `FlopCounterMode` cannot count second derivatives)."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        result = func(*args, **(kwargs or {}))
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def operations(run: Run) -> int:
    """Multiplications and additions of matrix products and of convolutions, all done as ordinary ones."""
    winograd.enabled = False
    try:
        with Operations() as counter:
            run()
    finally:
        winograd.enabled = True
    return counter.total


class Plain:
    """Plain 3×3 convolutions in one precision, each to be timed in turns with what is compared with them.

    A GPU does each several times, since one takes it hardly longer than being asked.
    """

    @torch.inference_mode()
    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.runs: list[Run] = []
        times = 20 if device.type == "cuda" else 1
        self.operations = [
            times * 18 * images * (channels * size) ** 2 for channels, size, images in PLAIN_CONVOLUTIONS
        ]
        for channels, size, images in PLAIN_CONVOLUTIONS:
            x = torch.randn(images, channels, size, size, dtype=dtype, device=device)
            kernel = torch.randn(channels, channels, 3, 3, dtype=dtype, device=device)
            x, kernel = (t.contiguous(memory_format=torch.channels_last) for t in (x, kernel))
            self.runs.append(partial(self._run, x, kernel, times))

    @staticmethod
    @torch.inference_mode()
    def _run(x: Tensor, kernel: Tensor, times: int) -> None:
        for _ in range(times):
            F.conv2d(x, kernel, padding=1)

    def rate(self, seconds: Sequence[float]) -> float:
        """Return the operations per second of the fastest."""
        return max(each / taken for each, taken in zip(self.operations, seconds, strict=True))


def generation(device: torch.device, sizes: list[int], repeats: int) -> Iterator[Row]:
    """Full-size networks, end to end: seeds to images in memory, and to H.264."""
    if device.type == "cpu":
        keep_freed_memory()  # as the command line does
    per_frame: dict[int, float] = {}  # ordinary convolutions of float32 take no detour
    for name, dtype in DTYPES.items():
        plain = Plain(dtype, device)
        for size in sizes:
            network = Generator(GeneratorConfig(size, size)).eval()
            if size not in per_frame:
                clip = torch.zeros(1, network.z_dim), torch.arange(CHUNK)[None]
                per_frame[size] = operations(lambda network=network, clip=clip: network(*clip)) / CHUNK  # type: ignore[misc]
            videos = VideoGenerator(network, fps=25, device=device, precision=name)  # type: ignore[arg-type]
            first = seconds_of(lambda videos=videos: next(videos.stream(seed=0)), device)  # type: ignore[misc]
            stream = videos.stream(seed=1)
            some = partial(islice, stream, 3 * CHUNK)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "video.mp4"
                ways: list[Run] = [
                    lambda some=some: list(some()),  # type: ignore[misc]
                    lambda some=some, path=path: writing.write_video(path, some(), 25, overwrite=True),  # type: ignore[misc]
                ]
                *convolutions, alone, encoded = in_turns([*plain.runs, *ways], repeats, device)
            rate = plain.rate(convolutions)
            for what, seconds in (("generate", alone), ("generate and encode", encoded)):
                yield Row(
                    f"{what} {size}², {name}, {per_frame[size] / 1e9:.1f} GFLOP a frame",
                    f"{3 * CHUNK / seconds:.1f} frames/s",
                    f"{3 * CHUNK * per_frame[size] / seconds / rate:.0%} of {rate / 1e9:,.0f} GFLOP/s",
                    f"first frame {first:.2f} s",
                )


class Step:
    """A whole training step with ADA of the full networks, 12 frames of a drawn data set."""

    def __init__(self, data: VideoDataset, device: torch.device, precision: str, *, frames: int = 3, **model: str):
        self.batch = 12 // frames
        training = TrainingConfig(batch_size=self.batch, num_frames=frames, precision=precision)  # type: ignore[arg-type]
        config = RunConfig(model=ModelConfig(**model), training=training)  # type: ignore[arg-type]
        config = replace(config, augment=replace(config.augment, augment_p=0.5))
        self.clips = ClipDataset(data, TrainingConfig(num_frames=frames, max_span=32, conditional=False))
        self.trainer = GanTrainer(config, *build_networks(config, data, device))
        batches = iterate_batches(self.clips, first=0, batch_size=self.batch, num_workers=0, device=device)
        self.real = next(batches)

    def __call__(self, *, r1: bool) -> None:
        self.trainer.step = 0 if r1 else 1
        self.trainer.train_step(self.clips, self.real)

    @property
    def runs(self) -> list[Run]:
        """A step without R1, and one with it."""
        return [partial(self, r1=r1) for r1 in (False, True)]


def training(device: torch.device, sizes: list[int], repeats: int) -> Iterator[Row]:
    """Steps in both precisions, and the paper's two headlines: what modulation and what video cost."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            make_faces(Path(folder) / "data.zip", num_videos=16, num_frames=40, resolution=(size, size))
            data = VideoDataset(Path(folder) / "data.zip")
            plain = with_r1 = 0  # operations: ordinary convolutions of float32 take no detour
            for name, dtype in DTYPES.items():
                step = Step(data, device, name)
                if name == "float32":
                    plain, with_r1 = (operations(run) for run in step.runs)
                own = Plain(dtype, device)
                exact = own if dtype == torch.float32 else Plain(torch.float32, device)
                *convolutions, seconds, seconds_r1 = in_turns([*own.runs, *exact.runs, *step.runs], repeats, device)
                seconds_r1 -= seconds
                rate = own.rate(convolutions[: len(own.runs)])
                # R1 comes every 16th step, and in float32 whatever the precision.
                mean = seconds + seconds_r1 / 16
                floor = plain / rate + (with_r1 - plain) / 16 / exact.rate(convolutions[len(own.runs) :])
                yield Row(
                    f"train {size}², {name}, 4 clips of 3 frames, {plain / 1e12:.2f} TFLOP a step",
                    f"{4 / mean:.2f} clips/s ({seconds:.2f} s a step, R1 {seconds_r1:.2f} s)",
                    f"{floor / mean:.0%} of {rate / 1e9:,.0f} GFLOP/s",
                    f"{peak_memory_gib(device):.1f} GiB",
                )
            usual = step  # of the last precision
            for what, other in (
                (
                    "a discriminator that modulates, over one that does not",
                    Step(data, device, name, condition="project"),
                ),
                ("video, over images (12 of T = 1)", Step(data, device, name, frames=1, motion="none")),
            ):
                yield Row(f"cost of {what}, {size}², {name}", f"{_ratio(usual, other, repeats) - 1:+.1%}")


def _ratio(step: Step, other: Step, repeats: int) -> float:
    """Of what two take, with R1 every 16th step."""
    plain, with_r1, other_plain, other_with_r1 = in_turns([*step.runs, *other.runs], repeats, step.trainer.device)
    return (15 * plain + with_r1) / (15 * other_plain + other_with_r1)


def reading(device: torch.device, sizes: list[int], repeats: int) -> Iterator[Row]:
    """Random sparse clips of three frames from a prepared set, in one process."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            make_faces(Path(folder) / "data.zip", num_videos=32, num_frames=64, resolution=(size, size))
            clips = ClipDataset(
                VideoDataset(Path(folder) / "data.zip"), TrainingConfig(num_frames=3, max_span=32, conditional=False)
            )
            count = 128
            seconds = median_seconds(lambda c=clips, n=count: [c[i] for i in range(n)], repeats, device)  # type: ignore[misc]
            yield Row(f"read {size}², clips of 3 frames, one process", f"{count / seconds:,.0f} clips/s")


#: Resolution, frames a clip, clips at a time, checkpointing: what fits the memory of a GPU, or of a small machine.
MEMORY = ((64, 3, 4, False), (128, 3, 4, False), (128, 3, 4, True), (256, 3, 4, False), (256, 3, 4, True))
MEMORY_GPU = (*MEMORY, (512, 3, 4, False), (512, 3, 4, True), (1024, 2, 4, False), (1024, 2, 4, True))


def memory(device: torch.device, sizes: list[int], repeats: int) -> Iterator[Row]:
    """Measure the memory of a training step with R1 in a separate process, and compare it with the estimate."""
    for size, frames, clips, checkpointing in MEMORY_GPU if device.type == "cuda" else MEMORY:
        if size not in sizes:
            continue
        for precision in DTYPES:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                wanted = process.submit(_step_memory, device, size, frames, clips, checkpointing, precision)
                estimated, taken = wanted.result()
            yield Row(
                f"train {size}², {precision}, {clips} clips of {frames} frames{', checkpointing' * checkpointing}",
                f"estimated {estimated:.1f} GiB ({estimated / taken - 1:+.0%})",
                "",
                f"{taken:.1f} GiB",
            )


def _step_memory(
    device: torch.device, size: int, frames: int, clips: int, checkpointing: bool, precision: str
) -> tuple[float, float]:
    wide = ModelConfig(channel_base=32768 if size > 256 else 16384)
    training = TrainingConfig(
        batch_size=clips, num_frames=frames, precision=precision, gradient_checkpointing=checkpointing
    )  # type: ignore[arg-type]
    config = RunConfig(model=wide, training=training)
    with tempfile.TemporaryDirectory() as folder:
        make_faces(Path(folder) / "data.zip", num_videos=4, num_frames=40, resolution=(size, size))
        data = VideoDataset(Path(folder) / "data.zip")
        real = ClipDataset(data, TrainingConfig(num_frames=frames, max_span=32, conditional=False))
        estimated = estimate_step_memory_gib(config, real, device)
        batch = next(iterate_batches(real, first=0, batch_size=clips, num_workers=0, device=device))
        before = memory_gib(device)
        trainer = GanTrainer(config, *build_networks(config, data, device))
        for _ in range(2):  # the second with what the optimisers keep
            trainer.step = 0
            trainer.train_step(real, batch)
        return estimated, peak_memory_gib(device) - before


def memory_gib(device: torch.device) -> float:
    """What is taken now: of the GPU, or by this process (Linux)."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**30
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**30


def encoding(device: torch.device, sizes: list[int], repeats: int) -> Iterator[Row]:
    """H.264 of frames that are there already."""
    for size in sizes:
        across = np.linspace(0, 4 * np.pi, size)
        frames = [
            (127.5 + 120 * np.sin(across[:, None] + across + t / 5))[..., None].repeat(3, 2).astype(np.uint8)
            for t in range(64)
        ]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "video.mp4"
            seconds = median_seconds(
                lambda f=frames, p=path: writing.write_video(p, f, 25, overwrite=True), repeats, device
            )  # type: ignore[misc]
            yield Row(f"encode {size}², H.264", f"{len(frames) / seconds:,.0f} frames/s")


PARTS = {
    "generation": generation,
    "training": training,
    "memory": memory,
    "reading": reading,
    "encoding": encoding,
}


def machine(device: torch.device) -> str:
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    gpu = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ", no GPU"
    return (
        f"{os.cpu_count()} cores ({name}), {torch.get_num_threads()} threads{gpu}; "
        f"{torch.backends.cpu.get_cpu_capability()}; PyTorch {torch.__version__}, Python {platform.python_version()}"
    )


def table(rows: list[Row]) -> str:
    head = "| what | rate | of the machine's convolution rate | memory, start |\n|---|---|---|---|\n"
    return head + "".join(f"| {r.what} | {r.rate} | {r.fraction} | {r.memory} |\n" for r in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[], help="which parts; all if left out")
    parser.add_argument("--sizes", type=int, nargs="+", help="resolutions, such as 64 128 (those that fit the machine)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each, of which the median counts (5)")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    every = [64, 128, 256, 512, 1024] if device.type == "cuda" else [64, 128, 256]
    rows: list[Row] = []
    print(machine(device), f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "", flush=True)
    for part in options.parts or PARTS:
        sizes = options.sizes or (every if part != "training" or device.type == "cuda" else [64])
        for row in PARTS[part](device, sizes, options.repeats):
            rows.append(row)
            print(f"{row.what:62} {row.rate:40} {row.fraction:>18}  {row.memory}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.date.today()}-{'gpu' if device.type == 'cuda' else 'cpu'}.md"
    path.write_text(f"# {datetime.date.today()}\n\n{machine(device)}\n\n{table(rows)}")
    print(f"Written to {path}")


if __name__ == "__main__":
    main()
