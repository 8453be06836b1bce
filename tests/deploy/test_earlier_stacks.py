"""A newer version of ours over a stack that an earlier one made: there is nothing to do.

Each file in stacks/ is an account as `apply` of a version left it, with its stack.toml. They are
never changed; `python -m tests.deploy.keep VERSION` adds those of a version.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.stack import load
from tests.helpers.digitalocean import DigitalOcean
from tests.helpers.stacks import PUBLIC_KEY, Operator, notes

KEPT = sorted((Path(__file__).parent / "stacks").glob("*.json"))


def test_there_are_some() -> None:
    assert len(KEPT) >= 4


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_nothing_to_do(fake: DigitalOcean, tmp_path: Path, file: Path) -> None:
    kept = json.loads(file.read_text())
    fake.load(kept["account"])
    written = tmp_path / "stack.toml"
    written.write_text(kept["stack.toml"])
    (tmp_path / "ops.pub").write_text(PUBLIC_KEY)
    operator = Operator(fake, tmp_path, load(written))
    plan = operator.plan()
    assert plan.changes == []
    assert notes(plan) == []
    before = fake.dump()["lists"]
    operator.apply()
    assert fake.dump()["lists"] == before
