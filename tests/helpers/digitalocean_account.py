"""What is in a stand-in for an account of DigitalOcean, and what may not be done to it."""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import ipaddress
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.helpers.digitalocean_shapes import (
    BORN,
    IMAGES,
    LISTS,
    RECORD,
    REGIONS,
    SIZES,
    Json,
    account_of_today,
    droplet,
    new_id,
    region,
)


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An answer other than success."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


Droplet = Json
OnCreate = Callable[[Droplet], tuple[str, str]]
"""Backs a droplet by something; returns its public and private address. It may take its time."""


class Account:
    """Lists of resources, as the API shows them, and DNS records by zone.

    What is new becomes ready after it was shown `polls` times; a droplet that `on_create_droplet`
    backs, when that returns.
    """

    def __init__(
        self,
        on_create_droplet: OnCreate | None = None,
        on_destroy_droplet: Callable[[Droplet], None] | None = None,
        polls: int = 1,
    ) -> None:
        self.droplet_limit = 100
        self.volume_limit = 100
        self.on_create_droplet = on_create_droplet
        self.on_destroy_droplet = on_destroy_droplet
        self.polls = polls
        self.hook_errors: list[BaseException] = []
        self.lists: dict[str, list[Json]] = {kind: [] for kind in LISTS} | account_of_today()
        self.records: dict[str, list[Json]] = {}
        self._number = 1000
        self._waits: dict[str, int] = {}
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []

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

    def _one(self, kind: str, id_: str) -> Json:
        for one in self.lists[kind]:
            if id_ in (str(one.get("id", one["name"])), one.get("fingerprint")):
                return one
        raise Refusal(404, "The resource you were accessing could not be found.")

    def _account(self) -> Json:
        return {
            "droplet_limit": self.droplet_limit,
            "floating_ip_limit": 3,
            "reserved_ip_limit": 3,
            "volume_limit": self.volume_limit,
            "email": "ops@example.com",
            "name": "Ops",
            "uuid": new_id(0),
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
        id_ = new_id(self._number)
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
            "region": region(body["region"]),
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
            "region": region(body["region"]),
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
        made = droplet(id_, body)
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
