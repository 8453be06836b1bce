"""A stateful stand-in for DigitalOcean's API on loopback, for tests of `deploy`.

It has what stacks are made of, refuses what DigitalOcean refuses (`digitalocean_account`), and
judges each request and each answer by DigitalOcean's own description of its API. Faults can be
injected. With hooks, a droplet can be backed by something that runs.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.helpers.description import Judge
from tests.helpers.digitalocean_account import Account, Droplet, OnCreate, Refusal
from tests.helpers.digitalocean_shapes import LISTS, RECORD, Json

TOKEN = "dop_v1_" + "0" * 64
READ_ONLY = "dop_v1_" + "1" * 64
ALIKE = 50
"""Lists of more are not judged: it takes long, and one is like the other."""


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    headers: dict[str, str]

    def is_(self, method: str, path: str) -> bool:
        """Whether it is this one; `*` in the path stands for an id."""
        want, have = path.split("/"), self.path.split("/")
        alike = len(want) == len(have)
        return (
            self.method == method
            and alike
            and all(a in ("*", b) for a, b in zip(want, have, strict=True))
        )


@dataclass
class Fault:
    """What goes wrong with requests that match, as many times as `times` says.

    Kinds: a status ("500", "429"), "html", "truncated", "empty", "hang up"; with "late " before it,
    the request is carried out first. "page one" answers with the first page, whichever was asked.
    "short" leaves half of a list out, and says so nowhere.
    """

    method: str
    path: str
    kind: str
    times: int = 1
    page: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def matches(self, request: Request) -> bool:
        """Whether it is due, which counts."""
        paged = self.page is None or request.query.get("page") == [self.page]
        if self.times and paged and request.is_(self.method, self.path):
            self.times -= 1
            return True
        return False


class DigitalOcean(Account):
    """The account and its API: `with DigitalOcean() as fake:`, then `fake.url` and `fake.token`.

    `polls`: how often something new is shown before it is ready. `on_create_droplet` is called with
    each new droplet, as the API shows it, in a thread of its own; when it returns, the droplet is
    active. No two droplets may have one address. `on_destroy_droplet` is called with each that is
    destroyed, before the answer. What either raises is in `hook_errors`. `environment` makes
    `python -m deploy` speak to it, and `records` has the DNS records of each zone.
    `on_request` is told of each request, "before" it is carried out and "after".
    """

    def __init__(
        self,
        *,
        on_create_droplet: OnCreate | None = None,
        on_destroy_droplet: Callable[[Droplet], None] | None = None,
        judge: Judge | None = None,
        polls: int = 1,
    ) -> None:
        super().__init__(on_create_droplet, on_destroy_droplet, polls)
        self.token = TOKEN
        self.on_request: Callable[[int, Request, str], None] = lambda *_: None
        self.judge = judge
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []

    # ---- the server ----------------------------------------------------------------------------

    def __enter__(self) -> DigitalOcean:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v2/"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join(60)

    @property
    def environment(self) -> dict[str, str]:
        """What makes `python -m deploy` speak to it."""
        return {"DIGITALOCEAN_ACCESS_TOKEN": self.token, "DIGITALOCEAN_END_POINT": self.url}

    def answer(self, request: Request) -> tuple[int, Any, dict[str, str], str]:
        """Status, body, headers and what shall be wrong with it."""
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
            self.on_request(number, request, "before")
            fault = next((one for one in self.faults if one.matches(request)), None)
            kind = fault.kind if fault else ""
            if fault and kind not in ("page one", "short") and not kind.startswith("late "):
                return *_faulty(fault), kind
            if kind == "page one":
                request.query["page"] = ["1"]
            code, body = self._carry_out(request)
            self.on_request(number, request, "after")
            if kind == "short":
                name = next(key for key, value in body.items() if isinstance(value, list))
                body = {**body, name: body[name][: len(body[name]) // 2]}
            if fault and kind.startswith("late "):
                return *_faulty(fault), kind
            return code, body, {}, ""

    def _carry_out(self, request: Request) -> tuple[int, Any]:
        try:
            self._admit(request)
            code, body = self._route(request)
        except Refusal as refusal:
            return refusal.code, {"id": "refused", "message": refusal.message}
        body = copy.deepcopy(body)
        many = body.get("meta", {}).get("total", 0) > ALIKE
        if self.judge and not many and (wrong := self.judge.answer(request, code, body)):
            self.violations.append(f"our answer {code} to {request.method} {request.path}: {wrong}")
        return code, body

    def _admit(self, request: Request) -> None:
        if self.judge and (wrong := self.judge.request(request)):
            self.violations.append(f"{request.method} {request.path}: {wrong}")
            raise Refusal(422, wrong)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in (self.token, READ_ONLY):
            raise Refusal(401, "Unable to authenticate you")
        if token == READ_ONLY and request.method != "GET":
            raise Refusal(403, "You are not authorized to perform this operation")

    # ---- what there is -------------------------------------------------------------------------

    def _route(self, request: Request) -> tuple[int, Any]:  # noqa: PLR0911 - a line for each
        parts = request.path.split("/")
        head = "/".join(parts[:2]) if parts[0] == "account" and len(parts) > 1 else parts[0]
        rest = parts[head.count("/") + 1 :]
        if head == "account":
            return 200, {"account": self._account()}
        if head == "domains" and len(rest) > 1:
            return self._records(request, *rest)
        if head not in PATHS:
            raise Refusal(404, "The resource you were accessing could not be found.")
        kind, singular = PATHS[head]
        match request.method, rest:
            case "GET", []:
                return 200, self._page(request, kind, self._shown(kind, request.query))
            case "GET", [id_]:
                return 200, {singular: self._show(kind, self._one(kind, id_))}
            case "POST", []:
                made = getattr(self, f"_make_{singular}")(request.body)
                self.lists[kind].append(made)
                return CREATED.get(kind, 201), {singular: self._show(kind, made), **_links(kind)}
            case "DELETE", [id_]:
                self._delete(kind, self._one(kind, id_))
                return 204, {}
            case (("PUT" | "PATCH"), [id_]):
                return 200, {singular: self._update(kind, self._one(kind, id_), request.body)}
            case "POST", [id_, what]:
                return self._act(kind, self._one(kind, id_), what, request.body)
        raise Refusal(404, "The resource you were accessing could not be found.")

    def _shown(self, kind: str, query: dict[str, list[str]]) -> list[Json]:
        found = [self._show(kind, one) for one in self.lists[kind]]
        for name, test in (
            ("tag_name", lambda one, value: value in one["tags"]),
            ("name", lambda one, value: one["name"] == value),
            ("region", lambda one, value: one["region"]["slug"] == value),
        ):
            for value in query.get(name, []):
                found = [one for one in found if test(one, value)]
        return found

    def _page(self, request: Request, kind: str, found: list[Json]) -> Json:
        page = int(request.query.get("page", ["1"])[0])
        size = int(request.query.get("per_page", ["20"])[0])
        pages: Json = {}
        if page * size < len(found):
            # Absolute, and to the real one: a token that follows it has left.
            url = f"https://api.digitalocean.com/v2/{request.path}?page={page + 1}&per_page={size}"
            pages = {"pages": {"next": url, "last": url}}
        return {
            kind: found[(page - 1) * size : page * size],
            "links": pages,
            "meta": {"total": len(found)},
        }

    def _records(self, request: Request, zone: str, _: str, *rest: str) -> tuple[int, Any]:
        self._one("domains", zone)
        records = self.records[zone]
        if rest:
            found = [one for one in records if str(one["id"]) == rest[0]]
            if not found:
                raise Refusal(404, "The resource you were accessing could not be found.")
            if request.method == "DELETE":
                records.remove(found[0])
                return 204, {}
            found[0].update(request.body)
            return 200, {"domain_record": found[0]}
        if request.method == "POST":
            self._number += 1
            made = {**RECORD, **request.body, "id": self._number}
            records.append(made)
            return 201, {"domain_record": made}
        shown = records
        for host in request.query.get("name", []):
            short = "@" if host == zone else host.removesuffix(f".{zone}")
            shown = [one for one in shown if one["name"] == short]
        for kind in request.query.get("type", []):
            shown = [one for one in shown if one["type"] == kind]
        return 200, self._page(request, "domain_records", shown)


PATHS = {
    "account/keys": ("ssh_keys", "ssh_key"),
    **{kind: (kind, kind[:-1]) for kind in LISTS if kind != "ssh_keys"},
}
CREATED = {"droplets": 202, "firewalls": 202, "load_balancers": 202}


def _links(kind: str) -> Json:
    return {"links": {"actions": []}} if kind == "droplets" else {}


def _faulty(fault: Fault) -> tuple[int, Any, dict[str, str]]:
    kind = fault.kind.removeprefix("late ")
    if kind.isdigit():
        return int(kind), {"id": "fault", "message": f"a fault: {kind}"}, fault.headers
    code = {"html": 502, "truncated": 200, "empty": 200, "hang up": 0}[kind]
    return code, {}, fault.headers


def _handler(fake: DigitalOcean) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _do(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            data = self.rfile.read(length)
            request = Request(
                self.command,
                url.path.removeprefix("/v2/").strip("/"),
                parse_qs(url.query),
                json.loads(data) if data else None,
                {name.lower(): value for name, value in self.headers.items()},
            )
            code, body, headers, kind = fake.answer(request)
            if code == 0:
                self.close_connection = True
                self.connection.close()
                return
            text = b"" if code == 204 else json.dumps(body).encode()
            if kind.endswith("html"):
                text = b"<html><h1>502 Bad Gateway</h1></html>"
            if kind.endswith("truncated"):
                text = b'{"droplets": [{"id": 1, "na'
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Handler


def fake_account(judge: Judge | None = None, **options: Any) -> Iterator[DigitalOcean]:
    """An empty account that serves until it is closed, and whose requests must all be right."""
    with DigitalOcean(judge=judge, **options) as fake:
        yield fake
    assert fake.violations == []
    assert fake.hook_errors == []
