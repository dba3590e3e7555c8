"""A training step of the tiny networks beside what the machine can do.

    python benchmarks/training_step.py [--threads 1] [--sizes 32 64] [--profile]

A step is the mean over a cycle of 16, one of which has R1. Times are of the processor, since others may use the machine
too; plain convolutions run in turns with the steps, as in `run.py`. Copies are what PyTorch's profiler counts of
`aten::copy_`.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from run import Plain, Run, operations
from torch.profiler import ProfilerActivity, profile

from styleganv.data.dataset import VideoDataset
from styleganv.faces.dataset import make_faces
from styleganv.recipes import preset
from styleganv.training.feed import RealClips, real_batches
from styleganv.training.gan import GanTrainer, build_networks

CPU = torch.device("cpu")


class Cycle:
    """16 steps, the first with R1, augmentation half on."""

    def __init__(self, data: VideoDataset) -> None:
        settings = preset("tiny-cpu")
        settings = replace(settings, training=replace(settings.training, precision="float32"))
        settings = replace(settings, augment=replace(settings.augment, augment_p=0.5))
        training = settings.training
        self.steps = training.r1_interval
        self.clips = RealClips(
            data, num_frames=training.frames, max_span=training.max_span, seed=0, mirror=False, conditional=False
        )
        self.trainer = GanTrainer(settings, *build_networks(settings, data))
        self.batches = real_batches(
            self.clips, first=0, batch=training.batch, rank=0, world_size=1, workers=0, device=CPU
        )
        self()  # allocates what optimizers keep

    def __call__(self) -> None:
        for _ in range(self.steps):
            self.trainer.train_step(self.clips, next(self.batches))


def cpu_seconds(run: Run) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="cycles, of which the median counts")
    parser.add_argument("--profile", action="store_true", help="also list what takes longest")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    plain = Plain(torch.float32, CPU)
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            make_faces(Path(folder) / "data.zip", num_videos=16, num_frames=40, resolution=(size, size))
            cycle = Cycle(VideoDataset(Path(folder) / "data.zip"))
            per_step = operations(cycle) / cycle.steps
            rounds = [[cpu_seconds(run) for run in (*plain.runs, cycle)] for _ in range(options.repeats)]
            *convolutions, seconds = (statistics.median(each) for each in zip(*rounds, strict=True))
            with profile(activities=[ProfilerActivity.CPU]) as profiler:
                cycle()
        seconds /= cycle.steps
        rate = plain.rate(convolutions)
        events = profiler.key_averages()
        copies = sum(event.count for event in events if event.key == "aten::copy_")
        calls = sum(event.count for event in events)
        print(
            f"{size}²: {1000 * seconds:.1f} ms and {per_step / 1e9:.2f} GFLOP a step, "
            f"{per_step / seconds / rate:.1%} of {rate / 1e9:.0f} GFLOP/s; {calls:,} calls and {copies:,} copies in "
            f"{cycle.steps} steps",
            flush=True,
        )
        if options.profile:
            print(events.table(sort_by="self_cpu_time_total", row_limit=45, max_name_column_width=60))


if __name__ == "__main__":
    main()
