"""The servers that are compared, each under gunicorn with the API's own settings."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import click
import psutil
import requests

from api import settings
from api.serving.server import configuration

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EVE = ROOT / ".tools" / "eve"
LIMITS = dict.fromkeys(
    (
        "SHARDSTACK_LOGIN_RATE_ACCOUNT",
        "SHARDSTACK_LOGIN_RATE_ADDRESS",
        "SHARDSTACK_REGISTER_RATE_ADDRESS",
    ),
    "1000000/minute",  # one address and few accounts make all the requests of a bench
)


class Server:
    """A server in processes of its own, until `stop`."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path):
        self.name = name
        self._log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [word.format(port=port) for word in command],
                env={**os.environ, **environment, "SHARDSTACK_PORT": str(port)},
                cwd=ROOT,
                stdout=out,
                stderr=out,
            )

    def wait(self, path: str, seconds: float = 30) -> Self:
        """Until the path answers."""
        end = time.monotonic() + seconds
        while True:
            try:
                if requests.get(f"{self.url}{path}", timeout=10).status_code < 500:
                    return self
            except requests.ConnectionError:
                pass
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise click.ClickException(f"{self.name} did not start:\n{self._log.read_text()}")
            time.sleep(0.05)

    def cpu(self) -> float:
        """Seconds of CPU time that the workers have taken until now."""
        times = [worker.cpu_times() for worker in psutil.Process(self._process.pid).children()]
        return sum(time.user + time.system for time in times)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(15)
        finally:
            self._process.kill()


def environment(uri: str, folder: Path) -> dict[str, str]:
    """The API's settings, the secrets in files."""
    (folder / "uri").write_text(uri)
    (folder / "jwt").write_text(os.urandom(32).hex())
    return {
        "SHARDSTACK_DATABASE_URI_FILE": str(folder / "uri"),
        "SHARDSTACK_JWT_SECRET_FILE": str(folder / "jwt"),
        **LIMITS,
    }


def ours(environment: Mapping[str, str], folder: Path) -> Server:
    """This API as `python -m api serve` runs it, its log lines going to a file."""
    command = [sys.executable, "-m", "api", "serve", "--state", str(folder / "none")]
    return Server("ours", command, environment, folder / "ours.log").wait("/readyz")


def bare(uri: str, folder: Path) -> Server:
    """bare.py."""
    python = Path(sys.executable)
    return _gunicorn("bare", python, "tests.bench.bare:app", uri, folder).wait("/none")


def eve(uri: str, folder: Path) -> Server:
    """eve_app.py."""
    return _gunicorn("eve", EVE / "bin/python", "eve_app:app", uri, folder).wait("/api/v1/none")


def _gunicorn(name: str, python: Path, app: str, uri: str, folder: Path) -> Server:
    """gunicorn as the API sets it, save for logs and port."""
    given = settings.load(environment(uri, folder))
    skipped = ("bind", "logger_class", "proc_name")
    shared: dict[str, Any] = {
        key: value
        for key, value in configuration(given, listener=-1).items()
        if key not in skipped and not callable(value)  # hooks of the API's own
    }
    shared["loglevel"] = "error"
    shared["worker_class"] = "gthread"  # what a plain app gets; ours is the API's own
    if name == "eve":
        shared["chdir"] = str(HERE)  # its virtual environment knows nothing of our packages
    config = folder / f"{name}.conf.py"
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in shared.items()))
    command = [str(python), "-m", "gunicorn", "-c", str(config), "-b", "127.0.0.1:{port}", app]
    return Server(name, command, {"BENCH_URI": uri}, folder / f"{name}.log")


def make_eve() -> None:
    """Eve's virtual environment, made anew when its requirements change."""
    wanted = (HERE / "requirements-eve.txt").read_text()
    stamp = EVE / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    click.echo("installing Eve in a virtual environment of its own", err=True)
    pip = [str(EVE / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(EVE)],
        [*pip, "install", "--no-deps", "-r", str(HERE / "requirements-eve.txt")],
    ):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            told = (done.stderr or done.stdout).decode().strip()
            raise click.ClickException(f"could not install Eve: {told}")
    stamp.write_text(wanted)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    told = {key.strip(): value.strip() for key, value in told.items()}
    return {
        "cores": os.cpu_count(),
        "processor": told.get("model name", "unknown"),
        "mhz": round(float(told.get("cpu MHz", 0))),
        "python": sys.version.split()[0],
        "load_before": round(os.getloadavg()[0], 2),
    }
