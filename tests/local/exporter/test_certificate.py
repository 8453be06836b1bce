"""When servers' certificates end: as they show them."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from cryptography import x509

from cluster.exporter.metrics import metrics
from cluster.exporter.watcher import Watcher
from cluster.lifecycle.bootstrap import bootstrap
from tests.local.router.certificates import Authority
from tests.local.router.servers import Servers

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


def test_each_member_tells_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    own = authority.sign("server", "localhost", "127.0.0.1")
    files = ["--tlsCertificateKeyFile", str(own), "--tlsCAFile", str(authority.file)]
    tls = ["--tlsMode", "requireTLS", *files, "--tlsAllowConnectionsWithoutCertificates"]
    servers = Servers(tmp_path, "localhost")
    try:
        servers.start_members(*tls)
        servers.start_router(*tls)
        bootstrap(servers.access(authority.file), lambda _: None)
        with contextlib.closing(Watcher(lambda: servers.access(authority.file))) as watcher:
            lines = metrics(watcher.snapshot(), "c").splitlines()
    finally:
        servers.close()
    ends = x509.load_pem_x509_certificate(own.read_bytes()).not_valid_after_utc.timestamp()
    found = [one for one in lines if one.startswith("shardstack_certificate_expires")]
    told = {re.findall(r'service_name="(.*?)"', one)[0]: float(one.split()[-1]) for one in found}
    assert told == {"config-1": ends, "shard-1-1": ends}  # the stand-in router does not tell
