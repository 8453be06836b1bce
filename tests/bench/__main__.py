"""`python -m tests.bench`: how fast it is, on a cluster made for it and removed afterwards."""

import click

from tests.bench.api import api
from tests.bench.bulk import bulk
from tests.bench.dump import dump
from tests.bench.large import large
from tests.bench.routers import routers
from tests.bench.scrape import scrape
from tests.bench.soak import soak
from tests.bench.watched import watched


@click.group(help=__doc__)
def main() -> None:
    """One command per comparison."""


main.add_command(api)
main.add_command(bulk)
main.add_command(routers)
main.add_command(large)
main.add_command(dump)
main.add_command(scrape)
main.add_command(soak)
main.add_command(watched)

if __name__ == "__main__":
    main()
