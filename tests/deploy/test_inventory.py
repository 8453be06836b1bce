"""What Ansible is told of a stack."""

from __future__ import annotations

import pytest

from deploy.errors import AccountError
from deploy.inventory import inventory
from tests.helpers.digitalocean import DigitalOcean
from tests.helpers.stacks import Operator


def test_three_droplets(fake: DigitalOcean, operator: Operator) -> None:
    operator.apply()
    found = inventory(operator.client, operator.stack)
    three = {"hosts": ["shop-1", "shop-2", "shop-3"]}
    assert {name: found[name] for name in found if name not in ("all", "_meta")} == {
        **dict.fromkeys(("config", "shard_1", "shard_2", "routers", "api", "edge"), three),
        "monitoring": {"hosts": ["shop-1"]},
    }
    assert found["all"]["vars"] == {
        "stack_name": "shop",
        "stack_domain": "api.example.com",
        "stack_layout": "small",
        "stack_admin_addresses": ["192.0.2.0/24"],
        "stack_private_network": "10.20.0.0/20",
        "stack_certificates": "acme",
        "stack_acme_email": "ops@example.com",
    }
    nets = fake.named("droplets", "shop-2")["networks"]["v4"]
    public, private = (
        next(net["ip_address"] for net in nets if net["type"] == kind)
        for kind in ("public", "private")
    )
    assert found["_meta"]["hostvars"]["shop-2"] == {
        "ansible_host": public,
        "ansible_user": "root",
        "private_address": private,
        "private_name": "shop-2.internal.api.example.com",
        "data_device": "/dev/disk/by-id/scsi-0DO_Volume_shop-2-data",
    }


def test_a_droplet_for_each(operator: Operator) -> None:
    operator.wants(layout="large", host_volume_gib=0).apply()
    found = inventory(operator.client, operator.stack)
    assert found["shard_2"]["hosts"] == [f"shop-shard-2-{n}" for n in (1, 2, 3)]
    assert found["edge"] == found["api"] == {"hosts": ["shop-api-1", "shop-api-2"]}
    assert "data_device" not in found["_meta"]["hostvars"]["shop-router-1"]


def test_a_host_that_is_missing_is_not_left_out(fake: DigitalOcean, operator: Operator) -> None:
    """The third host of a shard would become its second member."""
    operator.apply()
    fake.destroy_droplet("shop-2")
    with pytest.raises(AccountError, match=r"shop-2 is not there\. Run: python -m deploy apply"):
        inventory(operator.client, operator.stack)


def test_before_there_are_addresses(fake: DigitalOcean, operator: Operator) -> None:
    operator.apply()
    fake.named("droplets", "shop-1")["networks"]["v4"] = []
    with pytest.raises(AccountError, match="shop-1 has no address yet"):
        inventory(operator.client, operator.stack)
