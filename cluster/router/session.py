"""What a client says of itself and asks of the router: handshake, log-in, sessions, diagnostics."""

import os
import platform
import time
import uuid
from collections.abc import Mapping
from typing import Any

from bson.binary import UUID_SUBTYPE, Binary
from bson.datetime_ms import DatetimeMS

from cluster.router import wire
from cluster.router.context import Answer, Context, result
from cluster.router.errors import CommandError, HangUpError
from cluster.router.scram import MECHANISMS
from cluster.router.shards import CONFIG
from cluster.router.wire import Document

WIRE_VERSION = 17  # MongoDB 6.0
VERSION = "6.0.5"
SESSION_MINUTES = 30


async def hello(context: Context) -> Document:
    """The handshake, as mongos answers it (``msg: isdbgrid``).

    ``logicalSessionTimeoutMinutes`` invites drivers to retry writes: the router honours that.
    """
    answer: Document = {"helloOk": True} if context.name != "hello" else {}
    answer["isWritablePrimary" if context.name == "hello" else "ismaster"] = True
    asked = context.sent.get("saslSupportedMechs")
    if isinstance(asked, str):
        db, _, name = asked.partition(".")
        user = await context.services.identities.newest(name, db)
        if user is not None:
            answer["saslSupportedMechs"] = [it for it in MECHANISMS if it in user.credentials]
    return {
        **answer,
        "msg": "isdbgrid",
        "maxBsonObjectSize": 16 * 1024 * 1024,
        "maxMessageSizeBytes": wire.MAX_MESSAGE_BYTES,
        "maxWriteBatchSize": 100_000,
        "localTime": _now(),
        "logicalSessionTimeoutMinutes": SESSION_MINUTES,
        "connectionId": context.connection,
        "minWireVersion": 0,
        "maxWireVersion": WIRE_VERSION,
        "readOnly": False,
        "ok": 1.0,
    }


async def build_info(_: Context) -> Document:
    """Version facts; ``router`` tells the stand-in from a mongos, which has no such field."""
    return {
        "version": VERSION,
        "versionArray": [6, 0, 5, 0],
        "router": "stand-in",
        "modules": [],
        "bits": 64,
        "debug": False,
        "maxBsonObjectSize": 16 * 1024 * 1024,
        "ok": 1.0,
    }


async def fine(_: Context) -> Document:
    return {"ok": 1.0}


async def sasl_start(context: Context) -> Document:
    return await context.login.start(context.services.identities, context.db, context.sent)


async def sasl_continue(context: Context) -> Document:
    return context.login.proceed(context.sent)


async def logout(context: Context) -> Document:
    context.login.forget()
    return {"ok": 1.0}


async def connection_status(context: Context) -> Document:
    """Who is logged in, with which roles and, if asked for, privileges."""
    login, users, roles, privileges = context.login, [], [], []
    if login.user:
        users = [{"user": login.user, "db": login.db}]
        user = await context.services.identities.of(login.user, login.db)
        roles, privileges = user.roles, user.listing
    info: Document = {"authenticatedUsers": users, "authenticatedUserRoles": roles}
    if context.sent.get("showPrivileges"):
        info["authenticatedUserPrivileges"] = privileges
    return {"authInfo": info, "ok": 1.0}


async def whats_my_uri(context: Context) -> Document:
    return {"you": context.peer, "ok": 1.0}


async def start_session(_: Context) -> Document:
    fresh = Binary(uuid.uuid4().bytes, UUID_SUBTYPE)
    return {"id": {"id": fresh}, "timeoutMinutes": SESSION_MINUTES, "ok": 1.0}


async def server_status(context: Context) -> Document:
    """The router's own state; members are asked directly for theirs."""
    services = context.services
    uptime = time.time() - services.started
    return {
        "host": platform.node(),
        "version": VERSION,
        "process": "mongos",
        "router": "stand-in",
        "pid": os.getpid(),
        "uptime": uptime,
        "uptimeMillis": int(uptime * 1000),
        "localTime": _now(),
        "connections": {"current": services.connections},
        "metrics": {"cursor": {"open": {"total": len(services.cursors)}}},
        "ok": 1.0,
    }


async def host_info(_: Context) -> Document:
    system = {"currentTime": _now(), "hostname": platform.node(), "numCores": os.cpu_count()}
    return {
        "system": system,
        "os": {"type": platform.system(), "name": platform.platform()},
        "ok": 1.0,
    }


async def get_log(context: Context) -> Document:
    if context.sent["getLog"] == "*":
        return {"names": ["global", "startupWarnings"], "ok": 1.0}
    nothing: list[str] = []
    return {"totalLinesWritten": 0, "log": nothing, "ok": 1.0}


async def command_line(_: Context) -> Document:
    return {"argv": ["mongos"], "parsed": {"sharding": {}}, "ok": 1.0}


async def get_parameter(context: Context) -> Answer:
    """Parameters of the config servers, which set those that concern the whole cluster."""
    command = {key: value for key, value in context.command.items() if key != "readConcern"}
    return result(await context.run(CONFIG, command))


async def users_info(context: Context) -> Answer:
    return result(await context.run(CONFIG, context.command))


async def shutdown(context: Context) -> Document:
    """Make the router end; like a mongos, it closes the connection instead of answering.

    ``timeoutSecs`` bounds how long other commands may take to finish.
    """
    services, seconds = context.services, context.sent.get("timeoutSecs")
    if isinstance(seconds, int | float) and seconds >= 0:
        services.drain_seconds = float(seconds)
    services.stop.set()
    raise HangUpError("told to shut down")


async def ping(_: Context) -> Document:
    """Answered by the router itself, like mongos does."""
    return {"ok": 1.0}


def _now() -> DatetimeMS:
    return DatetimeMS(int(time.time() * 1000))


def command_name(command: Mapping[str, Any]) -> str:
    """The first field names the command.

    Raises:
        CommandError: the document is empty.
    """
    for name in command:
        return name
    raise CommandError(9, "a command document must not be empty")
