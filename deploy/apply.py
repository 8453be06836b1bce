"""Does what a plan says, and may be cut off at any instruction: the next one goes on from there.

Nothing is remembered here: each step leaves the account in a state in which the next plan finds
what is still to be done. Whether a POST without an answer was carried out, the account tells.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from deploy import applied
from deploy.account import Account, look_again, read
from deploy.client import Client
from deploy.errors import (
    DeadlineError,
    DeployError,
    LostAnswerError,
    MissingError,
    ReachError,
    RefusedError,
)
from deploy.lock import held
from deploy.plan import Change, Plan, make_destruction, make_plan, refuse_changed
from deploy.resources import KINDS, Json, Resource, path_of
from deploy.stack import Stack
from deploy.wanted import keys, wanted

PATIENCE = 300.0
"""Seconds that a droplet, volume or load balancer may take."""
CERTIFICATE_PATIENCE = 600.0
POLL = 3.0
ASK_AGAIN = 30.0
"""Seconds after which something that was asked for is asked for again."""
LOOKS = (1.0, 3.0, 6.0)
"""Pauses before looking for what was made without an answer: lists may lag behind."""
TRIES = 4


def apply(client: Client, shown: Plan, base: Path, drained: Collection[str] = ()) -> None:
    """Does what was shown, under the lock. Raises ChangedError if something else is to be done.

    `drained` are shards that have no data any more. Raises UndrainedError for others.
    """
    stack = shown.stack
    shown.refuse_undrained(drained)
    with held(client, stack):
        account = read(client, stack)
        plan = make_plan(stack, account, base)
        refuse_changed(shown, plan)
        plan.refuse_undrained(drained)
        work = _Work(client, stack, account, base)
        for change in plan.changes:
            work.do(change)
        work.settle()
        work.remember()


def destroy(client: Client, shown: Plan, with_data: bool) -> None:
    """Destroys what was shown, under the lock."""
    stack = shown.stack
    with held(client, stack):
        account = read(client, stack, strict=False)
        plan = make_destruction(stack, account, with_data)
        refuse_changed(shown, plan)
        work = _Work(client, stack, account, None)
        for change in plan.changes:
            work.do(change)


class _Work:
    """The steps. The index of the account grows with what is made."""

    def __init__(self, client: Client, stack: Stack, account: Account, base: Path | None) -> None:
        self._client = client
        self._stack = stack
        self._index = account.index
        people = keys(stack, account.of("ssh_key"), base) if base is not None else []
        self._shall = {one.key: one for one in wanted(stack, account.zone, people)}

    def do(self, change: Change) -> None:
        """One change."""
        if change.action == "-":
            self._destroy(change)
            return
        one = self._shall[change.key]
        if one.kind == "load_balancer":
            self._await_certificate(self._stack.tag)
        if one.kind == "record" and one.fields["type"] == "A":
            self._await_address(one.fields["to"])
        if change.action == "+":
            self._make(one)
        else:
            self._change(one, change)

    # ---- one resource --------------------------------------------------------------------------

    def _make(self, one: Resource) -> None:
        if one.kind == "vpc":
            one = msgspec.structs.replace(one, state=applied.PREFIX.strip())
        there = self._post(one)
        self._index.add(there)
        self._client.report(f"made the {one.kind} {one.name}")

    def _post(self, one: Resource) -> Resource:
        kind = KINDS[one.kind]
        body = kind.body(one, self._index)
        for tries in range(TRIES):
            try:
                made = self._client.send("POST", path_of(one), body).get(kind.singular)
                if isinstance(made, dict):
                    return msgspec.structs.replace(one, id=str(made.get("id", one.name)))
            except LostAnswerError as error:
                self._client.report(f"{error} Looking whether {one.kind} {one.name} is there")
            except RefusedError:
                # Then it may be the one that a request before this has made.
                there = self._find(one, (0.0,)) if tries else None
                if not there:
                    raise
                return there
            if there := self._find(one, LOOKS):
                self._client.report(f"{one.kind} {one.name} is there")
                return there
        raise ReachError(
            f"the {one.kind} {one.name} could not be made: {TRIES} requests had no proper answer. "
            "Run it again later; it goes on from here."
        )

    def _find(self, one: Resource, pauses: tuple[float, ...]) -> Resource | None:
        for pause in pauses:
            self._client.wait(pause, f"looking for {one.kind} {one.name}")
            if there := look_again(self._client, self._stack, one, self._index):
                return there
        return None

    def _change(self, one: Resource, change: Change) -> None:
        kind, there = KINDS[one.kind], self._index.of[one.key]
        path = f"{path_of(one)}/{there.id}"
        after, before = change.after or {}, change.before or {}
        if kind.changeable:
            self._client.send("PUT", path, kind.body(one, self._index))
        for tag in sorted({*after.get("tags", ())} - {*before.get("tags", ())}):
            if not kind.changeable:
                self._tag(tag, one.kind, there.id)
        # Volumes grow and are attached when all droplets are there: `settle`.
        self._client.report(f"changed the {one.kind} {one.name}: {', '.join(after)}")

    def _tag(self, tag: str, kind: str, id_: str) -> None:
        body = {"resources": [{"resource_id": id_, "resource_type": kind}]}
        for tries in range(TRIES):
            try:
                self._client.send("POST", f"tags/{tag}/resources", body)
            except LostAnswerError:  # to tag twice does no harm
                if tries == TRIES - 1:
                    raise
            else:
                return

    def _destroy(self, change: Change) -> None:
        one = self._index.of[change.key]
        began = self._client.clock.now()
        while True:
            try:
                self._client.send("DELETE", f"{path_of(one)}/{one.id}")
            except MissingError:
                break
            except RefusedError as error:
                # Something that uses it is being destroyed, which takes a while.
                if self._client.clock.now() - began > PATIENCE:
                    raise
                self._client.wait(POLL, f"{one.kind} {one.name} is in use ({error.why}); again")
            else:
                break
        del self._index.of[change.key]
        self._client.report(f"destroyed the {one.kind} {one.name}")

    # ---- waiting -------------------------------------------------------------------------------

    def _until(self, missing: Callable[[], list[str]], patience: float) -> None:
        """Polls until nothing is missing; tells what is, at least every 8 s."""
        began = said = self._client.clock.now()
        last: list[str] = []
        while left := missing():
            now = self._client.clock.now()
            if now - began > patience:
                raise DeadlineError(
                    f"after {patience:.0f} s: {'; '.join(left)}. Run it again to go on waiting; "
                    "https://status.digitalocean.com tells of faults."
                )
            if left != last or now - said >= POLL * 2:
                more = f" and {len(left) - 3} more" if len(left) > 3 else ""
                self._client.report(f"waiting: {'; '.join(left[:3])}{more}")
                said, last = now, left
            self._client.clock.sleep(POLL)

    def _read(self, kind: str, **params: str) -> list[Json]:
        found = self._client.all(KINDS[kind].path, KINDS[kind].plural, **params)
        for one in found:
            there = KINDS[kind].read(one, self._index)
            if there.key in self._shall and self._is_mine(there):
                self._index.add(there)
        return found

    def _is_mine(self, there: Resource) -> bool:
        known = self._index.of.get(there.key)
        return known is not None and known.id == there.id

    def _await_certificate(self, name: str) -> None:
        def missing() -> list[str]:
            self._read("certificate")
            one = self._index.of["certificate", name]
            if one.state == "error":
                raise DeployError(
                    f"the certificate for {self._stack.domain} could not be made. Is the domain "
                    "delegated to ns1.digitalocean.com? Delete the certificate "
                    f"{name} in DigitalOcean's panel, and run it again."
                )
            return [] if one.state == "verified" else [f"the certificate {name} is {one.state}"]

        self._until(missing, CERTIFICATE_PATIENCE)

    def _await_address(self, name: str) -> None:
        """Waits until what a record shall point to has an address."""
        if ("load_balancer", name) not in self._shall:
            self._await_droplets()
            return

        def missing() -> list[str]:
            self._read("load_balancer")
            one = self._index.of["load_balancer", name]
            return [] if one.addresses[0] else [f"the load balancer {name} has no address yet"]

        self._until(missing, PATIENCE)

    def _await_droplets(self) -> None:
        names = [name for kind, name in self._shall if kind == "droplet"]

        def known() -> list[str]:
            return [
                f"{name} is {one.state or 'new'}"
                for name in names
                if (one := self._index.of["droplet", name])
                if one.state in ("", "new") or not all(one.addresses)
            ]

        def missing() -> list[str]:
            self._read("droplet", tag_name=self._stack.tag)
            return known()

        if known():
            self._until(missing, PATIENCE)

    def settle(self) -> None:
        """Waits until all droplets run and all volumes are as they shall be."""
        self._await_droplets()
        shall = [one for one in self._shall.values() if one.kind == "volume"]
        asked: dict[str, float] = {}

        def missing() -> list[str]:
            self._read("volume")
            left = []
            for one in shall:
                there = self._index.of[one.key]
                if there.fields["gib"] < one.fields["gib"]:
                    left.append(f"{one.name} has {there.fields['gib']} GiB")
                    size = {"type": "resize", "size_gigabytes": one.fields["gib"]}
                    self._ask(there, size, asked)
                if there.fields["droplet"] != one.fields["droplet"]:
                    left.append(f"{one.name} is not attached to {one.fields['droplet']}")
                    droplet = int(self._index.id("droplet", one.fields["droplet"]))
                    self._ask(there, {"type": "attach", "droplet_id": droplet}, asked)
            return left

        if shall:
            self._until(missing, PATIENCE)

    def _ask(self, volume: Resource, action: Json, asked: dict[str, float]) -> None:
        """Asks for an action; whether it was done, the next reading of the volume tells."""
        now, what = self._client.clock.now(), f"{volume.id} {action['type']}"
        if now - asked.get(what, -ASK_AGAIN) < ASK_AGAIN:
            return
        asked[what] = now
        body = {**action, "region": self._stack.region}
        try:
            self._client.send("POST", f"volumes/{volume.id}/actions", body)
        except LostAnswerError:
            pass
        except RefusedError as error:
            self._client.report(
                f"{volume.name}: {error.why}"
            )  # an action before it goes on, mostly

    def remember(self) -> None:
        """Notes in the VPC what was applied."""
        note = applied.note(self._stack)
        vpc = self._index.of["vpc", self._stack.tag]
        if vpc.state != note:
            body = {"name": vpc.name, "description": note}
            self._client.send("PATCH", f"vpcs/{vpc.id}", body)
