"""A workload's calls as a consumer of the API makes them: keys are projects.

A key is a project whose name is the key and whose description holds the tokens; the project's
version is the count. An append reads the project and sends its new description with If-Match, anew
when somebody else was quicker: what the API promises (of two changes at one version exactly one
succeeds) is what makes that an atomic push.
"""

import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cluster.drill.consumer import Answer as Reply
from cluster.drill.consumer import ApiError, Connections, Consumer, Exchange, refusal
from cluster.drill.history import Guarantee, Outcome, State
from cluster.drill.target import Answer

PROJECTS = "/api/v1/projects"
TURNS = 200
"""Times that an append tries to be the quickest."""
PAGE = 100


class ApiTarget:
    """Keys as projects. A group is what one account owns, so all of it lives on one shard.

    `accounts` has e-mail and password by group; `ca`: see `Connections`. The API reads from the
    primary without waiting for a majority, so a read promises `Guarantee.LOCAL`.
    """

    guarantee = Guarantee.LOCAL

    def __init__(
        self, url: str, accounts: Mapping[str, tuple[str, str]], ca: Path | None = None
    ) -> None:
        self.groups: Sequence[str] = list(accounts)
        self._connections = Connections(url, ca)
        self._consumers = {
            group: Consumer(self._connections, *account) for group, account in accounts.items()
        }
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    @property
    def exchanges(self) -> list[Exchange]:
        """Every request until now."""
        return self._connections.exchanges

    @property
    def consumers(self) -> list[Consumer]:
        """The accounts' consumers."""
        return list(self._consumers.values())

    def insert(self, key: str, token: str) -> Answer:
        """Create the project, under an Idempotency-Key as a careful consumer does."""
        body = {"name": key, "description": token}
        reply = self._consumer(key).send("POST", PROJECTS, body, _once())
        _expect(reply, "POST", 201)
        with self._lock:
            self._ids[key] = reply.body["id"]
        return Answer(1, _state(reply))

    def append(self, key: str, token: str) -> Answer:
        """Add the token at the version just read, until nobody else was quicker."""
        for turn in range(TURNS):
            found = self._get(key)
            if found is None:
                return Answer(0)
            held = _state(found).tokens
            if token in held:
                # Only the PATCH that was answered 412 can have done this.
                sentence = f"PATCH was answered 412 in turn {turn}, and took effect all the same"
                raise ApiError(sentence, Outcome.UNKNOWN)
            body = {"description": " ".join([*held, token])}
            headers = {"If-Match": found.headers["etag"], **_once()}
            reply = self._consumer(key).send("PATCH", self._path(key), body, headers)
            _expect(reply, "PATCH", 200, 404, 412)
            if reply.status == 404:
                return Answer(0)
            if reply.status == 200:
                # A later version answers a proxy's second try: of the document as it is by then.
                at_once = reply.body["version"] == found.body["version"] + 1
                return Answer(1, _state(reply) if at_once else None)
        raise ApiError(f"{TURNS} times somebody else was quicker", Outcome.FAILED)

    def read(self, key: str) -> Answer:
        """Read the project."""
        found = self._get(key)
        return Answer(0) if found is None else Answer(1, _state(found))

    def delete(self, key: str) -> Answer:
        """Delete the project."""
        path = self._path(key)
        if not path:
            return Answer(0)
        reply = self._consumer(key).send("DELETE", path, headers=_once())
        _expect(reply, "DELETE", 204, 404)
        return Answer(int(reply.status == 204))

    def scan(self) -> Iterable[tuple[str, State]]:
        """All projects of all groups, page by page."""
        for group in self.groups:
            for item in self._list(group):
                yield item["name"], State(tuple(item["description"].split()), item["version"])

    def outcome(self, error: Exception) -> Outcome:
        """Of what is not an answer of the API nothing is known."""
        return error.outcome if isinstance(error, ApiError) else Outcome.UNKNOWN

    def _get(self, key: str) -> Reply | None:
        path = self._path(key)
        if not path:
            return None
        try:
            reply = self._consumer(key).send("GET", path)
        except ApiError as error:
            raise ApiError(str(error), Outcome.FAILED) from error  # nothing was to be written
        _expect(reply, "GET", 200, 404)
        return reply if reply.status == 200 else None

    def _path(self, key: str) -> str:
        """The project's address; "" if there is none. Looked up if its POST had no answer."""
        with self._lock:
            found = self._ids.get(key)
        if found is None:
            group = key.rpartition("/")[0]
            found = next((i["id"] for i in self._list(group) if i["name"] == key), None)
            if found is None:
                return ""
            with self._lock:
                self._ids[key] = found
        return f"{PROJECTS}/{found}"

    def _list(self, group: str) -> Iterable[dict[str, Any]]:
        after = ""
        while True:
            query = f"?limit={PAGE}{after and f'&after={quote(after)}'}"
            reply = self._consumers[group].send("GET", PROJECTS + query)
            _expect(reply, "GET", 200)
            yield from reply.body["items"]
            if reply.body["next"] is None:
                return
            after = reply.body["next"]

    def _consumer(self, key: str) -> Consumer:
        return self._consumers[key.rpartition("/")[0]]


def _expect(reply: Reply, method: str, *statuses: int) -> None:
    """Raise ApiError for another answer: what is refused (4xx) is certainly without effect."""
    if reply.status not in statuses:
        raise ApiError(f"{method} was answered {refusal(reply)}", Outcome.FAILED)


def _once() -> dict[str, str]:
    """A key for one request: behind a proxy that repeats, even one that is answered 401 may have
    taken effect, at a first try whose token was still good.
    """
    return {"Idempotency-Key": secrets.token_hex(16)}


def _state(reply: Reply) -> State:
    return State(tuple(reply.body["description"].split()), reply.body["version"])
