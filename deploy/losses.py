"""What goes with the droplets that a plan destroys, and what `apply` wants to be told before.

A shard's data has to be moved to the others first. That is the part of the playbook
remove-shard.yml, and nothing here can see whether it has been: somebody must say so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from deploy.errors import UndrainedError
from deploy.layouts import CONFIG
from deploy.stack import Stack

SET = re.compile(r"(shard-\d+|config)-\d+\Z")


def removed_shards(stack: Stack, lost: list[str], was: int) -> list[str]:
    """The shards that the stack has no longer.

    It had `was` of them when it was applied last; `lost` are the droplets that are destroyed.
    """
    found = {int(name.rpartition("-")[2]) for name in _sets(stack, lost) if name != CONFIG}
    numbers = {*range(stack.shards + 1, was + 1), *(one for one in found if one > stack.shards)}
    return [f"shard-{number}" for number in sorted(numbers)]


def notes(stack: Stack, lost: list[str], removed: list[str]) -> Iterator[str]:
    """What to do before droplets are destroyed, and which hold no data."""
    for shard in reversed(removed):
        yield f"{shard} is taken out. {_advice(shard)}. Its volumes stay"
    members = [name for names in _sets(stack, lost).values() for name in names]
    if rest := [one for one in lost if one not in members]:
        names = f"{', '.join(rest[:3])}{f' and {len(rest) - 3} more' if len(rest) > 3 else ''}"
        yield f"{names} would be destroyed, and {'hold' if len(rest) > 1 else 'holds'} no data"


def refuse_undrained(
    stack: Stack, lost: list[str], removed: list[str], drained: Collection[str]
) -> None:
    """Raises UndrainedError for data that may still be on droplets that are to be destroyed."""
    problems = [
        f"the data of {shard} may still be on it. {_advice(shard)}."
        for shard in reversed(removed)
        if shard not in drained
    ]
    for name, droplets in _sets(stack, lost).items():
        if name not in removed:
            setting = "config_servers" if name == CONFIG else "members"
            problems.append(
                f"{', '.join(droplets)} would be destroyed, and {name} stays: it might lose its "
                f"majority. Set {setting} back in stack.toml."
            )
    if problems:
        raise UndrainedError(*problems)


def _advice(shard: str) -> str:
    return (
        f"While stack.toml still has it, run: ansible-playbook remove-shard.yml -e shard={shard}, "
        f"which moves its data. Once that is done: apply --drained {shard}"
    )


def _sets(stack: Stack, lost: list[str]) -> dict[str, list[str]]:
    """The replica sets that lose droplets of their own. In other layouts, droplets are shared."""
    found: dict[str, list[str]] = {}
    for name in lost if stack.layout == "large" else ():
        if part := SET.fullmatch(name.removeprefix(f"{stack.name}-")):
            found.setdefault(part[1], []).append(name)
    return found
