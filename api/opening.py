"""What commands open: the settings and the database that a state folder leads to."""

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from api.errors import ApiError, LocalError
from console.terminal import Stopwatch, python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from api.settings import Settings
    from api.store import Store

COMMAND_SECONDS = 120.0  # for the database work of one command
WAIT_SECONDS = 7.0  # for the database to be there; a failover takes two
SAY_SECONDS = 2.0

# What the help of a command says of the environment.
ALL_SETTINGS = (
    "Environment: it reads every setting (SHARDSTACK_…); `python -m api settings` lists them."
)
DATABASE_SETTINGS = (
    "Environment: it reads SHARDSTACK_DATABASE_URI (or …_FILE), else the state folder, and checks "
    "every other setting; `python -m api settings` lists them."
)


def settings_of(state: str, *, tokens: bool) -> "Settings":
    """The settings; `tokens`: whether the command makes or checks tokens."""
    from api.local.state import State  # noqa: PLC0415
    from api.settings import loading  # noqa: PLC0415

    environment = State(Path(state)).environment(os.environ)
    if "database_uri" not in loading.check(environment):
        raise LocalError(
            f"SHARDSTACK_DATABASE_URI is not set, and there is no cluster in {state}. "
            f"Start one: {python()} -m cluster up, or name its folder with --state"
        )
    return loading.load(environment, tokens=tokens)


@contextmanager
def store_of(state: str) -> "Iterator[Store]":
    """The database, within the time that a command has. Raises LocalError when it is not there."""
    watch = Stopwatch(to_errors=True)
    with opened(settings_of(state, tokens=False), watch.say) as store:
        yield store


@contextmanager
def opened(settings: "Settings", say: "Callable[[str], None]") -> "Iterator[Store]":
    """The database of these settings, likewise. `say` hears that it is waited for.

    What the driver raises becomes an ApiError: it is the database's fault and not the program's.
    """
    from pymongo.errors import PyMongoError  # noqa: PLC0415 - start-up time counts

    from api.store import Store, UnavailableError  # noqa: PLC0415
    from api.store.deadline import deadline  # noqa: PLC0415

    store = Store(settings.store_options())
    try:
        _wait_for(store, say)
        with deadline(COMMAND_SECONDS):
            yield store
    except UnavailableError:
        raise LocalError(
            f"the database stopped answering ({_routers(store)}), and what was under way is not "
            f"finished. Look at it: {python()} -m cluster status; run the same command again"
        ) from None
    except PyMongoError as error:
        raise ApiError(str(error)) from error
    finally:
        store.close()


def _wait_for(store: "Store", say: "Callable[[str], None]") -> None:
    from api.store import UnavailableError, client  # noqa: PLC0415
    from api.store.deadline import deadline  # noqa: PLC0415

    began = time.monotonic()
    while (waited := time.monotonic() - began) < WAIT_SECONDS:
        try:
            with deadline(min(SAY_SECONDS, WAIT_SECONDS - waited)):
                return client.probe_reads(store)
        except UnavailableError:
            say(f"waiting for the database ({_routers(store)})")
    answer = "the routers answer, but no shard does" if store.reachable() else "nobody answers"
    raise LocalError(
        f"the database is not there: {answer} after {WAIT_SECONDS:.0f} s at {_routers(store)}. "
        "Start it, or make it whole: make up"
    )


def _routers(store: "Store") -> str:
    """Their addresses, without the password that is beside them."""
    from pymongo.uri_parser import parse_uri  # noqa: PLC0415

    nodes = parse_uri(store.options.uri)["nodelist"]
    return ", ".join(f"{host}:{port}" for host, port in nodes)
