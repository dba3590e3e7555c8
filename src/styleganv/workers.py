"""Worker processes: whatever ends the process that started them ends them too."""

import multiprocessing
import os
import signal
import threading
import time

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
