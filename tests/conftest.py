"""Small real datasets and settings, shared by the tests."""

import gc
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fake_cuda import any_gpu, fake_cuda
from fake_cuda_tensors import TransferLog

from styleganv.config import AugmentConfig, LoggingConfig, ModelConfig, RunConfig, TrainingConfig
from styleganv.faces.dataset import make_faces
from styleganv.runs import train

# The networks of the tests are so small that a second thread only waits.
torch.set_num_threads(1)
# Garbage collection at Python's default thresholds takes 6 to 9% of the computing time of the tests.
gc.set_threshold(20_000, 20, 50)


#: Files that start first: each of their few slow tests takes about ten seconds or more.
LONGEST = ("test_docs.py", "test_training_processes.py", "test_method_commands.py", "test_demo.py", "test_tutorials.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest; several processes then finish at about the same time."""
    num_slow = Counter(
        item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("long")
    )
    items.sort(key=lambda item: (item.path.name not in LONGEST, -num_slow[item.path]))


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prepared dataset of 16 drawn videos of 40 frames, 16×16."""
    path = tmp_path_factory.mktemp("data") / "faces.zip"
    make_faces(path, num_videos=16, num_frames=40, resolution=(16, 16))
    return path


@pytest.fixture(scope="session")
def tiny() -> RunConfig:
    """Return settings for networks of a few channels, two steps of eight clips, float32."""
    return RunConfig(
        model=ModelConfig(channel_base=128, channel_max=8, z_dim=16, w_dim=16, motion_dim=16, slot_distance=16),
        training=TrainingConfig(total_clips=16, batch_size=8, precision="float32", num_workers=0, r1_interval=2),
        augment=AugmentConfig(augment_p=0.3),
        logging=LoggingConfig(log_every=8, snapshot_every=1000, save_every=16),
    )


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, faces: Path, tiny: RunConfig) -> Path:
    """Return the folder of a run of two steps. Copy it before changing it."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(faces, run, tiny)
    return run


@pytest.fixture(scope="session", autouse=True)
def small_snapshots() -> Iterator[None]:
    """Show four samples in the snapshots of runs instead of 24: sampling is most of a tiny run's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("styleganv.training.run_log.NUM_CONTENT_SEEDS", 2)
        patch.setattr("styleganv.training.run_log.NUM_MOTION_SEEDS", 2)
        yield


@pytest.fixture
def gpu() -> Iterator[torch.device]:
    """Yield a CUDA device: the machine's or, without one, a pretended one that raises where devices mix."""
    with any_gpu() as device:
        yield device


@pytest.fixture
def transfers() -> Iterator[TransferLog]:
    """Pretend that there is a CUDA device, and yield the counts of its work."""
    with fake_cuda() as log:
        yield log


@pytest.fixture
def no_run_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the curves and snapshots of runs, which take most of the time of a tiny run."""
    monkeypatch.setattr("styleganv.training.run_log.RunLog.write_curves", lambda *_: None)
    monkeypatch.setattr("styleganv.training.run_log.RunLog.write_snapshot", lambda *_: None)


@pytest.fixture
def small_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resize frames for EfficientNet to 64×64, which takes a tenth of the time. Not for tests of its numbers."""
    monkeypatch.setattr("styleganv.metrics.features.EFFICIENTNET_SIZE", (64, 64))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; skips where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)
