"""Let this process find the servers of a stack by the names that they have among themselves.

They publish no ports, but the machine of the engine has a place in their network. Their addresses
there may be others whenever they are started again, and certificates are for names: so everybody
keeps the name, and the address is looked up when a connection is made. (PyMongo, and
socket.create_connection, ask socket.getaddrinfo each time; no other hook is told of every
connection.)
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

from cluster.drill.targets.containers import Containers
from cluster.errors import ClusterError

FRESH_SECONDS = 2.0
"""In which an address is taken for known; whoever starts a container says so (`forget`)."""

_of_the_system = socket.getaddrinfo


class Names:
    """The addresses of a stack's services in one of its networks, by name."""

    def __init__(self, containers: Containers, network: str) -> None:
        self._containers = containers
        self._network = network
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._until = 0.0

    def serve(self) -> None:
        """From now on names of services mean these here, in this process."""
        socket.getaddrinfo = self._getaddrinfo

    def forget(self) -> None:
        """Containers were started: whoever asks next looks."""
        self._until = 0.0

    def address(self, name: str) -> str | None:
        """The address of a service; "" while it has none, None for a name that is no service."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._until = time.monotonic() + FRESH_SECONDS
                with contextlib.suppress(ClusterError):  # then those that are known are as good
                    self._known = {
                        one.service: one.addresses.get(self._network, "")
                        for one in self._containers.all().values()
                    }
            return self._known.get(name)

    def _getaddrinfo(self, host: Any, port: Any, *more: Any, **options: Any) -> Any:
        found = self.address(host) if isinstance(host, str) else None
        if found == "":
            raise socket.gaierror(socket.EAI_NONAME, f"the container {host} does not run")
        return _of_the_system(found or host, port, *more, **options)
