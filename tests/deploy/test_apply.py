"""What apply makes, and that it makes each thing once, whatever answers are lost."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest

from deploy.client import Clock
from deploy.errors import AccountError, DeadlineError, DeployError, ReachError, RefusedError
from tests.helpers.digitalocean import DigitalOcean, Fault
from tests.helpers.stacks import Operator, addresses, census, changes, leading

BALANCED: dict[str, Any] = {"edge": "load_balancer"}
SMALL = {
    "vpcs": ["shardstack-shop"],
    "tags": ["shardstack-shop", "shardstack-shop-edge"],
    "droplets": ["shop-1", "shop-2", "shop-3"],
    "volumes": ["shop-1-data", "shop-2-data", "shop-3-data"],
    "firewalls": ["shardstack-shop", "shardstack-shop-edge"],
    "load_balancers": [],
    "certificates": [],
    "ssh_keys": ["shardstack-shop: ops 31:99:ea:dc"],
}


def made(fake: DigitalOcean) -> dict[str, list[str]]:
    found = census(fake)
    records = found.pop("records")
    assert len([one for one in records if one.startswith("A api")]) in (0, 3)
    return found


def test_what_is_made(fake: DigitalOcean, operator: Operator) -> None:
    operator.apply()
    assert made(fake) == SMALL
    vpc = fake.named("vpcs", "shardstack-shop")
    for n in (1, 2, 3):
        droplet = fake.named("droplets", f"shop-{n}")
        volume = fake.named("volumes", f"shop-{n}-data")
        assert droplet["vpc_uuid"] == vpc["id"]
        assert volume["droplet_ids"] == [droplet["id"]]
        assert (volume["filesystem_type"], volume["filesystem_label"]) == ("xfs", "data")
    assert sorted(leading(fake, "api.example.com")) == sorted(addresses(fake, "public").values())
    for name, private in addresses(fake, "private").items():
        assert leading(fake, f"{name}.internal.api.example.com") == [private]


def test_what_the_firewalls_let_in(fake: DigitalOcean, operator: Operator) -> None:
    operator.apply()
    inner, edge = (
        {
            (rule["protocol"], rule["ports"]): rule["sources"]
            for rule in fake.named("firewalls", name)["inbound_rules"]
        }
        for name in ("shardstack-shop", "shardstack-shop-edge")
    )
    ours = {"tags": ["shardstack-shop"]}
    assert inner == {
        ("tcp", "22"): {"addresses": ["192.0.2.0/24"]},
        ("tcp", "0"): ours,
        ("icmp", "0"): ours,
    }
    anybody = {"addresses": ["0.0.0.0/0", "::/0"]}
    assert edge == {("tcp", "443"): anybody, ("tcp", "80"): anybody, ("udp", "443"): anybody}
    assert fake.named("firewalls", "shardstack-shop-edge")["tags"] == ["shardstack-shop-edge"]


def test_firewalls_are_there_before_droplets(fake: DigitalOcean, operator: Operator) -> None:
    operator.apply()
    made_in_order = [one.path for one in fake.requests if one.method == "POST"]
    assert made_in_order.index("droplets") > max(
        n for n, path in enumerate(made_in_order) if path == "firewalls"
    )


def test_behind_a_load_balancer(fake: DigitalOcean, operator: Operator) -> None:
    operator.wants(**BALANCED).apply()
    (balancer,) = fake.of("load_balancers")
    (certificate,) = fake.of("certificates")
    assert certificate["dns_names"] == ["api.example.com"]
    https = next(one for one in balancer["forwarding_rules"] if one["entry_port"] == 443)
    assert (https["certificate_id"], https["target_port"]) == (certificate["id"], 80)
    assert balancer["tag"] == "shardstack-shop-edge"
    (rule,) = fake.named("firewalls", "shardstack-shop-edge")["inbound_rules"]
    assert rule["sources"] == {"load_balancer_uids": [balancer["id"]]}
    assert leading(fake, "api.example.com") == [balancer["ip"]]
    assert operator.plan().changes == []


def test_a_renewed_certificate_changes_nothing(fake: DigitalOcean, operator: Operator) -> None:
    """DigitalOcean gives it a new id, and the load balancer with it."""
    operator.wants(**BALANCED).apply()
    fake.of("certificates")[0]["id"] = new = "00000000-0000-4000-8000-0000000fffff"
    for rule in fake.of("load_balancers")[0]["forwarding_rules"]:
        rule["certificate_id"] = rule["certificate_id"] and new
    assert operator.plan().changes == []


def test_a_certificate_that_cannot_be_made(fake: DigitalOcean, operator: Operator) -> None:
    def fail(*_: Any) -> None:
        for one in fake.of("certificates"):
            one["state"] = "error"

    fake.on_request = fail
    with pytest.raises(DeployError, match=r"Is the domain delegated to ns1\.digitalocean\.com"):
        operator.wants(**BALANCED).apply()


def test_the_second_apply_changes_nothing(fake: DigitalOcean, operator: Operator) -> None:
    operator.apply()
    before, count = fake.dump(), len(fake.requests)
    operator.apply()
    sent = [f"{one.method} {one.path}" for one in fake.requests[count:] if one.method != "GET"]
    assert [one.partition("/keys")[0] for one in sent] == ["POST account", "DELETE account"]
    after = fake.dump()
    assert (before["lists"], before["records"]) == (after["lists"], after["records"])


CREATES = ("vpcs", "account/keys", "tags", "domains", "firewalls", "volumes", "droplets")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *((path, "late 500") for path in (*CREATES, "domains/*/records")),
        *(("droplets", kind) for kind in ("late hang up", "500", "truncated", "html", "429")),
    ],
)
def test_an_answer_that_is_lost_makes_no_twin(
    fake: DigitalOcean, operator: Operator, path: str, kind: str
) -> None:
    fake.faults = [Fault("POST", path, kind)]
    operator.apply()
    assert made(fake) == SMALL
    assert fake.faults[0].times == 0
    assert operator.plan().changes == []
    assert operator.clock.longest <= 8


@pytest.mark.parametrize("path", ["certificates", "load_balancers"])
def test_the_same_of_a_load_balancer(fake: DigitalOcean, operator: Operator, path: str) -> None:
    fake.faults = [Fault("POST", path, "late html"), Fault("POST", path, "500")]
    operator.wants(**BALANCED).apply()
    assert len(fake.of("load_balancers")) == len(fake.of("certificates")) == 1
    assert operator.plan().changes == []


def test_a_droplet_that_is_listed_late(fake: DigitalOcean, operator: Operator) -> None:
    """It was made, its answer was lost, and the list does not have it for a while."""
    fake.faults = [Fault("POST", "droplets", "late 500")]
    hidden: list[Any] = []

    def hide(_: int, request: Any, phase: str) -> None:
        if request.is_("POST", "droplets") and phase == "after" and not hidden:
            hidden.extend(fake.of("droplets"))
            fake.of("droplets").clear()
        elif hidden and operator.clock.seconds > 3:
            fake.of("droplets").extend(hidden)
            fake.on_request = lambda *_: None

    fake.on_request = hide
    operator.apply()
    assert made(fake) == SMALL


def stranger(one: dict[str, Any], n: int) -> dict[str, Any]:
    """What tells one that is not ours from this one."""
    if "fingerprint" in one:
        return {"id": n, "fingerprint": f"{n:032x}"}
    return {"id": n if isinstance(one["id"], int) else f"{n:08x}{one['id'][8:]}", "tags": []}


@pytest.mark.parametrize("path", ["droplets", "volumes", "firewalls", "account/keys"])
def test_a_second_page_that_fails_changes_nothing(
    fake: DigitalOcean, operator: Operator, path: str
) -> None:
    operator.apply()
    kind = "ssh_keys" if path == "account/keys" else path
    one = fake.of(kind)[0]
    more = [{**one, "name": f"other-{n}", **stranger(one, n)} for n in range(400)]
    fake.of(kind)[:0] = more  # what is ours is on the last page now
    before = census(fake)
    for fault in ("500", "page one", "short"):
        fake.faults = [Fault("GET", path, fault, times=99, page="2")]
        with pytest.raises(ReachError):
            operator.apply()
        assert census(fake) == before


def test_a_droplet_that_never_runs(fake: DigitalOcean, operator: Operator) -> None:
    fake.polls = 10**6
    with pytest.raises(DeadlineError, match=r"after 300 s: shop-1 is new; shop-2 is new"):
        operator.apply()
    waiting = [line for line in operator.lines if line.startswith("waiting:")]
    assert len(waiting) >= 300 / 10
    fake.polls = 0


def test_a_quota_that_we_are_not_told_of(fake: DigitalOcean, operator: Operator) -> None:
    fake.faults = [Fault("POST", "droplets", "422")]
    with pytest.raises(RefusedError, match="DigitalOcean refuses POST /v2/droplets"):
        operator.apply()
    operator.apply()
    assert made(fake) == SMALL


def test_what_backs_a_droplet_is_told(judge: Any, tmp_path: Path) -> None:
    """The hooks with which droplets are containers."""
    gone: list[str] = []
    addresses = iter(ipaddress.ip_network("172.30.0.0/24").hosts())

    def create(droplet: dict[str, Any]) -> tuple[str, str]:
        assert droplet["name"].startswith("shop-")
        one = str(next(addresses))
        return one, one

    def destroy(droplet: dict[str, Any]) -> None:
        gone.append(droplet["name"])

    with DigitalOcean(judge=judge, on_create_droplet=create, on_destroy_droplet=destroy) as fake:
        operator = Operator(fake, tmp_path)
        operator.client.clock = Clock()
        operator.apply()
        shown = {one["networks"]["v4"][1]["ip_address"] for one in fake.of("droplets")}
        assert shown == {"172.30.0.1", "172.30.0.2", "172.30.0.3"}
        operator.destroy(with_data=True)
    assert sorted(gone) == ["shop-1", "shop-2", "shop-3"]
    assert fake.hook_errors == []


# ---- destroy -----------------------------------------------------------------------------------


def test_destroy_takes_all_that_is_ours(fake: DigitalOcean, operator: Operator) -> None:
    operator.client.send("POST", "domains", {"name": "example.com"})
    before = fake.dump()
    operator.wants(**BALANCED).apply()
    operator.destroy(with_data=True)
    after = fake.dump()
    assert (after["lists"], after["records"]) == (before["lists"], before["records"])


def test_destroy_leaves_what_is_not_ours(fake: DigitalOcean, operator: Operator) -> None:
    other = {"name": "other", "domain": "other.example.com", "vpc_range": "10.30.0.0/20"}
    operator.wants(**other).apply()
    before = census(fake)
    operator.wants().apply()
    operator.destroy(with_data=True)
    after = census(fake)
    left = {kind: set(names) - set(before[kind]) for kind, names in after.items()}
    assert {kind: names for kind, names in left.items() if names} == {}
    assert all(set(before[kind]) <= set(after[kind]) for kind in before if kind != "ssh_keys")
    assert operator.wants(**other).plan().of("-") == []


def test_destroy_keeps_data_unless_told(fake: DigitalOcean, operator: Operator) -> None:
    operator.apply()
    assert "stay with their data" in operator.destruction().notes[0]
    operator.destroy()
    assert census(fake)["volumes"] == ["shop-1-data", "shop-2-data", "shop-3-data"]
    assert fake.of("droplets") == []
    operator.apply()  # and a new stack has the old data
    assert census(fake)["volumes"] == ["shop-1-data", "shop-2-data", "shop-3-data"]
    assert all(one["droplet_ids"] for one in fake.of("volumes"))
    operator.destroy(with_data=True)
    assert fake.of("volumes") == []


def test_destroy_waits_for_what_is_in_use(fake: DigitalOcean, operator: Operator) -> None:
    operator.apply()
    fake.faults = [Fault("DELETE", "volumes/*", "409", times=3), Fault("DELETE", "vpcs/*", "403")]
    operator.destroy(with_data=True)
    assert changes(operator.destruction()) == []


def test_destroy_leaves_a_domain_that_is_somebody_elses(
    fake: DigitalOcean, operator: Operator
) -> None:
    operator.apply()
    records = fake.records["api.example.com"]
    marker = next(one for one in records if one["type"] == "TXT")
    records.remove(marker)
    with pytest.raises(AccountError):
        operator.plan()
    before = list(records)
    operator.destroy(with_data=True)
    assert fake.records["api.example.com"] == before


def test_destroy_leaves_a_network_that_cannot_be_deleted(
    fake: DigitalOcean, operator: Operator
) -> None:
    """The first VPC of a region becomes its default one."""
    operator.apply()
    fake.of("vpcs")[0]["default"] = True
    assert "stays: it is the default one of fra1" in operator.destruction(with_data=True).notes[0]
    operator.destroy(with_data=True)
    assert len(fake.of("vpcs")) == 1
    operator.apply()
    assert operator.plan().changes == []
