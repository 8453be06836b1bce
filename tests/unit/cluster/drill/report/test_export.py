"""What the other judges read: their parsers' patterns, and a slow judge of Porcupine's model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import inf
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from msgspec.structs import replace

from cluster.drill.commands import drill
from cluster.drill.history import AUDITOR, Call, Guarantee, History, Kind, Outcome
from cluster.drill.judge.checker import check
from cluster.drill.report.export import Format, export
from cluster.errors import DrillError
from tests.unit.cluster.drill.histories import (
    append,
    delete,
    history,
    insert,
    read,
    read_nothing,
    valid_calls,
)
from tests.unit.cluster.drill.runs import Model, leave

# As in porcupine_test.go, parseKvLog.
PATTERNS = [
    re.compile(rf"{{:process (\d+), :type :{kind}, :f :{verb}, :key \"(.*)\", :value {value}}}")
    for verb in ("get", "put", "append")
    for kind, value in (("invoke", "nil" if verb == "get" else r"\"(.*)\""), ("ok", r"\"(.*)\""))
]


def parsed(lines: Iterator[str]) -> list[tuple[str, str, str, float, float]]:
    """Verb, key, value, begin and end of each operation, as Porcupine's test takes the log."""
    open_ones: dict[int, list[object]] = {}
    operations: list[list[object]] = []
    for moment, line in enumerate(lines):
        assert any(pattern.fullmatch(line) for pattern in PATTERNS), line
        process, kind, verb, key, value = re.findall(
            r'process (\d+), :type :(\w+), :f :(\w+), :key "(.*)", :value (.*)}', line
        )[0]
        if kind == "invoke":
            assert int(process) not in open_ones  # a process has one operation at a time
            open_ones[int(process)] = [verb, key, value, moment, inf]
            operations.append(open_ones[int(process)])
        else:
            one = open_ones.pop(int(process))
            one[2], one[4] = value, moment
    return [tuple(one) for one in operations]  # type: ignore[misc]


def porcupine_accepts(lines: Iterator[str]) -> bool:
    """Try every order of the operations of one key that respects their intervals."""
    operations = parsed(lines)

    @cache
    def search(left: frozenset[int], state: str) -> bool:
        if not left:
            return True
        horizon = min(operations[n][4] for n in left)
        for n in left:
            verb, _, value, begin, _ = operations[n]
            text = value.strip('"')
            if begin <= horizon and (verb != "get" or text == state):
                after = {"get": state, "put": text, "append": state + text}[verb]
                if search(left - {n}, after):
                    return True
        return False

    return search(frozenset(range(len(operations))), "")


@settings(deadline=None)
@given(valid_calls(size=8))
def test_porcupine_accepts_what_is_right(calls: list[Call]) -> None:
    assert porcupine_accepts(export(history(*calls), Format.PORCUPINE))


def test_porcupine_refuses_what_is_wrong() -> None:
    a, b = insert(0, 10, "a"), append(20, 30, "b")
    for wrong in (
        [a, b, read(40, 50, "a")],
        [a, b, read(40, 50, "b", "a")],
        [a, delete(20, 30), read(40, 50, "a")],
        [a, read_nothing(20, 30)],
    ):
        assert check(history(*wrong)) != []
        assert not porcupine_accepts(export(history(*wrong), Format.PORCUPINE))


def test_porcupine_reads_this() -> None:
    unknown = append(20, 30, "b", outcome=Outcome.UNKNOWN)
    calls = [insert(0, 10, "a"), unknown, read(40, 50, "a"), delete(60, 70)]
    assert list(export(history(*calls), Format.PORCUPINE)) == [
        '{:process 0, :type :invoke, :f :put, :key "k", :value "a "}',
        '{:process 0, :type :ok, :f :put, :key "k", :value "a "}',
        '{:process 0, :type :invoke, :f :append, :key "k", :value "b "}',
        '{:process 1, :type :invoke, :f :get, :key "k", :value nil}',
        '{:process 1, :type :ok, :f :get, :key "k", :value "a "}',
        '{:process 1, :type :invoke, :f :put, :key "k", :value ""}',
        '{:process 1, :type :ok, :f :put, :key "k", :value ""}',
    ]


def test_elle_reads_this() -> None:
    calls = [
        read_nothing(0, 5),
        insert(10, 20, "a"),
        append(30, 40, "b", state=read(0, 0, "a", "b").state),
        append(50, 60, "c", outcome=Outcome.FAILED),
        append(70, 80, "d", outcome=Outcome.UNKNOWN),
        delete(90, 100, "a", "b"),
        read_nothing(110, 120),
    ]
    lines = export(history(*calls), Format.ELLE)
    told = [line.replace(":f :txn, ", "").replace(":process", ":p") for line in lines]
    assert told == [
        '{:index 0, :time 0, :p 0, :type :invoke, :value [[:r "k" nil]]}',
        '{:index 1, :time 5, :p 0, :type :ok, :value [[:r "k" nil]]}',
        '{:index 2, :time 10, :p 0, :type :invoke, :value [[:append "k" "a"]]}',
        '{:index 3, :time 20, :p 0, :type :ok, :value [[:append "k" "a"]]}',
        '{:index 4, :time 30, :p 0, :type :invoke, :value [[:append "k" "b"] [:r "k" nil]]}',
        '{:index 5, :time 40, :p 0, :type :ok, :value [[:append "k" "b"] [:r "k" ["a" "b"]]]}',
        '{:index 6, :time 50, :p 0, :type :invoke, :value [[:append "k" "c"]]}',
        '{:index 7, :time 60, :p 0, :type :fail, :value [[:append "k" "c"]]}',
        '{:index 8, :time 70, :p 0, :type :invoke, :value [[:append "k" "d"]]}',
        '{:index 9, :time 80, :p 0, :type :info, :value [[:append "k" "d"]]}',
        '{:index 10, :time 90, :p 1, :type :invoke, :value [[:r "k" nil]]}',
        '{:index 11, :time 100, :p 1, :type :ok, :value [[:r "k" ["a" "b"]]]}',
    ]


@pytest.mark.parametrize("form", Format)
def test_reads_that_promise_less_are_left_out(form: Format) -> None:
    a = insert(0, 10, "a")
    weak = [
        read(20, 30, "a", guarantee=Guarantee.LOCAL),
        read(20, 30, "a", guarantee=Guarantee.MAJORITY),
        append(20, 30, "b", found=0, guarantee=Guarantee.LOCAL),
        replace(read(20, 30, "a"), outcome=Outcome.FAILED, state=None),
    ]
    assert list(export(history(a, *weak), form)) == list(export(history(a), form))


@pytest.mark.parametrize("form", Format)
def test_a_repeated_write_is_one(form: Format) -> None:
    tries = [append(20, 30, "b", outcome=Outcome.UNKNOWN), append(40, 50, "b")]
    lines = list(export(history(insert(0, 10, "a"), *tries), form))
    assert sum('"b' in line for line in lines) == 2, "its invocation and its end"


@pytest.mark.parametrize("form", Format)
def test_processes_alternate_and_time_goes_on(form: Format) -> None:
    calls = [
        replace(c, outcome=Outcome.UNKNOWN, state=None)
        if c.kind is Kind.APPEND and n % 7 == 0
        else c
        for n, c in enumerate(Model().run().calls)
    ]
    busy: set[str] = set()
    lines = list(export(History(calls), form))
    for line in lines:
        ((process, kind),) = re.findall(r":process (\d+), :type :(\w+)", line)
        assert (process in busy) is (kind != "invoke")
        busy ^= {process}
    times = [int(t) for line in lines for t in re.findall(r":time (\d+)", line)]
    assert all(one <= other for one, other in pairwise(times))
    assert any(c.client == AUDITOR for c in calls)


def test_the_command_writes_a_file(tmp_path: Path) -> None:
    leave(tmp_path / "run", Model().run())
    for form in Format:
        out = tmp_path / form
        arguments = ["export", str(tmp_path / "run"), "--as", form.value, "--out", str(out)]
        done = CliRunner().invoke(drill, arguments)
        assert done.exit_code == 0
        assert str(out) in done.output
        assert out.read_text("utf-8").startswith("{:")
    refused = CliRunner().invoke(drill, [*arguments[:-1], str(tmp_path / "no" / "such")])
    assert isinstance(refused.exception, DrillError)
    several = CliRunner().invoke(drill, ["export", str(tmp_path / "no"), *arguments[2:]])
    assert isinstance(several.exception, DrillError)
