"""Time of a training step on a CPU with spinning or sleeping threads, alone and next to another busy process.

    python benchmarks/openmp.py    preset tiny-cpu at 32², two threads (a few minutes on two cores)

Each measurement is a process of its own, since OpenMP reads its settings once; the settings take turns, because a
shared machine's speed changes. The table has medians of `--rounds` turns, and how many times the first setting's those
are.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SETTINGS = {
    "default": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
}
#: torch is loaded first, so that the package leaves the setting under test alone.
STEPS = """
import statistics, sys, time
import torch
from styleganv.data.dataset import VideoDataset
from styleganv.config import get_preset, TrainingConfig
from styleganv.training.batches import ClipDataset, iterate_batches
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
settings, data, steps = get_preset("tiny-cpu"), VideoDataset(sys.argv[1]), int(sys.argv[2])
trainer = GanTrainer(settings, *build_networks(settings, data))
batch = settings.training.batch_size
clips = ClipDataset(data, TrainingConfig(num_frames=settings.training.num_frames, max_span=32, conditional=False))
batches = iterate_batches(clips, first=0, batch_size=batch, num_workers=0, device=torch.device("cpu"))
seconds = []
for _ in range(1 + steps):
    real = next(batches)
    started = time.perf_counter()
    trainer.train_step(clips, real)
    seconds.append(time.perf_counter() - started)
print(statistics.median(seconds[1:]))
"""


def step_seconds(data: Path, steps: int, threads: int, setting: dict[str, str], busy: bool) -> float:
    """Of one process: the median of its steps."""
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    environment = {name: value for name, value in os.environ.items() if name not in names} | setting
    environment["OMP_NUM_THREADS"] = str(threads)
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        run = [sys.executable, "-c", STEPS, str(data), str(steps)]
        return float(subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout)
    finally:
        if other is not None:
            other.kill()
            other.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--num-threads", type=int, default=2)
    options = parser.parse_args()
    found: dict[tuple[str, bool], list[float]] = {(name, busy): [] for busy in (False, True) for name in SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        from styleganv.faces.dataset import make_faces

        data = Path(folder) / "shapes.zip"
        make_faces(data, num_videos=8)
        for _ in range(options.rounds):
            for name, busy in found:
                found[name, busy].append(step_seconds(data, options.steps, options.threads, SETTINGS[name], busy))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{options.threads} threads on {os.cpu_count()} cores, {options.rounds} rounds; load average at the end {load}"
    )
    print(f"{'waiting':<24}  {'alone, s':>9}  {'ratio':>6}  {'next to a busy process, s':>26}  {'ratio':>6}")
    for name in SETTINGS:
        cells = []
        for busy, width in ((False, 9), (True, 24)):
            seconds = statistics.median(found[name, busy])
            cells.append(f"{seconds:>{width}.3f}  {seconds / statistics.median(found['default', busy]):>6.2f}")
        print(f"{name:<24}  " + "  ".join(cells))


if __name__ == "__main__":
    main()
