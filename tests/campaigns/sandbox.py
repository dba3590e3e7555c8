"""Run the command line in a forked child of a warm process, with limits, and compare the folder before and after.

The parent imports PyTorch once and never computes with it, so that a child can. Linux only.
"""

import atexit
import ctypes
import hashlib
import os
import resource
import select
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 20.0
MAX_BYTES = 2 * 2**30
#: Address space that a child may add: above `MAX_BYTES`, so that the peak is seen, and low enough for the machine.
ADDRESS_SPACE_BYTES = 6 * 2**30
MAX_FILE_BYTES = 2 * 2**30
TRACEBACK_STATUS = 70


@dataclass
class Outcome:
    """How a child ended.

    Attributes:
        status: exit status, or minus the signal that ended it.
        peak_bytes: peak resident memory of the child and of its children, above that at its start.
        survivors: processes of its session that it left behind; they have been killed.
    """

    status: int
    stdout: str
    stderr: str
    seconds: float
    peak_bytes: int
    timed_out: bool = False
    survivors: list[str] = field(default_factory=list)


def warm_up() -> None:
    """Import what commands import, once."""
    import importlib

    import torch

    torch.set_num_threads(1)  # before any computation: a forked child cannot use the threads of its parent
    for name in (
        "PIL.Image",
        "av",
        "yaml",
        "matplotlib.figure",
        "sympy",
        "torch._dynamo",
        "torch._inductor.config",
        "torch.distributed.nn.functional",
        "torch.utils.tensorboard",
        "styleganv.cli",
        "styleganv.data.inspect",
        "styleganv.data.prepare",
        "styleganv.editing.direction_search",
        "styleganv.editing.edit",
        "styleganv.editing.explore",
        "styleganv.editing.project_video",
        "styleganv.interop.import_checkpoint",
        "styleganv.interop.swap",
        "styleganv.metrics.evaluate",
        "styleganv.motion_report.diagnose",
        "styleganv.motion_report.page",
        "styleganv.runs",
        "styleganv.video_files",
    ):
        importlib.import_module(name)


def environment(home: Path, tmp: Path, **more: str) -> dict[str, str]:
    """Return the variables of a child: nothing of the machine but its path, locale and one thread."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "TMPDIR": str(tmp),
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        **more,
    }


def start(call: Callable[[], Any], *, cwd: Path, env: Mapping[str, str], output: Path, limits: bool = True) -> int:
    """Fork a child that runs `call` in its own session, and return its process ID.

    Args:
        call: what to run; its SystemExit is the exit status, and any other exception ends in a traceback.
        cwd: its working directory.
        env: all its environment variables.
        output: folder for the files `stdout` and `stderr`.
        limits: whether to limit its address space and the size of its files.
    """
    output.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = TRACEBACK_STATUS
    try:
        _become(cwd, env, output, limits)
        status = _call(call)
    finally:
        os._exit(status)
    raise AssertionError


def _become(cwd: Path, env: Mapping[str, str], output: Path, limits: bool) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a campaign that is stopped leaves no child
    idle = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    (output / "idle").write_text(str(idle))  # less than the parent's, whose libraries are not mapped yet
    for number, name in ((0, os.devnull), (1, output / "stdout"), (2, output / "stderr")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(name, flags, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # as in a process of its own
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    os.umask(0o022)
    tempfile.tempdir = None  # forget the parent's
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits:
        address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (address_space + ADDRESS_SPACE_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES,) * 2)


def _call(call: Callable[[], Any]) -> int:
    status = 0
    try:
        call()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = TRACEBACK_STATUS
    try:  # what the interpreter does when it ends
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BrokenPipeError:
        pass
    return status


def wait(pid: int, seconds: float) -> tuple[int, Any] | None:
    """Wait for a child; return its status (minus the signal) and resource usage, or None if it runs on."""
    handle = os.pidfd_open(pid)
    try:
        if not select.select([handle], [], [], seconds)[0]:
            return None
    finally:
        os.close(handle)
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), usage


def run_call(
    call: Callable[[], Any],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: Path,
    timeout: float = TIMEOUT_SECONDS,
    limits: bool = True,
) -> Outcome:
    """Run `call` in a child and wait for it; what it leaves behind is reported and killed."""
    before = time.monotonic()
    pid = start(call, cwd=cwd, env=env, output=output, limits=limits)
    ended = None
    while ended is None and (left := timeout - (time.monotonic() - before - starved_seconds(pid))) > 0:
        ended = wait(pid, left)
    timed_out = ended is None
    if ended is None:
        kill_session(pid)
        ended = wait(pid, 10)
        assert ended is not None, "a killed child must end"
    seconds = time.monotonic() - before
    survivors = kill_survivors(pid, patience=2.0)
    texts = [(output / name).read_text(errors="replace") for name in ("stdout", "stderr")]
    peak = max(0, ended[1].ru_maxrss * 1024 - int((output / "idle").read_text() or 0))
    return Outcome(ended[0], *texts, seconds, peak, timed_out, survivors)


def starved_seconds(pid: int) -> float:
    """Return how long a process was ready to run and had no processor, which says nothing about the program."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def run_command(argv: list[str], **options: Any) -> Outcome:
    """Run the command line with these arguments; see `run_call`."""
    return run_call(lambda: command_line(argv), **options)


def command_line(argv: list[str]) -> None:
    """Be the program."""
    from styleganv.cli import main

    sys.argv = ["styleganv", *argv]
    main()


def session_members(session: int) -> dict[int, str]:
    """Return the living processes of a session and their command lines."""
    members = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(its_session) == session and state not in "ZX":
                    members[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ").strip()[:100]
            except OSError:
                continue
    return members


def kill_session(session: int) -> None:
    """Kill every process of a session that a child of ours leads."""
    for pid in session_members(session):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def kill_survivors(session: int, patience: float) -> list[str]:
    """Return the command lines of the processes that outlive their session's leader for long, after killing them."""
    end = time.monotonic() + patience
    while (members := session_members(session)) and time.monotonic() < end:
        time.sleep(0.05)
    if members:
        kill_session(session)
    return list(members.values())


def snapshot(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return kind, mode, size, time and hash of everything below a folder, by path; folders without their times."""
    seen: dict[str, tuple[Any, ...]] = {}
    root = os.fsencode(folder)
    for parent, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(parent, name)
            status = os.lstat(path)
            key = os.fsdecode(os.path.relpath(path, root))
            if stat.S_ISREG(status.st_mode):
                digest = None
                if status.st_size <= 2**20:
                    with open(path, "rb") as file:
                        digest = hashlib.sha256(file.read()).hexdigest()
                seen[key] = (status.st_mode, status.st_size, status.st_mtime_ns, digest)
            else:
                seen[key] = (status.st_mode,)
    return seen


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the paths that differ between two snapshots, each with how."""
    words = []
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            words.append(f"{path} is gone")
        elif path not in before:
            words.append(f"{path} is new")
        elif before[path] != after[path]:
            words.append(f"{path} has changed")
    return words


def empty(folder: Path) -> Path:
    """Return an existing folder with nothing in it; ours, so it may be deleted."""
    if folder.exists():
        shutil.rmtree(os.fsencode(folder))
    folder.mkdir(parents=True)
    return folder
