"""The folder of secrets: who gets what, how it is protected, and that it stays as it was made."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from cluster.errors import StateError, TopologyError
from cluster.hosted import certificates
from cluster.hosted.cluster import HostedCluster
from cluster.hosted.nodes import node_of
from cluster.hosted.secrets import HostedSecrets
from cluster.model.layout import arrange
from cluster.model.topology import DEFAULTS, make

MODES = {
    "key/keyFile": 0o400,
    "key/mongod.conf": 0o400,
    "key/monitor": 0o400,
    "operator/users.json": 0o600,
    "application/database.uri": 0o400,
    "application/metrics.token": 0o400,
    "monitoring/metrics.token": 0o440,
    "monitoring/grafana": 0o440,
}
MODES_WITH_TLS = MODES | {
    "key/ca.pem": 0o400,
    "key/server.pem": 0o400,
    "operator/ca.key": 0o400,
    "application/ca.pem": 0o400,
}


LAYOUT = arrange(make(DEFAULTS, "test"), ["shard-1"], node_of, 2000)


def prepared(folder: Path, **environ: str) -> list[str]:
    said: list[str] = []
    HostedCluster({"SHARDSTACK_SECRETS": str(folder), **environ}).prepare(said.append)
    return said


def files(folder: Path) -> dict[str, int]:
    return {
        str(file.relative_to(folder)): file.stat().st_mode & 0o777
        for file in folder.rglob("*")
        if file.is_file()
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


def test_each_gets_its_own(tmp_path: Path) -> None:
    assert prepared(tmp_path) == [
        "key file: made",
        "passwords: made",
        "token of the metrics: made",
        "password of Grafana: made",
    ]
    assert files(tmp_path) == MODES
    token = (tmp_path / "application/metrics.token").read_text()
    assert (tmp_path / "monitoring/metrics.token").read_text() == token
    assert len({token, (tmp_path / "monitoring/grafana").read_text(), ""}) == 3
    uri = (tmp_path / "application/database.uri").read_text().strip()
    assert uri.startswith("mongodb://app:")
    assert uri.endswith("@router-1:27017,router-2:27017/shardstack?authSource=admin")


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    prepared(tmp_path, SHARDSTACK_CLUSTER_TLS="on")
    before = contents(tmp_path)
    assert prepared(tmp_path, SHARDSTACK_CLUSTER_TLS="on") == []
    assert contents(tmp_path) == before


@pytest.mark.parametrize("missing", [*MODES_WITH_TLS])
def test_what_an_interruption_left_out_is_made_up_for(tmp_path: Path, missing: str) -> None:
    prepared(tmp_path, SHARDSTACK_CLUSTER_TLS="on")
    (tmp_path / missing).unlink()
    prepared(tmp_path, SHARDSTACK_CLUSTER_TLS="on")
    assert files(tmp_path) == MODES_WITH_TLS


def test_mistakes_leave_no_trace(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="may grow to"):
        prepared(tmp_path, SHARDSTACK_CACHE_GB="9999")
    assert files(tmp_path) == {}


def test_nobody_reaches_a_cluster_before_its_secrets_are_made(tmp_path: Path) -> None:
    cluster = HostedCluster({"SHARDSTACK_SECRETS": str(tmp_path)})
    with pytest.raises(StateError, match=r"users\.json is missing: there is no cluster yet"):
        cluster.access()


def test_who_has_no_part_of_the_operators_may_only_look(tmp_path: Path) -> None:
    prepared(tmp_path)
    key = (tmp_path / "key/keyFile").read_text().strip()
    monitor = json.loads((tmp_path / "operator/users.json").read_text())["monitor"]
    shutil.rmtree(tmp_path / "operator")
    access = HostedSecrets(tmp_path, tls=False).access(LAYOUT)
    assert (access.key, access.passwords) == (key, {"monitor": monitor})
    assert files(tmp_path).keys() == {name for name in MODES if "operator" not in name}


# ---- certificates --------------------------------------------------------------------------------


def test_the_certificate_is_of_the_authority_and_names_every_node(tmp_path: Path) -> None:
    prepared(tmp_path, SHARDSTACK_CLUSTER_TLS="on", SHARDSTACK_SHARDS="3")
    authority = x509.load_pem_x509_certificate((tmp_path / "key/ca.pem").read_bytes())
    server = x509.load_pem_x509_certificate((tmp_path / "key/server.pem").read_bytes())
    server.verify_directly_issued_by(authority)
    found = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = found.get_values_for_type(x509.DNSName)
    assert {"config-1", "router-2", "shard-3-3", "shard-8-3", "localhost"} <= set(names)
    shake_hands(tmp_path, "shard-3-2")
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(tmp_path, "somebody-else")
    uri = (tmp_path / "application/database.uri").read_text()
    assert "tls=true&tlsCAFile=" in uri


def shake_hands(folder: Path, name: str) -> None:
    """A client that trusts the authority, and goes by the letter of RFC 5280, meets a server."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "key/server.pem")
    client = ssl.create_default_context(cafile=str(folder / "application/ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname=name),
        server.wrap_bio(there, back, server_side=True),
    ]
    for end in ends * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert ends[0].getpeercert()


def test_it_is_renewed_in_time_and_for_new_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, operator = tmp_path / "key", tmp_path / "operator"
    assert certificates.ensure(key, operator, ["config-1"])
    assert not certificates.ensure(key, operator, ["config-1"])
    authority = (key / "ca.pem").read_bytes()
    assert certificates.ensure(key, operator, ["config-1", "config-2"])
    monkeypatch.setattr(certificates, "RENEWAL", certificates.LIFETIME + datetime.timedelta(1))
    assert certificates.ensure(key, operator, ["config-1"])
    assert (key / "ca.pem").read_bytes() == authority


def test_the_database_of_a_cluster_stays(tmp_path: Path) -> None:
    prepared(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(TopologyError) as caught:
        prepared(tmp_path, SHARDSTACK_DATABASE="other")
    [problem] = caught.value.lines
    assert (
        "SHARDSTACK_DATABASE: database is shardstack in this cluster and cannot become" in problem
    )
    assert contents(tmp_path) == before
    assert prepared(tmp_path, SHARDSTACK_DATABASE="shardstack") == []


def test_the_profile_is_production_unless_another_is_asked_for(tmp_path: Path) -> None:
    prepared(tmp_path, SHARDSTACK_MEMBER_MEMORY="2g", SHARDSTACK_MEMBERS="1")
    conf = (tmp_path / "key/mongod.conf").read_text()
    assert conf.startswith("# Profile production.")
    assert '"cacheSizeGB": 0.5' in conf
    prepared(tmp_path, SHARDSTACK_MEMBER_MEMORY="2g", SHARDSTACK_PROFILE="laptop")
    assert (tmp_path / "key/mongod.conf").read_text().startswith("# Profile laptop.")


def test_hosts_have_their_key_file_from_elsewhere(tmp_path: Path) -> None:
    """What changed that of one host only would shut its servers out."""
    kinds = ("config-1", "shard-1-1", "router-1")
    nodes = [{"name": name, "host": f"{name}.example.test", "port": 27017} for name in kinds]
    (tmp_path / "nodes.json").write_text(json.dumps(nodes))
    environ = {"SHARDSTACK_NODES": str(tmp_path / "nodes.json")}
    prepared(tmp_path, **environ)
    cluster = HostedCluster({"SHARDSTACK_SECRETS": str(tmp_path), **environ})
    key = cluster.keys()
    with pytest.raises(StateError, match="rotate-secrets"):
        cluster.write_key([*key, *key])
    assert cluster.keys() == key
