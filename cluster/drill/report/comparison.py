"""Several runs side by side: a row for each scenario under the same conditions.

Where runs of one scenario differ in a version or a setting, the row says which: so two versions, or
two election timeouts, are compared by giving the folders of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from cluster.drill.judge.measures import Distribution, distribution
from cluster.drill.judge.verdict import Reading, Status, alike, conditions, verdict
from cluster.drill.record import Run
from cluster.errors import DrillError

HEAD = (
    "what fails",
    "faults",
    "outage (s)",
    "other groups (s)",
    "new primary (s)",
    "whole again (s)",
    "errors",
    "lost or doubled",
    "verdict",
)
"""Of the table; each time has its smallest, median and greatest."""


class Row(msgspec.Struct, frozen=True):
    """What the faults of one scenario cost under one set of conditions.

    `differs` has the versions and settings in which other rows of the scenario differ. `outage` is
    of the groups that the faults concern, `others` of the others (None where there are none), both
    with one value for each fault; `elected` counts from the fault, `whole` from its end. `broken`
    is how many violations and findings there are.
    """

    scenario: str
    title: str
    differs: dict[str, str]
    runs: int
    faults: int
    outage: Distribution | None
    others: Distribution | None
    elected: Distribution | None
    whole: Distribution | None
    elections: int
    errors: int
    late: int
    broken: int
    status: Status

    @property
    def label(self) -> str:
        """What fails, and in what this row differs from others of the same scenario."""
        more = ", ".join(f"{name} {value}" for name, value in self.differs.items())
        return f"{self.title} ({more})" if more else self.title

    def cells(self) -> tuple[str, ...]:
        """The row's cells, in the order of the columns of `HEAD`."""
        return (
            self.label,
            str(self.faults),
            spread(self.outage),
            spread(self.others),
            spread(self.elected),
            spread(self.whole),
            str(self.errors),
            str(self.broken),
            self.status.name.lower().replace("_", " "),
        )


def rows(readings: Iterable[Reading]) -> list[Row]:
    """A row for each scenario and its conditions, in the order of the readings."""
    groups = alike(readings)
    return [_row(group, _differences(group[0].run, groups)) for group in groups]


def spread(values: Distribution | None) -> str:
    """The smallest, the median and the greatest in seconds, or the only one."""
    if values is None:
        return "-"
    if len(values.values) == 1:
        return f"{values.worst:.2f}"
    return f"{values.values[0]:.2f} / {values.median:.2f} / {values.worst:.2f}"


def markdown(table: Sequence[Row]) -> str:
    """The rows as a table of Markdown, each time with its smallest, median and greatest."""
    lines = [HEAD, ("---",) * len(HEAD), *(row.cells() for row in table)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _row(readings: list[Reading], differs: dict[str, str]) -> Row:
    run = readings[0].run
    turns = [turn for one in readings for turn in one.cost.turns]
    return Row(
        scenario=run.scenario,
        title=run.title,
        differs=differs,
        runs=len(readings),
        faults=len(turns),
        outage=distribution(turn.outage for turn in turns),
        others=distribution(max(o.outage for o in t.others()) for t in turns if t.others()),
        elected=distribution(turn.elected for turn in turns if turn.elected is not None),
        whole=distribution(t.whole - (t.undone or 0.0) for t in turns if t.whole is not None),
        elections=max((turn.elections for turn in turns), default=0),
        errors=sum(sum(one.cost.errors.values()) for one in readings),
        late=sum(one.cost.late for one in readings),
        broken=sum(len(one.violations) + len(one.run.findings) for one in readings),
        status=verdict(readings).status,
    )


def _differences(run: Run, groups: list[list[Reading]]) -> dict[str, str]:
    """The conditions of a run in which another run of its scenario differs."""
    others = [conditions(g[0].run) for g in groups if g[0].run.scenario == run.scenario]
    mine = conditions(run)
    return {n: v for n, v in mine.items() if any(other.get(n) != v for other in others)}


# ---- places that a table fills -------------------------------------------------------------------

PLACE = re.compile(r"(<!-- drill: ([a-z0-9 -]+) -->\n).*?(<!-- /drill -->)", re.DOTALL)
"""A place in a page of Markdown: the names of scenarios, or `all`, and the end."""


def fill(text: str, table: Sequence[Row]) -> str:
    """The text, with the rows of its scenarios in each place; a place without any stays as it is.

    Raises DrillError: there is no place.
    """
    if not PLACE.search(text):
        raise DrillError(
            "there is no place for a table in it: <!-- drill: NAME --> and <!-- /drill -->,"
            " each on a line, with the names of scenarios or `all`."
        )

    def filled(place: re.Match[str]) -> str:
        names = place[2].split()
        mine = [row for row in table if row.scenario in names or names == ["all"]]
        return f"{place[1]}{markdown(mine)}{place[3]}" if mine else place[0]

    return PLACE.sub(filled, text)
