"""The lists that calls saw of one key: whether each makes sense by itself, and all together."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.drill.history import Call, Guarantee, Kind, Outcome, State
from cluster.drill.violations import Rule, Violation, describe


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
        elif writer.outcome is Outcome.FAILED or _matched_nothing(writer):
            sentence = f"{describe(writer, self._origin)} took effect after all: {said} saw it"
            self._report(Rule.FAILED_VISIBLE, token, sentence, writer, call)
        if times > 1:
            written = (writer,) if writer else ()
            sentence = f'{said} saw "{token}" {times} times'
            self._report(Rule.DOUBLED, token, sentence, *written, call)

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
