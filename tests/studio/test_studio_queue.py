"""The queue of a model: urgent work first, clients in turn, bounded work; and the end of a growing log."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from styleganv.studio import work_queue
from styleganv.studio.work_queue import Priority, QueueClosedError, QueueFullError, Turn, WorkQueue


@pytest.fixture
def queue() -> Iterator[WorkQueue]:
    queue = WorkQueue("test")
    yield queue
    queue.close()


class Blocked:
    """Within the block, the queue's thread is busy, so that tasks wait."""

    def __init__(self, queue: WorkQueue) -> None:
        self.queue, self.is_released = queue, threading.Event()

    def __enter__(self) -> None:
        is_running = threading.Event()

        def wait(_: Turn) -> None:
            is_running.set()
            self.is_released.wait(20)

        self.queue.submit(Priority.FRAMES, "blocked", wait)
        assert is_running.wait(20)

    def __exit__(self, *_: object) -> None:
        self.is_released.set()


def test_frames_precede_thumbnails_and_clients_take_turns(queue: WorkQueue) -> None:
    order: list[str] = []
    with Blocked(queue):
        thumbnails = [("t", i) for i in range(3)] + [("u", 0)]
        futures = [
            queue.submit(priority, client, lambda _, text=f"{client}{i}": order.append(text))
            for priority, tasks in (
                (Priority.THUMBNAILS, thumbnails),
                (Priority.FRAMES, [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("c", 0)]),
            )
            for client, i in tasks
        ]
    for future in futures:
        future.result(20)
    assert order == ["a0", "b0", "c0", "a1", "b1", "a2", "t0", "u0", "t1", "t2"]


def test_thumbnails_give_way_to_frames_of_viewers_and_still_go_on(
    queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_queue, "MAX_WAIT_SECONDS", 0.1)
    counts: Counter[str] = Counter()
    is_done = threading.Event()

    def thumbnail(turn: Turn) -> None:
        for _ in range(4):
            turn.give_way()
            counts["steps"] += 1
            counts["frames at the last step"] = counts["frames"]
        is_done.set()

    def play(_: Turn) -> None:
        counts["frames"] += 1
        time.sleep(0.002)

    with Blocked(queue):
        queue.submit(Priority.THUMBNAILS, "filmstrip", thumbnail)
        queue.submit(Priority.FRAMES, "viewer", play)
    deadline = time.monotonic() + 30
    while not is_done.is_set():  # The next request of a viewer comes a moment after the response.
        assert time.monotonic() < deadline
        queue.submit(Priority.FRAMES, "viewer", play).result(20)
        time.sleep(0.001)
    assert counts["steps"] == 4
    assert counts["frames at the last step"] >= 20  # 0.1 s of frames before each step


def test_turn_ends_only_while_others_wait(queue: WorkQueue) -> None:
    assert not queue.submit(Priority.FRAMES, "a", lambda turn: turn.is_over(32)).result(20)
    with Blocked(queue):
        turns = [queue.submit(Priority.FRAMES, each, lambda turn: [turn.is_over(n) for n in (1, 4)]) for each in "ab"]
    assert [turn.result(20) for turn in turns] == [[False, True], [False, False]]


def test_waiting_tasks_of_a_client_are_limited_and_canceled_ones_do_not_run(queue: WorkQueue) -> None:
    order: list[int] = []
    with Blocked(queue):
        futures = [queue.submit(Priority.THUMBNAILS, "a", lambda _, i=i: order.append(i), limit=3) for i in range(3)]
        with pytest.raises(QueueFullError):
            queue.submit(Priority.THUMBNAILS, "a", lambda _: order.append(3), limit=3)
        other = queue.submit(Priority.THUMBNAILS, "b", lambda _: order.append(9), limit=3)
        assert futures[1].cancel()
    for future in (futures[0], futures[2], other):
        future.result(20)
    assert order == [0, 9, 2]


def test_errors_reach_the_client_and_the_queue_goes_on(queue: WorkQueue) -> None:
    def fail(_: Turn) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        queue.submit(Priority.FRAMES, "a", fail).result(20)
    assert queue.submit(Priority.FRAMES, "a", lambda _: 7).result(20) == 7


def test_closed_queue_ends_what_waits_and_what_gives_way() -> None:
    queue, is_running = WorkQueue("test"), threading.Event()

    def endless(turn: Turn) -> None:
        while True:
            is_running.set()
            turn.give_way()
            time.sleep(0.001)

    running = queue.submit(Priority.THUMBNAILS, "a", endless)
    waiting = queue.submit(Priority.THUMBNAILS, "a", endless)
    assert is_running.wait(20)
    queue.close()
    with pytest.raises(QueueClosedError):
        running.result(20)
    with pytest.raises(QueueClosedError):
        waiting.result(20)
    with pytest.raises(QueueClosedError):
        queue.submit(Priority.FRAMES, "a", endless)
