"""Training in real processes: several at once, killed, signaled, locked out, without a terminal."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
import warm
from run_state import assert_same_state, flatten
from settings import with_training
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from styleganv.cli import console, main
from styleganv.config import load_settings
from styleganv.errors import StyleganvError
from styleganv.methods.stylegan_v.trainer import GanTrainer
from styleganv.runs import resume
from styleganv.training.checkpoint import load_checkpoint
from styleganv.training.run_log import RunLog, read_log

FLAGS = """--channel-base 128 --channel-max 8 --z-dim 16 --w-dim 16 --motion-dim 16
--batch-size 8 --precision float32 --r1-interval 2 --log-every 8 --augment-p 0.3
--loss logistic --second-discriminator none"""  # gradients through ImageNet features amplify rounding
OPTIONS = ["--total-clips", 64, "--save-every", 16]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def start(*words: object) -> warm.Popen:
    command = [sys.executable, "-m", "styleganv.cli", *words, *FLAGS.split()]
    return warm.Popen(command, stdout=warm.PIPE, stderr=warm.PIPE)


TRAIN = """
import os, sys
from styleganv.cli import main
from styleganv.training import run_log
run_log.NUM_CONTENT_SEEDS = run_log.NUM_MOTION_SEEDS = 1
run_log.RunLog.write_curves = lambda *_: None
main(sys.argv[1:])
if os.path.exists("/proc/self/task"):
    print("Threads:", [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")])
"""


@pytest.fixture(scope="module")
def run_of_two(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train for eight steps by two processes; return the run's folder."""
    run, nothing = tmp_path_factory.mktemp("two") / "run", tmp_path_factory.mktemp("kills")
    words = [str(word) for word in ("train", faces, "--out", run, *OPTIONS, *FLAGS.split())]
    warm.run_two(train_and_kill, words, nothing)
    return run


@pytest.mark.slow
@pytest.mark.usefixtures("no_run_images")
def test_two_processes_equal_one_at_the_same_total_batch(run_of_two: Path, faces: Path, tmp_path: Path) -> None:
    main([str(word) for word in ("train", faces, "--out", tmp_path / "1", *OPTIONS, *FLAGS.split())])
    runs = (tmp_path / "1", run_of_two)
    one, two = (flatten(load_checkpoint(run / "checkpoint.pt")["generator"]) for run in runs)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()) + 1e-6, msg=name)
    logs = [read_log(run / "log.jsonl") for run in runs]
    for ours, theirs in zip(*logs, strict=True):
        for key in ("loss_g", "loss_d", "logits_real", "r1"):
            assert ours.get(key, 0) == pytest.approx(theirs.get(key, 0), rel=1e-3, abs=1e-4), key


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads can be listed on Linux only")
def test_torchrun_trains_and_leaves_no_threads_that_could_abort_python_at_its_end(
    run_of_two: Path, faces: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    words = [tmp_path / "train.py", "train", faces, "--out", tmp_path / "run", *OPTIONS, *FLAGS.split()]
    done = warm.run([*TORCHRUN, *words])  # the launcher; the two processes that it starts are new ones
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Threads:") == 2 and done.stdout.count("python") >= 2, done.stdout
    assert "gloo" not in done.stdout
    assert_same_state(tmp_path / "run" / "checkpoint.pt", run_of_two / "checkpoint.pt")


def train_and_kill(words: list[str], kills: Path) -> None:
    """Train; at each step whose number is a file of `kills`, end the process whose rank it holds, once."""
    step = GanTrainer.train_step

    def train_step(self: GanTrainer, *arguments: object) -> None:
        step(self, *arguments)
        kill = kills / str(self.step)
        if kill.exists() and kill.read_text() == os.environ["RANK"]:
            kill.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    GanTrainer.train_step = train_step  # type: ignore[method-assign,assignment]
    RunLog.write_snapshot = RunLog.write_curves = lambda *_: None  # type: ignore[method-assign,assignment]
    main(words)


@pytest.mark.long
def test_processes_killed_three_times_are_replaced_without_a_trace(
    run_of_two: Path, faces: Path, tmp_path: Path
) -> None:
    """Each time after a step whose points are in the log but not in the checkpoint, by the launcher of torchrun."""
    run, kills = tmp_path / "run", tmp_path / "kills"
    kills.mkdir()
    for step, rank in ((4, 1), (6, 0), (8, 1)):
        (kills / str(step)).write_text(str(rank))
    words = [str(word) for word in ("train", faces, "--out", run, "--or-resume", *OPTIONS, *FLAGS.split())]
    warm.run_two(train_and_kill, words, kills, max_restarts=3)
    assert not list(kills.iterdir())
    log = run / "log.jsonl"
    starts = [event["clips_seen"] for event in map(json.loads, log.open()) if event.get("event") == "start"]
    assert starts == [0, 16, 32, 48]
    assert_one_point_each(log, range(8, 65, 8))
    assert_same_state(run / "checkpoint.pt", run_of_two / "checkpoint.pt")


@pytest.mark.slow
@pytest.mark.usefixtures("no_run_images")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_all_processes_saves_and_ends_and_the_run_goes_on(name: str, faces: Path, tmp_path: Path) -> None:
    run, number = tmp_path / "run", getattr(signal, name)
    flags = ["--total-clips", 10_000_000, "--num-workers", 2]
    job = start("train", faces, "--out", run, *flags)
    try:
        wait_for(lambda: (run / "log.jsonl").exists() and '"loss_d"' in (run / "log.jsonl").read_text(), job)
        os.killpg(job.pid, number)  # as a terminal does
        _, errors = job.communicate(timeout=120)
    finally:
        job.kill()
    assert job.returncode == 128 + number
    assert "--resume" in errors.splitlines()[-1] and "Traceback" not in errors
    clips = load_checkpoint(run / "checkpoint.pt")["step"] * 8
    assert clips > 0
    resume(run, config=with_training(load_settings(run / "settings.yaml"), total_clips=clips + 16, num_workers=0))
    assert load_checkpoint(run / "checkpoint.pt")["step"] * 8 == clips + 16


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills")
@pytest.mark.usefixtures("no_run_images")
def test_one_of_two_processes_trains_and_its_folder_is_free_once_it_is_killed(faces: Path, tmp_path: Path) -> None:
    run, flags = tmp_path / "run", ["--total-clips", 10_000_000, "--num-workers", 1, "--or-resume"]
    jobs = [start("train", faces, "--out", run, *flags) for _ in range(2)]
    try:
        wait_for_end = time.monotonic() + 240
        while all(job.poll() is None for job in jobs):
            assert time.monotonic() < wait_for_end
            time.sleep(0.1)
        refused, trains = sorted(jobs, key=lambda job: job.poll() is None)
        assert refused.returncode == 1 and f"Another process uses {run}" in refused.communicate()[1]
        log = run / "log.jsonl"
        wait_for(lambda: log.exists() and '"loss_d"' in log.read_text(), trains)
        with pytest.raises(StyleganvError, match="Another process uses"):
            resume(run)
        (worker,) = subprocess.run(["pgrep", "-P", str(trains.pid)], capture_output=True, text=True).stdout.split()
        trains.kill()
        trains.wait()
        while Path(f"/proc/{worker}").exists() and "Z" not in Path(f"/proc/{worker}/stat").read_text():
            assert time.monotonic() < wait_for_end, "the worker outlives its parent"
            time.sleep(0.1)
    finally:
        for job in jobs:
            job.kill()
    settings = load_settings(run / "settings.yaml")
    clips = load_checkpoint(run / "checkpoint.pt")["step"] * 8 + 16
    time.sleep(1)  # TensorBoard reads files in the order of the seconds in their names, then of process IDs
    resume(run, config=with_training(settings, total_clips=clips, num_workers=0))
    assert_one_point_each(log, range(8, clips + 1, 8))


@pytest.mark.skipif(os.name != "posix", reason="terminals")
def test_messages_to_a_closed_terminal_raise_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, closed = os.openpty()
    os.close(terminal)
    stderr = os.fdopen(closed, "w")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        console.set_up([])
        logging.getLogger("styleganv").warning("cannot be shown")
        with console.progress_bar() as progress:
            assert progress is not None
            progress(0, 10, "training")
    with pytest.raises(OSError):  # it really was closed
        stderr.close()


def assert_one_point_each(log: Path, clips: Iterable[int]) -> None:
    """Assert that the log and TensorBoard have each point once."""
    records = [record for record in map(json.loads, log.open()) if "loss_d" in record]
    assert [record["clips_seen"] for record in records] == list(clips)
    events = EventAccumulator(str(log.parent / "tensorboard")).Reload()
    assert [point.step for point in events.Scalars("loss_d")] == list(clips)


def wait_for(condition: object, job: warm.Popen, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert job.poll() is None, job.communicate()[1]
        assert time.monotonic() < end, "the training did not start in time"
        time.sleep(0.1)
