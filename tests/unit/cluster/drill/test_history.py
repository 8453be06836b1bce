"""Records on disk: what is written comes back, and a run that was cut short can be read."""

import threading
from pathlib import Path

import pytest

from cluster.drill.history import (
    Guarantee,
    History,
    HistoryError,
    HistoryFile,
    Mark,
    Outcome,
    State,
)
from cluster.drill.history import read as read_history
from tests.unit.cluster.drill.histories import append, insert, read, read_nothing

CALLS = [
    insert(0, 10, "a", group="shard-1"),
    append(20, 30, "b", state=State(("a", "b"), 2), client=3),
    append(40, 50, "c", outcome=Outcome.UNKNOWN, error="AutoReconnect: connection closed"),
    read(60, 70, "a", "b", guarantee=Guarantee.MAJORITY),
    read_nothing(80, 90),
]


def write(path: Path) -> None:
    with HistoryFile(path) as file:
        for call in CALLS:
            file.append(call)
        file.append(Mark(25, "SIGKILL shard-1-1"))


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "h.jsonl")
    found = read_history(tmp_path / "h.jsonl")
    assert found.calls == CALLS
    assert found.marks == [Mark(25, "SIGKILL shard-1-1")]


def test_records_come_in_the_order_of_time() -> None:
    found = History([CALLS[3], Mark(25, "x"), *CALLS[:3]]).records()
    assert found == [*CALLS[:2], Mark(25, "x"), *CALLS[2:4]]


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    write(tmp_path / "h.jsonl")
    write(tmp_path / "h.jsonl")
    assert len(read_history(tmp_path / "h.jsonl").calls) == 2 * len(CALLS)


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "h.jsonl"
    write(path)
    path.write_bytes(path.read_bytes()[:-cut])
    found = read_history(path)
    assert found.calls == CALLS
    assert found.marks == []


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{}\n" + lines[1])
    with pytest.raises(HistoryError, match="line 2"):
        read_history(path)


def test_lines_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    with HistoryFile(path) as file:

        def write_many(name: int) -> None:
            for i in range(200):
                file.append(append(i, i, f"{name}-{i}"))

        threads = [threading.Thread(target=write_many, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({call.token for call in read_history(path).calls}) == 800
