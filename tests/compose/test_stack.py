"""The stack as it comes up: what it answers, what it keeps to itself, that it stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compose.stack import MEMBERS, ROUTERS, SERVERS, Stack, docker, until
from tests.helpers.events import Listener
from tests.helpers.people import PASSWORD, session, sign_up, signs_in

pytestmark = pytest.mark.core


def containers(stack: Stack) -> dict[str, tuple[str, str]]:
    """Identity and start of every container that runs."""
    found = {name: stack.inspect(name) for name in SERVERS}
    return {name: (one["Id"], one["State"]["StartedAt"]) for name, one in found.items()}


def test_somebody_signs_up_by_https_and_is_found(stack: Stack, ca: Path) -> None:
    assert signs_in(stack, ca, sign_up(stack, ca))


def test_the_administrator_may_log_in(stack: Stack, ca: Path) -> None:
    account = json.loads(stack.secret("operator/admin.json"))
    answer = session(ca).post(f"{stack.url}/api/v1/auth/login", json=account, timeout=20)
    assert answer.status_code == 200, answer.text


def test_who_watches_is_told_by_whichever_replica(stack: Stack, ca: Path) -> None:
    """Caddy hands events on as they come."""
    person, consumer = sign_up(stack, ca), session(ca)
    credentials = {"email": person["email"], "password": PASSWORD}
    answer = consumer.post(f"{stack.url}/api/v1/auth/login", json=credentials, timeout=20)
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    streams = [Listener(stack.url, headers, session=session(ca)) for _ in range(4)]
    url, body = f"{stack.url}/api/v1/projects", {"name": "Engine"}
    made = consumer.post(url, json=body, headers=headers, timeout=20).json()
    for stream in streams:
        stream.hears(resource="projects", id=made["id"], verb="create")
        stream.close()


def test_plain_http_leads_to_https(stack: Stack, ca: Path) -> None:
    plain = f"http://localhost:{stack.http_port}/api/v1/openapi.json"
    answer = session(ca).get(plain, timeout=20)
    assert answer.status_code == 200
    assert answer.url == f"{stack.url}/api/v1/openapi.json"


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = containers(stack)
    took = stack.up()
    assert containers(stack) == before
    print(f"second up --wait: {took:.1f} s")  # noqa: T201 - for the record, shown by -s


def test_the_status_is_the_cluster_command_s(stack: Stack) -> None:
    def well() -> bool:
        found.update(stack.status())
        return bool(found["healthy"])

    found: dict[str, Any] = {}
    until(well, 30, lambda: str(found.get("problems")))
    assert [m["name"] for s in found["sets"] for m in s["members"]] == MEMBERS
    assert [r["name"] for r in found["routers"]] == ROUTERS


# ---- hardening -----------------------------------------------------------------------------------


def test_nothing_but_caddy_listens_on_this_machine_and_only_on_loopback(stack: Stack) -> None:
    listening = {}
    for service in SERVERS:
        ports = stack.inspect(service)["NetworkSettings"]["Ports"] or {}
        bound = [binding for bindings in ports.values() for binding in bindings or ()]
        if bound:
            listening[service] = {(b["HostIp"], int(b["HostPort"])) for b in bound}
    expected = {("127.0.0.1", port) for port in (stack.http_port, stack.https_port)}
    assert listening == {"caddy": expected}


UNAUTHENTICATED = """
import sys
from pymongo import MongoClient
from pymongo.errors import OperationFailure
for address in sys.argv[1:]:
    host, _, port = address.partition(":")
    client = MongoClient(host, int(port), directConnection=True, serverSelectionTimeoutMS=10000)
    attempts = {
        "listDatabases": lambda: client.admin.command("listDatabases"),
        "find": lambda: client["shardstack"]["users"].find_one(),
        "insert": lambda: client["shardstack"]["users"].insert_one({}),
        "createUser": lambda: client.admin.command("createUser", "eve", pwd="eve", roles=["root"]),
        "serverStatus": lambda: client.admin.command("serverStatus"),
        "shutdown": lambda: client.admin.command("shutdown"),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
            print(address, name, "was allowed")
        except OperationFailure as error:
            if error.code != 13:
                print(address, name, error)
    client.close()
print("done")
"""


def test_who_has_not_logged_in_is_refused_on_every_port(stack: Stack) -> None:
    ports = {"config": 27019, "shard": 27018, "router": 27017}
    addresses = [f"{name}:{ports[name.partition('-')[0]]}" for name in (*MEMBERS, *ROUTERS)]
    script = ("--entrypoint", "python", "ops", "-c", UNAUTHENTICATED)
    said = stack.run("run", "--rm", "--no-deps", "-T", *script, *addresses)
    assert said == "done\n"


MAKE_ROOT = """
try {
  db.createUser({user: 'eve', pwd: 'eve', roles: ['root']});
  print('was allowed');
} catch (error) {
  print(error.code);
}
"""


@pytest.mark.parametrize("service", [*MEMBERS, *ROUTERS])
def test_who_is_in_the_container_and_has_not_logged_in_is_refused(
    stack: Stack, service: str
) -> None:
    port = {"config": 27019, "shard": 27018, "router": 27017}[service.partition("-")[0]]
    uri = f"mongodb://127.0.0.1:{port}/admin?directConnection=true"
    shell = ("mongosh", "--quiet", "--norc", uri, "--eval", MAKE_ROOT)
    # The home of mongosh must not be the folder of the data.
    said = docker("exec", "--env", "HOME=/tmp", stack.container(service), *shell)
    assert said.strip() == "13"


@pytest.mark.parametrize("service", [*SERVERS, "exporter"])
def test_containers_can_do_little(stack: Stack, service: str) -> None:
    host = stack.inspect(service)["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["LogConfig"]["Config"]["max-size"]
    done = docker_fails("exec", stack.container(service), "sh", "-c", "echo >/etc/written")
    assert "Read-only file system" in done


def docker_fails(*arguments: str) -> str:
    """What a docker command says that must fail."""
    try:
        said = docker(*arguments)
    except AssertionError as error:
        return str(error)
    pytest.fail(f"docker {arguments} succeeded: {said}")


def test_the_api_s_containers_have_neither_key_nor_passwords(stack: Stack) -> None:
    here = docker("exec", stack.container("api-1"), "find", "/run/shardstack", "-type", "f")
    assert {Path(line).name for line in here.split()} == {
        "database.uri",
        "jwt.key",
        "metrics.token",
    }


def secrets_of(stack: Stack) -> set[str]:
    """Everything that nobody shall see."""
    users = json.loads(stack.secret("operator/users.json"))
    found = {*users.values(), json.loads(stack.secret("operator/admin.json"))["password"]}
    key = stack.secret("key/keyFile").strip()
    found |= {key[:40], key[-40:], stack.secret("application/jwt.key").strip()}
    assert all(len(secret) >= 16 for secret in found)
    return found


def test_no_secret_is_seen_from_outside(stack: Stack) -> None:
    everything = docker("ps", "--all", "--quiet", "--filter", f"name={stack.project}-").split()
    seen = {
        "docker inspect": docker("inspect", *everything),
        "volumes": docker("volume", "inspect", *volumes(stack)),
        "logs": stack.run("logs", "--no-color"),
        "processes": "".join(
            docker("top", stack.container(name)) for name in (*SERVERS, "exporter")
        ),
        "history": docker("history", "--no-trunc", "shardstack:latest"),
        "image": docker("image", "inspect", "shardstack:latest"),
    }
    for secret in secrets_of(stack):
        assert [where for where, text in seen.items() if secret in text] == []


def volumes(stack: Stack) -> list[str]:
    """The names of the stack's volumes."""
    label = f"label=com.docker.compose.project={stack.project}"
    return docker("volume", "ls", "--quiet", "--filter", label).split()


def test_no_secret_is_in_the_image(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    docker("save", "--output", str(file), "shardstack:latest")
    image = file.read_bytes()
    file.unlink()
    assert b"api/resources/users.py" in image  # the layers are there to be looked into
    for secret in secrets_of(stack):
        assert secret.encode() not in image
