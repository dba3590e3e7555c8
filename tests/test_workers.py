"""Worker processes end with the process that started them, even if that is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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


@pytest.fixture
def preparation(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A preparation with two workers, in the middle of two videos that take minutes."""
    first = tmp_path / "videos" / "a" / "0.png"
    first.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((512, 512, 3), np.uint8)).save(first)
    for folder in "ab":
        (tmp_path / "videos" / folder).mkdir(exist_ok=True)
        for number in range(1, 4000):
            os.link(first, tmp_path / "videos" / folder / f"{number}.png")
    words = ["prepare", tmp_path / "videos", tmp_path / "data.zip", "--resolution", "256", "--num-workers", "2"]
    argv = [sys.executable, "-m", "styleganv", *map(str, words), "--quiet"]
    with subprocess.Popen(
        argv, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=listen_to_ctrl_c
    ) as parent:
        end = time.monotonic() + 60
        while not any(path.stat().st_size for path in tmp_path.glob(".data.*/*")):  # what workers write to
            assert parent.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        yield parent
        parent.kill()


def listen_to_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests themselves may run in the background


@pytest.mark.slow
def test_the_workers_of_a_killed_preparation_exit(preparation: "subprocess.Popen[str]") -> None:
    pids = children(preparation.pid)
    assert len(pids) >= 2
    preparation.kill()
    preparation.wait()
    assert_end(pids)


@pytest.mark.slow
def test_ctrl_c_ends_a_preparation_at_once_and_leaves_nothing(
    preparation: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    pids = children(preparation.pid)
    os.killpg(preparation.pid, signal.SIGINT)  # as a terminal does
    _, errors = preparation.communicate(timeout=20)
    assert (preparation.returncode, errors) == (130, "styleganv: Interrupted.\n")
    assert_end(pids)
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]
