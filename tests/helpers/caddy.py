"""Caddy, as deploy/caddy/Caddyfile sets it, and the replicas of the API behind it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from tests.helpers.api import RunningServer, free_port

CADDYFILE = Path(__file__).parents[2] / "deploy/caddy/Caddyfile"


NEEDED = (2, 11, 7)  # the first version known to have `timeouts` for a route


TOKEN_LIFETIME = 8.0
"""Seconds; short, so that consumers refresh their tokens while a replica fails."""


class Replica:
    """One server of the API, always on the same port; all its processes fail together."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment = environment
        self._log = log
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start it, if it does not run, and wait until it is ready."""
        if getattr(self, "server", None) is None or self.server.process.poll() is not None:
            self.server = RunningServer(self.environment, self._log, port=self.port)
        self.server.wait_ready()

    def end(self) -> None:
        """SIGTERM, and wait until it has finished what it had accepted."""
        self.server.process.terminate()
        assert self.server.process.wait(30) == 0, self._log.read_text()

    def workers(self) -> set[int]:
        """Their process ids."""
        return {one.pid for one in psutil.Process(self.server.process.pid).children()}

    def send(self, sig: signal.Signals) -> None:
        """Send every process of it a signal."""
        master = psutil.Process(self.server.process.pid)
        for process in (master, *master.children(recursive=True)):
            process.send_signal(sig)
        if sig == signal.SIGKILL:
            self.server.process.wait(10)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """What is sent to its port, and from there, vanishes."""
        rules = [
            ["INPUT", "-i", "lo", "-p", "tcp", side, str(self.port), "-j", "DROP"]
            for side in ("--dport", "--sport")
        ]
        for rule in rules:
            iptables("-I", *rule)
        try:
            yield
        finally:
            for rule in rules:
                iptables("-D", *rule)


def iptables(*arguments: str) -> None:
    """Change the kernel's packet filter. Raises CalledProcessError."""
    found = shutil.which("iptables") or "iptables"
    subprocess.run([found, "-w", *arguments], check=True, capture_output=True)


class Caddy:
    """The proxy in a process of its own, with a folder of its own for its CA."""

    def __init__(
        self, binary: str, folder: Path, environment: dict[str, str], caddyfile: Path = CADDYFILE
    ) -> None:
        self.folder = folder
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self.ca = folder / "data/caddy/pki/authorities/local/root.crt"
        self.log = folder / "log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [binary, "run", "--config", str(caddyfile), "--adapter", "caddyfile"],
                env={
                    **os.environ,
                    "XDG_DATA_HOME": str(folder / "data"),
                    "XDG_CONFIG_HOME": str(folder / "config"),
                    "SHARDSTACK_HTTPS_PORT": str(self.port),
                    "SHARDSTACK_HTTP_PORT": str(self.plain_port),
                    "SHARDSTACK_PUBLIC_PORT": f":{self.port}",
                    **environment,
                },
                stdout=out,
                stderr=out,
            )

    def wait_ready(self, seconds: float = 20) -> None:
        """Until it hands a request through."""
        end = time.monotonic() + seconds
        while True:
            try:
                if requests.get(f"{self.url}/readyz", verify=self.ca, timeout=2).ok:
                    return
            except OSError:  # requests' errors are of this kind, too
                pass
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()


def upstreams(replicas: list[Replica]) -> dict[str, str]:
    """What tells Caddy of them."""
    names = " ".join(f"127.0.0.1:{replica.port}" for replica in replicas)
    return {"SHARDSTACK_UPSTREAMS": names}
