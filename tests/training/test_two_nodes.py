"""Training on two nodes, one of which is lost and returns. The nodes are network namespaces, joined by a cable."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm
from run_state import assert_same_state

from styleganv.cli import main

FLAGS = """--channel-base 128 --channel-max 8 --z-dim 16 --w-dim 16 --motion-dim 16
--batch-size 8 --precision float32 --r1-interval 2 --log-every 8 --augment-p 0.3 --num-threads 1
--total-clips 48 --save-every 16 --loss logistic --second-discriminator none"""
#: Step whose log line is written when a node is lost, while the last checkpoint is one step older.
LOST_AFTER = 5
TRAIN = f"""
import os, sys, time
from pathlib import Path
from styleganv import runs
from styleganv.cli import main
from styleganv.methods.stylegan_v.trainer import GanTrainer
from styleganv.training.run_log import RunLog

step = GanTrainer.train_step

def train_step(self, *arguments):
    step(self, *arguments)
    if self.step == {LOST_AFTER} and (ready := os.environ.get("READY_FILE")):
        Path(ready).touch()
        time.sleep(1000)

GanTrainer.train_step = train_step
RunLog.write_snapshot = RunLog.write_curves = runs.dry_run = lambda *_: None
main(sys.argv[1:])
"""


class Node:
    """One network namespace and the torchrun job in it."""

    def __init__(self, name: str, address: str, log: Path) -> None:
        self.name, self.address, self.log = name, address, log

    def start(self, command: list[object], **environment: object) -> "subprocess.Popen[bytes]":
        """Start a command on this node, with the environment that several nodes need (docs/howto.md)."""
        own = {"GLOO_SOCKET_IFNAME": "cable", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": 1, "OMP_NUM_THREADS": 1}
        env = os.environ | {key: str(value) for key, value in (own | environment).items()}
        words = ["ip", "netns", "exec", self.name, *map(str, command)]
        with self.log.open("ab") as log:
            return subprocess.Popen(words, env=env, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """Kill all processes of this node, as a power failure does."""
        for pid in (pids := self.pids()):
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while pids and set(pids) & set(self.pids()):
            assert time.monotonic() < end, f"processes of {self.name} outlive SIGKILL"
            time.sleep(0.05)

    def pids(self) -> list[int]:
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True)
        return [int(pid) for pid in listed.stdout.split()]


def ip(*words: str) -> bool:
    return subprocess.run(["ip", *words], capture_output=True).returncode == 0


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Two nodes with a cable between them; skips where none can be made."""
    both = [Node(f"styleganv-{os.getpid()}-{i}", f"10.77.0.{i}", tmp_path / f"node{i}.log") for i in (1, 2)]
    first, second = both
    try:
        if shutil.which("ip") is None or not all(ip("netns", "add", node.name) for node in both):
            pytest.skip("needs the right to create network namespaces")
        cable = ["link", "add", "cable", "netns", first.name, "type", "veth", "peer", "name", "cable"]
        if not ip(*cable, "netns", second.name):
            pytest.skip("needs virtual Ethernet devices")
        for node in both:
            assert ip("-n", node.name, "addr", "add", f"{node.address}/24", "dev", "cable")
            assert all(ip("-n", node.name, "link", "set", device, "up") for device in ("lo", "cable"))
        yield first, second
    finally:
        for node in both:
            node.kill()
            ip("netns", "del", node.name)


def torchrun(first: Node, node: Node, command: list[object]) -> list[object]:
    """Return the command that joins a node to a job whose rendezvous the first node hosts."""
    quick = "last_call_timeout=1,keep_alive_interval=1,keep_alive_max_attempt=3"  # the default takes 30 and 15 s
    launcher = f"""--nnodes 2 --nproc-per-node 1 --max-restarts 3 --monitor-interval 0.1 --rdzv-backend c10d
    --rdzv-id job --rdzv-endpoint {first.address}:29500 --local-addr {node.address}
    --rdzv-conf is_host={node is first},{quick}"""
    return [sys.executable, "-m", "torch.distributed.run", *launcher.split(), *command]


def train(words: list[str]) -> None:
    """Train without the pictures of a run, which take most of its time."""
    from styleganv.training.run_log import RunLog

    RunLog.write_snapshot = RunLog.write_curves = lambda *_: None  # type: ignore[method-assign,assignment]
    main(words)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces")
def test_a_node_that_is_lost_and_returns_leaves_no_trace(nodes: tuple[Node, Node], faces: Path, tmp_path: Path) -> None:
    """The weights equal those of two processes on one machine that nothing disturbs."""
    first, second = nodes
    script, run, undisturbed, ready = (tmp_path / name for name in ("train.py", "run", "undisturbed", "ready"))
    script.write_text(TRAIN)
    words = [script, "train", faces, "--out", run, "--or-resume", *FLAGS.split()]
    job = first.start(torchrun(first, first, words))
    second.start(torchrun(first, second, words), READY_FILE=ready)
    warm.run_two(train, [str(word) for word in ("train", faces, "--out", undisturbed, *FLAGS.split())])  # meanwhile
    try:
        wait_until(ready.exists, job)
        second.kill()
        returned = second.start(torchrun(first, second, words))
        assert job.wait(120) == 0 and returned.wait(30) == 0
    except BaseException as error:
        for node in nodes:
            error.add_note(f"{node.name}:\n{node.log.read_text()[-5000:]}")
        raise
    events = [json.loads(line) for line in (run / "log.jsonl").open()]
    assert [event["clips_seen"] for event in events if event.get("event") == "start"] == [0, 32]
    assert [event["clips_seen"] for event in events if "loss_d" in event] == list(range(8, 49, 8))
    assert_same_state(run / "checkpoint.pt", undisturbed / "checkpoint.pt")


def wait_until(condition: object, job: "subprocess.Popen[bytes]", seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert job.poll() is None, "the job ended early"
        assert time.monotonic() < end, "the job did not reach the step in time"
        time.sleep(0.1)
