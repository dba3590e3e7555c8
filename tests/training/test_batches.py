"""Batches of training: workers on machines with little shared memory, and workers that hang."""

import multiprocessing
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import warm
from fake_cuda_tensors import TransferLog
from torch import Tensor
from torch.utils.data import _utils as data_loading

from styleganv.config import TrainingConfig
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.training.batches import ClipDataset, iterate_batches

TINY = "--channel-base 128 --channel-max 8 --z-dim 16 --w-dim 16 --motion-dim 16 --batch-size 32 --total-clips 32"
TINY += " --augment none --second-discriminator none"

#: A training in a mount namespace of its own, with another /dev/shm.
ISOLATED = """
import ctypes, subprocess, sys
from styleganv.cli import main
assert not ctypes.CDLL(None).unshare(0x20000)
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", sys.argv[1], "tmpfs", "/dev/shm"], check=True)
main(sys.argv[2:])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a mount namespace")
@pytest.mark.parametrize(
    "options, expected", [pytest.param("size=64k", "Model: ", marks=pytest.mark.long), ("ro", "pass --num-workers 0.")]
)
def test_workers_need_no_room_in_shared_memory(options: str, expected: str, faces: Path, tmp_path: Path) -> None:
    """One batch is larger than /dev/shm; where it cannot be written at all, one sentence says what to do."""
    mount = f'mount -t tmpfs -o {options} tmpfs /dev/shm && exec "$@"'
    isolated = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*isolated, mount, "sh", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    train = ["train", str(faces), "--out", str(tmp_path / "run"), "--num-workers", "1", *TINY.split()]
    done = warm.run([sys.executable, "-c", ISOLATED, options, *train])
    assert expected in done.stdout + done.stderr and "Traceback" not in done.stderr


class HangingDataset(ClipDataset):
    """Its worker hangs at the second batch, and ignores SIGTERM."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.hangs = multiprocessing.Event()

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        if index >= 8:
            self.hangs.set()
            time.sleep(3600)
        return super().__getitem__(index)


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_too(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python would wait for it at its end."""
    monkeypatch.setattr(data_loading, "MP_STATUS_CHECK_INTERVAL", 0.1)  # how long PyTorch waits
    clips = HangingDataset(VideoDataset(faces), TrainingConfig(num_frames=3, max_span=32))
    others = set(multiprocessing.active_children())
    batches = iterate_batches(clips, first=0, batch_size=8, num_workers=1, device=torch.device("cpu"))
    next(batches)
    assert clips.hangs.wait(60)
    (worker,) = set(multiprocessing.active_children()) - others
    batches.close()
    worker.join(10)
    assert worker.exitcode == -signal.SIGKILL


class BrokenDataset(ClipDataset):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        raise StyleganvError("This video is damaged.")


@pytest.mark.slow
def test_the_error_of_a_worker_reaches_the_reader(faces: Path) -> None:
    """Ending the workers does not hide it."""
    clips = BrokenDataset(VideoDataset(faces), TrainingConfig(num_frames=3, max_span=32))
    with pytest.raises(StyleganvError, match=r"This video is damaged\."):
        next(iterate_batches(clips, first=0, batch_size=8, num_workers=2, device=torch.device("cpu")))
    time.sleep(0.2)  # for signals of ended workers


@pytest.mark.gpu
@pytest.mark.parametrize("conditional", [False, True])
def test_batches_on_a_gpu_equal_those_on_the_cpu(
    conditional: bool, faces: Path, monkeypatch: pytest.MonkeyPatch, gpu: torch.device
) -> None:
    clips = ClipDataset(VideoDataset(faces), TrainingConfig(num_frames=3))
    if conditional:
        monkeypatch.setattr(clips, "label", lambda video: torch.eye(16)[video])
    options = {"first": 0, "batch_size": 4, "num_workers": 0}
    on_cpu, on_gpu = (iterate_batches(clips, **options, device=device) for device in (torch.device("cpu"), gpu))
    for _ in range(3):
        expected, batch = next(on_cpu), next(on_gpu)
        assert (batch.label is not None) == conditional
        for name in ("frames", "times", "label")[: 2 + conditional]:
            ours, theirs = getattr(batch, name), getattr(expected, name)
            assert ours.device.type == "cuda" and ours.dtype == theirs.dtype and torch.equal(ours.cpu(), theirs)


@pytest.mark.gpu
def test_a_batch_is_copied_while_the_previous_one_is_in_use(faces: Path, transfers: TransferLog) -> None:
    clips = ClipDataset(VideoDataset(faces), TrainingConfig(num_frames=3))
    batches = iterate_batches(clips, first=0, batch_size=4, num_workers=0, device=torch.device("cuda"))
    for count in (2, 3, 4):
        next(batches)
        assert transfers.counts["h2d async"] == transfers.counts["pinned"] == count and not transfers.counts["h2d"]
