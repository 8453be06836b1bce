"""A history in the formats of two other judges, so that nobody has to take this one's word.

Both get what they can express: inserts, appends, deletes, and linearizable reads. Reads that
promise less (majority, local) are left out, and scans with them, since both would take them for
linearizable ones. A write that was tried several times is one call. Each call is two lines, its
invocation and its end, in the order of time; two at the same nanosecond count as concurrent.
Whoever had no answer never ends, and its client goes on under a new process number, as both demand.

**Porcupine** (Athalye, https://github.com/anishathalye/porcupine): the log of its key-value model,
as `parseKvLog` in its `porcupine_test.go` reads the files of `test_data/kv`. A key's value is its
tokens, each followed by a blank. An insert is a `:put`, a delete a `:put` of "", a call that found
nothing a `:get` of ""; what an append or a delete was answered is left out. Porcupine lets a call
without an end take effect after everything else, which is the same as never.

**Elle** (Kingsbury and Alvaro, VLDB 2020, https://github.com/jepsen-io/elle): a Jepsen history in
EDN for `elle.list-append`, checked as `:strict-serializable`, a map on each line. An insert is an
append. Lists never get shorter there: so of a key that is deleted, the delete is only a read of
what it removed, and calls that found nothing afterwards are left out.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from enum import StrEnum

from cluster.drill.history import Call, Guarantee, History, Kind, Outcome
from cluster.drill.judge.writes import single


class Format(StrEnum):
    """Whose format it is."""

    PORCUPINE = "porcupine"
    ELLE = "elle"


def export(history: History, form: Format) -> Iterator[str]:
    """The lines of the history in this format."""
    calls = [call for call in single(history) if call.outcome is Outcome.OK or call.writes]
    strong = [call for call in calls if not _weak(call)]
    return _porcupine(strong) if form is Format.PORCUPINE else _elle(strong)


def _weak(call: Call) -> bool:
    """Whether it is a look at the key that may be old, or undone."""
    looks = not call.writes or (call.outcome is Outcome.OK and call.found == 0)
    return looks and call.guarantee is not Guarantee.LINEARIZABLE


def _lines(
    calls: list[Call], line: Callable[[Call, bool], str]
) -> Iterator[tuple[int, int, int, str]]:
    """Time, process, whether it is an end, and text of each line, in order of time. `line` gives
    the text of a call's invocation (False) or of its end (True), "" where there is none.
    """
    fresh = itertools.count(max((call.client for call in calls), default=0) + 1)
    free: dict[int, tuple[int, int]] = {}  # by client: its process, and when that is free again
    moments: list[tuple[int, int, int, str]] = []
    for call in sorted(calls, key=lambda call: call.begin):
        number, since = free.get(call.client, (call.client, call.begin - 1))
        if number < 0 or since >= call.begin:  # the auditor, or one that has a call on its way
            number = next(fresh)
        answered = call.outcome is not Outcome.UNKNOWN
        free[call.client] = (number, call.end) if answered else (-1, call.end)
        moments.append((call.begin, number, 0, line(call, False)))
        if end := line(call, True):
            moments.append((call.end, number, 1, end))
    return iter(sorted(moments, key=lambda moment: (moment[0], moment[2])))


# ---- Porcupine ---------------------------------------------------------------------------------


def _porcupine(calls: list[Call]) -> Iterator[str]:
    happened = [call for call in calls if call.outcome is not Outcome.FAILED]
    for _, process, _, text in _lines(happened, _kv):
        yield f"{{:process {process}, {text}}}"


def _kv(call: Call, ended: bool) -> str:
    if ended and call.outcome is Outcome.UNKNOWN:
        return ""
    looks = not call.writes or (call.outcome is Outcome.OK and call.found == 0)
    written = "" if call.kind is Kind.DELETE else f"{call.token} "
    verb = ":append" if call.kind is Kind.APPEND else ":put"
    value = _text(written)
    if looks:
        seen = call.state.tokens if call.state is not None and call.found else ()
        verb = ":get"
        value = _text("".join(f"{token} " for token in seen)) if ended else "nil"
    kind = ":ok" if ended else ":invoke"
    return f":type {kind}, :f {verb}, :key {_text(call.key)}, :value {value}"


# ---- Elle --------------------------------------------------------------------------------------


def _elle(calls: list[Call]) -> Iterator[str]:
    origin = min((call.begin for call in calls), default=0)
    deleted: dict[str, int] = {}
    for call in calls:
        gone = call.kind is Kind.DELETE and call.outcome is not Outcome.FAILED and call.found > 0
        if gone:
            deleted[call.key] = min(call.begin, deleted.get(call.key, call.begin))
    kept = [call for call in calls if _fits(call, deleted)]
    for index, (at, process, _, text) in enumerate(_lines(kept, _txn)):
        yield f"{{:index {index}, :time {at - origin}, :process {process}, {text}}}"


def _fits(call: Call, deleted: dict[str, int]) -> bool:
    """Whether lists that never get shorter can express it."""
    if call.kind is Kind.DELETE and (call.outcome is not Outcome.OK or call.state is None):
        return False
    found_nothing = call.outcome is Outcome.OK and call.found == 0
    return not found_nothing or call.end < deleted.get(call.key, call.end + 1)


def _txn(call: Call, ended: bool) -> str:
    kinds = {Outcome.OK: ":ok", Outcome.FAILED: ":fail", Outcome.UNKNOWN: ":info"}
    kind = kinds[call.outcome] if ended else ":invoke"
    key = _text(call.key)
    found_nothing = call.outcome is Outcome.OK and call.found == 0
    steps = []
    if call.token and not found_nothing:
        steps.append(f"[:append {key} {_text(call.token)}]")
    tells = call.state is not None or found_nothing
    if not steps or tells:
        seen = "nil"
        if ended and call.outcome is Outcome.OK and call.state is not None:
            seen = f"[{' '.join(map(_text, call.state.tokens))}]"
        steps.append(f"[:r {key} {seen}]")
    return f":type {kind}, :f :txn, :value [{' '.join(steps)}]"


def _text(value: str) -> str:
    """A string of EDN, which here is one of JSON."""
    return json.dumps(value, ensure_ascii=False)
