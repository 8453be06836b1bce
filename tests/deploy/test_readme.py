"""What deploy/README.md says of commands, costs and JSON is so."""

from __future__ import annotations

import re
from pathlib import Path

import click
import msgspec
import pytest

from deploy.__main__ import main
from deploy.layouts import hosts
from deploy.plan import Change, Plan
from tests.helpers.stacks import Operator

README = (Path(__file__).parents[2] / "deploy/README.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    return re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def test_ten_commands_at_most() -> None:
    (block,) = blocks()
    assert 0 < sum(not line.startswith(" ") for line in block.splitlines()) <= 10


def test_its_commands_are_there() -> None:
    flags: dict[str, set[str]] = {}
    for name, command in main.commands.items():
        inner = command.commands.values() if isinstance(command, click.Group) else [command]
        flags[name] = {flag for one in inner for each in one.params for flag in each.opts}
    used = re.findall(r"-m deploy (\w+)([^\n]*(?:\\\n[^\n]*)*)", "\n".join(blocks()))
    assert [name for name, _ in used] == ["init", "plan", "apply"]
    for name, rest in used:
        assert set(re.findall(r"--[a-z-]+", rest)) <= flags[name]
    assert "--drained" in flags["apply"]
    for name in main.commands:
        assert f"`{name}" in README, name


@pytest.mark.parametrize("layout", ["dev", "small", "large"])
def test_costs(operator: Operator, layout: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith(f"| `{layout}`"))
    _, _, droplets, cost, *_ = row.split("|")
    plan = operator.wants(layout=layout).plan()
    assert float(cost) == plan.cost.then
    assert droplets.strip().startswith(str(len(hosts(operator.stack))))


def test_every_field_of_a_plan_is_told() -> None:
    told = README.partition("## JSON")[2].partition("## ")[0]
    for kind in (Plan, Change):
        for field in msgspec.structs.fields(kind):
            assert f"`{field.name}`" in told, field.name
