"""Processes that start at once: forks of one process per test session that has loaded PyTorch already.

They are like those of the module `subprocess`, each in a session of its own. Not for tests of what happens when Python
starts or ends, or of what a process inherits.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import reduction
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
PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL

context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
if sys.platform != "win32":  # which has no forks
    context.set_forkserver_preload(PRELOAD)


class Popen:
    """`subprocess.Popen([sys.executable, "-m" or "-c", ...])`, with what the tests use of it."""

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
        for fd, asked in ((out, stdout), (err, stderr)):
            if asked in (PIPE, DEVNULL):
                os.close(fd)
        self.pid: int = self._process.pid  # type: ignore[assignment]

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    poll = returncode.fget  # type: ignore[attr-defined]

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a warm process", timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        with ThreadPoolExecutor(2) as pool:
            texts = [pool.submit(file.read) if file else None for file in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            stdout, stderr = ("" if text is None else text.result() for text in texts)
        return stdout, stderr

    def __enter__(self) -> "Popen":
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


if sys.platform == "win32":
    Popen = subprocess.Popen  # type: ignore[misc, assignment]


def run(args: Sequence[object], timeout: float = 240, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Like `subprocess.run` with `capture_output` and `text`."""
    process = Popen(args, stdout=PIPE, stderr=PIPE, text=True, **options)
    stdout, stderr = process.communicate(timeout)
    return subprocess.CompletedProcess(list(args), process.wait(), stdout, stderr)


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
        os.environ.clear()
        os.environ.update(self.env)
        for number, output in enumerate(self.outputs, start=1):
            fd = output.detach()  # type: ignore[attr-defined]
            os.dup2(fd, number)
            os.close(fd)
        sys.stdin = open(os.devnull)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
