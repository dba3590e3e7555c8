"""The report of benchmarks/gpu.sh, rehearsed without a GPU: it is written whatever fails."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_report(folder: Path, *words: str) -> tuple[str, str]:
    """Return what the command prints, and the report."""
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", "cpu", "--tiny"]
    done = subprocess.run(
        [*command, "--out", str(folder / "report.md"), *words], capture_output=True, text=True, timeout=550
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "report.md").read_text()


@pytest.mark.long
def test_parts_are_measured_and_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    words = "--minutes 60 --parts machine generation compile --sizes 17 16"
    printed, report = run_report(tmp_path, *words.split())
    assert "generation 17: FAILED" in printed and "generation 16: done" in printed and "compile: done" in printed
    assert "Failed parts: generation 17." in report
    assert "Resolution 17x17 cannot be halved" in report  # the end of its output
    sections = report.split("\n## ")
    assert [section.splitlines()[0].split(" (")[0] for section in sections[1:]] == [
        "Machine",
        "Generation 17",
        "Compile",
        "Generation 16",
        "Not measured",
    ]
    assert "PyTorch" in sections[1]
    assert "| plain | " in sections[3] and "| compiled | " in sections[3]
    assert "| float32 | no | " in sections[4]


@pytest.mark.long
def test_a_part_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    printed, report = run_report(tmp_path, "--minutes", "0.12", "--parts", "training", "processes", "--sizes", "16")
    assert printed.count("FAILED") == 2
    assert "Failed parts: processes, training 16." in report
    assert "No time was left." in report and "**Stopped after 1 s.**" in report
