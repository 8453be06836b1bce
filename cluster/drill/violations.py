"""What the checker can find, and how it says so."""

from dataclasses import dataclass
from enum import StrEnum

from cluster.drill.history import AUDITOR, Call, Kind, Outcome


class Rule(StrEnum):
    """The promise that was broken."""

    LOST = "lost"  # an acknowledged write is gone
    DOUBLED = "doubled"  # one write is there twice, or counted twice
    ORDER = "order"  # a write took effect before one that ended before it began
    STALE = "stale"  # a read missed a write that was acknowledged before it began
    BACKWARDS = "backwards"  # a read saw less than an earlier one
    FUTURE = "future"  # a read saw a write that had not been called yet
    DIVERGED = "diverged"  # two calls saw lists of which neither begins with the other
    RESURRECTED = "resurrected"  # a deleted key was there again
    INVENTED = "invented"  # a value or a document that nobody wrote
    FAILED_VISIBLE = "failed-visible"  # a write that failed for certain took effect


@dataclass(frozen=True)
class Violation:
    """One broken promise: the rule, the key, a plain sentence, and the calls it is about."""

    rule: Rule
    key: str
    sentence: str
    calls: tuple[Call, ...]


_OUTCOMES = {
    Outcome.OK: "acknowledged",
    Outcome.FAILED: "failed",
    Outcome.UNKNOWN: "without an answer",
}


def describe(call: Call, origin: int) -> str:
    """The call in words, its time in seconds since `origin` (monotonic nanoseconds)."""
    who = "the auditor" if call.client == AUDITOR else f"client {call.client}"
    what = {
        Kind.INSERT: f'insert of "{call.token}"',
        Kind.APPEND: f'append of "{call.token}"',
        Kind.READ: "read",
        Kind.DELETE: "delete",
    }[call.kind]
    begin, end = (call.begin - origin) / 1e9, (call.end - origin) / 1e9
    saw = ""
    if call.outcome is Outcome.OK and call.kind is not Kind.INSERT:
        if call.found == 0:
            saw = ", found nothing"
        elif call.state is not None:
            size = len(call.state.tokens)
            saw = f", {size} token{'' if size == 1 else 's'}"
    return f"the {what} by {who} ({begin:.3f} to {end:.3f} s, {_OUTCOMES[call.outcome]}{saw})"
