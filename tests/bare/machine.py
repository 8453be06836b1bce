"""A bare Debian with a checkout of the project, and an ordinary user whose it is."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
DOCKER = shutil.which("docker") or "docker"
USER = "newcomer"
HOME = f"/home/{USER}/shardstack"
AUTHORITIES = Path("/usr/local/share/ca-certificates")
TAKEN_OVER = (
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_DEFAULT_TIMEOUT",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
"""Variables that lead to certificates and indexes of packages."""


class MachineError(AssertionError):
    """A command that was to succeed did not; the text is all it said."""


class Machine:
    """A container of the minimal system of one Debian release ("bookworm", "trixie").

    Use it as a context: everything in it ends with the block.
    """

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self._name = f"shardstack-bare-{suite}-{secrets.token_hex(4)}"

    def __enter__(self) -> Self:
        variables = [f"--env={name}" for name in TAKEN_OVER if name in os.environ]
        kept = ["sleep", "infinity"]
        _docker(
            "run", "--detach", "--init", "--name", self._name, *variables, image(self.suite), *kept
        )
        try:
            self._check_out()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _docker("rm", "--force", "--volumes", self._name)

    def root(self, line: str, timeout: float = 300) -> str:
        """The output of a line in a shell, as root; it must succeed."""
        return _succeeded(line, self.attempt("root", line, timeout))

    def user(self, line: str, timeout: float = 300) -> str:
        """The output of a line in a shell, as the ordinary user; it must succeed."""
        return _succeeded(line, self.attempt(USER, line, timeout))

    def attempt(
        self, user: str, line: str, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """A line in a shell, whatever comes of it."""
        return subprocess.run(
            [DOCKER, "exec", "--user", user, "--workdir", HOME, self._name, "bash", "-lc", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def _check_out(self) -> None:
        """The files that git knows, as they are here, and a repository of them."""
        _docker("exec", self._name, "useradd", "--create-home", "--shell", "/bin/bash", USER)
        _docker("exec", self._name, "mkdir", HOME)
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        here = b"\0".join(
            name for name in files.split(b"\0") if (ROOT / os.fsdecode(name)).is_file()
        )
        archive = subprocess.run(
            ["tar", "--create", "--null", "--files-from=-"],  # noqa: S607
            cwd=ROOT,
            input=here,
            capture_output=True,
            check=True,
        ).stdout
        subprocess.run([DOCKER, "cp", "-", f"{self._name}:{HOME}"], input=archive, check=True)
        _docker("exec", self._name, "chown", "--recursive", f"{USER}:", HOME)


def image(suite: str) -> str:
    """The minimal system of a release, made once from Debian's packages."""
    name = f"shardstack-bare-{suite}"
    known = subprocess.run([DOCKER, "image", "inspect", name], capture_output=True, check=False)
    if known.returncode:
        trusted = f"copy-in {AUTHORITIES} {AUTHORITIES.parent}"
        hooks = [trusted, 'chroot "$1" update-ca-certificates'] if AUTHORITIES.exists() else []
        with subprocess.Popen(
            [  # noqa: S607
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                "--include=ca-certificates",
                *(f"--customize-hook={hook}" for hook in hooks),
                suite,
                "-",
            ],
            stdout=subprocess.PIPE,
        ) as made:
            imported = [DOCKER, "import", "-", name]
            subprocess.run(imported, stdin=made.stdout, check=True, capture_output=True)
        if made.returncode:
            raise MachineError(f"mmdebstrap {suite} ended with {made.returncode}")
    return name


def _docker(*arguments: str) -> str:
    return _succeeded(
        f"docker {arguments[0]}",
        subprocess.run([DOCKER, *arguments], capture_output=True, text=True, check=False),
    )


def _succeeded(line: str, done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise MachineError(f"{line} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout
