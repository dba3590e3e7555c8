"""Checkpoints: what a disk may do to them."""

import logging
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from styleganv.errors import StyleganvError
from styleganv.training.checkpoint import (
    has_checkpoint,
    is_disk_full,
    load_checkpoint,
    previous_checkpoint,
    save_checkpoint,
    set_damaged_aside,
)


def state(step: int) -> dict[str, Any]:
    return {"step": step, "generator": {"weight": torch.arange(2000.0), "bias": torch.ones(3)}}


def flip_bit(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def test_every_flipped_bit_is_detected(tmp_path: Path) -> None:
    path, chosen = tmp_path / "checkpoint.pt", random.Random(0)
    save_checkpoint(path, state(1))
    whole = path.read_bytes()
    for position in [0, *(chosen.randrange(len(whole) - 71) for _ in range(60)), len(whole) - 1]:
        flip_bit(path, position, chosen.randrange(8))
        with pytest.raises(StyleganvError, match="damaged"):
            load_checkpoint(path)
        path.write_bytes(whole)
    assert load_checkpoint(path)["step"] == 1


def test_a_checkpoint_of_version_0_1_still_loads_and_its_damage_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"format": 1, **state(1)}, path)
    assert torch.equal(load_checkpoint(path)["generator"]["weight"], torch.arange(2000.0))
    flip_bit(path, path.read_bytes().index(torch.arange(2000.0).numpy().tobytes()) + 4003, 6)
    with pytest.raises(StyleganvError, match="damaged"):
        load_checkpoint(path)


def test_the_previous_checkpoint_is_kept_offered_and_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "checkpoint.pt"
    for step in (1, 2, 3):
        save_checkpoint(path, state(step))
    assert load_checkpoint(path)["step"] == 3 and load_checkpoint(previous_checkpoint(path))["step"] == 2
    flip_bit(path, 1000)
    with pytest.raises(StyleganvError, match=r"delete it to resume from .*checkpoint\.previous\.pt"):
        load_checkpoint(path)
    with caplog.at_level(logging.WARNING, "styleganv"):
        set_damaged_aside(path)
    assert "resuming from" in caplog.text and (tmp_path / "checkpoint.damaged.pt").exists()
    assert has_checkpoint(tmp_path) and load_checkpoint(path)["step"] == 2
    save_checkpoint(path, state(3))  # the damaged one does not take the place of the good one
    assert load_checkpoint(path)["step"] == 3 and load_checkpoint(previous_checkpoint(path))["step"] == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.name != "posix"
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True
        ).returncode
    ):
        pytest.skip("only root on Linux can mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_costs_the_previous_checkpoint_first_and_never_the_last(small_disk: Path) -> None:
    path = small_disk / "checkpoint.pt"
    big = {"weight": torch.zeros(25_000)}  # 100 kB: two fit, three do not
    for step in (1, 2, 3):
        save_checkpoint(path, {"step": step} | big)
    assert load_checkpoint(path)["step"] == 3
    with pytest.raises(StyleganvError) as caught:
        save_checkpoint(path, {"step": 4, "weight": torch.zeros(100_000)})
    assert is_disk_full(caught.value) and load_checkpoint(path)["step"] == 3
    assert not [entry for entry in small_disk.iterdir() if "part" in entry.name]
