"""The runs that one command makes: announced, made one after the other, judged, summed up."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.drill.judge.verdict import Verdict, judge_all, read
from cluster.drill.load.mongo import MongoStore
from cluster.drill.report.results import results, write
from cluster.drill.running.runner import Options, View, assert_fit, folders, run, working
from cluster.drill.running.scenario import Scenario
from cluster.drill.running.stores import Maker, Through, maximum
from cluster.drill.running.view import Lines, Picture
from cluster.drill.targets.target import Api, Target
from cluster.errors import DrillError


@dataclass(frozen=True)
class Asked:
    """What the command line says. `rate` and `hold` are None where it leaves that to the drill."""

    out: Path
    seed: int | None = None
    runs: int = 1
    faults: int = 1
    hold: float | None = None
    rate: float | None = None
    through: Through = Through.ROUTERS
    api: Api | None = None
    make: Maker = MongoStore
    quiet: bool = False


class Session:
    """Makes the runs that were asked for."""

    def __init__(self, target: Target, asked: Asked) -> None:
        self.target = target
        self.asked = asked
        self.seed = secrets.randbelow(2**31) if asked.seed is None else asked.seed
        self.skipped: dict[str, str] = {}
        moving = sys.stdout.isatty() and not asked.quiet
        self.view: View = Picture() if moving else Lines(to_errors=asked.quiet)

    def run(self, wanted: Sequence[Scenario]) -> list[Verdict]:
        """Run each scenario as often as asked, and judge what came of it.

        What this target cannot do is skipped, and said. Raises DrillError: all of it is, or the
        cluster is not fit to be broken.
        """
        fit = [one for one in wanted if self._can(one)]
        if not fit:
            raise DrillError("none of these can be run here; see what was said of each.")
        made: list[Path] = []
        with working(self.target):
            assert_fit(self.target)
            self._announce(fit)
            try:
                self._run_all(fit, made)
            finally:  # what was made is told, whatever ended the rest
                readings = [read(folder) for folder in made]
                verdicts = judge_all(readings)
                for one in verdicts:
                    self.view.say(f"\n{one.text()}")
                for reading in readings:
                    write(reading.folder, results(reading))
        return verdicts

    def _run_all(self, fit: Sequence[Scenario], made: list[Path]) -> None:
        """One run after the other, each to be judged once it is made."""
        rate, most = self._rate()
        by_name = {one.name: one for one in fit}
        for name, number, folder in folders(self.asked.out, list(by_name), self.asked.runs):
            self._run(by_name[name], self._options(rate, most, number), folder)
            made.append(folder)

    def _can(self, one: Scenario) -> bool:
        why = one.why_not(self.target, through_api=self.asked.through is Through.API)
        if why:
            self.skipped[one.name] = why
            self.view.say(f"{one.name}: skipped: {why}")
        return not why

    def _announce(self, fit: Sequence[Scenario]) -> None:
        number = len(fit) * self.asked.runs
        runs = "1 run" if number == 1 else f"{number} runs"
        names = ", ".join(one.name for one in fit)
        self.view.say(f"{runs} on {self.target.place}, seed {self.seed}: {names}.")
        self.view.say(
            "Servers will be broken on purpose. Ctrl-C stops that and heals. Should the drill "
            f"itself be killed: {self.target.healing}"
        )

    def _rate(self) -> tuple[float, float]:
        """Calls in a second for the load, and the most that is answered (0: not measured)."""
        if self.asked.rate is not None:
            return self.asked.rate, 0.0
        asked = self.asked
        most = round(maximum(self.target, asked.through, asked.api, asked.make), 1)
        self.view.say(f"At most {most:.0f} calls in a second are answered; the load is half that.")
        return round(most / 2, 1), most

    def _options(self, rate: float, most: float, number: int) -> Options:
        return Options(
            seed=self.seed + number,
            through=self.asked.through,
            api=self.asked.api,
            faults=self.asked.faults,
            hold=self.asked.hold,
            rate=rate,
            maximum=most,
            make=self.asked.make,
        )

    def _run(self, one: Scenario, options: Options, folder: Path) -> None:
        self.view.say(f"\n{one.number} {one.title}. {one.hypothesis}")
        run(self.target, one, options, folder, self.view)
        self.view.say(f"{'':>10}  To read: {folder}/logs. {one.read}")
