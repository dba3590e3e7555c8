"""Which settings learn fastest on a CPU: trains each arm for the same computing time and measures its curve.

    python benchmarks/learning.py train faces.zip OUT --arms preset relativistic now+growing --minutes 20
    python benchmarks/learning.py measure faces.zip OUT

`train` runs two arms side by side, one thread each. Their time is that of the processor, not of the clock, so other
work on the machine takes nothing away. It can be interrupted and run again. `measure` writes OUT/curves.json and a
contact sheet for each model: patch distances, and for the last models the Fréchet distance and the motion report.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
MARK = 5.0  # minutes of computing between two saved models
MEASURED_VIDEOS = 256


def model(**values: Any) -> Callable[[Any], Any]:
    return lambda config: replace(config, model=replace(config.model, **values))


def training(**values: Any) -> Callable[[Any], Any]:
    return lambda config: replace(config, training=replace(config.training, **values))


def augment(**values: Any) -> Callable[[Any], Any]:
    return lambda config: replace(config, augment=replace(config.augment, **values))


def both(*changes: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def change(config: Any) -> Any:
        for one in changes:
            config = one(config)
        return config

    return change


#: What each arm changes in the preset `tiny-cpu`, with the settings that it had before these experiments; with `now`,
#: in the preset of today.
ARMS: dict[str, Callable[[Any], Any]] = {
    "preset": lambda config: config,
    "relativistic": training(loss="relativistic"),
    "projected": training(second_discriminator="projected"),
    "relativistic-r1x0.25": training(loss="relativistic", r1_scale=0.01),
    "relativistic-r1x4": training(loss="relativistic", r1_scale=0.16),
    "wide": model(channel_base=2048, channel_max=128),
    "batch4": training(batch_size=4),
    "batch16": training(batch_size=16),
    "lr0.5": training(lr=0.0025),
    "lr2": training(lr=0.01),
    "decay16000": training(lr_decay_clips=16_000),
    "decay40000": training(lr_decay_clips=40_000),
    "bspline": model(motion_path="bspline"),
    "temporal-shift": model(temporal_shift=True),
    "multiscale": model(motion_noise="multiscale"),
    "motion-layers": model(motion_layers="all"),
    "span128": training(max_span=128, span_growth_clips=40_000),
    "r1x0.25": training(r1_scale=0.01),
    "r1x4": training(r1_scale=0.16),
    "r1every4": training(r1_interval=4),
    "frames3": training(num_frames=3),
    "no-stddev": model(minibatch_stddev=False),
    "no-augment": augment(augment="none"),
    "features": lambda config: config,
    "reconstruct": lambda config: config,
    "growing": training(grow_from=16),
    "growing3000": training(grow_from=16, grow_clips=3000),
    "growing32": training(grow_from=32),
    "now": lambda config: config,
}


def settings_of(arm: str, seed: int, slot_distance: float, mirror: bool) -> Any:
    from styleganv.config import get_preset

    parts = arm.split("+")
    common = both(model(slot_distance=slot_distance), training(seed=seed, mirror=mirror))
    if "now" not in parts:
        before = training(
            batch_size=8, loss="logistic", second_discriminator="none", lr_decay_clips=None, r1_decay_clips=None
        )
        common = both(common, before, training(ema_half_life=None, ema_rampup=0.02))
    return both(*(ARMS[part] for part in parts))(common(get_preset("tiny-cpu")))


def arm_name(text: str) -> str:
    """An arm, or several joined by `+`."""
    if unknown := set(text.split("+")) - set(ARMS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(ARMS)}")
    return text


class Arm:
    """One training, with its dataset."""

    def __init__(self, data: Path, out: Path, arm: str, args: argparse.Namespace) -> None:
        from learning_arms import FeatureMatching, Reconstructing

        from styleganv.data.dataset import VideoDataset
        from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
        from styleganv.training.batches import ClipDataset
        from styleganv.training.checkpoint import load_checkpoint

        self.out, self.arm = out, arm
        self.config, self.dataset = settings_of(arm, args.seed, args.slot_distance, args.mirror), VideoDataset(data)
        self.clips = ClipDataset(self.dataset, self.config.training)
        out.mkdir(parents=True, exist_ok=True)
        settings = out / "settings.txt"
        if settings.exists() and settings.read_text() != str(self.config):
            sys.exit(f"{out} was trained with other settings: pass the same options, or another folder.")
        settings.write_text(str(self.config))
        kinds = {"features": FeatureMatching, "reconstruct": Reconstructing}
        kind = next((kinds[part] for part in arm.split("+") if part in kinds), GanTrainer)
        self.trainer: Any = kind(self.config, *build_networks(self.config, self.dataset))
        if (out / "checkpoint.pt").exists():
            self.trainer.load_state_dict(load_checkpoint(out / "checkpoint.pt"))

    def save(self) -> None:
        from styleganv.model_folder import save_model
        from styleganv.training.checkpoint import save_checkpoint

        trainer = self.trainer
        if not bool(trainer.finite):
            sys.exit(f"{self.arm}: diverged")
        seen = {"clips_seen": trainer.clips_seen, "minutes": trainer.minutes}
        save_model(
            self.out / f"{round(trainer.minutes):03d}",
            trainer.inference_network(),
            method=trainer.method,
            data={"fps": self.dataset.fps, "class_names": []},
            training=seen | trainer.pop_scalars(),
        )
        save_checkpoint(self.out / "checkpoint.pt", trainer.state_dict())
        print(f"{self.arm}: {trainer.minutes:.1f} min, {trainer.clips_seen:,} clips", flush=True)


def train_arm(data: Path, out: Path, name: str, args: argparse.Namespace) -> None:
    """Train one arm in this process until its computing time is used up."""
    from styleganv.training.batches import iterate_batches

    torch.set_num_threads(1)
    arm = Arm(data, out, name, args)
    batches: Iterator[Any] = iterate_batches(
        arm.clips,
        first=arm.trainer.clips_seen,
        batch_size=arm.config.training.batch_size,
        num_workers=0,
        device=arm.trainer.device,
    )
    before, start = arm.trainer.minutes, time.process_time()
    while arm.trainer.minutes < args.minutes:
        mark = int(arm.trainer.minutes / MARK)
        arm.trainer.progress = arm.trainer.minutes / args.minutes
        arm.trainer.train_step(arm.clips, next(batches))
        minutes = arm.trainer.minutes = before + (time.process_time() - start) / 60
        if int(minutes / MARK) > mark or minutes >= args.minutes:
            arm.save()


def train(args: argparse.Namespace) -> None:
    """Each arm in a process of its own, two at a time."""
    waiting, running, failed = list(args.arms), [], 0
    while waiting or running:
        failed += sum(bool(job.poll()) for job in running)
        running = [job for job in running if job.poll() is None]
        if waiting and len(running) < args.jobs:
            words = [sys.executable, __file__, *sys.argv[1:4], "--arms", waiting.pop(0), "--one"]
            words += ["--minutes", str(args.minutes), "--seed", str(args.seed)]
            words += ["--slot-distance", str(args.slot_distance), *(["--mirror"] if args.mirror else [])]
            running.append(subprocess.Popen(words, env=os.environ | THREADS))
        time.sleep(1)
    if failed:
        sys.exit(f"{failed} arms failed; their messages are above.")


def measure(args: argparse.Namespace) -> None:
    """The distances of every saved model that were not measured yet."""
    from PIL import Image

    import styleganv
    from styleganv.data.dataset import VideoDataset
    from styleganv.metrics.patches import patch_distance

    data = VideoDataset(args.data)
    length = 24
    usable = [i for i, video in enumerate(data.videos) if video.num_frames >= length]
    stride = max(1, len(usable) // (2 * MEASURED_VIDEOS))
    frames = [data.read(i, range(length)).transpose(0, 2, 3, 1) for i in usable[::stride][: 2 * MEASURED_VIDEOS]]
    real, other = np.stack(frames[::2]), np.stack(frames[1::2])
    path = args.out / "curves.json"
    curves = json.loads(path.read_text()) if path.exists() else {}
    for n in (1, 3):
        curves.setdefault("floor", {})[f"patch_{n}f"] = patch_distance(real, other[: len(real)], num_frames=n).mean
    for config in sorted(args.out.glob("*/*/config.json")):
        arm, minutes = config.parts[-3], config.parts[-2]
        if minutes in curves.get(arm, {}):
            continue
        video = styleganv.load(config.parent, device="cpu")
        fake = np.stack([video.sample(seed=s, seconds=length / data.fps) for s in range(MEASURED_VIDEOS)])
        values = {f"patch_{n}f": patch_distance(real, fake, num_frames=n).mean for n in (1, 3)}
        values["clips"] = json.loads(config.read_text())["training"]["clips_seen"]
        curves.setdefault(arm, {})[minutes] = values
        print(arm, minutes, values, flush=True)
        sheet = fake[:10, ::3].transpose(0, 2, 1, 3, 4).reshape(10 * data.height, -1, 3)
        Image.fromarray(sheet).save(args.out / f"{arm}-{minutes}.png")
        path.write_text(json.dumps(curves, indent=1))
    arms = {arm: marks for arm, marks in curves.items() if arm != "floor"}
    end = max(max(marks) for marks in arms.values())
    for arm, marks in arms.items():
        if "frechet" not in marks.get(end, {"frechet": "not trained for as long"}):
            marks[end] |= measure_end(args.out / arm / end, args.data)
            print(arm, marks[end], flush=True)
            path.write_text(json.dumps(curves, indent=1))


def measure_end(model: Path, data: Path) -> dict[str, Any]:
    """Return the Fréchet distance and the motion report of one model."""
    from styleganv.metrics.evaluate import evaluate
    from styleganv.metrics.protocols import DEFAULT_PROTOCOL, named_protocol
    from styleganv.motion_report.diagnose import diagnose

    protocol = named_protocol(DEFAULT_PROTOCOL).with_num_clips(MEASURED_VIDEOS)
    (result,) = evaluate(data, model, protocols=[protocol]).results
    report = diagnose(model, data, num_videos=32, max_frames=64).report
    motion = {diagnostic.name: diagnostic.value for diagnostic in report.diagnostics}
    return {
        "frechet": result.measures[protocol.key].mean,
        "frechet_floor": result.noise_floor[protocol.key].mean,
        "within_range": sum(bool(diagnostic.fine) for diagnostic in report.diagnostics),
        "diagnostics": len(report.diagnostics),
        "motion": motion,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "measure"))
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arms", nargs="+", type=arm_name, default=list(ARMS), help="some joined by +")
    parser.add_argument("--minutes", type=float, default=20.0, help="computing time of each arm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="arms side by side")
    parser.add_argument("--slot-distance", type=float, default=8.0)
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.what == "measure":
        measure(args)
    elif args.one:
        (arm,) = args.arms
        train_arm(args.data, args.out / f"{arm}-seed{args.seed}", arm, args)
    else:
        train(args)


if __name__ == "__main__":
    main()
