"""What was measured, as figures, as JSON and as a table."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, NamedTuple

import msgspec

from tests.bench.generator import Fired
from tests.bench.plans import NAMES

WANTED: dict[str, dict[str, float]] = {
    "by_id": {"vs_bare": 0.80, "vs_eve": 1.8, "cpu_vs_bare": 1.35},
    "create": {"vs_bare": 0.80, "vs_eve": 2.0, "cpu_vs_bare": 1.35},
    "list_50": {"vs_bare": 0.85, "vs_eve": 4.0},
}
"""The least that throughput ratios are to be, and the most that CPU ratios are to be."""


def ratio(rounds: Iterable[tuple[float, float]]) -> float:
    """What one server's figures are of another's: the median of the ratios of the rounds.

    In a round both ran one after the other; what else the machine did in it touched both. So this
    is steadier than the ratio of the two medians, and differs from it. Every ratio of the
    benchmarks is this one.
    """
    return round(median(one / other for one, other in rounds), 3)


class Run(NamedTuple):
    """One run of one server: what the generator saw, and the workers' CPU time per request, µs."""

    fired: Fired
    cpu: float


class Figures(msgspec.Struct):
    """One measure. Requests per second (medians), and ratios (see `ratio`)."""

    ours: float
    bare: float
    eve: float | None
    vs_bare: float
    vs_eve: float | None
    cpu_vs_bare: float


class Result(msgspec.Struct):
    """Everything measured; `cpu` is µs per request, `p99` ms, by measure and server."""

    router: str
    seconds: int
    rounds: int
    measures: dict[str, Figures] = {}
    cpu: dict[str, dict[str, float]] = {}
    p99: dict[str, dict[str, float]] = {}
    machine: dict[str, Any] = {}
    busiest_generator: float = 0.0

    def add(self, measure: str, rounds: list[Mapping[str, Run]]) -> None:
        """Work out the figures of a measure from its rounds."""
        names = list(rounds[0])

        def middle(name: str) -> float:
            return round(median(one[name].fired.rate for one in rounds), 1)

        def rates(other: str) -> float:
            return ratio((one["ours"].fired.rate, one[other].fired.rate) for one in rounds)

        eve = "eve" in names
        self.measures[measure] = Figures(
            ours=middle("ours"),
            bare=middle("bare"),
            eve=middle("eve") if eve else None,
            vs_bare=rates("bare"),
            vs_eve=rates("eve") if eve else None,
            cpu_vs_bare=ratio((one["ours"].cpu, one["bare"].cpu) for one in rounds),
        )
        self.cpu[measure] = {n: round(median(one[n].cpu for one in rounds)) for n in names}
        self.p99[measure] = {n: round(median(one[n].fired.p99 for one in rounds), 2) for n in names}
        busiest = max(run.fired.busy for one in rounds for run in one.values())
        self.busiest_generator = max(self.busiest_generator, round(busiest, 3))

    def as_json(self) -> dict[str, Any]:
        """The measures by their names, and what else is known, beside them."""
        plain = msgspec.to_builtins(self)
        return {**plain.pop("measures"), "about": plain}


def show(result: Result) -> None:
    """Print the figures as a table."""
    from rich.console import Console  # noqa: PLC0415 - only when something is shown
    from rich.table import Table  # noqa: PLC0415

    machine = result.machine
    table = Table(
        title=f"requests per second; {machine['cores']} cores at {machine['mhz'] / 1000:.1f} GHz,"
        f" {result.router} router; medians of {result.rounds} rounds of {result.seconds} s"
    )
    for column in ("", "ours", "vs bare", "vs Eve", "CPU µs", "CPU vs bare", "p99"):
        table.add_column(column, justify="right" if column else "left")
    for measure, one in result.measures.items():
        cpu, p99 = result.cpu[measure], result.p99[measure]
        table.add_row(
            NAMES[measure],
            f"{one.ours:.0f}",
            _judged(measure, "vs_bare", one.vs_bare),
            _judged(measure, "vs_eve", one.vs_eve),
            f"{cpu['ours']:.0f}",
            _judged(measure, "cpu_vs_bare", one.cpu_vs_bare),
            f"{p99['ours']:.0f} ms",
        )
    console = Console()
    console.print(table)
    console.print(f"the generator took {result.busiest_generator:.0%} of a core at most")


def _judged(measure: str, ratio: str, value: float | None) -> str:
    """The ratio, green or red beside what it should be."""
    if value is None:
        return "-"
    wanted = WANTED.get(measure, {}).get(ratio)
    if wanted is None:
        return f"{value:.2f}"
    most = ratio == "cpu_vs_bare"
    good = value <= wanted if most else value >= wanted
    return f"[{'green' if good else 'red'}]{value:.2f}[/] ({'≤' if most else '≥'} {wanted:g})"
