"""Waiting for the jobs of a studio."""

import time
from collections.abc import Callable
from typing import Any

from styleganv.studio.job import Job


def wait_until(condition: Callable[[], Any], seconds: float = 400) -> None:
    """Wait for long, if need be: jobs have low priority, and took ten times as long next to four busy processes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait(job: Job) -> Job:
    wait_until(lambda: job.is_finished)
    return job
