"""Standard output and error: readers that leave, closed and full streams, narrow encodings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: A command's skeleton: much output, then the work that must be done.
PROGRAM = """
import sys, pathlib
from styleganv.cli import streams
streams.tolerate_streams()
for i in range(20_000):
    print("result", i)
    print("progress", i, file=sys.stderr)
error = streams.output_error()
pathlib.Path(sys.argv[1]).write_text("done" if error is None else str(error.strerror))
"""


def run(*argv: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *argv], text=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def closed_pipe() -> int:
    """Return the writing end of a pipe without a reader."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing  # type: ignore[misc]
    os.close(writing)


@pytest.mark.parametrize("names", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_work_is_done_although_nobody_reads(names: tuple[str, ...], closed_pipe: int, tmp_path: Path) -> None:
    streams: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = run("-c", PROGRAM, str(tmp_path / "out"), **(streams | dict.fromkeys(names, closed_pipe)))
    assert done.returncode == 0 and (tmp_path / "out").read_text() == "done"
    assert "Error" not in (done.stderr or "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_only_where_results_are_lost(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        run("-c", PROGRAM, str(tmp_path / "out"), stdout=full, stderr=subprocess.DEVNULL)
        assert (tmp_path / "out").read_text() == "No space left on device"
        run("-c", PROGRAM, str(tmp_path / "out"), stdout=subprocess.DEVNULL, stderr=full)
        assert (tmp_path / "out").read_text() == "done"


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors")
def test_closed_streams_do_not_catch_other_files(tmp_path: Path) -> None:
    """A file opened next must not get the number of standard output: whatever writes there would damage it."""
    program = """
import os, sys
from styleganv.cli import streams
streams.tolerate_streams()
print("result"), print("progress", file=sys.stderr)
with open(sys.argv[1], "w") as file:
    os.write(1, b"from a C library")
    file.write(str(file.fileno() > 2))
"""
    subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", program, str(tmp_path / "out")], check=True
    )
    assert (tmp_path / "out").read_text() == "True"


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], ["--version"]])
def test_commands_into_a_closed_pipe_and_a_narrow_encoding(command: list[str], closed_pipe: int) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = run("-m", "styleganv", *command, stdout=closed_pipe, stderr=subprocess.PIPE, env=environment)
    assert done.returncode == 0 and not done.stderr
    done = run("-m", "styleganv", *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert done.returncode == 0 and not done.stderr and done.stdout.isascii()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_names_that_no_encoding_has_are_shown() -> None:
    command = [sys.executable, "-m", "styleganv", "train", "--resume", b"no\xff\xc3run"]
    for encoding in ("utf-8", "ascii"):
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        done = subprocess.run(command, stderr=subprocess.PIPE, env=environment)
        assert done.returncode == 1 and done.stderr.startswith(rb"styleganv: No run found in no\xff\xc3run: ")


def test_a_program_that_follows_the_progress_ends_the_command(closed_pipe: int, tmp_path: Path) -> None:
    program = PROGRAM.replace("range(20_000)", "range(3)")
    environment = os.environ | {"STYLEGANV_PROGRESS": "json"}
    done = run("-c", program, str(tmp_path / "out"), stdout=subprocess.PIPE, stderr=closed_pipe, env=environment)
    assert done.returncode != 0 and not (tmp_path / "out").exists()
