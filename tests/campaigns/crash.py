"""`python -m tests.campaigns.crash`: kill −9 at random moments, then the same command again.

Commands run as forked children of a warm process, so that most kills hit work and few hit imports. After each recovery,
what is at the destination must equal what an undisturbed command writes: weights, checkpoint and files bit for bit, the
log and TensorBoard without gaps or duplicates. Nothing else may be left: no temporary file, no process.
"""

import argparse
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import sandbox
from .inputs import TRAIN, helpers, make_inputs

#: How long the last command, and the children of a killed one, may take.
END_SECONDS, CHILD_SECONDS = 300.0, 10.0
#: How long a restart by torchrun may take before the job counts as hanging.
RESTART_SECONDS = 180.0
#: Hidden files and folders, but for locks, which may stay.
LEFTOVER = re.compile(r"^\.(?!.*lock)|\.part|\.tmp")
TRAIN_LONGER = [*TRAIN, "--total-clips", "64", "--log-every", "8", "--save-every", "8"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "3"]


@dataclass
class Target:
    """A command to kill.

    Attributes:
        argv: its arguments; destinations are relative.
        compare: returns what differs between the folders of a recovered and of an undisturbed command.
        share: its share of all kills.
        processes: 2 runs it as torchrun would.
        kills, recoveries, seconds, failures: what happened.
    """

    name: str
    argv: list[str]
    compare: Callable[[Path, Path], str | None]
    share: float
    processes: int = 1
    kills: int = 0
    recoveries: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def targets(inputs: Path) -> list[Target]:
    """Return the commands, with inputs large enough for a few seconds or fractions of one."""
    train = ["train", str(inputs / "plain.zip"), "--out", "run", "--or-resume", *TRAIN_LONGER, "--quiet"]
    prepare = ["prepare", str(inputs / "videos"), "out.zip", "--resolution", "64", "--num-workers"]
    generate = ["generate", str(inputs / "model"), "--out", "out", "--seeds", "0-3", "--seconds", "4", "--quiet"]
    return [
        Target("train", train, compare_runs, 0.4),
        Target("train, 2 processes", train, compare_runs, 0.2, processes=2),
        Target("prepare", [*prepare, "1", "--quiet"], compare_files, 0.1),
        Target("prepare, 2 workers", [*prepare, "2", "--quiet"], compare_files, 0.05),
        Target("import", ["import", str(inputs / "official.pkl"), "out", "--quiet"], compare_files, 0.1),
        Target("generate", generate, compare_files, 0.15),
    ]


def compare_files(folder: Path, reference: Path) -> str | None:
    """Return what differs between all files of two folders."""
    ours, theirs = (_files(path) for path in (folder, reference))
    if ours != theirs:
        return f"other files: {', '.join(sorted(ours ^ theirs))}"
    different = [name for name in sorted(ours) if (folder / name).read_bytes() != (reference / name).read_bytes()]
    return f"other content: {', '.join(different)}" if different else None


def compare_runs(folder: Path, reference: Path) -> str | None:
    """Return what differs between two run folders: weights, checkpoint, log, TensorBoard, names of files."""
    run, undisturbed = folder / "run", reference / "run"
    if (run / "model/model.safetensors").read_bytes() != (undisturbed / "model/model.safetensors").read_bytes():
        return "other weights"
    if problem := _compare_checkpoints(run / "checkpoint.pt", undisturbed / "checkpoint.pt"):
        return problem
    ours, theirs = (_logged(path / "log.jsonl") for path in (run, undisturbed))
    if ours != theirs:
        return f"log.jsonl has clips {ours} instead of {theirs}"
    ours, theirs = (_points(path / "tensorboard") for path in (run, undisturbed))
    if ours != theirs:
        name = next(name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name))
        return f"TensorBoard has {name} at {ours.get(name)} instead of {theirs.get(name)}"
    missing = {name for name in _files(undisturbed) - _files(run) if not name.startswith("tensorboard")}
    return f"missing files: {', '.join(sorted(missing))}" if missing else None


def _compare_checkpoints(ours: Path, theirs: Path) -> str | None:
    from run_state import assert_same_state

    try:
        assert_same_state(ours, theirs)
    except AssertionError as error:
        return f"another checkpoint: {str(error)[:100]}"
    return None


def _logged(path: Path) -> list[int]:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [record["clips_seen"] for record in records if "event" not in record]


def _points(folder: Path) -> dict[str, list[int]]:
    """Return the steps of every scalar that TensorBoard shows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [point.step for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def _files(folder: Path) -> set[str]:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in files if not re.search(r"(^|/)\.[^/]*lock$", name)}


def leftovers(folder: Path) -> list[str]:
    """Return temporary files and folders that are still there."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if LEFTOVER.search(path.name)]


class Campaign:
    """Runs targets in folders of its own."""

    def __init__(self, work: Path, seed: int) -> None:
        self.work, self.rng = work, random.Random(seed)

    def run(self, target: Target, num_kills: int) -> None:
        """Kill a target that often, and compare after each recovery."""
        reference = sandbox.empty(self.work / "reference")
        start = time.monotonic()
        sessions = self.start(target, reference)
        if self.finish(sessions):
            sys.exit(f"The undisturbed command must succeed: {self.stderr(0)}")
        duration = time.monotonic() - start
        while target.kills < num_kills:
            before = target.kills
            try:
                self.cycle(target, reference, duration, min(num_kills, before + self.rng.randint(1, 4)))
            except AssertionError as error:
                target.failures.append(f"{error} (after kill {target.kills})")
                print(f"    {target.failures[-1]}", flush=True)
            print(f"{target.name}: {target.kills} kills, {len(target.failures)} failures", flush=True)
        target.seconds = time.monotonic() - start

    def cycle(self, target: Target, reference: Path, duration: float, until: int) -> None:
        """Start a target anew and again, killing it until there have been so many kills; then let it end."""
        folder = sandbox.empty(self.work / "folder")
        moments = []
        while target.kills < until:
            sessions = self.start(target, folder)
            moment = self.rng.uniform(0, duration)
            ended = sandbox.wait(sessions[0], moment)
            if ended is None:
                moments.append(round(moment, 2))
                self.kill(target, sessions)
                continue
            self.finish(sessions[1:])
            if ended[0] and "--overwrite" not in self.stderr(0) and not self.is_complete(target, reference, folder):
                raise AssertionError(f"status {ended[0]} after kills at {moments} s: {self.stderr(0)}")
            break
        self.recover(target, reference, folder, moments)

    def recover(self, target: Target, reference: Path, folder: Path, moments: Sequence[float]) -> None:
        """Run the same command to its end, and compare."""
        status = self.finish(self.start(target, folder))
        after = f"after kills at {', '.join(map(str, moments))} s" if moments else "without a kill"
        if status and "--overwrite" in self.stderr(0):  # complete, or of several files, some of which are
            self.check_finished_files(folder, reference, after)
            status = self.finish(self.start(target, folder, "--overwrite"))
        assert not status or self.is_complete(target, reference, folder), f"status {status} {after}: {self.stderr(0)}"
        assert not (left := leftovers(folder)), f"leftovers {after}: {', '.join(left[:5])}"
        difference = target.compare(folder, reference)
        assert not difference, f"{difference} {after}"
        target.recoveries += 1

    def check_finished_files(self, folder: Path, reference: Path, after: str) -> None:
        """Raise AssertionError unless each file is one of the undisturbed command, or temporary."""
        for name in sorted(_files(folder) & _files(reference)):
            same = (folder / name).read_bytes() == (reference / name).read_bytes()
            assert same, f"{name} was left in part or damaged {after}"

    def is_complete(self, target: Target, reference: Path, folder: Path) -> bool:
        """Return whether a refusal was right, because an earlier command had finished."""
        return "exist" in self.stderr(0) and target.compare(folder, reference) is None

    def start(self, target: Target, folder: Path, *more: str) -> list[int]:
        """Start the processes of a target; return their sessions."""
        env = sandbox.environment(self.work / "home", sandbox.empty(self.work / "tmp"))
        argv = [*target.argv, *more]
        if target.processes == 1:
            return [self._fork(argv, folder, env, 0)]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        sessions = []
        for rank in range(target.processes):
            world = {"WORLD_SIZE": str(target.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            env = {**env, **world, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            sessions.append(self._fork(argv, folder, env, rank))
        return sessions

    def _fork(self, argv: list[str], folder: Path, env: dict[str, str], rank: int) -> int:
        output = self.work / f"output{rank}"
        return sandbox.start(lambda: sandbox.command_line(argv), cwd=folder, env=env, output=output, limits=False)

    def stderr(self, rank: int) -> str:
        """Return the last lines that a process wrote to stderr."""
        return " / ".join((self.work / f"output{rank}" / "stderr").read_text().strip().splitlines()[-3:])

    def finish(self, sessions: Sequence[int]) -> int:
        """Wait for processes; return the first status that is not 0."""
        status = 0
        for pid in sessions:
            ended = sandbox.wait(pid, END_SECONDS)
            if ended is None:
                self.end(sessions)
                raise AssertionError(f"not finished within {END_SECONDS:.0f} s: {self.stderr(0)}")
            status = status or ended[0]
        return status

    def kill(self, target: Target, sessions: Sequence[int]) -> None:
        """Kill one process or all, and those that torchrun would end then; workers must end by themselves."""
        victims = sessions if self.rng.random() < 0.5 else [self.rng.choice(sessions)]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        target.kills += 1
        time.sleep(self.rng.choice((0.0, 0.2)) if len(victims) < len(sessions) else 0)
        others = [pid for pid in sessions if pid not in victims]
        for pid in others:
            os.kill(pid, signal.SIGKILL)
        for pid in sessions:
            sandbox.wait(pid, 10)
        for pid in sessions:
            if left := sandbox.kill_survivors(pid, CHILD_SECONDS):
                raise AssertionError(f"processes outlive their parent: {', '.join(left)}")

    def end(self, sessions: Sequence[int]) -> None:
        """End what hangs."""
        for pid in sessions:
            sandbox.kill_session(pid)

    def torchrun(self, target: Target) -> None:
        """Kill one of two processes of the real torchrun three times; the job must finish by itself."""
        start = time.monotonic()
        folder = sandbox.empty(self.work / "folder")
        env = sandbox.environment(self.work / "home", sandbox.empty(self.work / "tmp"))
        argv = [sys.executable, *TORCHRUN, "-m", "styleganv", *target.argv, "--total-clips", "240"]
        with open(self.work / "torchrun-log", "w") as log:
            launcher = subprocess.Popen(argv, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            for number in range(3):
                worker = self._wait_for_worker(launcher, folder, 20 + 40 * number)
                os.kill(worker, signal.SIGKILL)
                target.kills += 1
            status = launcher.wait(END_SECONDS)
            assert status == 0, f"torchrun ended with {status}: {self.torchrun_log()}"
            clips = _logged(folder / "run" / "log.jsonl")
            assert clips == sorted(set(clips)) and clips[-1] == 240, f"log.jsonl has clips {clips}"
            target.recoveries += 1
        except (AssertionError, subprocess.TimeoutExpired) as error:
            target.failures.append(f"torchrun: {str(error)[:400]}")
        finally:
            _end_tree(launcher)
        target.seconds += time.monotonic() - start

    def torchrun_log(self) -> str:
        """Return its last lines."""
        return " / ".join((self.work / "torchrun-log").read_text().strip().splitlines()[-2:])

    def _wait_for_worker(self, launcher: "subprocess.Popen[bytes]", folder: Path, clips: int) -> int:
        """Wait until the run has seen so many clips; return the ID of one of its processes."""
        log = folder / "run" / "log.jsonl"
        end = time.monotonic() + RESTART_SECONDS
        while time.monotonic() < end:
            assert launcher.poll() is None, f"torchrun ended before {clips} clips: {self.torchrun_log()}"
            workers = _children(launcher.pid)
            seen = re.findall(r'"clips_seen": (\d+), "frames', log.read_text()) if log.exists() else []
            if len(workers) == 2 and seen and int(seen[-1]) >= clips:
                return self.rng.choice(workers)
            time.sleep(0.05)
        raise AssertionError(f"{clips} clips not reached within {RESTART_SECONDS:.0f} s: {self.torchrun_log()}")


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started, without those that they have."""
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(word) for word in words]


def _end_tree(launcher: "subprocess.Popen[bytes]") -> None:
    """End torchrun and its workers, which have sessions of their own."""
    workers = _children(launcher.pid) if launcher.poll() is None else []
    for pid in (launcher.pid, *workers):
        sandbox.kill_session(pid)
    if launcher.poll() is None:
        launcher.kill()
    launcher.wait()


def main() -> int:
    """Run the campaign; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=105, help="number of kills, without the three of torchrun")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the moments")
    parser.add_argument("--target", action="append", help="only this target, e.g. train; may be repeated")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="styleganv-crash-"))
    start = time.monotonic()
    try:
        done = run(work, options)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"\n{'command':<22}{'kills':>6}{'recovered':>11}{'failures':>10}{'minutes':>9}")
    for target in done:
        numbers = f"{target.kills:>6}{target.recoveries:>11}{len(target.failures):>10}{target.seconds / 60:>9.1f}"
        print(f"{target.name:<22}{numbers}")
        for failure in target.failures:
            print(f"    {failure}")
    failures = sum(len(target.failures) for target in done)
    kills = sum(target.kills for target in done)
    print(f"{kills} kills, seed {options.seed}, {failures} failures, {(time.monotonic() - start) / 60:.1f} minutes")
    return int(failures > 0)


def run(work: Path, options: argparse.Namespace) -> list[Target]:
    """Make the inputs and run all targets."""
    for name in ("inputs", "tmp", "home"):
        (work / name).mkdir()
    sandbox.warm_up()
    helpers()
    env = sandbox.environment(work / "home", work / "tmp")
    arguments: dict[str, Any] = {"cwd": work, "env": env, "output": work / "output", "timeout": 600, "limits": False}
    made = sandbox.run_call(lambda: make_inputs(work / "inputs"), **arguments)
    if made.status:
        sys.exit(f"The inputs could not be made:\n{made.stderr}")
    campaign = Campaign(work, options.seed)
    chosen = [
        target
        for target in targets(work / "inputs")
        if not options.target or target.name in options.target or target.name.split(",")[0] in options.target
    ]
    for target in chosen:
        campaign.run(target, max(1, round(options.kills * target.share)))
    for target in [target for target in chosen if target.processes == 2]:
        campaign.torchrun(target)
    return chosen


if __name__ == "__main__":
    sys.exit(main())
