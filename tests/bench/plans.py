"""What is requested: the plan of each measure, the same for all servers but for their dialect."""

import json
import random
from typing import Any

import msgspec

PEOPLE = 10_000
ACCOUNTS = 64
"""People with a password: those who log in, and those who change themselves."""
PASSWORD = "correct-horse-battery"
USERS = "/api/v1/users"
PAGE = 50

MEASURES = ("by_id", "list_50", "create", "patch", "login")
NAMES = {
    "by_id": "read by id",
    "list_50": "list of 50",
    "create": "create",
    "patch": "patch, If-Match",
    "login": "log in",
}


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers' interfaces differ: the page's query, the id and version in an answer."""

    page: str = f"limit={PAGE}"
    id: str = '"id":"(%x+)"'
    version: str = '"version":(%d+)'


class Person(msgspec.Struct):
    """A user of the data set: its id, how it logs in, who it is when it does, its version."""

    id: str
    email: str
    version: str
    authorization: str = ""


class Plan(msgspec.Struct, omit_defaults=True, kw_only=True):
    """See requests.lua."""

    method: str
    headers: dict[str, str]
    seed: int
    mark: str
    paths: list[str] | None = None
    bodies: list[str] | None = None
    changing: list[dict[str, str]] | None = None
    id: str = ""
    version: str = ""

    def as_lua(self) -> str:
        """The plan as a file that Lua runs."""
        return f"return {_lua(msgspec.to_builtins(self))}\n"


def plan(
    measure: str,
    dialect: Dialect,
    ids: list[str],
    people: list[Person],
    *,
    admin: str,
    mark: str,
) -> Plan:
    """The plan of one run. `mark` is a word of letters and digits that no other run has."""
    made = Plan(method="GET", headers={}, seed=random.Random(mark).randrange(2**31), mark=mark)  # noqa: S311
    if admin:
        made.headers["Authorization"] = admin
    if measure not in ("by_id", "list_50"):
        made.headers["Content-Type"] = "application/json"
    match measure:
        case "by_id":
            made.paths = [f"{USERS}/{one}" for one in ids]
        case "list_50":
            made.paths = [f"{USERS}?{dialect.page}"]
        case "create":
            made.method, made.paths, made.bodies = "POST", [USERS], [NEW]
        case "patch":
            made.method, made.bodies = "PATCH", ['{"occupation": "Baker @@"}']
            made.changing = [
                {
                    "id": person.id,
                    "path": f"{USERS}/{person.id}",
                    "authorization": person.authorization,
                    "version": f'"{person.version}"',
                }
                for person in people
            ]
            made.id, made.version = dialect.id, dialect.version
        case "login":
            made.method, made.paths = "POST", ["/api/v1/auth/login"]
            made.headers.pop("Authorization", None)
            made.bodies = [
                json.dumps({"email": person.email, "password": PASSWORD}) for person in people
            ]
    return made


NEW = json.dumps(
    {
        "name": "Grace Hopper",
        "national_id": "X-@@",
        "email": "grace.@@@example.com",
        "phone": "+12025550123",
        "address": "7 Harbour Street, Northhaven, 12345",
        "occupation": "Programmer",
    }
)


def _lua(value: Any) -> str:
    """A value as Lua writes it. Texts are ASCII here, where JSON's and Lua's writing agree."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{_lua(k)}]={_lua(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(_lua, value)) + "}"
    return json.dumps(value).replace("\\/", "/")
