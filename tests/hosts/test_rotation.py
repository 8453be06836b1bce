"""Secrets change while consumers write through HTTPS; the old ones open nothing afterwards."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from cluster.model.secrets import parse_keys
from tests.helpers.people import PASSWORD, consuming, session, sign_up
from tests.hosts.conftest import SMALL
from tests.hosts.hosts import Hosts, Played
from tests.hosts.test_verbs import FEW, MONGODS, starts

pytestmark = pytest.mark.timeout(3600)
FOLDER = "/etc/shardstack"
FILES = (
    "key/keyFile",
    "key/ca.pem",
    "key/server.pem",
    "operator/ca.key",
    "operator/users.json",
    "application/jwt.key",
)
SERVERS = 12
OURS = (
    f"SHARDSTACK_SECRETS={FOLDER} SHARDSTACK_NODES={FOLDER}/nodes.json SHARDSTACK_CLUSTER_TLS=on "
    "/opt/shardstack/current/bin/python -"
)
OPENED = """
import json, pathlib, ssl, tempfile
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from cluster.hosted.cluster import HostedCluster
from cluster.model.secrets import parse_keys

given = GIVEN
access = HostedCluster().access()
nodes = access.layout.nodes
routers = access.layout.routers
old = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm"))
for name in ("ca.pem", "server.pem"):
    (old / name).write_text(given[f"key/{name}"])
der = ssl.PEM_cert_to_DER_cert(given["key/server.pem"].partition("-----BEGIN PRIVATE")[0])

def opens(node, act="ping", ca=access.tls_ca, **how):
    how.setdefault("tlsCAFile", str(ca))
    with MongoClient(node.host, node.port, directConnection=True, tls=True, retryReads=False,
                     serverSelectionTimeoutMS=4000, **how) as client:
        try:
            client.admin.command(act)
        except OperationFailure as error:
            assert error.code == 18, error
            return False
        except PyMongoError as error:
            # Ours, or the server's, which closes the connection on a certificate that it distrusts.
            assert any(word in str(error) for word in ("certificate", "SSL", "closed")), error
            return False
    return True

def shows(node):
    context = ssl.create_default_context(cafile=str(access.tls_ca))
    import socket
    with socket.create_connection((node.host, node.port), 5) as plain:
        with context.wrap_socket(plain, server_hostname=node.host) as connection:
            return connection.getpeercert(binary_form=True) == der

[key] = parse_keys(given["key/keyFile"])
cluster = {"username": "__system", "password": key, "authSource": "local",
           "authMechanism": "SCRAM-SHA-256"}
found = {
    "key": [n.name for n in nodes if n not in routers and opens(n, "replSetGetStatus", **cluster)],
    "passwords": [
        f"{user} at {router.name}"
        for user, password in json.loads(given["operator/users.json"]).items()
        for router in routers
        if opens(router, username=user, password=password, authSource="admin")
    ],
    "certificate": [node.name for node in nodes if shows(node)],
    "authority": [node.name for node in nodes if opens(node, ca=old / "ca.pem")],
    "client": [
        node.name for node in nodes if opens(node, tlsCertificateKeyFile=str(old / "server.pem"))
    ],
}
print(json.dumps(found))
"""
"""What opens something still, of the secrets in GIVEN: by kind, the servers."""


@pytest.fixture(scope="module")
def stack(small: Hosts) -> Hosts:
    """A stack of three hosts that serves."""
    small.play("site")
    return small


WATCHED = f"""
seen='min_over_time(sum(mongodb_up)[20s:5s]) == {SERVERS}'
until promtool query instant http://127.0.0.1:9090 "$seen" | grep -q {SERVERS}; do sleep 1; done
"""
"""Until the exporter has been let in by all servers for a while."""


def secrets(stack: Hosts) -> dict[str, str]:
    """The secrets of the operator's host, which has all of them."""
    return {file: stack.shell("demo-1", f"cat {FOLDER}/{file}") for file in FILES}


def opened(stack: Hosts, old: dict[str, str]) -> dict[str, list[str]]:
    """Where the secrets still open something, by what each is."""
    said = stack.shell("demo-1", OURS, given=OPENED.replace("GIVEN", repr(old)), timeout=300)
    return dict(json.loads(said))


def rotate(stack: Hosts, what: str) -> Played:
    """Changes secrets while consumers write; afterwards all is well, and no secret was told."""
    before = secrets(stack)
    with consuming(stack, stack.ca(), FEW):
        played = stack.play("rotate-secrets", "-e", f"what={what}", timeout=1800)
    print(f"\n{what}: {played.seconds:.0f} s")  # noqa: T201 - shown by -s
    assert_well(stack, before, played)
    return played


def assert_well(stack: Hosts, before: dict[str, str], played: Played) -> None:
    """The cluster is as it shall be, and neither the playbook nor a host's journal has a secret."""
    stack.shell("demo-1", "shardstack status && shardstack check")
    stack.shell("demo-1", "timeout 150 sh", given=WATCHED, timeout=180)
    told = [text for found in (before, secrets(stack)) for text in single_lines(found)]
    assert not [text for text in told if text in played.output]
    for host in SMALL:
        assert in_journal(stack, host, ["systemd"]) > 0, "it finds what is there"
        assert in_journal(stack, host, told) == 0, host


def in_journal(stack: Hosts, host: str, texts: list[str]) -> int:
    """How many lines of a host's journal have one of these texts, which come by no argument."""
    # In a pipe, standard input is the pipe: what is given has to come by another way.
    grep = "LC_ALL=C grep --count --fixed-strings --file=/dev/fd/3 || true"
    return int(stack.shell(host, f"exec 3<&0; journalctl --no-pager | {grep}", "\n".join(texts)))


def single_lines(found: dict[str, str]) -> list[str]:
    """What to look for of each secret: keys, passwords, a line of each private key."""
    pems = [found["key/server.pem"].rpartition("PRIVATE KEY-----\n")[0], found["operator/ca.key"]]
    return [
        *parse_keys(found["key/keyFile"]),
        *json.loads(found["operator/users.json"]).values(),
        found["application/jwt.key"].strip(),
        *(pem.strip().splitlines()[-2] for pem in pems),
    ]


def logged_in(stack: Hosts, person: dict[str, Any]) -> str:
    """An access token."""
    credentials = {"email": person["email"], "password": PASSWORD}
    answer = session(stack.ca()).post(
        f"{stack.url}/api/v1/auth/login", json=credentials, timeout=20
    )
    return str(answer.json()["access_token"])


def status_of(stack: Hosts, token: str) -> int:
    """What the API answers to a request with this token."""
    answer = session(stack.ca()).get(
        f"{stack.url}/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"}, timeout=20
    )
    return answer.status_code


def everything(stack: Hosts) -> list[str]:
    """All that a rotation could change: the vault, the files of hosts, which servers run."""
    files = f"find {FOLDER} -type f -printf '%p %T@ %m %u\\n' | sort"
    units = (*MONGODS, "mongos", "shardstack-api.service", "shardstack-edge.service")
    return [
        (stack.folder / "demo.secrets").read_text(),
        *(stack.shell(host, files) for host in SMALL),
        json.dumps(starts(stack, *units)),
    ]


def test_nothing_changes_without_a_choice_nor_with_check(stack: Hosts) -> None:
    before = everything(stack)
    asked = stack.attempt("rotate-secrets")
    assert "-e what=key,passwords,tokens,certificates" in asked.output
    unknown = stack.attempt("rotate-secrets", "-e", "what=key,pasword")
    assert "'pasword' is none of key, passwords" in unknown.output
    some = stack.attempt("rotate-secrets", "-e", "what=key", "--limit", "demo-1")
    assert "on all hosts" in some.output
    for refused in (asked, unknown, some):
        assert any(count["failed"] for count in refused.counts.values())
    stack.play("rotate-secrets", "-e", "what=key,passwords,tokens,authority", "--check", "--diff")
    assert everything(stack) == before


def test_passwords_and_the_key_of_tokens(stack: Hosts) -> None:
    person = sign_up(stack, stack.ca())
    old, before = secrets(stack), logged_in(stack, person)
    members = starts(stack, *MONGODS, "mongos")
    rotate(stack, "passwords,tokens")
    assert opened(stack, old)["passwords"] == []
    assert starts(stack, *MONGODS, "mongos") == members, "no server need restart"
    after = logged_in(stack, person)
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    assert (status_of(stack, before), status_of(stack, after)) == (200, 200)
    refused = stack.attempt("rotate-secrets", "-e", "what=tokens")
    assert "what=old-tokens first" in refused.output
    rotate(stack, "old-tokens")
    assert (status_of(stack, before), status_of(stack, after)) == (401, 200)


def test_the_key_of_servers_and_their_certificate(stack: Hosts) -> None:
    old = secrets(stack)
    assert len(opened(stack, old)["key"]) == len(SMALL) * len(MONGODS), "it tells who lets in"
    assert len(opened(stack, old)["certificate"]) == SERVERS
    rotate(stack, "key,certificates")
    found = opened(stack, old)
    assert (found["key"], found["certificate"]) == ([], [])


def test_the_authority(stack: Hosts) -> None:
    old = secrets(stack)
    found = opened(stack, old)
    assert (len(found["authority"]), len(found["client"])) == (SERVERS, SERVERS)
    rotate(stack, "authority")
    found = opened(stack, old)
    assert (found["certificate"], found["authority"], found["client"]) == ([], [], [])


def test_killed_it_is_brought_to_its_end_by_the_next_run(stack: Hosts) -> None:
    """Each run goes further than the one before, and is killed; the last one is not."""
    old, before = secrets(stack), starts(stack, *MONGODS)
    begun = ("rotate-secrets", "-e", "what=key,passwords")
    with consuming(stack, stack.ca(), FEW):
        assert stack.interrupt(*begun, at="TASK [secrets : Keep them in the vault]")
        assert stack.interrupt(*begun, at="TASK [server_secrets : Give the servers")
        assert stack.interrupt(
            *("rotate-secrets", "-e", "what=key"),
            at="PLAY [Have the servers take them over",
            once=lambda: starts(stack, *MONGODS) != before,
        )
        assert stack.interrupt(*begun, at="TASK [api : Give it]")
        assert stack.interrupt(*begun, at="PLAY [Take the next step]")
        played = stack.play("rotate-secrets", "-e", "what=key", timeout=1800)
    assert_well(stack, old, played)
    assert "passwords: done" in played.output
    found = opened(stack, old)
    assert (found["key"], found["passwords"]) == ([], [])
    users = json.loads(secrets(stack)["operator/users.json"])
    was = json.loads(old["operator/users.json"])
    assert len(users) == len(was) == len({*users, *was}) - 1, "one change, however often begun"


def test_afterwards_site_changes_nothing(stack: Hosts) -> None:
    assert set(stack.play("site").changed().values()) == {0}
