"""What hosts of a closed network are given in place of what they would fetch.

A host's image of Debian 12 with systemd; a tarball with mongod from the Python wheel and the
stand-in router as mongos; wheels of what the API needs; Caddy of the image `caddy:2`. Each is made
once for a run, or kept by Docker.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from cluster.local.binaries import find_mongod
from tests.hosts.hosts import DOCKER, ROOT, Artifacts, docker

VERSION = "6.0.5"  # of the wheel's mongod
SYSTEM = (
    "systemd,systemd-sysv,dbus,openssh-server,python3,python3-venv,python3-apt,nftables,xfsprogs,"
    "iproute2,procps,libcurl4,ca-certificates,curl,gpg,"
    "prometheus-node-exporter,prometheus,rclone,pebble"
)
"""What a droplet's image has, or can fetch from its distribution."""
DOCKERFILE = """
FROM {base}
RUN systemctl mask systemd-udevd.service systemd-logind.service getty.target \\
      console-getty.service apt-daily.timer apt-daily-upgrade.timer \\
 && systemctl disable prometheus-node-exporter.service prometheus.service \\
 && systemctl enable ssh
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init"]
"""
# For the hosts' Python and system, whatever this machine's are.
WHEELS = ("--only-binary=:all:", "--implementation=cp", "--python-version=3.11")
PLATFORMS = ("--platform=manylinux_2_28_x86_64", "--platform=manylinux2014_x86_64")
MONGOS = """#!/bin/sh
lib=$(dirname "$(dirname "$(readlink -f "$0")")")/lib
PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1 exec python3 -m cluster.router "$@"
"""


def prepare(folder: Path) -> Artifacts:
    """Makes all of it in a folder, and the image."""
    image = _image()
    caddy, caddyfile = _caddy(folder)
    return Artifacts(image, _mongodb(folder), VERSION, _wheels(folder), caddy, caddyfile)


def _image() -> str:
    """The hosts' image, made unless there is one of the same description."""
    mark = hashlib.sha256((SYSTEM + DOCKERFILE).encode()).hexdigest()[:12]
    image, base = f"shardstack-standin-host:{mark}", f"shardstack-standin-host-base:{mark}"
    known = subprocess.run([DOCKER, "image", "inspect", image], capture_output=True, check=False)
    if known.returncode == 0:
        return image
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={SYSTEM}", "bookworm", "-"],  # noqa: S607
        stdout=subprocess.PIPE,
        check=True,
    )
    subprocess.run(
        [DOCKER, "import", "-", base], input=made.stdout, capture_output=True, check=True
    )
    subprocess.run(
        [DOCKER, "build", "--quiet", "--tag", image, "-"],
        input=DOCKERFILE.format(base=base).encode(),
        capture_output=True,
        check=True,
    )
    return image


def _mongodb(folder: Path) -> Path:
    tree = folder / f"mongodb-{VERSION}"
    (tree / "bin").mkdir(parents=True)
    shutil.copy(find_mongod(), tree / "bin" / "mongod")
    (tree / "bin" / "mongos").write_text(MONGOS)
    needed = folder / "router.lock"
    needed.write_text((ROOT / "api/requirements.lock").read_text() + _locked("uvloop"))
    _pip("install", "--target", str(tree / "lib"), *WHEELS, *PLATFORMS, "-r", str(needed))
    for package in ("console", "cluster"):
        shutil.copytree(
            ROOT / package, tree / "lib" / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for program in (tree / "bin").iterdir():
        program.chmod(0o755)
    archive = shutil.make_archive(str(folder / "mongodb"), "gztar", folder, tree.name)
    shutil.rmtree(tree)
    return Path(archive)


def _locked(name: str) -> str:
    """What the lock file says of one package: its version, and the hashes of its files."""
    found: list[str] = []
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line.startswith(f"{name}==") or (found and found[-1].endswith("\\")):
            found.append(line)
    return "\n".join(found) + "\n"


def _wheels(folder: Path) -> Path:
    wheels = folder / "wheels"
    lock = str(ROOT / "api/requirements.lock")
    _pip("download", "--dest", str(wheels), *WHEELS, *PLATFORMS, "-r", lock)
    return Path(shutil.make_archive(str(wheels), "gztar", wheels))


def _caddy(folder: Path) -> tuple[Path, Path]:
    container = docker("create", "caddy:2")
    try:
        docker("cp", f"{container}:/usr/bin/caddy", str(folder / "caddy"))
        labels = docker("inspect", "--format", "{{json .Config.Labels}}", container)
    finally:
        docker("rm", container)
    caddyfile = ROOT / "deploy/caddy/Caddyfile"
    if "stand-in" in labels:
        older = folder / "Caddyfile"
        script = str(ROOT / "tests/compose/standin/caddyfile-of-2.6.sed")
        made = subprocess.run(
            ["sed", "-f", script, str(caddyfile)],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
        older.write_text(made.stdout)
        caddyfile = older
    return folder / "caddy", caddyfile


def _pip(verb: str, *arguments: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
    subprocess.run([sys.executable, "-m", "pip", verb, *quiet, *arguments], check=True)
