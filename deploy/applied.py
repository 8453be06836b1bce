"""What the last `apply` made, remembered in the description of the stack's VPC.

It tells a change of stack.toml from drift. It holds what decides which resources there are: numbers
and words as they are, longer texts as a hash. Where it is missing, nothing is called drift.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from deploy.stack import Stack

PREFIX = "shardstack/1 "
COUNTS = {
    "dev": ("shards",),
    "small": ("shards",),
    "large": ("shards", "members", "config_servers", "routers", "api_nodes"),
}
VOLUMES = {
    "dev": ("host_volume_gib",),
    "small": ("host_volume_gib",),
    "large": ("shard_volume_gib", "config_volume_gib"),
}
FIXED = ("layout", "domain")
"""Settings that `apply` cannot change once it has made something by them."""


def note(stack: Stack) -> str:
    """What is remembered of a stack; a VPC's description holds 255 characters."""
    return PREFIX + " ".join(f"{name}={value}" for name, value in _values(stack).items())


def _values(stack: Stack) -> dict[str, str]:
    names = ("layout", "edge", *COUNTS[stack.layout], *VOLUMES[stack.layout])
    return {
        **{name: str(getattr(stack, name)) for name in names},
        "domain": _hash(stack.domain),
        "admin_addresses": _hash(" ".join(sorted(set(stack.admin_addresses)))),
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def recall(text: str, stack: Stack) -> dict[str, tuple[str, str]] | None:
    """The settings that have changed since, each with what it was and is. None without a note.

    What an earlier version of ours did not remember has not changed.
    """
    if not text.startswith(PREFIX):
        return None
    then = dict(word.split("=", 1) for word in text.removeprefix(PREFIX).split() if "=" in word)
    now = _values(stack)
    if not then:
        return None
    return {
        name: (then[name], value)
        for name, value in now.items()
        if name in then and then[name] != value
    }


def stack_then(stack: Stack, changed: dict[str, tuple[str, str]]) -> Stack:
    """The stack as it was applied; a text of which only a hash is known stands as that."""
    values: dict[str, Any] = {}
    for name, (before, _) in changed.items():
        if name == "admin_addresses":
            values[name] = [before]
        else:
            values[name] = int(before) if before.isdigit() and name != "domain" else before
    return msgspec.structs.replace(stack, **values)
