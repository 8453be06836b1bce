"""Whether a recorded history keeps the promises of w:majority: nothing lost, doubled or reordered.

Each key is judged by itself, which is enough: a history is linearizable if it is so for each object
(Herlihy and Wing, TOPLAS 1990). See README.md in this folder for what is proved and what is not.
"""

from cluster.drill.contents import Contents, examine
from cluster.drill.history import Call, History, HistoryError, Kind, Outcome
from cluster.drill.order import conflicts, explain, losses, place
from cluster.drill.violations import Rule, Violation, describe


def check(history: History) -> list[Violation]:
    """Every broken promise in the history, ordered by key; an empty list if there is none.

    Raises HistoryError if the history cannot be judged: a token written by two calls, a key with
    two inserts or two deletes, a call that ends before it begins, a read without what it saw.
    """
    writers, keys = _sort_out(history)
    origin = min((call.begin for call in history.calls), default=0)
    violations: list[Violation] = []
    for key, calls in sorted(keys.items()):
        contents = examine(key, calls, writers, origin)
        violations += contents.violations
        removed = _check_removed(contents, origin)
        violations += removed
        lost = [violation.calls[0] for violation in removed if violation.rule is Rule.LOST]
        violations += _check_order(contents, lost, origin)
    return violations


def _sort_out(history: History) -> tuple[dict[str, Call], dict[str, list[Call]]]:
    """The call behind each token, and the calls on each key."""
    writers: dict[str, Call] = {}
    keys: dict[str, list[Call]] = {}
    singles: set[tuple[str, Kind]] = set()
    for call in history.calls:
        keys.setdefault(call.key, []).append(call)
        if call.end < call.begin:
            raise HistoryError(f"a call on {call.key} ends before it begins: {call}")
        if call.kind is Kind.READ:
            if call.outcome is Outcome.OK and call.found > 0 and call.state is None:
                raise HistoryError(f"a read of {call.key} does not say what it saw: {call}")
            continue
        if call.kind in (Kind.INSERT, Kind.DELETE):
            if (call.key, call.kind) in singles:
                raise HistoryError(f"{call.key} has two calls of kind {call.kind}")
            singles.add((call.key, call.kind))
        if call.kind is not Kind.DELETE:
            if not call.token or call.token in writers:
                raise HistoryError(f'the token "{call.token}" on {call.key} is not unique')
            writers[call.token] = call
    return writers, keys


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
    for earlier, later in conflicts([p for p in placed if p not in gone]):
        # A read that misses a lost write is the loss once more, not a violation of its own.
        misses = any(w.level > later.level and w.end < later.begin for w in gone)
        if later.effect or not misses:
            found.append(explain(contents.key, earlier, later, origin))
    return found


def _violation(rule: Rule, key: str, sentence: str, *calls: Call) -> Violation:
    return Violation(rule, key, f"{key}: {sentence}.", calls)
