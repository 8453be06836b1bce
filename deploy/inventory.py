"""The droplets of a stack as Ansible's dynamic inventory.

Groups are those of `layouts`, each in the order of its hosts' numbers: the second host of shard_1
runs the member shard-1-2. So a host that is missing is an error, and never left out.
"""

from __future__ import annotations

from deploy.account import read_droplets
from deploy.client import Client
from deploy.errors import AccountError
from deploy.layouts import Host, group_names, hosts
from deploy.resources import Index, Json
from deploy.stack import Stack
from deploy.wanted import private_name, volume_name

DEVICE = "/dev/disk/by-id/scsi-0DO_Volume_"
"""What a volume is called in its droplet, before its own name."""


def inventory(client: Client, stack: Stack) -> Json:
    """What Ansible wants of `--list`. Raises AccountError unless all hosts are there."""
    index, _, _ = read_droplets(client, stack)
    all_hosts = hosts(stack)
    problems = [
        f"the droplet {host.name} {what}" for host in all_hosts if (what := _missing(host, index))
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise AccountError(f"{problems[0]}{more}. Run: python -m deploy apply")
    groups = {
        name: {"hosts": [host.name for host in all_hosts if name in host.groups]}
        for name in group_names(stack)
    }
    return {
        "_meta": {"hostvars": {host.name: _variables(stack, host, index) for host in all_hosts}},
        "all": {"children": list(groups), "vars": _stack_variables(stack)},
        **groups,
    }


def _missing(host: Host, index: Index) -> str:
    one = index.of.get(("droplet", host.name))
    if not one:
        return "is not there"
    return "" if all(one.addresses) else "has no address yet"


def _variables(stack: Stack, host: Host, index: Index) -> Json:
    public, private = index.of["droplet", host.name].addresses
    volume = volume_name(host)
    return {
        "ansible_host": public,
        "ansible_user": "root",
        "private_address": private,
        "private_name": private_name(stack, host.name),
        **({"data_device": f"{DEVICE}{volume}"} if volume else {}),
    }


def _stack_variables(stack: Stack) -> Json:
    return {
        "stack_name": stack.name,
        "stack_domain": stack.domain,
        "stack_layout": stack.layout,
        "stack_admin_addresses": stack.admin_addresses,
        "stack_private_network": stack.vpc_range,
        "stack_certificates": stack.edge,
        "stack_acme_email": stack.acme_email,
    }
