"""Whether a recorded history keeps the promises of w:majority: nothing lost, doubled or reordered.

Each key is judged by itself, which is enough: a history is linearizable if it is so for each object
(Herlihy and Wing, TOPLAS 1990). See README.md in this folder for what is proved and what is not.

First the contents of a key: the lists that calls saw of it, whether each makes sense by itself, and
all together. Then the real-time order. Every call that had an effect, or saw one, gets a *level*,
its place in the only order that explains what was seen: the write of the i-th token has level 2i, a
call that saw n tokens has level 2n + 1, and so on up to the delete. The key is linearizable exactly
if no call of a higher level ended before one of a lower level began (the same paper, for one
register whose order of writes is known). A call without an answer never ended. A read that promises
no more than a majority may have begun at any time before; in a session, at any time after what its
client had written and read in it. A local read must not miss what was
acknowledged before it began; it proves nothing to the calls after it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from msgspec.structs import replace

from cluster.drill.history import (
    AUDITOR,
    Call,
    Guarantee,
    History,
    Kind,
    Outcome,
    State,
)
from cluster.drill.judge.writes import Writes, sort_out


class Rule(StrEnum):
    """The promise that was broken."""

    LOST = "lost"  # an acknowledged write is gone
    DOUBLED = "doubled"  # one write is there twice, or counted twice, or answered in two ways
    CLAIMED_TWICE = "claimed-twice"  # two inserts of one key were acknowledged
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


@dataclass
class Contents:
    """What is known of one key's list.

    `tokens` is the longest list seen. `seen` holds, by position in `calls`, the number of tokens
    that each call saw of it; calls that contradict it are left out.
    """

    key: str
    calls: list[Call]
    tokens: tuple[str, ...] = ()
    seen: dict[int, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)


def examine(key: str, calls: list[Call], writers: Mapping[str, Call], origin: int) -> Contents:
    """Look at everything the key's calls saw. `writers` names the call behind each token."""
    contents = Contents(key, calls)
    reader = _Reader(contents, writers, origin)
    reader.check_existence()
    lists = {
        number: reader.clean(call, call.state)
        for number, call in enumerate(calls)
        if call.outcome is Outcome.OK and call.state is not None
    }
    passing = {n for n in lists if calls[n].guarantee is Guarantee.LOCAL}
    firm = [tokens for number, tokens in lists.items() if number not in passing]
    contents.tokens = max(firm, key=len, default=())
    longer = [n for n in passing if lists[n][: len(contents.tokens)] == contents.tokens]
    if longer:  # what only local reads saw: the last one knows best
        contents.tokens = lists[max(longer, key=lambda n: calls[n].begin)]
    longest = next((n for n, tokens in lists.items() if tokens == contents.tokens), None)
    for number, tokens in lists.items():
        if number in passing:
            # A failover may have undone the end of what it saw; the rest is part of the history.
            contents.seen[number] = _agreement(contents.tokens, tokens)
        elif contents.tokens[: len(tokens)] == tokens:
            contents.seen[number] = len(tokens)
        elif longest is not None:
            reader.report_divergence(calls[longest], contents.tokens, calls[number], tokens)
    return contents


class _Reader:
    """Reports what is wrong with single lists, each kind of wrong once for each token."""

    def __init__(self, contents: Contents, writers: Mapping[str, Call], origin: int) -> None:
        self._contents = contents
        self._writers = writers
        self._origin = origin
        self._reported: set[tuple[Rule, str]] = set()
        self._insert = next((c for c in contents.calls if c.kind is Kind.INSERT), None)

    def check_existence(self) -> None:
        """A document is there only if an insert may have made it, and once only."""
        possible = self._insert is not None and self._insert.outcome is not Outcome.FAILED
        for call in self._contents.calls:
            if call.outcome is not Outcome.OK or call.kind is Kind.INSERT:
                continue
            said = describe(call, self._origin)
            if call.found > 0 and not possible:
                rule = Rule.INVENTED if self._insert is None else Rule.FAILED_VISIBLE
                self._report(rule, "", f"{said} found a document that no insert has made", call)
            if call.found > 1:
                self._report(Rule.DOUBLED, "", f"{said} found {call.found} documents", call)

    def clean(self, call: Call, state: State) -> tuple[str, ...]:
        """Report what is wrong with a list, and return what is sound of it."""
        said = describe(call, self._origin)
        for token, times in Counter(state.tokens).items():
            self._check_token(call, token, times, said)
        if state.version != len(state.tokens):
            self._report(
                Rule.DOUBLED,
                "version",
                f"{said} saw a count of {state.version} beside {len(state.tokens)} tokens:"
                " one write was applied in part, or counted more than once",
                call,
            )
        self._check_ends(call, state.tokens, said)
        return tuple(dict.fromkeys(token for token in state.tokens if self._belongs(token)))

    def _check_token(self, call: Call, token: str, times: int, said: str) -> None:
        writer = self._writers.get(token)
        if writer is None:
            self._report(Rule.INVENTED, token, f'{said} saw "{token}", which nobody wrote', call)
        elif writer.key != self._contents.key:
            sentence = f'{said} saw "{token}", which was written to {writer.key}'
            self._report(Rule.INVENTED, token, sentence, call, writer)
        elif writer.outcome is Outcome.FAILED or _matched_nothing(writer) or self._lost(writer):
            sentence = f"{describe(writer, self._origin)} took effect after all: {said} saw it"
            self._report(Rule.FAILED_VISIBLE, token, sentence, writer, call)
        if times > 1:
            written = (writer,) if writer else ()
            sentence = f'{said} saw "{token}" {times} times'
            self._report(Rule.DOUBLED, token, sentence, *written, call)

    def _lost(self, writer: Call) -> bool:
        """Whether it is an insert without an answer, of a key that another one made."""
        unknown = writer.kind is Kind.INSERT and writer.outcome is Outcome.UNKNOWN
        return unknown and writer is not self._insert

    def _check_ends(self, call: Call, tokens: tuple[str, ...], said: str) -> None:
        """A list begins with its insert's token; an append's answer ends with its own."""
        if self._insert is not None and (not tokens or tokens[0] != self._insert.token):
            sentence = f"{said} saw a list that does not begin with its insert"
            self._report(Rule.ORDER, self._insert.token, sentence, self._insert, call)
        if call.kind is Kind.APPEND and (not tokens or tokens[-1] != call.token):
            self._report(Rule.ORDER, call.token, f"{said} was answered without its token", call)

    def report_divergence(
        self, one: Call, ours: tuple[str, ...], other: Call, theirs: tuple[str, ...]
    ) -> None:
        """Two lists of which neither begins with the other; said once for each key."""
        at = next(i for i, token in enumerate(theirs) if token != ours[i])
        sentence = (
            f'{describe(one, self._origin)} saw "{ours[at]}" as token {at + 1},'
            f' {describe(other, self._origin)} saw "{theirs[at]}" there'
        )
        self._report(Rule.DIVERGED, "", sentence, one, other)

    def _belongs(self, token: str) -> bool:
        writer = self._writers.get(token)
        return writer is not None and writer.key == self._contents.key

    def _report(self, rule: Rule, token: str, sentence: str, *calls: Call) -> None:
        if (rule, token) not in self._reported:
            self._reported.add((rule, token))
            key = self._contents.key
            self._contents.violations.append(Violation(rule, key, f"{key}: {sentence}.", calls))


def _agreement(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many tokens two lists begin with in common."""
    pairs = zip(one, other, strict=False)
    return next(
        (i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), min(len(one), len(other))
    )


def _matched_nothing(call: Call) -> bool:
    return call.outcome is Outcome.OK and call.found == 0


ABSENT = 1
"""The level of a call that found nothing because the key was not inserted yet."""


@dataclass(frozen=True)
class Placed:
    """A call with its level, and the interval within which it took effect."""

    call: Call
    level: int
    begin: float
    end: float
    effect: bool
    gone: bool = False

    @classmethod
    def at(cls, call: Call, level: int, *, effect: bool, gone: bool = False) -> "Placed":
        """Place a call; its interval is wider than its begin and end where less is promised."""
        weak = not effect and call.guarantee in (Guarantee.MAJORITY, Guarantee.SESSION)
        # What a local read saw may be undone, and done again later: nothing follows from it.
        passing = not effect and call.guarantee is Guarantee.LOCAL
        begin = -inf if weak else call.begin
        end = inf if passing or call.outcome is Outcome.UNKNOWN else call.end
        return cls(call, level, begin, end, effect, gone)

    @property
    def in_session(self) -> bool:
        """Whether its client's later reads in a session must not miss it."""
        own = self.call.writes or self.call.guarantee is Guarantee.SESSION
        return own and self.call.outcome is Outcome.OK


def place(contents: Contents) -> list[Placed]:
    """Give every call that says something about the key its level."""
    known = len(contents.tokens)
    level_of = {token: 2 * (i + 1) for i, token in enumerate(contents.tokens)}
    unseen = 2 * max(known, 1) + 2  # acknowledged appends that nobody saw: after all that was seen
    deleted = unseen + 2
    placed: list[Placed] = []
    absent: list[Call] = []
    exists = any(_found(call) for call in contents.calls)
    for number, call in enumerate(contents.calls):
        if call.kind in (Kind.INSERT, Kind.APPEND) and call.token in level_of:
            placed.append(Placed.at(call, level_of[call.token], effect=True))
        elif call.kind is Kind.INSERT:
            certain = call.outcome is Outcome.OK or (call.outcome is Outcome.UNKNOWN and exists)
            if certain:
                placed.append(Placed.at(call, 2, effect=True))
        elif call.outcome is not Outcome.OK:
            continue
        elif call.found == 0:
            absent.append(call)
        elif call.kind is Kind.APPEND:
            placed.append(Placed.at(call, unseen, effect=True))
        elif call.kind is Kind.DELETE:
            placed.append(Placed.at(call, deleted, effect=True, gone=True))
        elif number in contents.seen:
            placed.append(Placed.at(call, 2 * contents.seen[number] + 1, effect=False))
    return placed + _place_absent(contents, absent, placed, deleted + 1)


def _found(call: Call) -> bool:
    return call.outcome is Outcome.OK and call.kind is not Kind.INSERT and call.found > 0


def _place_absent(
    contents: Contents, absent: list[Call], placed: list[Placed], gone: int
) -> list[Placed]:
    """Nothing was found: before the insert if that can be, else after the delete if that can be."""
    first_end = min((p.end for p in placed), default=inf)
    known = [p.call for p in placed if p.in_session]  # in a session, all that shows it was there
    deletes = [
        call
        for call in contents.calls
        if call.kind is Kind.DELETE
        and (call.outcome is Outcome.UNKNOWN or (call.outcome is Outcome.OK and call.found > 0))
    ]
    result = []
    for call in sorted(absent, key=lambda call: call.begin):
        before = Placed.at(call, ABSENT, effect=False)
        after = any(delete.begin <= call.end for delete in deletes)
        there = before.begin > first_end or (
            call.guarantee is Guarantee.SESSION
            and any(own.client == call.client and own.end < call.begin for own in known)
        )
        if there and after:
            result.append(Placed.at(call, gone, effect=False, gone=True))
            known += [p.call for p in result[-1:] if p.in_session]
        else:
            result.append(before)
    return result


def losses(placed: list[Placed]) -> list[tuple[Placed, Placed]]:
    """Acknowledged writes that some later call misses and that no call has seen since then.

    Each comes with the last call that misses it.
    """
    found = []
    for write in placed:
        if not (write.effect and write.call.acknowledged_write) or write.gone:
            continue
        missing = [
            p for p in placed if not p.effect and p.level < write.level and write.end < p.begin
        ]
        last = max(missing, key=lambda p: p.begin, default=None)
        if last is None:
            continue
        seen_again = any(
            p.level >= write.level and p.begin > last.begin for p in placed if p is not write
        )
        if not seen_again:
            found.append((write, last))
    return found


def conflicts(placed: list[Placed]) -> list[tuple[Placed, Placed]]:
    """For each call that comes too late for its level: the highest call that ended before it."""
    return _too_late([(p.end, p) for p in placed if p.end < inf], [(p.begin, p) for p in placed])


def session_conflicts(placed: list[Placed]) -> list[tuple[Placed, Placed]]:
    """The same for reads in a session, among the calls of its client."""
    reads: dict[int, list[tuple[float, Placed]]] = {}
    for p in placed:
        if not p.effect and p.call.guarantee is Guarantee.SESSION:
            reads.setdefault(p.call.client, []).append((p.call.begin, p))
    return [
        pair
        for client, begun in reads.items()
        for pair in _too_late(
            [(p.call.end, p) for p in placed if p.in_session and p.call.client == client], begun
        )
    ]


def _too_late(
    ended: list[tuple[float, Placed]], begun: list[tuple[float, Placed]]
) -> list[tuple[Placed, Placed]]:
    """Those begun of a lower level than one that had ended by then, each with the highest such."""
    found = []
    highest: Placed | None = None
    ended = sorted(ended, key=lambda moment: moment[0], reverse=True)
    for begin, later in sorted(begun, key=lambda moment: moment[0]):
        while ended and ended[-1][0] < begin:
            _, one = ended.pop()
            if highest is None or one.level > highest.level:
                highest = one
        if highest is not None and highest.level > later.level:
            found.append((highest, later))
    return found


def explain(key: str, earlier: Placed, later: Placed, origin: int) -> Violation:
    """Say what it means that `earlier` ended before `later` began, against their levels."""
    one, other = describe(earlier.call, origin), describe(later.call, origin)
    if earlier.gone:
        rule = Rule.RESURRECTED
        sentence = f"the key was gone after {one}, yet {other} found it"
    elif later.effect and earlier.effect:
        rule = Rule.ORDER
        sentence = f"{one} took effect after {other}, which began only when it had ended"
    elif later.effect:
        rule = Rule.FUTURE
        sentence = f"{one} saw what {other} or a later call wrote, before that was called"
    elif earlier.effect:
        rule = Rule.STALE
        sentence = f"{other} misses {one}, which was acknowledged before it began"
    else:
        rule = Rule.BACKWARDS
        sentence = f"{other} saw less than {one}, which had ended before it began"
    return Violation(rule, key, f"{key}: {sentence}.", (earlier.call, later.call))


def check(history: History) -> list[Violation]:
    """Every broken promise in the history; an empty list if there is none.

    Raises HistoryError if the history cannot be judged: see `writes.sort_out`.
    """
    writes = sort_out(history)
    origin = min((call.begin for call in history.calls), default=0)
    violations = [*_check_claims(writes, origin), *_check_answers(writes, origin)]
    for key, calls in sorted(writes.keys.items()):
        contents = examine(key, calls, writes.writers, origin)
        violations += contents.violations
        removed = _check_removed(contents, origin)
        violations += removed
        lost = [violation.calls[0] for violation in removed if violation.rule is Rule.LOST]
        violations += _check_order(contents, lost, origin)
    return violations


def steps_back(history: History) -> int:
    """Reads outside a session that saw less than their client had written or seen before.

    Nothing promises otherwise; in a session each of them would be a violation.
    """
    calls = [
        replace(call, guarantee=Guarantee.SESSION)
        if call.guarantee is Guarantee.MAJORITY and call.client != AUDITOR
        else call
        for call in history.calls
    ]
    if calls == history.calls:
        return 0
    writes = sort_out(History(list(calls)))
    contents = [examine(key, some, writes.writers, 0) for key, some in writes.keys.items()]
    return sum(len(session_conflicts(place(one))) for one in contents)


def _check_claims(writes: Writes, origin: int) -> list[Violation]:
    """Only one insert of a key is acknowledged."""
    return [
        _violation(
            Rule.CLAIMED_TWICE,
            one.key,
            f"{describe(one, origin)} and {describe(other, origin)} both succeeded",
            one,
            other,
        )
        for one, other in writes.claims
    ]


def _check_answers(writes: Writes, origin: int) -> list[Violation]:
    """A repetition is answered as the first try was."""
    return [
        _violation(
            Rule.DOUBLED,
            one.key,
            f"{describe(other, origin)} repeats {describe(one, origin)}, with another answer",
            one,
            other,
        )
        for one, other in writes.answers
    ]


def _check_removed(contents: Contents, origin: int) -> list[Violation]:
    """What a delete removed is all there ever was."""
    found = []
    for number, call in enumerate(contents.calls):
        if call.kind is not Kind.DELETE or number not in contents.seen:
            continue
        removed = set(contents.tokens[: contents.seen[number]])
        for write in contents.calls:
            if write.token and write.acknowledged_write and write.token not in removed:
                sentence = (
                    f"{describe(write, origin)} is lost:"
                    f" it is not in what {describe(call, origin)} removed"
                )
                found.append(_violation(Rule.LOST, contents.key, sentence, write, call))
        if not found and len(contents.tokens) > len(removed):
            sentence = f"{describe(call, origin)} removed less than had been seen before"
            found.append(_violation(Rule.DIVERGED, contents.key, sentence, call))
    return found


def _check_order(contents: Contents, known: list[Call], origin: int) -> list[Violation]:
    """Losses that reads show, beside those already `known`, and whatever else breaks the order."""
    placed = place(contents)
    told = [p for p in placed if p.effect and p.call in known]
    lost = losses([p for p in placed if p not in told])
    found = [
        _violation(
            Rule.LOST,
            contents.key,
            f"{describe(write.call, origin)} is lost: {describe(read.call, origin)} misses it,"
            " and no call has seen it since",
            write.call,
            read.call,
        )
        for write, read in lost
    ]
    gone = [*told, *(write for write, _ in lost)]
    left = [p for p in placed if p not in gone]
    for earlier, later in [*conflicts(left), *session_conflicts(left)]:
        # A read that misses a lost write is the loss once more, not a violation of its own.
        misses = any(w.level > later.level and w.end < later.call.begin for w in gone)
        if later.effect or not misses:
            found.append(explain(contents.key, earlier, later, origin))
    return found


def _violation(rule: Rule, key: str, sentence: str, *calls: Call) -> Violation:
    return Violation(rule, key, f"{key}: {sentence}.", calls)
