"""The stand-in router's door: ``python -m cluster.router``, with mongos' own flags.

Example:
    python -m cluster.router --configdb cfg/10.0.0.1:27019 --keyFile key --port 27017
"""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path
from types import ModuleType

from cluster.router.catalogue import Catalogue
from cluster.router.context import Defaults, Services
from cluster.router.cursors import Cursors
from cluster.router.errors import CommandError
from cluster.router.identity import Identities
from cluster.router.members import parse_set
from cluster.router.scram import KeyRefusedError
from cluster.router.server import serve
from cluster.router.shards import CONFIG, Shards
from cluster.router.upstream import connect, read_keys

uvloop: ModuleType | None
try:
    import uvloop
except ImportError:  # it only makes the router faster
    uvloop = None

log = logging.getLogger("cluster.router")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.router",
        description="Stand-in for mongos on a machine that has none. Takes mongos' flags.",
        epilog="example: python -m cluster.router --configdb cfg/127.0.0.1:27019 --keyFile key",
        allow_abbrev=False,
    )
    parser.add_argument("--configdb", required=True, metavar="SET/HOST:PORT,…")
    parser.add_argument("--keyFile", required=True, type=Path, metavar="FILE")
    parser.add_argument("--port", type=int, default=27017)
    parser.add_argument("--bind_ip", default="127.0.0.1", metavar="ADDRESS,…")
    return parser.parse_args()


async def _first_contact(shards: Shards, keys: list[str]) -> None:
    """Wait, like mongos, until the config servers have a primary that accepts the key file.

    Raises:
        KeyRefusedError: it does not.
    """
    while True:
        try:
            host = await shards.set_of(CONFIG).wait_for_primary(5)
            (await connect(host, keys)).abort("it works")
        except CommandError as error:
            log.info("waiting for the config servers: %s", error)
        else:
            return


async def _run(arguments: argparse.Namespace, keys: list[str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    shards = Shards(arguments.configdb, keys)
    shards.start()
    contact = asyncio.create_task(_first_contact(shards, keys))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({contact, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        await contact
        catalogue = Catalogue(shards)
        await catalogue.load_shards()
        services = Services(shards, catalogue, Cursors(), Identities(shards), Defaults(shards))
        keeping = asyncio.create_task(catalogue.keep_shards())
        await serve(services, arguments.bind_ip.split(","), arguments.port, stop)
        keeping.cancel()
    stopping.cancel()
    contact.cancel()
    shards.close()


def main() -> int:
    """Run until SIGTERM; exit 0 then, 1 when it cannot start, 2 for wrong usage."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        parse_set(arguments.configdb)
        keys = read_keys(arguments.keyFile)
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
