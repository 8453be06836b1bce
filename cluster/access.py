"""What it takes to reach the servers of a cluster, whoever runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cluster.connect import Connections
from cluster.layout import Layout


@dataclass(frozen=True)
class Access:
    """Where the nodes listen, the servers' key, the users' passwords; made and kept by the caller.

    `tls_ca` is the file of the authority that signed the servers' certificates; None: no TLS.
    """

    layout: Layout
    key: str
    passwords: Mapping[str, str]
    tls_ca: Path | None = None

    def connections(self, timeout: float = 10) -> Connections:
        """Connections to single nodes; `timeout` in seconds, for each answer."""
        return Connections(self.key, timeout, self.tls_ca)

    def uri(self, user: str) -> str:
        """A user's connection string through all routers, password included."""
        hosts = ",".join(router.address for router in self.layout.routers)
        database = self.layout.database if user == "app" else ""
        tls = f"&tls=true&tlsCAFile={quote(str(self.tls_ca), safe='')}" if self.tls_ca else ""
        return f"mongodb://{user}:{self.passwords[user]}@{hosts}/{database}?authSource=admin{tls}"
