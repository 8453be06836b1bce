"""How secrets are changed while everything goes on: by steps, in the vault before anywhere else.

A step is good beside hosts that have not taken it yet, but have taken the one before, which must be
everywhere when it begins. What the steps of a change need is made when it begins, and is kept in
the vault until it has ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Secrets = Mapping[str, str]
"""By file, as stack_secrets.py has them."""

KEY, CA, SERVER = "key/keyFile", "key/ca.pem", "key/server.pem"
CA_KEY, USERS = "operator/ca.key", "operator/users.json"
TOKENS, PREVIOUS = "application/jwt.key", "application/jwt.previous"


class ChangeError(Exception):
    """What cannot be begun; the text is one line and says what to do."""


class Step(NamedTuple):
    """What holds once the step is everywhere, and the secrets that make it so."""

    says: str
    changed: Callable[[Secrets, Secrets], Secrets]
    """Of the secrets as they are, and those made for the change: what becomes another."""


class Change(NamedTuple):
    """The files that are made for it, its steps, and of what the files are made."""

    needs: Sequence[str]
    steps: Sequence[Step]
    of: Sequence[str] = ()


def _successors(now: Secrets, new: Secrets) -> Secrets:
    from cluster.model import users  # noqa: PLC0415 - of this project's folder: stack_secrets.py

    return {USERS: _text(users.renewed(json.loads(now[USERS]), json.loads(new[USERS])))}


def _latest(now: Secrets, _: Secrets) -> Secrets:
    from cluster.model import users  # noqa: PLC0415

    return {USERS: _text(users.settled(json.loads(now[USERS])))}


def _text(passwords: Mapping[str, str]) -> str:
    return json.dumps(passwords, indent=2) + "\n"


CHANGES: Mapping[str, Change] = {
    # As in cluster/lifecycle/rotate_key.py, which tells why nobody is shut out meanwhile. Here a
    # server's start tells whether it has read the file, which need not name the new key twice.
    "key": Change(
        [KEY],
        [
            Step(
                "servers accept the old key and a new one",
                lambda now, new: {KEY: f"- {now[KEY].strip()}\n- {new[KEY].strip()}\n"},
            ),
            Step("servers accept the new key alone", lambda _, new: {KEY: new[KEY]}),
        ],
    ),
    "passwords": Change(
        [USERS],
        [
            Step("users have new passwords, the application has a successor", _successors),
            Step("the application is its successor alone", _latest),
        ],
    ),
    "tokens": Change(
        [TOKENS],
        [
            Step("every API accepts a new key", lambda _, new: {PREVIOUS: new[TOKENS]}),
            Step(
                "the new key signs, and the old one is still accepted",
                lambda now, _: {TOKENS: now[PREVIOUS], PREVIOUS: now[TOKENS]},
            ),
        ],
    ),
    "old-tokens": Change(
        [], [Step("the key that signs is accepted alone", lambda *_: {PREVIOUS: ""})]
    ),
    "certificates": Change(
        [SERVER],
        [Step("servers have a new certificate", lambda _, new: {SERVER: new[SERVER]})],
        of=[CA, CA_KEY],
    ),
    # Of the authorities in the file, the first is the one that signs: CA_KEY is its key.
    "authority": Change(
        [CA, CA_KEY, SERVER],
        [
            Step(
                "the old authority and a new one are trusted",
                lambda now, new: {CA: now[CA] + new[CA]},
            ),
            Step(
                "servers have a certificate of the new authority",
                lambda now, new: {
                    CA: new[CA] + now[CA].removesuffix(new[CA]),
                    CA_KEY: new[CA_KEY],
                    SERVER: new[SERVER],
                },
            ),
            Step("the new authority alone is trusted", lambda _, new: {CA: new[CA]}),
        ],
    ),
}


class Rotation:
    """The secrets, and the changes of them that are under way.

    `state` has, for each change that is under way, the number of its step and what was made for it;
    and `old_tokens_until`, when the last token of the key before the present one ends.
    """

    def __init__(self, secrets: Secrets, state: Mapping[str, Any]) -> None:
        self.secrets = dict(secrets)
        self.state = dict(state)

    @property
    def under_way(self) -> list[str]:
        """The changes that have begun and not ended."""
        return [what for what in CHANGES if what in self.state]

    def begin(self, wanted: Sequence[str], fresh: Callable[[Secrets], Secrets]) -> list[str]:
        """Takes the first step of what is not under way yet; what was done, in lines.

        `fresh` makes new secrets of every kind but those that it is given. Raises ChangeError,
        having changed nothing.
        """
        beginning = [what for what in wanted if what not in self.state]
        self._assert_good(beginning)
        for what in beginning:
            needs, _, of = CHANGES[what]
            new = fresh({file: self.secrets[file] for file in of}) if needs else {}
            self.state[what] = {"step": 0, "new": {file: new[file] for file in needs}}
        return [self._go_on(what) for what in beginning]

    def go_on(self, tokens_seconds: int) -> list[str]:
        """Takes the next step of all that is under way; what was done, in lines.

        `tokens_seconds` is how long a token is good that was signed just now.
        """
        lines = [self._go_on(what) for what in self.under_way]
        if "tokens: done" in lines:
            self.state["old_tokens_until"] = int(time.time()) + tokens_seconds
        return lines

    def _go_on(self, what: str) -> str:
        steps, now = CHANGES[what].steps, self.state[what]
        number = now["step"] + 1
        if number > len(steps):
            del self.state[what]
            return f"{what}: done"
        says, changed = steps[number - 1]
        self.secrets |= changed(self.secrets, now["new"])
        self.state[what] = {**now, "step": number}
        return f"{what}, step {number} of {len(steps)}: {says}"

    def _assert_good(self, beginning: Sequence[str]) -> None:
        if unknown := [what for what in beginning if what not in CHANGES]:
            raise ChangeError(f"{unknown[0]!r} is none of {', '.join(CHANGES)}.")
        if len({"tokens", "old-tokens"} & {*beginning, *self.state}) > 1 and beginning:
            raise ChangeError("tokens and old-tokens are two runs: one key is dropped at a time.")
        until = self.state.get("old_tokens_until", 0)
        if "tokens" in beginning and self.secrets[PREVIOUS] and time.time() < until:
            raise ChangeError(
                "the key before the present one still verifies tokens, which are good until "
                f"{time.strftime('%F %R UTC', time.gmtime(until))}. Wait until then; or have those "
                "log in again who still have one: -e what=old-tokens first."
            )
