"""Certificates for consumers by ACME, from an authority in the hosts' public network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hosts.conftest import SMALL
from tests.hosts.hosts import Hosts

pytestmark = pytest.mark.timeout(3600)
DOMAIN = "api.example.test"
CERTIFICATE = "/etc/ssl/authority.pem"
DIRECTORY, ROOTS = 14000, 15000
START = """set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority \\
  -addext subjectAltName=IP:{address} -keyout /authority.key -out /authority.pem
setsid pebble-challtestsrv -defaultIPv4 {edge} -defaultIPv6 '' \\
  -http01 '' -https01 '' -tlsalpn01 '' >/dns.log 2>&1 &
PEBBLE_VA_NOSLEEP=1 setsid pebble -config /pebble.json -dnsserver 127.0.0.1:8053 >/pebble.log 2>&1 &
"""


@dataclass(frozen=True)
class Authority:
    """An ACME server (pebble), at an address in the hosts' public network."""

    hosts: Hosts
    address: str

    @property
    def directory(self) -> str:
        return f"https://{self.address}:{DIRECTORY}/dir"

    @property
    def own_certificate(self) -> str:
        return self.hosts.shell("authority", "cat /authority.pem")

    @property
    def root(self) -> str:
        """The certificate by which it signs."""
        ask = f"curl --silent --insecure https://127.0.0.1:{ROOTS}/roots/0"
        return self.hosts.shell("authority", ask)


@pytest.fixture(scope="module")
def authority(small: Hosts) -> Iterator[Authority]:
    """Finds every domain at the last host, and asks there for what proves it (HTTP-01)."""
    with small.beside("authority") as address:
        settings = {
            "pebble": {
                "listenAddress": f"0.0.0.0:{DIRECTORY}",
                "managementListenAddress": f"0.0.0.0:{ROOTS}",
                "certificate": "/authority.pem",
                "privateKey": "/authority.key",
                "httpPort": 80,
                "tlsPort": 443,
            }
        }
        edge = small.public_address(SMALL[-1])
        small.shell("authority", "cat > /pebble.json", given=json.dumps(settings))
        small.shell("authority", START.format(address=address, edge=edge))
        yield Authority(small, address)


def status_over_https(hosts: Hosts, name: str, ca: Path) -> str:
    """What a consumer gets from an edge who trusts only this authority."""
    port = hosts.port(name, 443)
    done = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--cacert", str(ca), "--retry", "150"),
            *("--retry-all-errors", "--retry-delay", "1", "--output", "/dev/null"),
            *("--connect-to", f"{DOMAIN}:443:127.0.0.1:{port}", "--write-out", "%{http_code}"),
            f"https://{DOMAIN}/healthz",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_each_edge_gets_a_certificate_whichever_the_authority_asks(
    small: Hosts, authority: Authority, tmp_path: Path
) -> None:
    small.groups["edge"] = list(SMALL)
    small.variables |= {
        "stack_domain": DOMAIN,
        "stack_certificates": "acme",
        "stack_acme_email": "ops@example.com",
        "stack_acme_ca": authority.directory,
        "edge_settings": {"SSL_CERT_FILE": CERTIFICATE},
    }
    small.write_inventory()
    for name in SMALL:
        small.shell(name, f"cat > {CERTIFICATE}", given=authority.own_certificate)
    refused = small.attempt("preflight")
    assert f"{DOMAIN} has no address, so no certificate can be had" in refused.output

    small.play("site", "-e", "preflight_dns=false")
    ca = tmp_path / "root.pem"
    ca.write_text(authority.root)
    assert [status_over_https(small, name, ca) for name in SMALL] == ["200"] * len(SMALL)


def test_nobody_else_knows_a_proof(small: Hosts) -> None:
    """A question goes around once, and the answer is that there is none."""
    ask = "curl --silent --max-time 15 --output /dev/null --write-out '%{http_code}'"
    path = "/.well-known/acme-challenge/unknown"
    for name in SMALL:
        said = small.shell(name, f"{ask} -H 'Host: {DOMAIN}' http://127.0.0.1{path}")
        assert said == "308", "it is sent to https, as any other path is"
