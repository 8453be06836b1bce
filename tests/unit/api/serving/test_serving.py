"""What the worker is made of: bodies, lanes, paces."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from api.serving.connection import Pace
from api.serving.exchange import Lane
from api.serving.messages import AHEAD, IN_MEMORY, Body, Streamed, Whole
from api.web.body import incomplete
from api.web.problems import ProblemError


def nothing() -> None:
    """A callback."""


def streamed(limit: int) -> Streamed:
    return Streamed(limit, nothing, nothing)


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY])
@pytest.mark.parametrize("make", [Whole, streamed])
def test_a_body_comes_out_as_it_went_in(make: Callable[[int], Body], size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    body = make(size)
    for at in range(0, size, 10_000):
        body.feed(data[at : at + 10_000])
    body.finish()
    read = b""
    while piece := body.stream().read(7_000):
        read += piece
    assert read == data
    assert body.size == size
    body.close()


@pytest.mark.parametrize("make", [Whole, streamed])
def test_a_body_has_a_limit(make: Callable[[int], Body]) -> None:
    body = make(10)
    body.feed(bytes(10))
    with pytest.raises(ProblemError) as caught:
        body.feed(b"x")
    assert caught.value.status == 413
    body.close()


def test_a_reader_gets_what_came_before_it_broke_off() -> None:
    body = streamed(100)
    body.feed(b"abc")
    body.fail(incomplete())
    assert body.read(10) == b"abc"
    with pytest.raises(ProblemError) as caught:
        body.read(10)
    assert caught.value.status == 400


def test_a_reader_asks_once_and_makes_room() -> None:
    calls: list[str] = []
    body = Streamed(10 * AHEAD, lambda: calls.append("wanted"), lambda: calls.append("taken"))
    read: list[bytes] = []

    def reader() -> None:
        while piece := body.read(1000):
            read.append(piece)

    thread = threading.Thread(target=reader)
    thread.start()
    while not calls:
        time.sleep(0.001)
    for _ in range(4):
        body.feed(bytes(AHEAD // 2))
    body.finish()
    thread.join(30)
    assert sum(map(len, read)) == 2 * AHEAD
    assert calls[0] == "wanted"
    assert "wanted" not in calls[1:]


class Work:
    """A job that waits until it may end."""

    def __init__(self) -> None:
        self.arrived = time.perf_counter()
        self.done: list[str] = []
        self.gate = threading.Event()
        self._claimed = threading.Lock()

    @property
    def begun(self) -> bool:
        return self._claimed.locked()

    def claim(self) -> bool:
        return self._claimed.acquire(blocking=False)

    def run(self) -> None:
        self.done.append("run")
        self.gate.wait(30)

    def too_late(self) -> None:
        self.done.append("too late")


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - jobs end in threads, which set no asyncio.Event
        await asyncio.sleep(0.001)


def test_who_waits_too_long_is_refused_and_never_run() -> None:
    async def scenario() -> tuple[Work, list[Work], Work]:
        lane = Lane(asyncio.get_running_loop(), "test", 1, 0.05)
        first, others = Work(), [Work() for _ in range(5)]
        lane.submit(first)
        await until(lambda: first.done)
        for job in others:
            lane.submit(job)
        await until(lambda: all(job.done for job in others))
        last = Work()
        last.gate.set()
        first.gate.set()
        lane.submit(last)
        await until(lambda: last.done)
        return first, others, last

    first, others, last = asyncio.run(asyncio.wait_for(scenario(), 30))
    assert first.done == ["run"]
    assert all(job.done == ["too late"] for job in others)
    assert last.done in (["run"], ["too late"])  # the thread may take a while to come back


def test_a_pace_looks_at_whole_windows() -> None:
    pace = Pace(rate=100, window=10)
    now = time.perf_counter()
    assert not pace.slow(now + 9)  # too early to tell
    pace.moved(5000)
    assert not pace.slow(now + 11)
    now = time.perf_counter()
    pace.moved(50)
    assert pace.slow(now + 11)


def test_a_pace_of_a_total() -> None:
    pace = Pace(rate=100, window=10)
    now = time.perf_counter()
    assert not pace.slow(now, 10_000)
    assert pace.slow(now + 11, 10_500)
