"""A workload's calls as a consumer of the API makes them: keys are projects.

A key is a project whose name is the key and whose description holds the tokens; the project's
version is the count. An append reads the project and sends its new description with If-Match, anew
when somebody else was quicker. The API promises that of two changes at one version exactly one
succeeds: that makes the append atomic.

A consumer logs in, renews its token, and keeps its connections and a note of every request. It
hides nothing: it sends each request once, and an answer of 500 or above is an `ApiError`.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from urllib3 import connection_from_url
from urllib3.exceptions import HTTPError, NewConnectionError

from cluster.drill.history import Guarantee, Outcome, State
from cluster.drill.load.workload import Effect

PROJECTS = "/api/v1/projects"
REPLAYED = "Idempotent-Replayed"
TURNS = 200
"""Times that an append tries to be the quickest."""
PAGE = 100
TIMEOUT = 30.0
"""Seconds after which a consumer stops waiting for an answer."""
EARLY = 1.0
"""Seconds before its end at which an access token is renewed."""
KEPT = 64
"""HttpClient that are kept between requests: as many as there are clients, or more."""

Body = dict[str, Any]


class ApiError(Exception):
    """A request came to nothing; `outcome` is what that means if it was a write."""

    def __init__(self, sentence: str, outcome: Outcome) -> None:
        super().__init__(sentence)
        self.outcome = outcome


@dataclass(frozen=True)
class Response:
    """What the API said: the body is {} where there is none; headers by name in any case."""

    status: int
    body: Body
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Exchange:
    """One request as the consumer saw it; status 0 if it got no answer. Times in seconds."""

    method: str
    path: str
    status: int
    began: float
    took: float


class HttpClient:
    """Sends requests to one server, each once, over connections that are kept.

    https needs the certificate of the authority that the server's is from, unless the machine
    trusts it anyway: `ca`, a PEM file. The server's name is checked, always.
    """

    def __init__(self, url: str, ca: Path | None = None) -> None:
        trusted = {"ca_certs": str(ca)} if ca else {}
        self._pool = connection_from_url(url, maxsize=KEPT, timeout=TIMEOUT, **trusted)
        self.exchanges: list[Exchange] = []

    def close(self) -> None:
        """Close the connections that no request uses."""
        self._pool.close()

    def send(
        self, method: str, path: str, headers: Mapping[str, str], body: Body | None
    ) -> Response:
        """One request. Raises ApiError if no answer comes, or one of 500 or above."""
        began, status = time.monotonic(), 0
        sent = None if body is None else json.dumps(body).encode()
        try:
            answer = self._pool.urlopen(method, path, sent, headers, retries=False, redirect=False)
            status = answer.status
        except NewConnectionError as error:
            raise ApiError(f"nobody listens: {error}", Outcome.FAILED) from error
        except (HTTPError, OSError) as error:
            raise ApiError(f"{method} without an answer: {error!r}", Outcome.UNKNOWN) from error
        finally:
            self.exchanges.append(Exchange(method, path, status, began, time.monotonic() - began))
        if status >= 500:
            # 503 says itself that it is not known whether the request took effect; other answers
            # of this kind say nothing at all.
            told = _detail(answer.data.decode(errors="replace"))
            raise ApiError(f"{method} was answered {status}: {told}", Outcome.UNKNOWN)
        return Response(status, answer.json() if answer.data else {}, answer.headers)


class Consumer:
    """One account of the API, used by several threads."""

    def __init__(self, connections: HttpClient, email: str, password: str) -> None:
        self._connections = connections
        self._credentials = {"email": email, "password": password}
        self._lock = threading.Lock()
        self._access, self._refresh, self._until = "", "", 0.0
        self.log_ins = self.refreshes = 0

    def send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request under this account. Raises ApiError as `HttpClient.send` does."""
        given = {"Content-Type": "application/json"} if body is not None else {}
        given.update(headers or {})
        token = self._token()
        answer = self._attempt(method, path, given, body, token)
        if answer.status == 401:  # it expired on its way; refused, or known by its key
            answer = self._attempt(method, path, given, body, self._token(instead_of=token))
        return answer

    def _attempt(
        self, method: str, path: str, headers: Body, body: Body | None, token: str
    ) -> Response:
        headers = {**headers, "Authorization": f"Bearer {token}"}
        return self._connections.send(method, path, headers, body)

    def _token(self, instead_of: str = "") -> str:
        """An access token that is still good; renewed by one thread while the others wait."""
        with self._lock:
            if time.monotonic() >= self._until - EARLY or self._access == instead_of:
                try:
                    self._renew()
                except ApiError as error:
                    raise ApiError(f"no token: {error}", Outcome.FAILED) from error
            return self._access

    def _renew(self) -> None:
        answer = None
        if self._refresh:
            spent, self._refresh = self._refresh, ""  # good once, whatever comes of it
            headers = {"Authorization": f"Bearer {spent}"}
            answer = self._connections.send("POST", "/api/v1/auth/refresh", headers, None)
            self.refreshes += 1
        if answer is None or answer.status == 401:
            headers = {"Content-Type": "application/json"}
            answer = self._connections.send(
                "POST", "/api/v1/auth/login", headers, self._credentials
            )
            self.log_ins += 1
        if answer.status != 200:
            raise ApiError(f"it was answered {refusal(answer)}", Outcome.FAILED)
        self._access, self._refresh = answer.body["access_token"], answer.body["refresh_token"]
        self._until = time.monotonic() + answer.body["expires_in"]


def refusal(answer: Response) -> str:
    """An answer that is not the one that was hoped for, in words."""
    return f"{answer.status}: {answer.body.get('detail', '')}"


def _detail(text: str) -> str:
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return text[:200]


@dataclass(frozen=True)
class Patch:
    """A PATCH that adds a token at a version. `answered`: the API said that it did."""

    token: str
    version: int
    body: Body
    headers: dict[str, str]
    answered: bool = False


class ApiStore:
    """Keys as projects. A group is what one account owns, so all of it lives on one shard.

    `accounts` has e-mail and password by group; `ca`: see `HttpClient`. The API reads from the
    primary without waiting for a majority, so a read promises `Guarantee.LOCAL`.
    """

    guarantee = firmest = scanned = Guarantee.LOCAL
    unique = False  # of projects, any number may have one name
    repeats = True  # under the same Idempotency-Key

    def __init__(
        self, url: str, accounts: Mapping[str, tuple[str, str]], ca: Path | None = None
    ) -> None:
        self.groups: Sequence[str] = list(accounts)
        self._connections = HttpClient(url, ca)
        self._consumers = {
            group: Consumer(self._connections, *account) for group, account in accounts.items()
        }
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()
        self._mark = secrets.token_hex(8)
        self._own = threading.local()

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

    def insert(self, key: str, token: str) -> Effect:
        """Create the project, under an Idempotency-Key as a careful consumer does."""
        body = {"name": key, "description": token}
        once = {"Idempotency-Key": f"{self._mark}-{token}"}
        reply = self._consumer(key).send("POST", PROJECTS, body, once)
        _expect(reply, "POST", 201, 410)
        if reply.status == 410:  # a repetition: it was made, and somebody has deleted it since
            return Effect()
        with self._lock:
            self._ids[key] = reply.body["id"]
        return Effect(1, None if REPLAYED in reply.headers else _state(reply))

    def append(self, key: str, token: str) -> Effect:
        """Add the token at the version just read, until nobody else was quicker.

        A repetition begins with the very PATCH that was sent last, under its key.
        """
        last: Patch | None = getattr(self._own, "patch", None)
        patch = last if last is not None and last.token == token else None
        repeated = patch is not None
        for turn in range(TURNS):
            patch = patch or self._patch(key, token, turn)
            if patch is None:
                return Effect(0)
            self._own.patch = patch
            reply = self._consumer(key).send("PATCH", self._path(key), patch.body, patch.headers)
            _expect(reply, "PATCH", 200, 404, 412)
            if reply.status == 200:
                self._own.patch = replace(patch, answered=True)
                # A later version answers a second try: of the document as it is by then.
                at_once = reply.body["version"] == patch.version + 1
                return Effect(1, _state(reply) if at_once else None)
            if reply.status == 404:
                if repeated and not patch.answered:
                    raise ApiError("PATCH was repeated, and the project is gone", Outcome.UNKNOWN)
                return Effect(int(patch.answered))
            patch, repeated = None, False
        raise ApiError(f"{TURNS} times somebody else was quicker", Outcome.FAILED)

    def _patch(self, key: str, token: str, turn: int) -> Patch | None:
        """A PATCH that adds the token to the project as it is now; None: the project is gone."""
        found = self._get(key)
        if found is None:
            return None
        held = _state(found).tokens
        if token in held:
            # Only the PATCH that was answered 412 can have done this.
            sentence = f"PATCH was answered 412 in turn {turn}, and took effect all the same"
            raise ApiError(sentence, Outcome.UNKNOWN)
        headers = {"If-Match": found.headers["etag"], **_once()}
        return Patch(
            token, found.body["version"], {"description": " ".join([*held, token])}, headers
        )

    def read(self, key: str, guarantee: Guarantee) -> Effect:  # noqa: ARG002 - there is one
        """Read the project."""
        found = self._get(key)
        return Effect(0) if found is None else Effect(1, _state(found))

    def delete(self, key: str) -> Effect:
        """Delete the project."""
        path = self._path(key)
        if not path:
            return Effect(0)
        reply = self._consumer(key).send("DELETE", path, headers=_once())
        _expect(reply, "DELETE", 204, 404)
        return Effect(int(reply.status == 204))

    def scan(self, prefix: str = "") -> Iterable[tuple[str, State]]:
        """List the projects, page by page; without a prefix those of all groups."""
        for group in [prefix.rpartition("/")[0]] if prefix else self.groups:
            for item in self._list(group, prefix):
                yield item["name"], State(tuple(item["description"].split()), item["version"])

    def outcome(self, error: Exception) -> Outcome:
        """Of what is not an answer of the API nothing is known."""
        return error.outcome if isinstance(error, ApiError) else Outcome.UNKNOWN

    def _get(self, key: str) -> Response | None:
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

    def _list(self, group: str, prefix: str = "") -> Iterable[dict[str, Any]]:
        after = ""
        chosen = f"&name[prefix]={quote(prefix)}" if prefix else ""
        while True:
            query = f"?limit={PAGE}{chosen}{after and f'&after={quote(after)}'}"
            reply = self._consumers[group].send("GET", PROJECTS + query)
            _expect(reply, "GET", 200)
            yield from reply.body["items"]
            if reply.body["next"] is None:
                return
            after = reply.body["next"]

    def _consumer(self, key: str) -> Consumer:
        return self._consumers[key.rpartition("/")[0]]


def _expect(reply: Response, method: str, *statuses: int) -> None:
    """Raise ApiError for another answer: what is refused (4xx) is certainly without effect."""
    if reply.status not in statuses:
        raise ApiError(f"{method} was answered {refusal(reply)}", Outcome.FAILED)


def _once() -> dict[str, str]:
    """A key for one request: behind a proxy that repeats, even one that is answered 401 may have
    taken effect, at a first try whose token was still good.
    """
    return {"Idempotency-Key": secrets.token_hex(16)}


def _state(reply: Response) -> State:
    return State(tuple(reply.body["description"].split()), reply.body["version"])
