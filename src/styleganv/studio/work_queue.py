"""The queue of one model: one thread, urgent work first, clients in turn.

    viewers ────▶ FRAMES ─────┐
    thumbnails ─▶ THUMBNAILS ─┴──▶ the thread of the model

Among tasks of the same priority, each client has one turn at a time, and the next turn is that of the client that has
waited longest. A long task calls `Turn.give_way` between its steps, so that more urgent tasks run in between.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

T = TypeVar("T")

#: Frames in a turn, and its seconds, while other viewers wait.
MAX_FRAMES_PER_TURN, MAX_TURN_SECONDS = 4, 0.1
#: How long less urgent work waits for the next request of a viewer, who requests frames one after the other.
GRACE_SECONDS = 0.015
#: Less urgent work waits at most this long between two of its steps, so that a slow model still shows thumbnails.
MAX_WAIT_SECONDS = 0.5
#: How long `close` waits for the running task.
CLOSE_SECONDS = 5.0


class Priority(IntEnum):
    """Kinds of work, the most urgent first."""

    FRAMES = 0
    THUMBNAILS = 1


class QueueFullError(Exception):
    """A client has as many tasks of a priority waiting as it may."""


class QueueClosedError(Exception):
    """The studio is stopping."""


@dataclass(eq=False, frozen=True)
class _Task:
    priority: Priority
    client: Hashable
    function: "Callable[[Turn], Any]"
    future: "Future[Any]"


class Turn:
    """The turn of a task, which its function receives."""

    def __init__(self, queue: "WorkQueue", priority: Priority) -> None:
        self._queue, self._priority, self._start = queue, priority, time.monotonic()

    def is_over(self, num_frames: int) -> bool:
        """Return whether a task that has this many frames should leave the rest to the client's next turn."""
        is_long = num_frames >= MAX_FRAMES_PER_TURN or time.monotonic() - self._start > MAX_TURN_SECONDS
        return is_long and self._queue.has_waiting(self._priority)

    def give_way(self) -> None:
        """Run more urgent tasks now. Raises QueueClosedError once the queue is closed."""
        self._queue.run_urgent(self._priority)


class WorkQueue:
    """Tasks of clients, run by one thread, which starts with the first task."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._condition = threading.Condition()
        self._waiting: list[OrderedDict[Hashable, deque[_Task]]] = [OrderedDict() for _ in Priority]
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._frames_end = self._last_step = -1e9  # when frames were last done, and when less urgent work last went on

    def submit(
        self, priority: Priority, client: Hashable, function: Callable[[Turn], T], *, limit: int | None = None
    ) -> "Future[T]":
        """Run a function in the client's next turn.

        Raises:
            QueueFullError: if `limit` tasks of this priority and client are waiting.
            QueueClosedError: once the queue is closed.
        """
        task = _Task(priority, client, function, Future())
        with self._condition:
            if self._is_closed:
                raise QueueClosedError
            tasks = self._waiting[priority].get(client, deque())
            if limit is not None and len(tasks) >= limit:
                raise QueueFullError
            if priority != Priority.FRAMES and not any(self._waiting[1:]) and self._is_overdue():
                self._last_step = time.monotonic()  # It waits from now on.
            tasks.append(task)
            self._waiting[priority].setdefault(client, tasks)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._condition.notify()
        return task.future

    def has_waiting(self, priority: Priority) -> bool:
        """Return whether another task of this priority waits."""
        return bool(self._waiting[priority])

    def close(self) -> None:
        """End the waiting tasks with QueueClosedError, and wait for the running one."""
        with self._condition:
            self._is_closed = True
            tasks = [task for clients in self._waiting for tasks in clients.values() for task in tasks]
            for clients in self._waiting:
                clients.clear()
            self._condition.notify()
        for task in tasks:
            if task.future.set_running_or_notify_cancel():
                task.future.set_exception(QueueClosedError())
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def run_urgent(self, priority: Priority) -> None:
        """Run all tasks more urgent than a priority, for `MAX_WAIT_SECONDS` at most; see `Turn.give_way`."""
        while not self._is_overdue():
            with self._condition:
                task = self._pop(Priority(priority))
                if task is None:
                    grace = self._frames_end + GRACE_SECONDS - time.monotonic()
                    if grace <= 0 or self._is_closed:
                        break
                    self._condition.wait(grace)
                    continue
            self._run(task)
        if self._is_closed:
            raise QueueClosedError
        self._last_step = time.monotonic()

    def _work(self) -> None:
        while True:
            with self._condition:
                while (task := self._next()) is None:
                    if self._is_closed:
                        return
                    self._condition.wait()
            self._run(task)
            del task  # Its client may be gone, and the next task may be far.

    def _next(self) -> _Task | None:
        """Return the most urgent task, or one that has waited too long."""
        if any(self._waiting[1:]) and self._is_overdue():
            return self._pop(first=1)
        return self._pop()

    def _is_overdue(self) -> bool:
        return time.monotonic() - self._last_step >= MAX_WAIT_SECONDS

    def _pop(self, end: int = len(Priority), *, first: int = 0) -> _Task | None:
        """Remove and return the next task of the priorities from `first` up to, but without, `end`."""
        for clients in self._waiting[first:end]:
            while clients:
                client, tasks = clients.popitem(last=False)
                task = tasks.popleft()
                if tasks:
                    clients[client] = tasks  # at the end
                if task.future.set_running_or_notify_cancel():
                    return task
        return None

    def _run(self, task: _Task) -> None:
        turn = Turn(self, task.priority)
        try:
            result = task.function(turn)
        except BaseException as error:
            task.future.set_exception(error)
        else:
            task.future.set_result(result)
        if task.priority == Priority.FRAMES:
            self._frames_end = time.monotonic()
