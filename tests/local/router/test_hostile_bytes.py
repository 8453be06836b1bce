"""Whatever bytes and documents a client sends: every member and every router lives on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from bson.int64 import Int64
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from cluster.local.cluster import LocalCluster
from cluster.router import connections, scram, wire
from cluster.router.commands import ADMIN, DATA, SESSIONS, USERS
from tests.helpers.clusters import cluster_of
from tests.helpers.routers import connect

Client = MongoClient[dict[str, Any]]
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster of this module's own: what is sent here may end, starve or reconfigure it."""
    shape = {"shards": 2, "members": 1, "config_servers": 1, "routers": 1}
    with cluster_of(tmp_path_factory.mktemp("hostile"), **shape) as local:
        yield local


@pytest.fixture(scope="module")
def port(target: LocalCluster) -> int:
    """The port of its router."""
    return next(node.port for node in target.nodes() if node.kind == "router")


@pytest.fixture(scope="module")
def admin(target: LocalCluster, port: int) -> Iterator[Client]:
    """Its administrator."""
    with connect(target, port) as client:
        if client.admin.command("buildInfo").get("router") != "stand-in":
            pytest.skip("a real mongos serves here")
        client.admin.command("shardCollection", "hostile.hashed", key={"_id": "hashed"})
        yield client


@pytest.fixture(autouse=True)
def _everybody_lives(target: LocalCluster, admin: Client) -> Iterator[None]:
    before = {node.name: node.pid for node in target.nodes()}
    yield
    assert {node.name: node.pid for node in target.nodes()} == before
    admin.admin.command("ping")


def send(port: int, data: bytes) -> bytes:
    """Send bytes; return what comes back before the router closes or falls silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := sock.recv(65536):
                received += chunk
        return received


class Raw:
    """An administrator's connection that sends any document as it is."""

    def __init__(self, cluster: LocalCluster, port: int) -> None:
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(self._log_in(cluster.uri("admin"), port))

    async def _log_in(self, uri: str, port: int) -> connections.Connection:
        connection = await connections.Connector([]).open(f"127.0.0.1:{port}")
        user, _, rest = uri.removeprefix("mongodb://").partition(":")
        await scram.log_in(connection.call, rest.rpartition("@")[0], user, "admin")
        return connection

    def command(self, document: dict[str, Any]) -> dict[str, Any]:
        return self._runner.run(self._connection.call(document))

    def close(self) -> None:
        self._connection.abort("done")
        self._runner.run(asyncio.sleep(0))
        self._runner.close()


@pytest.fixture(scope="module")
def raw(target: LocalCluster, port: int) -> Iterator[Raw]:
    raw = Raw(target, port)
    yield raw
    raw.close()


def op_msg(document: bytes, flags: int = 0, kind: int = 0) -> bytes:
    body = struct.pack("<I", flags) + bytes([kind]) + document
    return struct.pack("<iiii", 16 + len(body), 1, 0, wire.OP_MSG) + body


def hello(**fields: Any) -> bytes:
    return bson.encode({"hello": 1, "$db": "admin", **fields})


def test_an_old_handshake_is_answered(port: int) -> None:
    query = (
        struct.pack("<i", 0)
        + b"admin.$cmd\0"
        + struct.pack("<ii", 0, -1)
        + bson.encode({"isMaster": 1})
    )
    answer = send(port, struct.pack("<iiii", 16 + len(query), 7, 0, wire.OP_QUERY) + query)
    _, _, answers, opcode = struct.unpack_from("<iiii", answer)
    assert (answers, opcode) == (7, wire.OP_REPLY)
    assert bson.decode(answer[36:])["msg"] == "isdbgrid"


def test_several_messages_in_one_packet_are_answered_in_order(port: int) -> None:
    one = op_msg(hello())
    answer = send(port, one * 20)
    assert answer.count(b"isdbgrid") == 20


def test_a_command_that_wants_no_answer_gets_none(port: int) -> None:
    assert send(port, op_msg(hello(), flags=wire.MORE_TO_COME)) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 64,
        struct.pack("<iiii", 2**31 - 1, 1, 0, wire.OP_MSG),
        struct.pack("<iiii", 15, 1, 0, wire.OP_MSG),
        struct.pack("<iiii", -1, 1, 0, wire.OP_MSG),
        struct.pack("<iiii", 17, 1, 0, 9999) + b"x",
        struct.pack("<iiii", 25, 1, 0, wire.OP_COMPRESSED) + b"x" * 9,
        op_msg(b"\x05\0\0\0\0"),
        op_msg(hello(), flags=1 << 5),
        op_msg(hello(), kind=1),
        op_msg(hello(), kind=7),
        op_msg(b"\xff\xff\xff\x7f" + b"x" * 20),
        op_msg(hello()[:-3]),
    ],
    ids=lambda data: data[:24].hex(),
)
def test_malformed_messages_end_their_own_connection(port: int, data: bytes) -> None:
    answer = send(port, data)
    assert b"isdbgrid" not in answer


def test_deep_nesting_is_refused(port: int) -> None:
    """Documents and arrays nested far deeper than the router's own stack."""
    for kind in (b"\x03", b"\x04"):
        inner = b"\x05\0\0\0\0"
        for _ in range(20_000):
            inner = struct.pack("<i", len(inner) + 8) + kind + b"0\0" + inner + b"\0"
        nested = kind + b"a\0" + inner
        head = bson.encode({"hello": 1, "$db": "admin"})
        document = struct.pack("<i", len(head) + len(nested)) + head[4:-1] + nested + b"\0"
        send(port, op_msg(document))


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(data=st.binary(min_size=1, max_size=400))
def test_random_bytes(port: int, data: bytes) -> None:
    send(port, data)


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(
    place=st.integers(0, 10_000),
    value=st.integers(0, 255),
    cut=st.integers(0, 200),
    long=st.booleans(),
)
def test_changed_bytes_of_a_good_message(
    port: int, place: int, value: int, cut: int, long: bool
) -> None:
    message = bytearray(
        op_msg(hello(client={"driver": {"name": "x"}}, saslSupportedMechs="admin.a"))
    )
    if long:
        message[place % len(message)] = value
    else:
        message = message[: max(1, len(message) - cut)]
    send(port, bytes(message))


_leaf = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=8).filter(lambda text: "\0" not in text)
    | st.binary(max_size=8)
    | st.sampled_from(["hashed", "$out", "admin", "config.x", "shard-1", "$where", Int64(5)])
)
_names = st.sampled_from(
    [
        "q",
        "u",
        "limit",
        "_id",
        "$set",
        "$and",
        "$or",
        "filter",
        "key",
        "x",
        "from",
        "$eq",
        "find",
        "to",
    ]
)
_value = st.recursive(
    _leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)
_private = {
    "txnNumber": Int64(1),
    "lsid": {"id": bson.Binary(b"x" * 16, 4)},
    "stmtIds": [1],
    "shardVersion": {},
    "explain": {"clusterUpdate": "x"},
    "autocommit": False,
}
_ENDS_THE_TEST = {
    "shutdown",  # ends the router, as it should
    "removeShard",  # drains a shard, after which little is left to try
    "addShard",  # waits for servers that are not there
    "setDefaultRWConcern",  # may make every write wait for members that are not there
    "reshardCollection",
    "movePrimary",  # both take seconds when they succeed
    *USERS,  # the administrator would lose its own rights
}
_FUZZED = sorted({*DATA, *ADMIN, *SESSIONS, "getMore", "killCursors"} - _ENDS_THE_TEST)
_commands = st.fixed_dictionaries(
    {},
    optional={
        "documents": _value,
        "updates": _value,
        "deletes": _value,
        "pipeline": _value,
        "cursor": _value,
        "filter": _value,
        "query": _value,
        "key": _value,
        "indexes": _value,
        "limit": _leaf,
        "to": _leaf,
        "ordered": _leaf,
        "writeConcern": _value,
        "readConcern": _value,
        "cursors": _value,
        "middle": _value,
        "find": _value,
        **{name: st.just(value) | _value for name, value in _private.items()},
    },
)


@settings(max_examples=250, deadline=None, suppress_health_check=QUIET)
@given(name=st.sampled_from(_FUZZED), first=_value | st.just("hashed"), fields=_commands)
def test_commands_of_any_shape(raw: Raw, name: str, first: Any, fields: dict[str, Any]) -> None:
    """Logged in as an administrator: refused or done, but nobody dies of it."""
    db = "admin" if name in ADMIN else "hostile"
    document = {name: first, **{key: value for key, value in fields.items() if key != name}}
    reply = raw.command({**document, "$db": db, "maxTimeMS": 2000})
    assert "ok" in reply


@pytest.mark.parametrize("name", ["insert", "update", "delete", "findAndModify"])
def test_a_transaction_number_without_a_session(raw: Raw, name: str) -> None:
    """What crashes a mongod that gets it by the wrong command."""
    listed = {"insert": "documents", "update": "updates", "delete": "deletes"}
    statement = {"_id": 1, "q": {"_id": 1}, "u": {"$set": {"x": 1}}, "limit": 1}
    body = {listed[name]: [statement]} if name in listed else {}
    head = {name: "hashed", "$db": "hostile", "txnNumber": Int64(3)}
    reply = raw.command({**head, **body})
    assert (reply["ok"], reply["code"]) == (0, 72)


def test_explain_of_a_cluster_write_never_reaches_a_member(admin: Client) -> None:
    for name in ("clusterUpdate", "clusterDelete", "clusterInsert"):
        with pytest.raises(OperationFailure) as failure:
            admin["any"].command({"explain": {name: "x", "updates": []}})
        assert failure.value.code in (59, 115)
    with pytest.raises((OperationFailure, AutoReconnect)):
        admin["any"].command({"explain": {"explain": {"clusterUpdate": "x"}}})
