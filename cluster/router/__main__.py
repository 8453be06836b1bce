"""The stand-in router's door: ``python -m cluster.router``, with mongos' own flags.

Example:
    python -m cluster.router --configdb cfg/10.0.0.1:27019 --keyFile key --port 27017
"""

import asyncio
import logging
import signal
import sys
from types import ModuleType

from cluster import keyfile
from cluster.router import arguments as flags
from cluster.router.arguments import Arguments
from cluster.router.catalogue import Catalogue
from cluster.router.context import Defaults, Services
from cluster.router.cursors import Cursors
from cluster.router.errors import CommandError
from cluster.router.identity import Identities
from cluster.router.members import parse_set
from cluster.router.scram import KeyRefusedError
from cluster.router.server import serve
from cluster.router.shards import CONFIG, Shards
from cluster.router.upstream import Connector

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
        arguments = flags.parse()
        parse_set(arguments.config)
        keys = keyfile.read(arguments.key_file)
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
