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
from run_state import assert_same_state, flatten
from settings import with_training
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from styleganv.cli import console, main
from styleganv.config import RunConfig, load_settings
from styleganv.errors import StyleganvError
from styleganv.runs import resume
from styleganv.training.checkpoint import load_checkpoint
from styleganv.training.run_log import read_log

FLAGS = """--channel-base 128 --channel-max 8 --z-dim 16 --w-dim 16 --motion-dim 16
--batch-size 8 --precision float32 --r1-interval 2 --log-every 8 --augment-p 0.3
--loss logistic --second-discriminator none"""  # gradients through ImageNet features amplify rounding


def styleganv(*words: object, processes: int = 1, restarts: int = 0, **options: object) -> subprocess.Popen[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone"]
    launcher = [*torchrun, f"--nproc-per-node={processes}", f"--max-restarts={restarts}"] if processes > 1 else []
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "styleganv.cli", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.slow
def test_two_processes_equal_one_at_the_same_total_batch(faces: Path, tiny: RunConfig, tmp_path: Path) -> None:
    options = ["--total-clips", 16, *FLAGS.split()]
    job = styleganv("train", faces, "--out", tmp_path / "2", *options, processes=2)
    main([str(word) for word in ("train", faces, "--out", tmp_path / "1", *options)])
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 0, errors
    one, two = (flatten(load_checkpoint(tmp_path / n / "checkpoint.pt")["generator"]) for n in "12")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()) + 1e-6, msg=name)
    logs = [read_log(tmp_path / n / "log.jsonl") for n in "12"]
    for ours, theirs in zip(*logs, strict=True):
        for key in ("loss_g", "loss_d", "logits_real", "r1"):
            assert ours.get(key, 0) == pytest.approx(theirs.get(key, 0), rel=1e-3, abs=1e-4), key


@pytest.mark.slow
def test_processes_killed_three_times_are_replaced_without_a_trace(faces: Path, tmp_path: Path) -> None:
    options = ["--total-clips", 640, "--save-every", 16, "--or-resume", *FLAGS.split()]
    jobs = [
        styleganv("train", faces, "--out", tmp_path / "killed", *options, processes=2, restarts=3),
        styleganv("train", faces, "--out", tmp_path / "whole", *options, processes=2),
    ]
    log = tmp_path / "killed" / "log.jsonl"
    try:
        for clips, victim in ((48, 1), (96, 0), (144, 1)):
            wait_for(lambda clips=clips: log.exists() and f'"clips_seen": {clips},' in log.read_text(), jobs[0])
            workers = subprocess.run(["pgrep", "-P", str(jobs[0].pid)], capture_output=True, text=True).stdout.split()
            os.kill(int(workers[victim]), signal.SIGKILL)
        for job in jobs:
            _, errors = job.communicate(timeout=240)
            assert job.returncode == 0, errors
    finally:
        for job in jobs:
            job.kill()
    starts = [event["clips_seen"] for event in map(json.loads, log.open()) if event.get("event") == "start"]
    assert len(starts) == 4 and 0 < starts[1] < starts[2] < starts[3] < 640
    assert_one_point_each(log, range(8, 641, 8))
    assert_same_state(tmp_path / "killed" / "checkpoint.pt", tmp_path / "whole" / "checkpoint.pt")


LEAVE = """
import os, torch
from styleganv import distributed
with distributed.processes():
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    torch.optim.Adam([weight]).step()  # imports more of PyTorch
    distributed.barrier()
print([open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads can be listed on Linux only")
def test_processes_leave_no_threads_that_could_abort_python_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "leave.py").write_text(LEAVE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*torchrun, tmp_path / "leave.py"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count("python") >= 2, done.stderr
    assert "gloo" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_all_processes_saves_and_ends_and_the_run_goes_on(name: str, faces: Path, tmp_path: Path) -> None:
    run, number = tmp_path / "run", getattr(signal, name)
    flags = ["--total-clips", 10_000_000, "--num-workers", 2, *FLAGS.split()]

    def listen() -> None:
        signal.signal(number, signal.SIG_DFL)  # the tests themselves may run under nohup

    job = styleganv("train", faces, "--out", run, *flags, start_new_session=True, preexec_fn=listen)
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
def test_one_of_two_processes_trains_and_its_folder_is_free_once_it_is_killed(faces: Path, tmp_path: Path) -> None:
    run, flags = tmp_path / "run", ["--total-clips", 10_000_000, "--num-workers", 1, "--or-resume", *FLAGS.split()]
    jobs = [styleganv("train", faces, "--out", run, *flags) for _ in range(2)]
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


def wait_for(condition: object, job: subprocess.Popen[str], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert job.poll() is None, job.communicate()[1]
        assert time.monotonic() < end, "the training did not start in time"
        time.sleep(0.1)
