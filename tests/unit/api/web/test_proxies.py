"""Whose address a request has: the peer's, unless trusted proxies say otherwise."""

from __future__ import annotations

from contextlib import nullcontext
from ipaddress import ip_network

import pytest
from flask import Flask

from api.store.deadline import begin_tally
from api.web import proxies
from api.web.metrics import Meter
from api.web.proxies import block, walk
from api.web.requests import Requests

TRUSTED = tuple(ip_network(text) for text in ("127.0.0.1/32", "10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        ("", "127.0.0.1"),
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),  # the left one is what the client wrote
        ("203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("203.0.113.9, 10.1.2.3, fd00::1", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("10.9.9.9, 10.1.2.3", "10.9.9.9"),  # a client inside
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.9, junk", "127.0.0.1"),
        ("junk, 10.1.2.3", "127.0.0.1"),
        ("203.0.113.9, unknown, 10.1.2.3", "127.0.0.1"),
        ("203.0.113.9;drop", "127.0.0.1"),
        ("1.2.3.4.5", "127.0.0.1"),
        ("[::1", "::1"),
        (",,", "127.0.0.1"),
        ("9" * 5000, "127.0.0.1"),
    ],
)
def test_walk(forwarded: str, found: str) -> None:
    assert walk("127.0.0.1", forwarded, TRUSTED) == found


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),  # two headers are one list
        ("10.4.5.6", ["203.0.113.9"], "203.0.113.9"),
        ("fd00::2", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.2", ["203.0.113.9"], "127.0.0.2"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("2001:db8::1", ["203.0.113.9"], "2001:db8::1"),
    ],
)
def test_only_a_trusted_peer_is_believed(peer: str, forwarded: list[str], found: str) -> None:
    app = Flask("test")
    proxies.install(app, TRUSTED)
    app.add_url_rule("/", view_func=proxies.client_address)
    headers = [("X-Forwarded-For", value) for value in forwarded]
    answer = app.test_client().get("/", headers=headers, environ_base={"REMOTE_ADDR": peer})
    assert answer.text == found


def test_nobody_is_believed_by_default() -> None:
    app = Flask("test")
    usual = Requests(lambda _seconds: nullcontext(), 1.0, begin_tally, Meter())
    usual.install(app)
    proxies.install(app, ())
    app.add_url_rule("/", view_func=proxies.client_address)
    answer = app.test_client().get("/", headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.text == "127.0.0.1"


def test_ipv6_is_counted_by_customer() -> None:
    assert block("2001:db8:1:2:3:4:5:6") == block("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert block("2001:db8:1:3::9") != block("2001:db8:1:2::9")
    assert block("203.0.113.9") == "203.0.113.9" == block("::ffff:203.0.113.9")
    assert block("") == ""
