"""Processes that start at once: on Linux, forks of one process per test session that has loaded PyTorch already.

They have the interface of `subprocess.Popen`, and a session of their own. Not for tests of what happens when Python
starts or ends, or of what a process inherits.
"""

import faulthandler
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import connection, reduction
from multiprocessing.process import _children  # type: ignore[attr-defined]
from typing import IO, Any

#: With `torch._dynamo`, which the first optimizer of a process loads.
PRELOAD = [
    "styleganv.cli",
    "styleganv.runs",
    "styleganv.methods.stylegan_v.trainer",
    "styleganv.studio.server",
    "styleganv.study.trial",
    "torch._dynamo",
    "tensorboard",
]
#: A process that takes too long is asked by this signal where it is.
DUMP = getattr(signal, "SIGUSR1", 0)
PIPE, DEVNULL, TimeoutExpired = subprocess.PIPE, subprocess.DEVNULL, subprocess.TimeoutExpired


class _Cold(subprocess.Popen[str]):
    """A new process, where forks are unsafe or unknown."""

    def __init__(self, args: Sequence[object], **options: Any) -> None:
        usual = {"text": True, "errors": "replace", "start_new_session": os.name == "posix"}
        super().__init__([str(word) for word in args], **(usual | options))


class _Warm:
    """`subprocess.Popen([sys.executable, "-m" or "-c", ...], text=True)`, with what the tests use of it."""

    def __init__(
        self, args: Sequence[object], *, stdout: Any = None, stderr: Any = None, env: Any = None, **options: Any
    ) -> None:
        assert args[0] == sys.executable
        assert options.keys() <= {"text", "errors", "start_new_session", "stdin"}, options
        self.stdout, out = _output(stdout, 1)
        self.stderr, err = _output(stderr, 2)
        start = _Start([str(word) for word in args[1:]], (out, err), dict(os.environ if env is None else env))
        self._process = context.Process(target=start)
        self._process.start()
        _children.discard(self._process)  # which multiprocessing polls from any thread, and joins at its end
        self._lock = threading.Lock()
        for fd, asked in ((out, stdout), (err, stderr)):
            if asked in (PIPE, DEVNULL):
                os.close(fd)
        self.pid: int = self._process.pid  # type: ignore[assignment]

    @property
    def returncode(self) -> int | None:
        with self._lock:  # the status can be read once
            return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        connection.wait([self._process.sentinel], timeout)
        if (status := self.returncode) is None:
            raise subprocess.TimeoutExpired("a warm process", timeout or 0)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        end = time.monotonic() + (timeout or 3600)
        pool = ThreadPoolExecutor(2)
        texts = [pool.submit(file.read) if file else None for file in (self.stdout, self.stderr)]
        try:
            self.wait(end - time.monotonic())
            stdout, stderr = ("" if text is None else text.result(end - time.monotonic()) for text in texts)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.kill(self.pid, DUMP)
                connection.wait([self._process.sentinel], 2)
            with suppress(ProcessLookupError):  # the group can outlive its leader
                os.killpg(self.pid, signal.SIGKILL)
            for text in filter(None, texts):
                with suppress(Exception):  # the first error counts
                    error.add_note(text.result(10)[-5000:])
            raise
        finally:
            pool.shutdown(wait=False)
        return stdout, stderr

    def __enter__(self) -> "_Warm":
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        for file in (self.stdout, self.stderr):
            if file:
                file.close()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


if sys.platform == "linux":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    Popen = _Warm
else:
    Popen = _Cold  # type: ignore[misc, assignment]


def run(args: Sequence[object], timeout: float = 240, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Like `subprocess.run` with `capture_output` and `text`."""
    process = Popen(args, stdout=PIPE, stderr=PIPE, **options)
    try:
        stdout, stderr = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(list(args), process.wait(), stdout, stderr)


def run_two(function: Callable[..., None], *arguments: object, max_restarts: int = 0) -> None:
    """Call a function in two processes, which the launcher of torchrun starts, and restarts if one of them fails."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id="two",
        max_restarts=max_restarts,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="forkserver" if sys.platform == "linux" else "spawn",
        monitor_interval=0.1,
    )
    elastic_launch(launch, function)(*arguments)


def _output(asked: Any, inherited: int) -> tuple[IO[str] | None, int]:
    """Return the reading end of a pipe, if one is asked for, and the descriptor to write to."""
    if asked is None:
        return None, inherited
    if asked == DEVNULL:
        return None, os.open(os.devnull, os.O_WRONLY)
    if asked == PIPE:
        reading, writing = os.pipe()
        return os.fdopen(reading, errors="replace"), writing
    return None, asked if isinstance(asked, int) else asked.fileno()


class _Start:
    """Make the fork what a new process would be: its own session, environment, streams and signals; then run it."""

    def __init__(self, words: list[str], outputs: tuple[int, int], env: dict[str, str]) -> None:
        self.words, self.outputs, self.env = words, outputs, env

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"outputs": [reduction.DupFd(fd) for fd in self.outputs]}

    def __call__(self) -> None:
        os.setsid()
        multiprocessing.set_start_method(None, force=True)  # type: ignore[arg-type]
        os.environ.clear()
        os.environ.update(self.env)
        for number, output in enumerate(self.outputs, start=1):
            fd = output.detach()  # type: ignore[attr-defined]
            os.dup2(fd, number)
            os.close(fd)
        sys.stdin = open(os.devnull)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        faulthandler.register(DUMP, all_threads=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        sys.exit(self.exit_code())

    def exit_code(self) -> Any:
        """Run the program and forget its exception, which would keep alive what it refers to, such as data workers."""
        import torch

        torch.set_num_threads(1)
        option, name, *sys.argv[1:] = self.words
        try:
            if option == "-m":
                runpy.run_module(name, run_name="__main__", alter_sys=True)
            else:
                exec(name, {"__name__": "__main__"})
        except SystemExit as end:
            return end.code
        return 0
