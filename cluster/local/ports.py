"""Free ports: chosen once, remembered, and checked before a node is started on one."""

from __future__ import annotations

import time
from collections.abc import Iterable

from cluster.errors import NodeError
from cluster.local.record import Record
from console.ports import choose, holder, is_free


def assign(record: Record) -> list[str]:
    """Gives every node without a port one, and returns those nodes' names."""
    nodes = [name for name in record.node_names() if name not in record.ports]
    if not nodes:
        return []
    taken = set(record.ports.values())
    first = record.topology.ports
    if isinstance(first, int):
        start = max(taken, default=first - 1) + 1
        record.ports |= {name: start + n for n, name in enumerate(nodes)}
    else:
        record.ports |= dict(zip(nodes, choose(len(nodes), taken), strict=True))
    return nodes


def check_free(record: Record, nodes: Iterable[str], fresh: Iterable[str]) -> None:
    """NodeError when a stranger listens where one of `nodes` must; `fresh` ones can still move."""
    taken = [name for name in nodes if not is_free(record.ports[name])]
    end = time.monotonic() + 3
    while taken and holder(record.ports[taken[0]]) is None and time.monotonic() < end:
        time.sleep(0.02)  # nobody's, so probably that of a node which is just dying
        taken = [name for name in taken if not is_free(record.ports[name])]
    if not taken:
        return
    port = record.ports[taken[0]]
    more = f" (and {len(taken) - 1} more are taken)" if len(taken) > 1 else ""
    remedy = "Stop that program"
    if taken[0] in set(fresh):
        remedy += ", or choose other ports with --ports"
    who = holder(port) or "another program"
    raise NodeError(f"port {port} of {taken[0]} is taken by {who}{more}. {remedy}.")
