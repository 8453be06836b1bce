"""A consumer of the API: keep-alive connections, log-in, refresh, and a note of every request.

It hides nothing: it sends each request once, and an answer of 500 or above is an `ApiError`.
"""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.drill.history import Outcome

TIMEOUT = 30.0
"""Seconds after which a consumer stops waiting for an answer."""
EARLY = 1.0
"""Seconds before its end at which an access token is renewed."""

Body = dict[str, Any]


class ApiError(Exception):
    """A request came to nothing; `outcome` is what that means if it was a write."""

    def __init__(self, sentence: str, outcome: Outcome) -> None:
        super().__init__(sentence)
        self.outcome = outcome


@dataclass(frozen=True)
class Answer:
    """What the API said: the body is {} where there is none; names of headers in lower case."""

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


class Connections:
    """Sends requests to one server, on a connection for each thread.

    https needs the certificate of the authority that the server's is from, unless the machine
    trusts it anyway: `ca`, a PEM file. The server's name is checked, always.
    """

    def __init__(self, url: str, ca: Path | None = None) -> None:
        parts = urlsplit(url)
        self._tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
        usual = http.client.HTTP_PORT if self._tls is None else http.client.HTTPS_PORT
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or usual
        self._local = threading.local()
        self._all: list[http.client.HTTPConnection] = []
        self.exchanges: list[Exchange] = []

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._all:
            connection.close()

    def send(self, method: str, path: str, headers: Mapping[str, str], body: Body | None) -> Answer:
        """One request. Raises ApiError if no answer comes, or one of 500 or above."""
        began, status = time.monotonic(), 0
        connection = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._connect()
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
            status = response.status
        except (OSError, http.client.HTTPException) as error:
            if connection is not None:
                connection.close()
            self._local.connection = None
            raise ApiError(f"{method} without an answer: {error!r}", Outcome.UNKNOWN) from error
        finally:
            self.exchanges.append(Exchange(method, path, status, began, time.monotonic() - began))
        if status >= 500:
            # 503 says itself that it is not known whether the request took effect; other answers
            # of this kind say nothing at all.
            told = text.decode(errors="replace")
            raise ApiError(f"{method} was answered {status}: {_detail(told)}", Outcome.UNKNOWN)
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status, json.loads(text) if text else {}, names)

    def _connect(self) -> http.client.HTTPConnection:
        made = (
            http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
            if self._tls is None
            else http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT, context=self._tls
            )
        )
        try:
            made.connect()
        except ConnectionRefusedError as error:
            raise ApiError(f"nobody listens: {error}", Outcome.FAILED) from error
        self._local.connection = made
        self._all.append(made)
        return made


class Consumer:
    """One account of the API, used by several threads."""

    def __init__(self, connections: Connections, email: str, password: str) -> None:
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
    ) -> Answer:
        """One request under this account. Raises ApiError as `Connections.send` does."""
        given = {"Content-Type": "application/json"} if body is not None else {}
        given.update(headers or {})
        token = self._token()
        answer = self._attempt(method, path, given, body, token)
        if answer.status == 401:  # it expired on its way; refused, or known by its key
            answer = self._attempt(method, path, given, body, self._token(instead_of=token))
        return answer

    def _attempt(
        self, method: str, path: str, headers: Body, body: Body | None, token: str
    ) -> Answer:
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


def refusal(answer: Answer) -> str:
    """An answer that is not the one that was hoped for, in words."""
    return f"{answer.status}: {answer.body.get('detail', '')}"


def _detail(text: str) -> str:
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
