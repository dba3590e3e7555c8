"""Control of a training from another process: a request to stop, and a resume that outlives who starts it.

The request is a file in the run folder, and no signal to a process ID, since an ID can belong to another process by the
time that it is used. It also reaches trainings on other machines that share the folder.
"""

import subprocess
import sys
from pathlib import Path

from styleganv.errors import StyleganvError
from styleganv.files import is_locked

#: Files in the run folder: the request, and what a resumed training prints.
STOP_FILE, OUTPUT_FILE = "stop", "output.log"


def request_stop(run: Path) -> None:
    """Ask the training in a run folder to save and exit; it answers within a second or a step.

    Raises:
        StyleganvError: if there is none.
    """
    if not is_locked(run / ".lock"):
        raise StyleganvError(f"{run} is not in training: there is nothing to stop.")
    try:
        (run / STOP_FILE).touch()
    except OSError as error:
        raise StyleganvError(f"Cannot write {run / STOP_FILE} ({error.strerror}): stop it with Ctrl-C.") from error


def has_stop_request(run: Path) -> bool:
    """Return whether the training was asked to stop."""
    return (run / STOP_FILE).exists()


def remove_stop_request(run: Path) -> None:
    """Remove a request that was answered, or that was meant for an earlier training."""
    (run / STOP_FILE).unlink(missing_ok=True)


def start_resume(run: Path) -> "subprocess.Popen[bytes]":
    """Start `styleganv train --resume` in a session of its own; what it prints is appended to `OUTPUT_FILE`.

    Raises:
        StyleganvError: if the run is in training, or its output cannot be written.
    """
    if is_locked(run / ".lock"):
        raise StyleganvError(f"{run} is in training already: there is nothing to resume.")
    command = [sys.executable, "-m", "styleganv", "train", "--resume", str(run)]
    try:
        with open(run / OUTPUT_FILE, "ab") as output:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
    except OSError as error:
        raise StyleganvError(
            f"Cannot resume {run} ({error.strerror or error}): check the permissions of its folder."
        ) from error
