import os
import subprocess
import sys

import pytest
import torch

from styleganv.config import get_preset
from styleganv.openmp import WAITING, working_threads

LOOK = """
import os, sys
if sys.argv[1] == "torch first":
    import torch
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("when torch loads:", os.environ.get("OMP_WAIT_POLICY"))
sys.meta_path.insert(0, Watch())
import styleganv
styleganv.Clip
print("then:", os.environ.get("OMP_WAIT_POLICY"))
"""


def seen(order: str = "ours first", **config: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name not in WAITING} | config
    run = [sys.executable, "-c", LOOK, order]
    return subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()


def test_threads_wait_passively_from_the_moment_that_torch_is_loaded() -> None:
    assert seen() == ["when torch loads: PASSIVE", "then: PASSIVE"]


@pytest.mark.parametrize("name", WAITING)
def test_what_the_user_has_set_stays(name: str) -> None:
    value = "ACTIVE" if name == "OMP_WAIT_POLICY" else "1000"
    assert seen(**{name: value})[-1] == f"then: {value if name == 'OMP_WAIT_POLICY' else None}"


def test_nothing_is_set_where_torch_is_there_already() -> None:
    assert seen("torch first") == ["then: None"]


def test_a_tiny_training_works_on_one_thread_and_leaves_the_number_as_it_was() -> None:
    seen = []
    before = torch.get_num_threads()
    with working_threads(before + 1):
        seen.append(torch.get_num_threads())
        with working_threads(None):
            seen.append(torch.get_num_threads())
    assert seen == [before + 1] * 2 and torch.get_num_threads() == before
    assert get_preset("tiny-cpu").training.num_threads == 1
