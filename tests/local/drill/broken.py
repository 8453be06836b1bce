"""Systems that break a promise, and the drill that catches each: the judge's track record.

    .venv/bin/python -m tests.local.drill.broken w1

runs the drill on a running cluster until the system is caught, five times at most, and ends as
`drill run` does: with 2. What is broken is what the load writes through, which a run is given, or a
server that stands before the API; nothing of the product knows how to be broken.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pymongo.errors import AutoReconnect, ConnectionFailure
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cluster.drill.judge.verdict import Status, worst
from cluster.drill.load.mongo import MongoStore
from cluster.drill.load.workload import Effect
from cluster.drill.running.scenario import chosen
from cluster.drill.running.session import Asked, Session
from cluster.drill.running.stores import Maker, Through
from cluster.drill.targets import choose
from cluster.drill.targets.target import Api
from tests.helpers.api import apply_schema, environment_of, running

RUNS = 5
"""In which each must be caught."""
HASTY = WriteConcern("majority", wtimeout=200)
"""Gives up waiting for the majority, and says so: the outcome is not known."""
TRIES = 100
PAUSE = 0.1


class OneIsEnough(MongoStore):
    """Writes count once the primary alone has them (w:1)."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._keys = self._keys.with_options(write_concern=WriteConcern(1))


class RolledBack(MongoStore):
    """Reads show what the primary has, whether a majority has it or not."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._keys = self._keys.with_options(write_concern=HASTY)
        self._linearizable = self._linearizable.with_options(read_concern=ReadConcern("local"))


class Again(MongoStore):
    """An append without an answer is sent again, and nothing tells that it is the same one.

    `command` sends no transaction number.
    """

    def append(self, key: str, token: str) -> Effect:
        change = {"$push": {"tokens": token}, "$inc": {"version": 1}}
        update = {"q": {"_id": key}, "u": change}
        database, name = self._keys.database, self._keys.name
        for _ in range(TRIES):
            try:
                reply = database.command(
                    "update", name, updates=[update], writeConcern={"w": "majority"}
                )
                return Effect(reply["n"])
            except ConnectionFailure:
                time.sleep(PAUSE)
        raise AutoReconnect(f"no answer in {TRIES} tries")


class HastyClaims(MongoStore):
    """Claims count once the primary alone has them; all other writes are as they should be."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._claims = OneIsEnough(*given, **more)
        self._keys = self._keys.with_options(write_concern=HASTY)

    def insert(self, key: str, token: str) -> Effect:
        return self._claims.insert(key, token)


@dataclass(frozen=True)
class Broken:
    """A system that breaks a promise, and the scenario in which that shows.

    `make` makes the store of the load; without one the load comes through an API that acknowledges
    these methods `early` (early_server.py).
    """

    name: str
    what: str
    scenario: str
    make: Maker | None = None
    faults: int = 1
    early: str = ""


BROKEN = (
    Broken("w1", "writes with w:1", "primary-cut-off", OneIsEnough, faults=3),
    Broken("w1-parted", "writes with w:1, in a split set", "primary-parted", OneIsEnough),
    Broken("rolled-back", "reads of what is rolled back", "primary-parted", RolledBack),
    Broken("again", "retries without a transaction number", "router-lost", Again, faults=3),
    Broken("claims", "claims without majority", "primary-parted", HastyClaims, faults=3),
    Broken("early", "an API that acknowledges early", "primary-killed", early="PATCH"),
    Broken("early-delete", "an API that deletes early", "primary-killed", early="DELETE"),
)


def catch(state: Path, one: Broken, out: Path, runs: int = RUNS) -> Status:
    """Drill the system until it is caught, or has come through so many runs."""
    status = Status.PASSED
    with _through(state, one) as door:
        for seed in range(runs):
            asked = Asked(out, seed=seed, faults=one.faults, rate=0.0, **door)
            status = worst(Session(choose("local", str(state)), asked).run(chosen([one.scenario])))
            if status is Status.BROKEN:
                break
    return status


@contextlib.contextmanager
def _through(state: Path, one: Broken) -> Iterator[dict[str, Any]]:
    """What makes the load come through the broken system, as fields of `Asked`."""
    if one.make is not None:
        yield {"make": one.make}
        return
    uri = choose("local", str(state)).access().uri("app")
    with tempfile.TemporaryDirectory() as folder:
        environment = {**environment_of(uri, Path(folder)), "EARLY": one.early}
        apply_schema(environment)
        program = [str(Path(__file__).with_name("early_server.py"))]
        with running(environment, Path(folder) / "log", program) as server:
            yield {"through": Through.API, "api": Api(server.url)}


@click.command(help=__doc__)
@click.argument("name", type=click.Choice([one.name for one in BROKEN]))
@click.option("--state", default=".shardstack", envvar="SHARDSTACK_STATE", show_default=True)
@click.option("--out", default="drills", type=click.Path(path_type=Path), show_default=True)
@click.option("--runs", default=RUNS, show_default=True)
def main(name: str, state: str, out: Path, runs: int) -> None:
    """Drill one of them."""
    one = next(one for one in BROKEN if one.name == name)
    sys.exit(catch(Path(state), one, out, runs))


if __name__ == "__main__":
    main()
