"""A stateful stand-in for DigitalOcean's API on loopback, for tests of `deploy`.

It has what stacks are made of, refuses what DigitalOcean refuses, and judges each request and each
answer by DigitalOcean's own description of its API. Faults can be injected. With hooks, a droplet
can be backed by something that runs.
"""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import ipaddress
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.helpers.description import Judge

Json = dict[str, Any]
TOKEN = "dop_v1_" + "0" * 64
READ_ONLY = "dop_v1_" + "1" * 64
REGIONS = ("ams3", "fra1", "nyc3", "sgp1")
SIZES = {"s-1vcpu-2gb": 12.0, "s-2vcpu-4gb": 24.0, "s-4vcpu-8gb": 48.0, "s-8vcpu-16gb": 96.0}
IMAGES = ("debian-12-x64", "ubuntu-22-04-x64", "ubuntu-24-04-x64")
ALIKE = 50
"""Lists of more are not judged: it takes long, and one is like the other."""
BORN = "2026-01-01T00:00:00Z"


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An answer other than success."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


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


Droplet = Json
OnCreate = Callable[[Droplet], tuple[str, str]]
"""Backs a droplet by something; returns its public and private address. It may take its time."""


class DigitalOcean:
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
        self.token = TOKEN
        self.droplet_limit = 100
        self.volume_limit = 100
        self.on_create_droplet = on_create_droplet
        self.on_destroy_droplet = on_destroy_droplet
        self.on_request: Callable[[int, Request, str], None] = lambda *_: None
        self.judge = judge
        self.polls = polls
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        self.hook_errors: list[BaseException] = []
        self.lists: dict[str, list[Json]] = {kind: [] for kind in LISTS} | account_of_today()
        self.records: dict[str, list[Json]] = {}
        self._number = 1000
        self._waits: dict[str, int] = {}
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []

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

    def of(self, kind: str) -> list[Json]:
        """All there is of a kind: droplets, volumes, vpcs, …"""
        return self.lists[kind]

    def named(self, kind: str, name: str) -> Json:
        """The one of this name."""
        (one,) = [one for one in self.lists[kind] if one["name"] == name]
        return one

    def dump(self) -> Json:
        """The whole account, for a file."""
        with self._lock:
            return copy.deepcopy(
                {"lists": self.lists, "records": self.records, "number": self._number}
            )

    def load(self, account: Json) -> None:
        """An account that was dumped."""
        account = copy.deepcopy(account)
        self.lists = {kind: [] for kind in LISTS} | account_of_today() | account["lists"]
        self.records, self._number = account["records"], account["number"]

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

    def _one(self, kind: str, id_: str) -> Json:
        for one in self.lists[kind]:
            if id_ in (str(one.get("id", one["name"])), one.get("fingerprint")):
                return one
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

    def _account(self) -> Json:
        return {
            "droplet_limit": self.droplet_limit,
            "floating_ip_limit": 3,
            "reserved_ip_limit": 3,
            "volume_limit": self.volume_limit,
            "email": "ops@example.com",
            "name": "Ops",
            "uuid": _uuid(0),
            "email_verified": True,
            "status": "active",
            "status_message": "",
        }

    def _show(self, kind: str, one: Json) -> Json:
        """As it is shown now; what is new becomes ready after a number of looks."""
        waiting = str(one.get("id"))
        if self._waits.get(waiting):
            self._waits[waiting] -= 1
            if not self._waits[waiting]:
                self._ready(kind, one)
        return one

    def _new_id(self, *, waits: bool = False) -> str:
        self._number += 1
        id_ = _uuid(self._number)
        if waits and self.polls:
            self._waits[id_] = self.polls
        return id_

    def _ready(self, kind: str, one: Json) -> None:
        if kind == "certificates":
            one["state"] = "verified"
        elif kind == "load_balancers":
            one["status"], one["ip"] = "active", f"198.51.100.{self._number % 250 + 1}"
        elif kind == "droplets":
            number = int(one["id"])
            vpc = self._one("vpcs", one["vpc_uuid"])
            network = ipaddress.ip_network(vpc["ip_range"])
            public = f"198.18.{number // 250 % 250}.{number % 250 + 1}"
            self._boot(one, public, str(network[(number - 1000) % network.num_addresses or 1]))

    def _boot(self, droplet: Json, public: str, private: str) -> None:
        droplet["status"] = "active"
        droplet["networks"]["v4"] = [
            {"ip_address": private, "netmask": "255.255.240.0", "gateway": "0", "type": "private"},
            {"ip_address": public, "netmask": "255.255.240.0", "gateway": "0", "type": "public"},
        ]

    def _free_name(self, kind: str, name: str, code: int, message: str) -> None:
        if any(one["name"] == name for one in self.lists[kind]):
            raise Refusal(code, message)

    def _known(self, kind: str, id_: str, message: str) -> Json:
        try:
            return self._one(kind, id_)
        except Refusal:
            raise Refusal(422, message) from None

    # ---- how each is made ----------------------------------------------------------------------

    def _make_ssh_key(self, body: Json) -> Json:
        try:
            kind, blob = body["public_key"].split()[:2]
            data = base64.b64decode(blob, validate=True)
        except (ValueError, binascii.Error):
            raise Refusal(422, "Key invalid, key should be of the format") from None
        if not data[4:].startswith(kind.encode()):
            raise Refusal(422, "Key invalid, key should be of the format")
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        fingerprint = ":".join(digest[n : n + 2] for n in range(0, 32, 2))
        if any(one["fingerprint"] == fingerprint for one in self.lists["ssh_keys"]):
            raise Refusal(422, "SSH Key is already in use on your account")
        self._number += 1
        return {
            "id": self._number,
            "fingerprint": fingerprint,
            "name": body["name"],
            "public_key": body["public_key"],
        }

    def _make_vpc(self, body: Json) -> Json:
        self._free_name("vpcs", body["name"], 422, "name is already in use")
        if len(body.get("description", "")) > 255:
            raise Refusal(422, "description is too long")
        network = ipaddress.ip_network(body["ip_range"])
        if any(network.overlaps(ipaddress.ip_network(v["ip_range"])) for v in self.lists["vpcs"]):
            raise Refusal(422, "This range/size overlaps with another VPC network in your account")
        id_ = self._new_id()
        return {**body, "id": id_, "urn": f"do:vpc:{id_}", "default": False, "created_at": BORN}

    def _make_tag(self, body: Json) -> Json:
        with suppress(Refusal):
            old = self._one("tags", body["name"])
            self.lists["tags"].remove(old)
        return {"name": body["name"], "resources": {"count": 0}}

    def _make_domain(self, body: Json) -> Json:
        self._free_name("domains", body["name"], 422, "domain name is already taken")
        self.records[body["name"]] = [
            {**RECORD, "id": 1, "type": "NS", "name": "@", "data": "ns1.digitalocean.com"}
        ]
        return {"name": body["name"], "ttl": 1800, "zone_file": None}

    def _make_certificate(self, body: Json) -> Json:
        self._free_name("certificates", body["name"], 422, "certificate name must be unique")
        for name in body["dns_names"]:
            if not any(f".{name}".endswith(f".{zone['name']}") for zone in self.of("domains")):
                raise Refusal(422, f"the domain of {name} is not managed by DigitalOcean")
        return {
            "id": self._new_id(waits=True),
            "name": body["name"],
            "not_after": "2026-04-01T00:00:00Z",
            "sha1_fingerprint": "0" * 40,
            "created_at": BORN,
            "dns_names": body["dns_names"],
            "state": "pending" if self.polls else "verified",
            "type": "lets_encrypt",
        }

    def _make_load_balancer(self, body: Json) -> Json:
        made = {
            "id": self._new_id(waits=True),
            "ip": "",
            "status": "new",
            "created_at": BORN,
            "size_unit": 1,
            "sticky_sessions": {"type": "none"},
            "enable_proxy_protocol": False,
            "enable_backend_keepalive": False,
            "droplet_ids": [],
        }
        return {**made, **self._balancer(body)}

    def _balancer(self, body: Json) -> Json:
        for rule in body["forwarding_rules"]:
            if id_ := rule.get("certificate_id"):
                one = self._known("certificates", id_, "certificate not found")
                if one["state"] != "verified":
                    raise Refusal(422, "the certificate is not verified yet")
        self._known("vpcs", body["vpc_uuid"], "VPC not found")
        self._known("tags", body["tag"], "tag not found")
        check = {
            "check_interval_seconds": 10,
            "response_timeout_seconds": 5,
            "unhealthy_threshold": 5,
            "healthy_threshold": 3,
        }
        return {
            **body,
            "region": _region(body["region"]),
            "health_check": {**check, **body["health_check"]},
            "forwarding_rules": [
                {"certificate_id": "", "tls_passthrough": False, **rule}
                for rule in body["forwarding_rules"]
            ],
        }

    def _make_firewall(self, body: Json) -> Json:
        self._free_name("firewalls", body["name"], 409, "duplicate name")
        made = {"id": self._new_id(), "status": "succeeded", "created_at": BORN}
        return {**made, "pending_changes": [], **self._firewall(body)}

    def _firewall(self, body: Json) -> Json:
        if len(body.get("tags", [])) > 5:
            raise Refusal(422, "a firewall may have at most 5 tags")
        rules = body.get("inbound_rules", []) + body.get("outbound_rules", [])
        for rule in rules:
            peers = rule.get("sources") or rule["destinations"]
            for tag in peers.get("tags", []):
                self._known("tags", tag, f"the tag {tag} was not found")
            for id_ in peers.get("load_balancer_uids", []):
                self._known("load_balancers", id_, "the load balancer was not found")
        for tag in body.get("tags", []):
            self._known("tags", tag, f"the tag {tag} was not found")
        return {"droplet_ids": [], "tags": [], **body}

    def _make_volume(self, body: Json) -> Json:
        self._free_name("volumes", body["name"], 409, "the volume name already exists")
        for tag in body.get("tags") or []:
            self._tag(tag)
        if len(self.of("volumes")) >= self.volume_limit:
            raise Refusal(422, "failed to create volume: exceeds the volume limit")
        return {
            "id": self._new_id(),
            "droplet_ids": [],
            "created_at": BORN,
            **body,
            "region": _region(body["region"]),
        }

    def _tag(self, name: str) -> None:
        if all(one["name"] != name for one in self.lists["tags"]):
            self.lists["tags"].append({"name": name, "resources": {"count": 0}})

    def _make_droplet(self, body: Json) -> Json:
        if len(self.of("droplets")) >= self.droplet_limit:
            raise Refusal(422, "creating this/these droplet(s) will exceed your droplet limit")
        if body["size"] not in SIZES or body["region"] not in REGIONS:
            raise Refusal(422, "size or region is not available")
        if body["image"] not in IMAGES:
            raise Refusal(422, "You specified an invalid image for Droplet creation.")
        for key in body["ssh_keys"]:
            self._known("ssh_keys", str(key), f"{key} are invalid key identifiers for Droplet")
        vpc = self._known("vpcs", body["vpc_uuid"], "VPC not found")
        volumes = [self._known("volumes", id_, "volume not found") for id_ in body["volumes"]]
        if vpc["region"] != body["region"] or any(one["droplet_ids"] for one in volumes):
            raise Refusal(422, "the VPC is elsewhere, or the volume is attached")
        for tag in body["tags"]:
            self._tag(tag)
        self._number += 1
        id_ = self._number
        for one in volumes:
            one["droplet_ids"] = [id_]
        made = _droplet(id_, body)
        if self.on_create_droplet:
            thread = threading.Thread(target=self._back, args=(made,))
            self._threads.append(thread)
            thread.start()
        elif self.polls:
            self._waits[str(id_)] = self.polls
        else:
            self._ready("droplets", made)
        return made

    def _back(self, droplet: Json) -> None:
        try:
            assert self.on_create_droplet
            public, private = self.on_create_droplet(copy.deepcopy(droplet))
            with self._lock:
                self._boot(droplet, public, private)
        except BaseException as error:  # noqa: BLE001 - the test looks at them
            self.hook_errors.append(error)

    # ---- how each is changed and destroyed -----------------------------------------------------

    def _update(self, kind: str, one: Json, body: Json) -> Json:
        if kind == "firewalls":
            one |= self._firewall(body)
        elif kind == "load_balancers":
            one |= self._balancer(body)
        else:
            one |= body
        return one

    def _act(self, kind: str, one: Json, what: str, body: Json) -> tuple[int, Any]:
        if (kind, what) == ("tags", "resources"):
            for resource in body["resources"]:
                target = self._one(resource["resource_type"] + "s", resource["resource_id"])
                target["tags"] = sorted({*target["tags"], one["name"]})
            return 204, {}
        if (kind, what) != ("volumes", "actions"):
            raise Refusal(404, "The resource you were accessing could not be found.")
        if body["type"] == "resize":
            if body["size_gigabytes"] <= one["size_gigabytes"]:
                raise Refusal(422, "the new size must be larger")
            one["size_gigabytes"] = body["size_gigabytes"]
        else:
            droplet = self._one("droplets", str(body["droplet_id"]))
            if one["droplet_ids"]:
                raise Refusal(422, "the volume is already attached to a droplet")
            one["droplet_ids"] = [droplet["id"]]
            droplet["volume_ids"].append(one["id"])
        self._number += 1
        action = {
            "id": self._number,
            "status": "in-progress",
            "type": f"{body['type']}_volume",
            "started_at": BORN,
            "completed_at": None,
            "resource_id": None,
            "resource_type": "volume",
            "region": one["region"],
            "region_slug": one["region"]["slug"],
        }
        return 202, {"action": action}

    def _delete(self, kind: str, one: Json) -> None:
        id_ = one.get("id")
        if one.get("default"):
            raise Refusal(403, "Can not delete default VPC")
        if kind == "vpcs" and any(
            it.get("vpc_uuid") == id_ for it in self.of("droplets") + self.of("load_balancers")
        ):
            raise Refusal(403, "Can not delete VPC with members")
        if kind == "volumes" and one["droplet_ids"]:
            raise Refusal(409, "the volume is attached")
        if kind == "certificates" and any(
            rule["certificate_id"] == id_
            for it in self.of("load_balancers")
            for rule in it["forwarding_rules"]
        ):
            raise Refusal(403, "the certificate is in use")
        self.lists[kind].remove(one)
        if kind == "droplets":
            for volume in self.of("volumes"):
                volume["droplet_ids"] = [it for it in volume["droplet_ids"] if it != id_]
            if self.on_destroy_droplet:
                try:
                    self.on_destroy_droplet(copy.deepcopy(one))
                except BaseException as error:  # noqa: BLE001 - the test looks at them
                    self.hook_errors.append(error)
        if kind == "tags":
            for other in self.of("droplets") + self.of("volumes") + self.of("firewalls"):
                other["tags"] = [tag for tag in other["tags"] if tag != one["name"]]
        if kind == "domains":
            del self.records[one["name"]]

    def destroy_droplet(self, name: str) -> None:
        """As somebody would by hand."""
        with self._lock:
            self._delete("droplets", self.named("droplets", name))

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


LISTS = (
    "ssh_keys",
    "vpcs",
    "tags",
    "droplets",
    "volumes",
    "firewalls",
    "load_balancers",
    "certificates",
    "domains",
    "sizes",
    "regions",
    "images",
)
PATHS = {
    "account/keys": ("ssh_keys", "ssh_key"),
    **{kind: (kind, kind[:-1]) for kind in LISTS if kind != "ssh_keys"},
}
CREATED = {"droplets": 202, "firewalls": 202, "load_balancers": 202}
RECORD: Json = {
    "priority": None,
    "port": None,
    "ttl": 1800,
    "weight": None,
    "flags": None,
    "tag": None,
}


def _uuid(number: int) -> str:
    return str(uuid.UUID(int=(4 << 76) | (8 << 60) | number))


def _links(kind: str) -> Json:
    return {"links": {"actions": []}} if kind == "droplets" else {}


def _region(slug: str) -> Json:
    return {
        "slug": slug,
        "name": slug,
        "features": ["storage"],
        "available": True,
        "sizes": list(SIZES),
    }


def _size(slug: str, price: float) -> Json:
    return {
        "slug": slug,
        "memory": 1024,
        "vcpus": 1,
        "disk": 25,
        "transfer": 1.0,
        "price_monthly": price,
        "price_hourly": price / 672,
        "regions": list(REGIONS),
        "available": True,
        "description": "Basic",
    }


def _image(slug: str) -> Json:
    return {
        "id": 1 + IMAGES.index(slug),
        "name": slug,
        "type": "base",
        "distribution": slug.partition("-")[0].title(),
        "slug": slug,
        "public": True,
        "regions": list(REGIONS),
        "created_at": BORN,
        "min_disk_size": 7,
        "size_gigabytes": 1.0,
        "description": slug,
        "tags": [],
        "status": "available",
        "error_message": "",
    }


def _droplet(id_: int, body: Json) -> Json:
    return {
        "id": id_,
        "name": body["name"],
        "memory": 1024,
        "vcpus": 1,
        "disk": 25,
        "locked": False,
        "status": "new",
        "kernel": None,
        "created_at": BORN,
        "features": [],
        "backup_ids": [],
        "next_backup_window": None,
        "snapshot_ids": [],
        "image": _image(body["image"]),
        "volume_ids": list(body["volumes"]),
        "size": _size(body["size"], SIZES[body["size"]]),
        "size_slug": body["size"],
        "networks": {"v4": [], "v6": []},
        "region": _region(body["region"]),
        "tags": list(body["tags"]),
        "vpc_uuid": body["vpc_uuid"],
    }


def account_of_today() -> dict[str, list[Json]]:
    """What any account shows: regions, sizes, images."""
    return {
        "regions": [_region(slug) for slug in REGIONS],
        "sizes": [_size(slug, price) for slug, price in SIZES.items()],
        "images": [_image(slug) for slug in IMAGES],
    }


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
