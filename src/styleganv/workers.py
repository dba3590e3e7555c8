"""Worker processes: whatever ends the process that started them ends them too."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from styleganv.errors import StyleganvError

#: Seconds between looks at the parent of a process that `multiprocessing` did not start.
INTERVAL = 0.2


def start_worker(_number: int = 0) -> None:
    """Prepare a worker: its parent handles signals, which a terminal sends to all processes, and ends it."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    exit_with_parent()


def exit_with_parent() -> None:
    """Make this process exit as soon as its parent does, even if the parent is killed and cannot tell it.

    A worker that outlived its parent would keep memory, temporary files and the lock of a run.
    """
    parent = multiprocessing.parent_process()
    pid = os.getppid()

    def watch() -> None:
        if parent is not None:
            parent.join()
        else:
            while os.getppid() == pid:
                time.sleep(INTERVAL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def map_in_processes(count: int) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """Yield a `map` that keeps the order and runs in `count` processes.

    At most two calls per process are pending, so that the disk holds few results.
    """
    if count == 1:
        yield map
        return
    others = multiprocessing.active_children()
    try:
        pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), start_worker)
    except OSError as error:  # e.g. /dev/shm is not writable
        raise StyleganvError(f"Cannot start {count} worker processes ({error}): pass --num-workers 1.") from error

    def run(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        pending: deque[Future[Any]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) == 2 * count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    try:
        yield run
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            if process not in others:
                process.kill()  # it may be in the middle of a long video
        raise
    except BrokenProcessPool as error:
        raise StyleganvError("A worker process died, perhaps for lack of memory: pass --num-workers 1.") from error
    finally:
        pool.shutdown(cancel_futures=True)
