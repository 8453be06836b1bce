"""The stand-in router's door: ``python -m cluster.router``, with mongos' own flags.

Source of the flags: https://www.mongodb.com/docs/manual/reference/program/mongos/

Example:
    python -m cluster.router --configdb cfg/10.0.0.1:27019 --keyFile key --port 27017
"""

import argparse
import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from cluster.model.secrets import read_keys
from cluster.router.catalogue import Catalogue
from cluster.router.connections import Connector
from cluster.router.context import Defaults, Services
from cluster.router.cursors import Cursors
from cluster.router.errors import CommandError
from cluster.router.identity import Identities
from cluster.router.members import parse_set
from cluster.router.scram import KeyRefusedError
from cluster.router.server import serve
from cluster.router.shards import CONFIG, Shards
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


uvloop: ModuleType | None
try:
    import uvloop
except ImportError:  # it only makes the router faster
    uvloop = None

log = logging.getLogger("cluster.router")


async def _first_contact(shards: Shards, catalogue: Catalogue, connector: Connector) -> None:
    """Wait, like mongos, until the config servers accept the key file and list the shards.

    Raises:
        KeyRefusedError: it does not.
    """
    while True:
        try:
            host = await shards.set_of(CONFIG).wait_for_primary(5)
            (await connector.open(host, log_in=True)).abort("it works")
            await catalogue.load_shards()
        except CommandError as error:
            log.info("waiting for the config servers: %s", error)
            await asyncio.sleep(0.1)
        else:
            return


async def _run(arguments: Arguments, keys: list[str]) -> None:
    connector = Connector(keys, arguments.tls)
    shards = Shards(arguments.config, connector)
    catalogue = Catalogue(shards)
    identities = Identities(shards)
    services = Services(shards, catalogue, Cursors(), identities, Defaults(shards))
    services.drain_seconds = arguments.drain_seconds
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, services.stop.set)
    shards.start()
    contact = asyncio.create_task(_first_contact(shards, catalogue, connector))
    stopping = asyncio.create_task(services.stop.wait())
    await asyncio.wait({contact, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not services.stop.is_set():
        await contact
        keeping = [
            asyncio.create_task(kept) for kept in (catalogue.keep_shards(), identities.keep())
        ]
        await serve(services, arguments.addresses, arguments.port, arguments.tls.server)
        for task in keeping:
            task.cancel()
    stopping.cancel()
    contact.cancel()
    shards.close()


def main() -> int:
    """Run until SIGTERM or ``shutdown``; exit 0 then, 1 when it cannot start, 2 for wrong usage."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        arguments = parse()
        parse_set(arguments.config)
        keys = read_keys(arguments.key_file)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(arguments, keys))
    except (ValueError, OSError, KeyRefusedError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command's own message
        return 1
    return 0


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    return uvloop.Loop if uvloop is not None else None


if __name__ == "__main__":
    sys.exit(main())
