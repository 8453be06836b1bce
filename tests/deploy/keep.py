"""Keeps stacks as this version makes them: `python -m tests.deploy.keep VERSION`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from deploy.stack import load
from tests.helpers.digitalocean import fake_account
from tests.helpers.stacks import DEFAULTS, Operator, write_stack

STACKS: dict[str, dict[str, Any]] = {
    "dev": {"layout": "dev", "host_volume_gib": 0},
    "small": {},
    "small-balanced": {"edge": "load_balancer"},
    "large": {"layout": "large"},
}
FOLDER = Path(__file__).parent / "stacks"


def keep(version: str) -> None:
    """Writes a file for each kind of stack."""
    for name, wants in STACKS.items():
        for fake in fake_account():
            base = Path(tempfile.mkdtemp())
            file = write_stack(base, **wants)
            Operator(fake, base, load(file)).apply()
            account = fake.dump()
            for kind in ("sizes", "regions", "images"):
                del account["lists"][kind]
            # Of the settings only those that must be given: defaults may change.
            text = "".join(
                f"{key} = {json.dumps(one)}\n" for key, one in (DEFAULTS | wants).items()
            )
            kept = {"stack.toml": text, "account": account}
            (FOLDER / f"{version}-{name}.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    keep(sys.argv[1])
