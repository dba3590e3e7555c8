"""A training step of the tiny networks, compared with what the machine can do.

    python benchmarks/training_step.py [--num-threads 1] [--sizes 32 64] [--profile]

A step is the mean over a cycle of 16, one of which has R1. One thread is timed by the processor, since others may use
the machine too; several by the clock, which needs an idle machine. Plain convolutions run in turns with the
steps, as in `run.py`. Threads wait as PyTorch lets them, since it is imported first: they spin. Copies are what
PyTorch's profiler counts of `aten::copy_`.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import torch
from run import Plain, Run, operations
from torch.profiler import ProfilerActivity, profile

from styleganv.config import TrainingConfig, get_preset
from styleganv.data.dataset import VideoDataset
from styleganv.faces.dataset import make_faces
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.training.batches import ClipDataset, iterate_batches

CPU = torch.device("cpu")


class Cycle:
    """16 steps, the first with R1, augmentation half on."""

    def __init__(self, data: VideoDataset) -> None:
        config = get_preset("tiny-cpu")
        config = replace(config, training=replace(config.training, precision="float32"))
        config = replace(config, augment=replace(config.augment, augment_p=0.5))
        training = config.training
        self.steps = training.r1_interval
        self.clips = ClipDataset(
            data, TrainingConfig(num_frames=training.num_frames, max_span=training.max_span, conditional=False)
        )
        self.trainer = GanTrainer(config, *build_networks(config, data))
        self.batches = iterate_batches(self.clips, first=0, batch_size=training.batch_size, num_workers=0, device=CPU)
        self()  # allocates what optimizers keep

    def __call__(self) -> None:
        for _ in range(self.steps):
            self.trainer.train_step(self.clips, next(self.batches))


def seconds_of(run: Run, clock: Callable[[], float]) -> float:
    started = clock()
    run()
    return clock() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--num-threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="cycles, of which the median counts")
    parser.add_argument("--profile", action="store_true", help="also list what takes longest")
    options = parser.parse_args()
    # Each in a process of its own: what the profiler leaves in memory slows large tensors after it several times.
    alone = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1)
    for text in alone.map(measured, options.sizes, repeat(options)):
        print(text, flush=True)


def measured(size: int, options: argparse.Namespace) -> str:
    """One line about steps at `size`², and with `--profile` a table."""
    torch.set_num_threads(options.num_threads)
    plain = Plain(torch.float32, CPU)
    with tempfile.TemporaryDirectory() as folder:
        make_faces(Path(folder) / "data.zip", num_videos=16, num_frames=40, resolution=(size, size))
        cycle = Cycle(VideoDataset(Path(folder) / "data.zip"))
        clock = time.process_time if options.num_threads == 1 else time.perf_counter
        rounds = [[seconds_of(run, clock) for run in (*plain.runs, cycle)] for _ in range(options.repeats)]
        per_step = operations(cycle) / cycle.steps
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            cycle()
    *convolutions, seconds = (statistics.median(each) for each in zip(*rounds, strict=True))
    seconds /= cycle.steps
    rate = plain.rate(convolutions)
    events = profiler.key_averages()
    copies = sum(event.count for event in events if event.key == "aten::copy_")
    calls = sum(event.count for event in events)
    text = (
        f"{size}²: {1000 * seconds:.1f} ms and {per_step / 1e9:.2f} GFLOP per step, "
        f"{per_step / seconds / rate:.1%} of {rate / 1e9:.0f} GFLOP/s; {calls:,} calls and {copies:,} copies in "
        f"{cycle.steps} steps"
    )
    table = events.table(sort_by="self_cpu_time_total", row_limit=45, max_name_column_width=60)
    return f"{text}\n{table}" if options.profile else text


if __name__ == "__main__":
    main()
