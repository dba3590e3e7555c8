"""Worker processes end with the process that started them, even if that is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="processes can be listed on Linux only")

CHILD = "from styleganv.workers import exit_with_parent; exit_with_parent(); print('ready', flush=True); input()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}], stdin=subprocess.PIPE)"


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_end(pids: list[int], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while any(map(runs, pids)):
        assert time.monotonic() < end, "a child outlives its parent"
        time.sleep(0.05)


def test_a_child_of_a_killed_process_exits() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
    pids = children(parent.pid)
    assert len(pids) == 1
    parent.kill()
    parent.wait()
    assert_end(pids)


def test_the_workers_of_a_killed_preparation_exit(tmp_path: Path) -> None:
    first = tmp_path / "videos" / "a" / "0.png"
    first.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((512, 512, 3), np.uint8)).save(first)
    for folder in "ab":  # two videos that take minutes
        (tmp_path / "videos" / folder).mkdir(exist_ok=True)
        for number in range(1, 4000):
            os.link(first, tmp_path / "videos" / folder / f"{number}.png")
    words = ["prepare", tmp_path / "videos", tmp_path / "data.zip", "--resolution", "256", "--num-workers", "2"]
    parent = subprocess.Popen([sys.executable, "-m", "styleganv", *map(str, words)], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not any(path.stat().st_size for path in tmp_path.glob(".data.*/*")):  # what workers write to
        assert parent.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    pids = children(parent.pid)
    assert len(pids) >= 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert_end(pids)
