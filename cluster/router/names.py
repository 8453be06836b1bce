"""Host names to addresses, where a name may have none yet, or another one tomorrow.

A container gets a new address when it restarts, so nothing is remembered longer than one look. A
name server may take many seconds to say that it does not know a name, and a look cannot be called
off; so any number of callers share one look for a name, and a slow one holds up no other name.
"""

import asyncio
import contextlib
import socket
import threading

Address = tuple[socket.AddressFamily, str]


class Names:
    """Looks host names up, each in a thread that keeps nobody from leaving."""

    def __init__(self) -> None:
        self._looks: dict[str, asyncio.Future[list[Address]]] = {}

    async def addresses(self, name: str) -> list[Address]:
        """Return a name's addresses, each with its family.

        Raises:
            OSError: it has none, or nobody can tell.
        """
        look = self._looks.get(name)
        if look is None:
            loop = asyncio.get_running_loop()
            look = self._looks[name] = loop.create_future()
            look.add_done_callback(lambda _: self._looks.pop(name, None))
            look.add_done_callback(_retrieve)
            threading.Thread(target=_look_up, args=(name, look, loop), daemon=True).start()
        return await asyncio.shield(look)


def _look_up(
    name: str, look: "asyncio.Future[list[Address]]", loop: asyncio.AbstractEventLoop
) -> None:
    found: list[Address] | OSError
    try:
        listing = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in listing))
    except (OSError, UnicodeError) as error:
        found = error if isinstance(error, OSError) else OSError(f"{name!r} is no host name")
    with contextlib.suppress(RuntimeError):  # the router has ended meanwhile
        loop.call_soon_threadsafe(_tell, look, found)


def _tell(look: "asyncio.Future[list[Address]]", found: "list[Address] | OSError") -> None:
    if look.done():
        return
    if isinstance(found, OSError):
        look.set_exception(found)
    else:
        look.set_result(found)


def _retrieve(look: "asyncio.Future[list[Address]]") -> None:
    if not look.cancelled():
        look.exception()  # whoever waited may have given up: nobody else would ask for it
