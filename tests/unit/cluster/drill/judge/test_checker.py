"""One bad history for each promise, made by hand, beside the good one nearest to it."""

import pytest
from msgspec.structs import replace

from cluster.drill.history import AUDITOR, Call, Guarantee, HistoryError, Outcome, State
from cluster.drill.judge.checker import Rule, Violation, check
from tests.unit.cluster.drill.histories import append, delete, history, insert, read, read_nothing


def local(begin: int, end: int, *tokens: str) -> Call:
    return read(begin, end, *tokens, guarantee=Guarantee.LOCAL)


def session(begin: int, end: int, *tokens: str, client: int = 0) -> Call:
    return read(begin, end, *tokens, guarantee=Guarantee.SESSION, client=client)


A = insert(0, 10, "a")
B = append(20, 30, "b")
C = append(40, 50, "c")

GOOD = {
    "all is there": [A, B, C, read(60, 70, "a", "b", "c")],
    "a read that overlaps a write sees it": [A, append(20, 60, "b"), read(30, 40, "a", "b")],
    "a read that overlaps a write does not": [A, append(20, 60, "b"), read(30, 40, "a")],
    "overlapping writes in either order": [
        A,
        append(20, 60, "c"),
        append(20, 60, "b"),
        read(70, 80, "a", "b", "c"),
    ],
    "no answer and no effect": [A, replace(B, outcome=Outcome.UNKNOWN), read(60, 70, "a")],
    "no answer, and an effect long after": [
        A,
        replace(B, outcome=Outcome.UNKNOWN),
        read(60, 70, "a"),
        read(80, 90, "a", "b"),
    ],
    "failed and without effect": [A, replace(B, outcome=Outcome.FAILED), read(60, 70, "a")],
    "nothing before the insert": [read_nothing(-9, -5), A, read(60, 70, "a")],
    "nothing after the delete": [A, B, delete(40, 50, "a", "b"), read_nothing(60, 70)],
    "an append after the delete finds nothing": [A, delete(20, 30), append(40, 50, "b", found=0)],
    "an append that overlaps the delete": [
        A,
        append(20, 60, "b"),
        delete(20, 50),
        read_nothing(70, 80),
    ],
    "a delete without an answer takes effect later": [
        A,
        delete(20, 30, outcome=Outcome.UNKNOWN),
        read(40, 50, "a"),
        read_nothing(60, 70),
    ],
    "a majority read may be old": [A, B, read(60, 70, "a", guarantee=Guarantee.MAJORITY)],
    "a read in a session may be old, and no older than what its client knows": [
        A,
        B,
        append(40, 50, "c", client=1),
        session(60, 70, "a", "b"),
        session(60, 70, "a", client=2),
        session(80, 90, "a", "b", "c"),
    ],
    "one in a session finds nothing before others do, and after its client's delete": [
        A,
        session(20, 30, "a"),
        read_nothing(40, 50, guarantee=Guarantee.SESSION, client=1),
        delete(60, 70, "a"),
        read_nothing(80, 90, guarantee=Guarantee.SESSION),
        session(95, 99, "a", client=2),
    ],
    "a write without an answer binds no session": [
        A,
        append(20, 30, "b", outcome=Outcome.UNKNOWN),
        session(40, 50, "a"),
    ],
    "an append that tells what it left": [A, append(20, 30, "b", state=State(("a", "b"), 2))],
    "a local read saw an append that a failover undid, and that was then made again": [
        insert(0, 10, "a", state=State(("a",), 1)),
        append(20, 90, "b", state=State(("a", "c", "b"), 3)),
        local(30, 40, "a", "b"),
        append(50, 60, "c", state=State(("a", "c"), 2)),
        local(100, 110, "a", "c", "b"),
    ],
    "a local read saw an append without an answer that never was": [
        A,
        append(20, 30, "b", outcome=Outcome.UNKNOWN),
        local(30, 40, "a", "b"),
        local(60, 70, "a"),
    ],
    "local reads only": [A, B, local(40, 50, "a", "b"), C, local(60, 70, "a", "b", "c")],
    "a local read saw a delete that a failover undid": [
        A,
        delete(20, 90, "a", "b"),
        read_nothing(30, 40, guarantee=Guarantee.LOCAL),
        append(50, 60, "b", state=State(("a", "b"), 2)),
    ],
    "several claim the key, and one gets it": [
        A,
        insert(5, 15, "x", outcome=Outcome.FAILED),
        insert(5, 15, "y", outcome=Outcome.UNKNOWN),
        read(20, 30, "a"),
    ],
    "two claim the key without an answer, and the second has it": [
        insert(0, 10, "x", outcome=Outcome.UNKNOWN),
        insert(5, 15, "y", outcome=Outcome.UNKNOWN),
        read_nothing(20, 30),
        read(40, 50, "y"),
    ],
    "two claim the key without an answer, and nobody saw who has it": [
        insert(0, 10, "x", outcome=Outcome.UNKNOWN),
        insert(30, 40, "y", outcome=Outcome.UNKNOWN),
        append(20, 25, "b"),
    ],
    "a write is tried three times, and the first try took effect late": [
        A,
        append(20, 30, "b", outcome=Outcome.UNKNOWN),
        append(40, 50, "b", outcome=Outcome.FAILED),
        read(60, 70, "a"),
        append(80, 90, "b", state=State(("a", "b"), 2)),
        append(100, 110, "c"),
        append(120, 130, "b", state=State(("a", "b"), 2)),
        read(140, 150, "a", "b", "c"),
    ],
    "nothing at all": [],
}

BAD: dict[str, tuple[Rule, list[Call]]] = {
    "a local read misses an acknowledged append": (
        Rule.STALE,
        [A, B, local(40, 50, "a"), local(60, 70, "a", "b")],
    ),
    "no local read sees an acknowledged append": (
        Rule.LOST,
        [A, append(20, 30, "b", state=State(("a", "b"), 2)), local(40, 50, "a")],
    ),
    "a local read sees another list than the one acknowledged": (
        Rule.LOST,
        [A, append(20, 30, "b", state=State(("a", "b"), 2)), C, local(60, 70, "a", "c")],
    ),
    "a local read finds nothing after an acknowledged insert": (
        Rule.LOST,
        [A, read_nothing(20, 30, guarantee=Guarantee.LOCAL)],
    ),
    "a local read sees a token twice": (
        Rule.DOUBLED,
        [A, B, local(40, 50, "a", "b", "b")],
    ),
    "an acknowledged append is gone": (Rule.LOST, [A, B, C, read(60, 70, "a", "c")]),
    "the last append is gone": (Rule.LOST, [A, B, C, read(60, 70, "a", "b")]),
    "an append that was seen is gone": (
        Rule.LOST,
        [A, B, read(40, 50, "a", "b"), read(60, 70, "a")],
    ),
    "the document is gone": (Rule.LOST, [A, read_nothing(20, 30)]),
    "the document is gone before its delete is called": (
        Rule.LOST,
        [A, read_nothing(20, 30), delete(40, 50, outcome=Outcome.UNKNOWN)],
    ),
    "the delete did not remove it": (Rule.LOST, [A, B, delete(40, 50, "a")]),
    "an append is there twice": (Rule.DOUBLED, [A, B, read(60, 70, "a", "b", "b")]),
    "an append counted twice": (
        Rule.DOUBLED,
        [A, B, read(60, 70, "a", "b", state=State(("a", "b"), 3))],
    ),
    "two documents with one key": (Rule.DOUBLED, [A, read(20, 30, "a", found=2)]),
    "appends in the wrong order": (Rule.ORDER, [A, B, C, read(60, 70, "a", "c", "b")]),
    "an append before its insert": (Rule.ORDER, [A, B, read(60, 70, "b", "a")]),
    "an append answered without its token": (
        Rule.ORDER,
        [A, append(20, 30, "b", state=State(("a",), 1))],
    ),
    "a read misses an append": (
        Rule.STALE,
        [A, B, read(40, 50, "a"), read(60, 70, "a", "b")],
    ),
    "an append finds nothing after the insert": (
        Rule.STALE,
        [A, append(20, 30, "b", found=0), read(60, 70, "a")],
    ),
    "a read goes back": (
        Rule.BACKWARDS,
        [A, append(20, 90, "b"), read(30, 40, "a", "b"), read(50, 60, "a"), read(95, 99, "a", "b")],
    ),
    "a read in a session misses its client's own append": (
        Rule.STALE,
        [A, B, session(40, 50, "a"), read(60, 70, "a", "b")],
    ),
    "a read in a session goes back": (
        Rule.BACKWARDS,
        [A, B, session(40, 50, "a", "b", client=1), session(60, 70, "a", client=1)],
    ),
    "a read in a session finds nothing where its client had found something": (
        Rule.BACKWARDS,
        [A, session(40, 50, "a"), read_nothing(60, 70, guarantee=Guarantee.SESSION)],
    ),
    "a read in a session finds what its client has deleted": (
        Rule.RESURRECTED,
        [A, delete(20, 30, "a"), session(40, 50, "a")],
    ),
    "a read in a session sees the future": (
        Rule.FUTURE,
        [A, session(12, 15, "a", "b", client=1), B],
    ),
    "a read sees the future": (Rule.FUTURE, [A, read(12, 15, "a", "b"), B]),
    "a majority read sees the future": (
        Rule.FUTURE,
        [A, read(12, 15, "a", "b", guarantee=Guarantee.MAJORITY), B],
    ),
    "two reads contradict each other": (
        Rule.DIVERGED,
        [
            A,
            append(20, 90, "b"),
            append(20, 90, "c"),
            read(30, 40, "a", "b"),
            read(95, 99, "a", "c"),
        ],
    ),
    "a delete removes less than was seen": (
        Rule.DIVERGED,
        [
            A,
            append(20, 90, "b", outcome=Outcome.UNKNOWN),
            read(30, 40, "a", "b"),
            delete(50, 60, "a"),
        ],
    ),
    "a read after the delete finds it": (Rule.RESURRECTED, [A, delete(20, 30), read(40, 50, "a")]),
    "an append after the delete finds it": (
        Rule.RESURRECTED,
        [A, delete(20, 30), append(40, 50, "b")],
    ),
    "two claims of a key succeed": (
        Rule.CLAIMED_TWICE,
        [A, insert(20, 30, "x"), read(40, 50, "a")],
    ),
    "a claim that was refused took effect": (
        Rule.FAILED_VISIBLE,
        [A, insert(20, 30, "x", outcome=Outcome.FAILED), read(40, 50, "x")],
    ),
    "a claim without an answer replaced one that had succeeded": (
        Rule.FAILED_VISIBLE,
        [A, insert(20, 30, "x", outcome=Outcome.UNKNOWN), read(40, 50, "x")],
    ),
    "a write that was tried twice is there twice": (
        Rule.DOUBLED,
        [A, replace(B, outcome=Outcome.UNKNOWN), append(40, 50, "b"), read(60, 70, "a", "b", "b")],
    ),
    "a write that was tried twice is lost": (
        Rule.LOST,
        [A, replace(B, outcome=Outcome.UNKNOWN), append(40, 50, "b"), read(60, 70, "a")],
    ),
    "a repetition is answered otherwise": (
        Rule.DOUBLED,
        [
            A,
            append(20, 30, "b", state=State(("a", "b"), 2)),
            append(40, 50, "b", found=0),
            read(60, 70, "a", "b"),
        ],
    ),
    "a write was tried again after a read that saw it too early": (
        Rule.FUTURE,
        [A, read(12, 15, "a", "b"), append(20, 30, "b"), append(40, 50, "b")],
    ),
    "a value nobody wrote": (Rule.INVENTED, [A, read(20, 30, "a", "x")]),
    "a document nobody inserted": (Rule.INVENTED, [read(20, 30, "x")]),
    "a value of another key": (
        Rule.INVENTED,
        [A, insert(0, 10, "z", key="other"), read(20, 30, "a", "z")],
    ),
    "a failed append is there": (
        Rule.FAILED_VISIBLE,
        [A, append(20, 30, "b", outcome=Outcome.FAILED), read(60, 70, "a", "b")],
    ),
    "a failed insert is there": (
        Rule.FAILED_VISIBLE,
        [insert(0, 10, "a", outcome=Outcome.FAILED), append(20, 30, "b")],
    ),
    "an append found nothing, and took effect": (
        Rule.FAILED_VISIBLE,
        [A, append(20, 30, "b", found=0), read(60, 70, "a", "b")],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_passes(name: str) -> None:
    assert check(history(*GOOD[name])) == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_found(name: str) -> None:
    rule, calls = BAD[name]
    assert rule in {violation.rule for violation in check(history(*calls))}


def test_a_loss_is_told_once_and_in_words() -> None:
    found = check(history(A, B, read(40, 50, "a"), read(60, 70, "a", client=AUDITOR)))
    assert [violation.rule for violation in found] == [Rule.LOST]
    assert found[0].sentence == (
        'k: the append of "b" by client 0 (0.000 to 0.000 s, acknowledged) is lost: the read by the'
        " auditor (0.000 to 0.000 s, acknowledged, 1 token) misses it, and no call has seen it"
        " since."
    )
    assert found[0].calls[0] is B


@pytest.mark.parametrize(
    "calls",
    [
        [A, B, read(40, 50, "a"), delete(60, 70, "a")],
        [A, B, read(40, 50, "a", "b"), read(60, 70, "a")],
    ],
    ids=["a read and the delete miss it", "one read saw it, the next does not"],
)
def test_one_loss_is_one_violation(calls: list[Call]) -> None:
    assert [violation.rule for violation in check(history(*calls))] == [Rule.LOST]


def test_every_lost_write_is_named() -> None:
    found = check(history(A, B, C, read(60, 70, "a")))
    assert {violation.calls[0].token for violation in found} == {"b", "c"}
    assert {violation.rule for violation in found} == {Rule.LOST}


def test_keys_are_judged_each_by_itself() -> None:
    other = [replace(c, key="l", token=f"l{c.token}") for c in (A, B)]
    missing = read(60, 70, "la", key="l")
    found = check(history(A, B, read(60, 70, "a", "b"), *other, missing))
    assert [(violation.rule, violation.key) for violation in found] == [(Rule.LOST, "l")]


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ([A, replace(B, token="a")], "not unique"),
        ([A, insert(20, 30, "a", key="l")], "not unique"),
        ([A, delete(20, 30), delete(40, 50)], "two calls of kind delete"),
        ([insert(10, 0, "a")], "ends before it begins"),
        ([A, replace(read(20, 30, "a"), state=None)], "does not say what it saw"),
    ],
)
def test_a_history_that_cannot_be_judged_is_refused(calls: list[Call], words: str) -> None:
    with pytest.raises(HistoryError, match=words):
        check(history(*calls))


def test_violations_name_their_calls() -> None:
    found: list[Violation] = check(history(A, B, C, read(60, 70, "a", "c", "b")))
    assert any(set(violation.calls) == {B, C} for violation in found)
