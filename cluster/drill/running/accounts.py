"""The accounts of a load that comes by the API: one whose data is on each shard."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from cluster.drill.load.http import ApiError, HttpClient, refusal
from cluster.drill.targets.target import Api
from cluster.errors import DrillError
from cluster.servers.connections import Client

SIGN_UPS = 40
"""Tries to get an account on each shard: chance decides which one an account is on."""
PASSWORD_BYTES = 18


def accounts(
    client: Client, database: str, api: Api, shards: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """New accounts, e-mail and password, by the shard that all of their projects are on.

    Raises DrillError: nobody could sign up, or chance left a shard out.
    """
    found: dict[str, tuple[str, str]] = {}
    with contextlib.closing(HttpClient(api.url, api.ca)) as connections:
        for _ in range(SIGN_UPS):
            if set(found) == set(shards):
                return {shard: found[shard] for shard in shards}
            user, account = _sign_up(connections)
            found.setdefault(_shard_of(client, database, user), account)
    raise DrillError(f"{SIGN_UPS} accounts are on {', '.join(found)} only. Run it again.")


def _sign_up(connections: HttpClient) -> tuple[str, tuple[str, str]]:
    mark, password = secrets.token_hex(6), secrets.token_urlsafe(PASSWORD_BYTES)
    email = f"drill.{mark}@example.com"
    person = {
        "name": "Drill Sergeant",
        "national_id": f"D-{mark.upper()}",
        "email": email,
        "password": password,
    }
    try:
        answer = connections.send(
            "POST", "/api/v1/auth/signup", {"Content-Type": "application/json"}, person
        )
    except ApiError as error:
        raise DrillError(f"nobody could sign up: {error}.") from None
    if answer.status != 201:
        hint = " The setting is SHARDSTACK_REGISTER_RATE_ADDRESS." if answer.status == 429 else ""
        raise DrillError(f"a sign-up was answered {refusal(answer)}.{hint}")
    return answer.body["id"], (email, password)


def _shard_of(client: Client, database: str, owner: str) -> str:
    """The shard with the projects of this user, as the API keeps them."""
    find: dict[str, Any] = {"find": "projects", "filter": {"owner": ObjectId(owner)}}
    plan = client[database].command("explain", find, verbosity="queryPlanner")
    [shard] = plan["queryPlanner"]["winningPlan"]["shards"]
    return str(shard["shardName"])
