"""The one place that speaks to DigitalOcean: python-digitalocean, with what it gets wrong mended.

We use the library's requests (`BaseAPI.get_data`) and none of its objects, which break on answers
that have a field more than in 2021. One override, of the method that sends a request, mends the
rest: the token goes to the host of the end point alone and no redirect is followed, a request ends
after a time, it has the form that the API describes, and what is safe to repeat is repeated. A
list is read page by page and must be whole.

What is safe: everything but a POST, and a POST that was refused for its rate (429) or never sent.
Any other POST without a proper answer may have been carried out: LostAnswerError.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import digitalocean
import requests
from requests.auth import AuthBase

from console import Report
from deploy.access import MAKE_ONE, TOKEN, Access
from deploy.errors import LostAnswerError, MissingError, ReachError, RefusedError, TokenError

PER_PAGE = 200
"""The most that DigitalOcean gives in a page."""
A_MINUTE = 240
"""Requests that we send in a minute: DigitalOcean allows 250, and somebody else may send some."""
TRIES = 6
PATIENCE = 900.0
"""Seconds that a request which is refused for its rate is tried again for: the limit of an hour may
be used up, and somebody should decide whether to wait that long."""
SILENCE = 8.0
"""Seconds after which we say what we wait for."""
TIMEOUT = (5, 30)
MORE = "Ask for a higher limit: https://cloud.digitalocean.com/account/team/droplet_limit_increase"


class Clock:
    """The time, and how to let it pass."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)


class _Bearer(AuthBase):
    """Sends the token; without it, requests would look for a password in ~/.netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Client(digitalocean.Manager):  # type: ignore[misc] # the library has no types
    """An account of DigitalOcean. Every method raises ReachError, RefusedError or TokenError."""

    def __init__(self, access: Access, report: Report, clock: Clock | None = None) -> None:
        super().__init__(token=access.token, end_point=access.end_point)
        self.clock = clock or Clock()
        self.sent = 0
        self._report = report
        self._told_at = self.clock.now()
        self._access = access
        self._sent_at: collections.deque[float] = collections.deque()
        self._session.auth = _Bearer(access.token)
        if access.is_local:
            self._session.trust_env = False  # a proxy would be another host

    # ---- what others call ----------------------------------------------------------------------

    def report(self, line: str) -> None:
        """Tells who waits for us what is done, or waited for."""
        self._told_at = self.clock.now()
        self._report(line)

    def all(self, path: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """All of a list, of however many pages; raises ReachError unless it is whole."""
        found: list[dict[str, Any]] = []
        total = 0
        for _ in range(3):  # it may change while it is read
            found, total = self._pages(path, key, params)
            distinct = {one.get("id") or one.get("slug") or one.get("name") for one in found}
            if len(found) == len(distinct) == total:
                return found
        raise ReachError(
            f"the list of {key} could not be read whole: {len(found)} came of {total}. "
            "Nothing was changed because of it; run it again."
        )

    def _pages(
        self, path: str, key: str, params: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], int]:
        found: list[dict[str, Any]] = []
        total, page = 1, 0
        while len(found) < total:
            page += 1
            data = self.get_data(path, params={**params, "page": page, "per_page": PER_PAGE})
            items = data.get(key) if isinstance(data, dict) else None
            count = data.get("meta", {}).get("total") if isinstance(data, dict) else None
            if not isinstance(items, list) or not isinstance(count, int):
                raise ReachError(
                    f"{self._access.host} answers GET /v2/{path} with something else than a list "
                    f"of {key}. Is it DigitalOcean's API?"
                )
            found += items
            total = count
            if not items:
                break
        return found, total

    def get(self, path: str) -> dict[str, Any]:
        """One thing."""
        found: dict[str, Any] = self.get_data(path)
        return found

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Changes something: POST, PUT, PATCH or DELETE. May raise LostAnswerError."""
        answer = self.get_data(path, type=method, params=body)
        return answer if isinstance(answer, dict) else {}

    # ---- the override --------------------------------------------------------------------------

    def _BaseAPI__perform_request(  # noqa: N802 - the library's name for it
        self, url: str, type: str = "GET", params: dict[str, Any] | None = None
    ) -> requests.Response:
        """One request and its answer, which is a success; anything else is raised."""
        path = url.strip("/")
        given = dict(params or {})
        kwargs: dict[str, Any] = {"timeout": TIMEOUT, "allow_redirects": False}
        if type == "GET":
            if "page" not in given:
                given.pop("per_page", None)  # the library adds it where there are no pages, too
            kwargs["params"] = given
        elif given or type != "DELETE":
            kwargs["json"] = given
        return self._persist(type, path, kwargs)

    def _persist(self, method: str, path: str, kwargs: dict[str, Any]) -> requests.Response:
        what = f"{method} /v2/{path}"
        began, tries = self.clock.now(), 0
        while True:
            self._pace()
            if self.clock.now() - self._told_at > SILENCE:
                self.report(f"{self.sent} requests sent, now {what}")
            tries += 1
            try:
                with self._heard(what):
                    answer: requests.Response = self._session.request(
                        method, self.end_point + path, **kwargs
                    )
            except requests.RequestException as error:
                trouble, sent = self._unreachable(error), _was_sent(error)
                pause = 2.0 ** (tries - 1)
            else:
                trouble, sent = self._judge(answer, what)
                if not trouble:
                    return answer
                pause = _retry_after(answer) or 2.0 ** (tries - 1)
            if method == "POST" and sent:
                raise LostAnswerError(f"{trouble}. Whether {what} was done is not known.")
            limited = trouble.endswith("(429)")
            late = self.clock.now() - began + pause > PATIENCE
            if late or (tries >= TRIES and not limited):
                raise ReachError(
                    f"{trouble}, {tries} times. Try again later; it goes on from here."
                )
            self.wait(pause, f"{trouble} to {what}; trying again")

    def _judge(self, answer: requests.Response, what: str) -> tuple[str, bool]:
        """What is wrong with an answer and will pass, and whether it may have been done.

        Raises what will not pass.
        """
        code, host = answer.status_code, self._access.host
        if code == 429:
            return f"{host} has had enough requests for now (429)", False
        if code >= 500:
            return f"{host} answers {code}", True
        if 300 <= code < 400:
            raise ReachError(f"{host} answers {what} with a redirect ({code}). Is it the API?")
        try:
            data = answer.json() if code != 204 else {}
        except ValueError:
            data = None
        if code >= 400:
            why = data.get("message") if isinstance(data, dict) else None
            raise _refusal(code, what, str(why or answer.reason))
        if not isinstance(data, dict):
            return f"{host} answers with something that is no JSON object", True
        return "", False

    def _unreachable(self, error: requests.RequestException) -> str:
        if isinstance(error, requests.exceptions.SSLError):
            raise ReachError(
                f"the certificate of {self._access.host} is not trusted here. Is a proxy between? "
                "Name its authority in REQUESTS_CA_BUNDLE."
            ) from None
        if isinstance(error, requests.Timeout):
            return f"{self._access.host} gives no answer in time"
        return f"{self._access.host} cannot be reached"

    # ---- waiting -------------------------------------------------------------------------------

    def wait(self, seconds: float, why: str) -> None:
        """Lets time pass, and says so when it is more than a moment, at least every 8 s."""
        if seconds >= 1:
            self.report(f"{why} in {seconds:.0f} s")
        while seconds > SILENCE:
            self.clock.sleep(SILENCE)
            seconds -= SILENCE
            self.report(f"{why} in {seconds:.0f} s")
        self.clock.sleep(seconds)

    def _pace(self) -> None:
        """Waits until one more request stays within the limit of a minute."""
        now = self.clock.now()
        while self._sent_at and self._sent_at[0] <= now - 60:
            self._sent_at.popleft()
        if len(self._sent_at) >= A_MINUTE:
            self.wait(
                60 - (now - self._sent_at[0]),
                f"DigitalOcean takes 250 requests a minute, {self.sent} are sent; going on",
            )
            self._pace()
            return
        self._sent_at.append(now)
        self.sent += 1

    @contextlib.contextmanager
    def _heard(self, what: str) -> Iterator[None]:
        """While the block waits for an answer, somebody says so every 8 s."""
        done = threading.Event()

        def tell() -> None:
            while not done.wait(SILENCE):
                self.report(f"no answer yet to {what}")

        threading.Thread(target=tell, daemon=True).start()
        try:
            yield
        finally:
            done.set()


def _was_sent(error: requests.RequestException) -> bool:
    """Whether a request may have arrived; not if no connection came about."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return False
    return not any(name in repr(error) for name in ("NewConnectionError", "NameResolutionError"))


def _retry_after(answer: requests.Response) -> float | None:
    """The seconds of Retry-After, or of Ratelimit-Reset, which is a moment."""
    given = answer.headers.get("Retry-After", "")
    if given.isdigit():
        return float(given)
    reset = answer.headers.get("Ratelimit-Reset", "")
    if answer.status_code == 429 and reset.isdigit():
        return max(1.0, float(reset) - time.time())
    return None


def _refusal(code: int, what: str, why: str) -> TokenError | RefusedError:
    """What an answer of 4xx means, with the fix."""
    why = why.rstrip(".")
    if code == 401:
        return TokenError(f"DigitalOcean does not know this token (401). {MAKE_ONE}: {TOKEN}=…")
    if code == 403:
        line = (
            f"the token may not {what} (403: {why}). {MAKE_ONE} that may read and write, "
            "or add that scope to it."
        )
    elif code == 404:
        return MissingError(f"{what}: there is no such thing (404: {why}).", code, why)
    else:
        fix = MORE if "limit" in why.lower() else "Correct that and run it again"
        line = f"DigitalOcean refuses {what} ({code}): {why}. {fix}."
    return RefusedError(line, code, why)
