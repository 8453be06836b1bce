"""The router's flags, which are mongos' own.

Source: https://www.mongodb.com/docs/manual/reference/program/mongos/
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from cluster.router.tls import PLAIN, Tls

DRAIN = "mongosShutdownTimeoutMillisForSignaledShutdown"
DRAIN_MILLIS = 2000
PARAMETERS = {DRAIN: DRAIN_MILLIS}
"""What --setParameter takes: those of mongos' parameters that mean something here."""
FIXED = {"enableLocalhostAuthBypass": "false"}
"""Those of which only one value is possible: nobody comes in here without a log-in."""


@dataclass(frozen=True)
class Arguments:
    """What the router was told: seeds, key file, where to listen, how to end, how to encrypt."""

    config: str
    key_file: Path
    port: int
    addresses: list[str]
    drain_seconds: float
    """How long commands that run may take to finish when the router is told to stop."""
    tls: Tls


def parse() -> Arguments:
    """Read the command line; exits with status 2 for one that cannot be understood.

    Raises:
        ValueError: an option has a value that it cannot have; the message is one line.
    """
    given = _parser().parse_args()
    parameters = _parameters(given.setParameter)
    return Arguments(
        config=given.configdb,
        key_file=given.keyFile,
        port=given.port,
        addresses=["0.0.0.0"] if given.bind_ip_all else given.bind_ip.split(","),  # noqa: S104 - asked for
        drain_seconds=parameters[DRAIN] / 1000,
        tls=_tls(given),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.router",
        description="Stand-in for mongos on a machine that has none. Takes mongos' flags.",
        epilog="example: python -m cluster.router --configdb cfg/127.0.0.1:27019 --keyFile key",
        allow_abbrev=False,
    )
    parser.add_argument("--configdb", required=True, metavar="SET/HOST:PORT,…")
    parser.add_argument("--keyFile", required=True, type=Path, metavar="FILE")
    parser.add_argument("--port", type=int, default=27017)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--bind_ip", default="127.0.0.1", metavar="ADDRESS,…")
    where.add_argument("--bind_ip_all", action="store_true", help="listen on every IPv4 address")
    parser.add_argument("--setParameter", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--networkMessageCompressors", metavar="NAME,…", help="taken for mongos' sake: none is used"
    )
    parser.add_argument("--tlsMode", choices=("disabled", "requireTLS"), default="disabled")
    parser.add_argument("--tlsCertificateKeyFile", type=Path, metavar="FILE")
    parser.add_argument("--tlsCAFile", type=Path, metavar="FILE")
    parser.add_argument("--tlsAllowConnectionsWithoutCertificates", action="store_true")
    return parser


def _parameters(given: list[str]) -> dict[str, int]:
    found = dict(PARAMETERS)
    for pair in given:
        name, equals, value = pair.partition("=")
        if name in FIXED:
            if value != FIXED[name]:
                raise ValueError(f"--setParameter {name} is always {FIXED[name]} here")
            continue
        if name not in PARAMETERS:
            known = ", ".join([*PARAMETERS, *FIXED])
            raise ValueError(f"--setParameter {name!r} is not known here; there is: {known}")
        if not (equals and value.isdecimal()):
            raise ValueError(f"--setParameter {name} takes a whole number of ms, not {value!r}")
        found[name] = int(value)
    return found


def _tls(given: argparse.Namespace) -> Tls:
    files = {"tlsCertificateKeyFile": given.tlsCertificateKeyFile, "tlsCAFile": given.tlsCAFile}
    if given.tlsMode == "disabled":
        if any(files.values()) or given.tlsAllowConnectionsWithoutCertificates:
            raise ValueError("the other --tls options need --tlsMode requireTLS")
        return PLAIN
    for name, file in files.items():
        if file is None:
            raise ValueError(f"--tlsMode requireTLS needs --{name}")
    anonymous = given.tlsAllowConnectionsWithoutCertificates
    return Tls.load(given.tlsCertificateKeyFile, given.tlsCAFile, anonymous_clients=anonymous)
