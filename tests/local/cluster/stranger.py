"""Somebody on this machine who has no credential, and speaks to the servers all the same.

Where the tests run as root, and there is a Python of the system, it is a process of the user
nobody. A server cannot tell: it sees an address of the loopback interface, and no more.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import bson

from cluster.model.layout import Node

NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"
MAY_BE_NOBODY = os.geteuid() == 0 and os.access(SYSTEM_PYTHON, os.X_OK)
OP_MSG = 2013
ALLOWED = {
    "_isSelf",
    "buildInfo",
    "connectionStatus",
    "getnonce",
    "hello",
    "isMaster",
    "listCommands",
    "logout",
    "ping",
    "whatsmyuri",
}
"""What a mongod, or a router, tells everybody: that it is there, which kind, which version."""
LOG_IN = {"authenticate", "saslContinue", "saslStart"}
NOTHING_TO_SEE = {
    "getLastError",  # not supported any more
    "waitForFailPoint",  # waits for what only tests switch on
}
UNAUTHORIZED = 13

EVE: dict[str, Any] = {"pwd": "eve", "roles": [{"role": "root", "db": "admin"}]}
HARM: list[dict[str, Any]] = [
    {"createUser": "eve", **EVE},
    {"createRole": "eve", "privileges": [], "roles": [{"role": "root", "db": "admin"}]},
    {"updateUser": "app", **EVE},
    {"usersInfo": 1},
    {"find": "system.users"},
    {"aggregate": 1, "pipeline": [{"$currentOp": {}}], "cursor": {}},
    {"insert": "things", "documents": [{"_id": 1}], "$db": "shardstack"},
    {"find": "users", "$db": "shardstack"},
    {"listDatabases": 1},
    {"serverStatus": 1},
    {"getParameter": "*"},
    {"getCmdLineOpts": 1},
    {"setParameter": 1, "logLevel": 5},
    {"replSetInitiate": {"_id": "eve", "members": [{"_id": 0, "host": "127.0.0.1:1"}]}},
    {"replSetGetStatus": 1},
    {"replSetStepDown": 60, "force": True},
    {"fsync": 1, "lock": True},
    {"shutdown": 1, "force": True},
]

CLIENT = """
import json, socket, sys
def read(stream, count):
    found = b""
    while len(found) < count and (more := stream.recv(count - len(found))):
        found += more
    return found
def ask(host, port, message):
    with socket.create_connection((host, port), 20) as stream:
        stream.sendall(bytes.fromhex(message))
        size = read(stream, 4)
        return (size + read(stream, int.from_bytes(size, "little") - 4)).hex()
json.dump([ask(*request) for request in json.load(sys.stdin)], sys.stdout)
"""


def ask(requests: Iterable[tuple[Node, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each command's answer, over a connection of its own, as nobody."""
    sent = [(node.host, node.port, _message(command).hex()) for node, command in requests]
    # The tests' own Python may be where nobody may not look.
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if MAY_BE_NOBODY else {}
    done = subprocess.run(
        [SYSTEM_PYTHON if MAY_BE_NOBODY else sys.executable, "-I", "-c", CLIENT],
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd="/",
        **nobody,
    )
    return [bson.decode(bytes.fromhex(answer)[21:]) for answer in json.loads(done.stdout)]


def _message(command: dict[str, Any]) -> bytes:
    """One OP_MSG without flags, of one section of kind 0 (MongoDB Wire Protocol)."""
    body = b"\0\0\0\0\0" + bson.encode(command | {"$db": command.get("$db", "admin")})
    return struct.pack("<iiii", 16 + len(body), 1, 0, OP_MSG) + body


def gets_nowhere(nodes: Iterable[Node]) -> None:
    """Asserts that these servers refuse a stranger all that is worth something."""
    asked = [(node, command) for node in nodes for command in HARM]
    answers = zip(asked, ask(asked), strict=True)
    got = [(n.name, c, a) for (n, c), a in answers if a.get("code") != UNAUTHORIZED]
    assert not got, got
