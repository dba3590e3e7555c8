import os
import subprocess
import sys

import pytest
import torch

from styleganv.config import get_preset
from styleganv.openmp import WAIT_VARIABLES, wait_passively, working_threads

#: Prints the wait policy at the moment when torch is about to be loaded, and stops there.
PROBE = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            sys.exit()
sys.meta_path.insert(0, Watch())
import styleganv
styleganv.Clip
"""


def test_threads_wait_passively_before_torch_is_loaded() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in WAIT_VARIABLES}
    run = subprocess.run([sys.executable, "-c", PROBE], env=environment, check=True, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["PASSIVE"]


@pytest.mark.parametrize("name", WAIT_VARIABLES)
def test_variables_set_by_the_user_are_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in WAIT_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, "ACTIVE" if name == "OMP_WAIT_POLICY" else "1000")
    before = dict(os.environ)
    monkeypatch.delitem(sys.modules, "torch")
    wait_passively()
    assert dict(os.environ) == before


def test_nothing_is_set_if_torch_is_already_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in WAIT_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    wait_passively()
    assert not any(variable in os.environ for variable in WAIT_VARIABLES)


def test_working_threads_are_restored() -> None:
    counts = []
    before = torch.get_num_threads()
    with working_threads(before + 1):
        counts.append(torch.get_num_threads())
        with working_threads(None):
            counts.append(torch.get_num_threads())
    assert counts == [before + 1] * 2 and torch.get_num_threads() == before
    assert get_preset("tiny-cpu").training.num_threads == 1
