"""The secrets of a hosted cluster: one folder, each part of it for those who need it only.

    key/keyFile             0400, for the servers and the operators
    key/mongod.conf         0400, how each mongod is set
    key/monitor             0400, the password that a router's health check uses
    key/ca.pem, server.pem  0400, with TLS: the authority, and the servers' certificate and key
    operator/users.json     0600, for the operators: the users' passwords
    operator/ca.key         0400, with TLS: the authority's own key
    application/database.uri  0400, for the application: the connection string of the user "app"
    application/ca.pem      0400, with TLS
    application/metrics.token  0400, who shows it may read the application's metrics
    monitoring/metrics.token   0440, the same, for Prometheus (containers)
    monitoring/grafana      0440, the password of Grafana's administrator (containers)

The programs of `monitoring` have users of their own, and so read it by its group. In Docker Compose
each part is a volume of its own, which only those who need it have.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from cluster.errors import StateError
from cluster.model.layout import Layout
from cluster.model.secrets import Secrets
from cluster.servers.connections import Access
from console.files import write


class HostedSecrets(Secrets):
    """The folder of secrets. `tls`: whether the servers speak TLS."""

    def __init__(self, folder: Path, *, tls: bool) -> None:
        super().__init__(folder / "key" / "keyFile", folder / "operator" / "users.json")
        self.key_folder = folder / "key"
        self.operator_folder = folder / "operator"
        self.application_folder = folder / "application"
        self.monitoring_folder = folder / "monitoring"
        self.ca_file = self.key_folder / "ca.pem" if tls else None

    def keys(self) -> list[str]:
        """What the key file holds; StateError before `prepare`."""
        if not self.users_file.exists() and not self._monitor_file.exists():
            raise StateError(
                f"{self.users_file} is missing: there is no cluster yet. Run `prepare`, or `up`."
            )
        return super().keys()

    @property
    def _monitor_file(self) -> Path:
        return self.key_folder / "monitor"

    def access(self, layout: Layout) -> Access:
        """What it takes to reach the servers; KeyFileError or StateError before `prepare`.

        Who has the part `key` only, and none of the operators', may look at them.
        """
        key = self.key()
        if self.users_file.exists():
            return Access(layout, key, self.passwords()[0], self.ca_file)
        return Access(layout, key, {"monitor": self._monitor_file.read_text()}, self.ca_file)

    def database(self) -> str | None:
        """The application's database, as its connection string names it; None before `prepare`."""
        file = self.application_folder / "database.uri"
        return urlsplit(file.read_text()).path.strip("/") if file.exists() else None

    def write_derived(self, layout: Layout, mongod_conf: str | None) -> None:
        """Writes what follows from the settings and the others, where it has changed.

        `mongod_conf` is None where each host has its own.
        """
        access = self.access(layout)
        application = Access(
            layout,
            access.key,
            access.passwords,
            self.application_folder / "ca.pem" if self.ca_file else None,
        )
        if mongod_conf is not None:
            _keep(self.key_folder / "mongod.conf", mongod_conf)
        _keep(self._monitor_file, access.passwords["monitor"])
        _keep(self.application_folder / "database.uri", f"{application.uri('app')}\n")
        if self.ca_file:
            _keep(self.application_folder / "ca.pem", self.ca_file.read_text())

    def ensure_metrics_token(self) -> bool:
        """Makes the token of the application's metrics if it is missing. Whether it made it."""
        return _ensure(self._token_file, 0o400)

    def ensure_monitoring(self) -> bool:
        """Makes what the containers of monitoring have. Whether Grafana got its password now."""
        _keep(self.monitoring_folder / "metrics.token", self._token_file.read_text(), 0o440)
        return _ensure(self.monitoring_folder / "grafana", 0o440)

    @property
    def _token_file(self) -> Path:
        return self.application_folder / "metrics.token"


def _ensure(file: Path, mode: int) -> bool:
    """Makes a secret of 192 random bits, unless there is one. Whether it made it."""
    if file.exists():
        return False
    write(file, secrets.token_urlsafe(24), mode)
    return True


def _keep(file: Path, text: str, mode: int = 0o400) -> None:
    if not file.exists() or file.read_text() != text:
        write(file, text, mode)
