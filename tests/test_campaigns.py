"""The campaigns of `make fuzz` and `make crash` notice planted faults."""

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SENTENCE = "styleganv: X not found: pass another."

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the campaigns need Linux")


@pytest.fixture
def campaigns(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """Return the modules `sandbox` and `case`, which are imported from the root of the repository."""
    monkeypatch.syspath_prepend(str(ROOT))
    from tests.campaigns import case, sandbox

    return sandbox, case


def fail(text: str, status: int = 1) -> None:
    print(text, file=sys.stderr)
    sys.exit(status)


def leave_process() -> None:
    subprocess.Popen(["sleep", "60"])


def use_memory() -> None:
    with mmap.mmap(-1, 2**27) as memory:  # new pages, as memory that the tests have freed is not returned
        memory.write(b"x" * 2**27)


FAULTS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "traceback": (lambda: 1 / 0, {}),
    "status": (lambda: os.kill(os.getpid(), 9), {}),
    "hang": (lambda: time.sleep(60), {}),
    "outside": (lambda: Path("precious").write_text("changed"), {}),
    "leftovers": (lambda: Path("out/.x.part-1").touch(), {}),
    "incomplete": (lambda: (Path("out/x").touch(), fail(SENTENCE)), {}),
    "survivors": (leave_process, {}),
    "memory": (use_memory, {}),
    "sentence": (lambda: fail(f"{SENTENCE}\n{SENTENCE}"), {}),
    "accepted": (lambda: None, {"must": "refuse"}),
    "refused": (lambda: fail(SENTENCE), {"must": "succeed"}),
    "result": (lambda: None, {"check": lambda _: "wrong"}),
}


def marks_of(fault: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if fault in ("hang", "survivors") else []


@pytest.mark.parametrize("fault", [*(pytest.param(name, marks=marks_of(name)) for name in FAULTS), None])
def test_each_fault_is_noticed(
    campaigns: tuple[ModuleType, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str | None
) -> None:
    sandbox, case = campaigns
    monkeypatch.setattr(case, "MAX_BYTES", 2**26)
    folder = tmp_path / "at"
    (folder / "out").mkdir(parents=True)
    (folder / "precious").write_text("keep")
    call, expected = FAULTS[fault] if fault else (lambda: fail(SENTENCE), {})
    before = sandbox.snapshot(folder)
    outcome = sandbox.run_call(
        call, cwd=folder, env=dict(os.environ), output=tmp_path / "output", timeout=1.0 if fault == "hang" else 20.0
    )
    changed = sandbox.changes(before, sandbox.snapshot(folder))
    problems = case.judge(case.Case([], "", ("out",), **expected), outcome, changed, folder)
    assert (fault in {problem.split(":")[0] for problem in problems}) if fault else not problems, problems
