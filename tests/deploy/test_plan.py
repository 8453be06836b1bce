"""What a plan shows: changes, reasons, drift, cost; and what stands against one."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from deploy.errors import AccountError, ChangedError, StackError
from deploy.plan import Plan, load_plan
from deploy.show import show_plan
from tests.helpers.digitalocean import DigitalOcean, Fault
from tests.helpers.stacks import Operator, addresses, changes, leading

LARGE: dict[str, Any] = {"layout": "large"}


@pytest.fixture
def applied(operator: Operator) -> Operator:
    """A stack of three droplets that is as it shall be."""
    operator.apply()
    assert operator.plan().changes == []
    return operator


def drift(plan: Plan) -> list[str]:
    assert all(one.drift for one in plan.changes)
    return changes(plan)


def test_all_of_it(operator: Operator) -> None:
    plan = operator.plan()
    assert changes(plan) == [
        "+ vpc shardstack-shop",
        "+ ssh_key shardstack-shop: ops 31:99:ea:dc",
        "+ tag shardstack-shop",
        "+ tag shardstack-shop-edge",
        "+ domain api.example.com",
        "+ firewall shardstack-shop",
        "+ firewall shardstack-shop-edge",
        *(f"+ volume shop-{n}-data" for n in (1, 2, 3)),
        *(f"+ droplet shop-{n}" for n in (1, 2, 3)),
        "+ record TXT _shardstack.api.example.com shardstack=shop",
        *(f"+ record A api.example.com shop-{n}" for n in (1, 2, 3)),
        *(f"+ record A shop-{n}.internal.api.example.com" for n in (1, 2, 3)),
    ]
    assert {one.reason for one in plan.changes} == {"it is not there yet"}
    assert (plan.cost.now, plan.cost.then) == (0, 3 * 48 + 3 * 50 * 0.10)


def test_a_plan_changes_nothing(fake: DigitalOcean, operator: Operator) -> None:
    before = fake.dump()
    operator.plan()
    assert fake.dump() == before
    assert {one.method for one in fake.requests} == {"GET"}


def test_the_zone_above_is_used(fake: DigitalOcean, operator: Operator) -> None:
    operator.client.send("POST", "domains", {"name": "example.com"})
    assert "+ domain api.example.com" not in changes(operator.plan())
    operator.apply()
    names = {one["name"] for one in fake.records["example.com"]}
    hosts = {f"shop-{n}.internal.api" for n in (1, 2, 3)}
    assert names == {"@", "api", "_shardstack.api", *hosts}


def test_more_shards(fake: DigitalOcean, operator: Operator) -> None:
    operator.wants(**LARGE).apply()
    plan = operator.wants(**LARGE, shards=3).plan()
    assert changes(plan) == [
        *(f"+ volume shop-shard-3-{n}-data" for n in (1, 2, 3)),
        *(f"+ droplet shop-shard-3-{n}" for n in (1, 2, 3)),
        *(f"+ record A shop-shard-3-{n}.internal.api.example.com" for n in (1, 2, 3)),
    ]
    assert {(one.reason, one.drift) for one in plan.changes} == {("shards 2 → 3", False)}
    operator.apply(plan)
    assert operator.plan().changes == []
    assert len(fake.of("droplets")) == 17


def test_fewer_shards_leave_the_volumes(fake: DigitalOcean, operator: Operator) -> None:
    operator.wants(**LARGE).apply()
    plan = operator.wants(**LARGE, shards=1).plan()
    assert changes(plan) == [
        *(f"- record A shop-shard-2-{n}.internal.api.example.com" for n in (1, 2, 3)),
        *(f"- droplet shop-shard-2-{n}" for n in (1, 2, 3)),
    ]
    assert {one.reason for one in plan.changes} == {"shards 2 → 1"}
    assert plan.removed_shards == ["shard-2"]
    assert "run: ansible-playbook remove-shard.yml -e shard=shard-2" in plan.notes[0]
    assert "apply --drained shard-2" in plan.notes[0]
    operator.apply(plan, drained=["shard-2"])
    after = operator.plan()
    assert after.changes == []
    assert "left over, with their data: the volumes shop-shard-2-1-data" in after.notes[0]
    assert len(fake.of("volumes")) == 9


def test_volumes_grow_and_do_not_shrink(fake: DigitalOcean, applied: Operator) -> None:
    plan = applied.wants(host_volume_gib=80).plan()
    assert changes(plan) == [f"~ volume shop-{n}-data" for n in (1, 2, 3)]
    assert (plan.changes[0].before, plan.changes[0].after) == ({"gib": 50}, {"gib": 80})
    assert plan.changes[0].reason == "host_volume_gib 50 → 80"
    applied.apply(plan)
    assert {one["size_gigabytes"] for one in fake.of("volumes")} == {80}
    with pytest.raises(AccountError, match="has 80 GiB, and cannot shrink to 50"):
        applied.wants().plan()


def test_other_admin_addresses(fake: DigitalOcean, applied: Operator) -> None:
    plan = applied.wants(admin_addresses=["198.51.100.7/32"]).plan()
    (one,) = plan.changes
    assert (one.action, one.kind, one.drift) == ("~", "firewall", False)
    assert one.reason == "admin_addresses changed"
    applied.apply(plan)
    assert applied.plan().changes == []
    rules = fake.named("firewalls", "shardstack-shop")["inbound_rules"]
    (ssh,) = [rule for rule in rules if rule["ports"] == "22"]
    assert ssh["sources"]["addresses"] == ["198.51.100.7/32"]


def test_from_acme_to_a_load_balancer_and_back(fake: DigitalOcean, applied: Operator) -> None:
    plan = applied.wants(edge="load_balancer").plan()
    assert changes(plan) == [
        "+ certificate shardstack-shop",
        "+ load_balancer shardstack-shop",
        "~ firewall shardstack-shop-edge",
        "+ record A api.example.com shardstack-shop",
        *(f"- record A api.example.com shop-{n}" for n in (1, 2, 3)),
    ]
    assert {one.drift for one in plan.changes} == {False}
    applied.apply(plan)
    assert applied.plan().changes == []
    (balancer,) = fake.of("load_balancers")
    assert leading(fake, "api.example.com") == [balancer["ip"]]
    applied.wants().apply()
    assert (fake.of("load_balancers"), fake.of("certificates")) == ([], [])


# ---- drift -------------------------------------------------------------------------------------


def test_a_droplet_deleted_by_hand(fake: DigitalOcean, applied: Operator) -> None:
    fake.destroy_droplet("shop-2")
    plan = applied.plan()
    assert {"+ droplet shop-2", "~ volume shop-2-data", "+ record A api.example.com shop-2"} < {
        *drift(plan)
    }
    assert [one.reason for one in plan.changes if one.kind == "droplet"] == ["it is gone"]
    applied.apply(plan)
    assert applied.plan().changes == []
    (volume,) = [one for one in fake.of("volumes") if one["name"] == "shop-2-data"]
    assert volume["droplet_ids"] == [fake.named("droplets", "shop-2")["id"]]
    assert len(leading(fake, "api.example.com")) == 3


def test_the_name_of_a_replaced_droplet_is_changed_in_place(
    fake: DigitalOcean, applied: Operator
) -> None:
    """Members look it up all the time: there must be no moment without it."""
    name = "shop-2.internal.api.example.com"
    (before,) = leading(fake, name)
    ids = {one["id"] for one in fake.records["api.example.com"] if one["data"] == before}
    fake.destroy_droplet("shop-2")
    plan = applied.plan()
    (one,) = [one for one in plan.changes if one.name == f"A {name}"]
    assert (one.action, one.before, one.after) == ("~", {"to": before}, {"to": "private:shop-2"})
    assert (one.reason, one.drift) == ("shop-2 has another address", True)
    applied.apply(plan)
    assert leading(fake, name) == [addresses(fake, "private")["shop-2"]] != [before]
    assert ids == {
        one["id"] for one in fake.records["api.example.com"] if one["name"] == "shop-2.internal"
    }
    assert applied.plan().changes == []


def test_a_host_has_one_name_inside(fake: DigitalOcean, applied: Operator) -> None:
    """A second address is destroyed, and what somebody else has below the name is left alone."""
    records = fake.records["api.example.com"]
    one = next(one for one in records if one["name"] == "shop-1.internal")
    records.append({**one, "id": 990, "data": "10.20.0.99"})
    records.append({**one, "id": 991, "name": "printer.internal"})
    assert drift(applied.plan()) == [
        "- record A shop-1.internal.api.example.com 10.20.0.99 990",
    ]
    applied.apply()
    assert leading(fake, "shop-1.internal.api.example.com") == [one["data"]]
    assert len(leading(fake, "printer.internal.api.example.com")) == 1


def test_how_long_an_address_is_remembered(fake: DigitalOcean, applied: Operator) -> None:
    for one in fake.records["api.example.com"]:
        one["ttl"] = 1800
    plan = applied.plan()
    assert {(one.action, one.kind) for one in plan.changes} == {("~", "record")}
    assert len(plan.changes) == 7
    applied.apply(plan)
    assert applied.plan().changes == []


def test_a_firewall_opened_by_hand(
    fake: DigitalOcean, applied: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = fake.named("firewalls", "shardstack-shop")["inbound_rules"]
    anybody = {"protocol": "tcp", "ports": "27017", "sources": {"addresses": ["0.0.0.0/0"]}}
    rules.append(anybody)
    plan = applied.plan()
    assert drift(plan) == ["~ firewall shardstack-shop"]
    show_plan(plan)
    assert "inbound: without tcp 27017 everywhere" in capsys.readouterr().out
    applied.apply(plan)
    assert anybody not in fake.named("firewalls", "shardstack-shop")["inbound_rules"]


def test_a_volume_detached_by_hand(fake: DigitalOcean, applied: Operator) -> None:
    fake.named("volumes", "shop-1-data")["droplet_ids"] = []
    assert drift(applied.plan()) == ["~ volume shop-1-data"]
    applied.apply()
    assert applied.plan().changes == []


def test_a_tag_taken_off(fake: DigitalOcean, applied: Operator) -> None:
    """It is still the stack's, since it is in its network; a second one would be a twin."""
    fake.named("droplets", "shop-3")["tags"].remove("shardstack-shop")
    assert drift(applied.plan()) == ["~ droplet shop-3"]
    applied.apply()
    assert applied.plan().changes == []


def test_the_tag_deleted(fake: DigitalOcean, applied: Operator) -> None:
    applied.client.send("DELETE", "tags/shardstack-shop")
    assert len(fake.named("droplets", "shop-3")["tags"]) == 1
    assert drift(applied.plan()) == [
        "+ tag shardstack-shop",
        "~ firewall shardstack-shop",
        *(f"~ volume shop-{n}-data" for n in (1, 2, 3)),
        *(f"~ droplet shop-{n}" for n in (1, 2, 3)),
    ]
    applied.apply()
    assert applied.plan().changes == []


def test_records_changed_by_hand(fake: DigitalOcean, applied: Operator) -> None:
    first = next(one for one in fake.records["api.example.com"] if one["type"] == "A")
    first["data"] = "192.0.2.99"
    assert drift(applied.plan()) == [
        "+ record A api.example.com shop-1",
        "- record A api.example.com 192.0.2.99",
    ]
    applied.apply()
    assert applied.plan().changes == []


def test_the_same_drift_on_many_is_one_line(
    fake: DigitalOcean, operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.wants(**LARGE).apply()
    for one in fake.of("droplets"):
        one["tags"].remove("shardstack-shop")
    plan = operator.plan()
    assert len(plan.changes) == 14
    show_plan(plan)
    shown = capsys.readouterr().out
    assert shown.count("~ droplet") == 1
    assert "(14 of them)" in shown
    assert shown.index("drift, by somebody else") < shown.index("~ droplet")


def test_a_stack_that_was_never_finished_has_no_drift(
    fake: DigitalOcean, operator: Operator
) -> None:
    operator.apply()
    fake.of("vpcs")[0]["description"] = "shardstack/1"
    fake.destroy_droplet("shop-1")
    assert not any(one.drift for one in operator.plan().changes)


# ---- what stands against it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wants", "line"),
    [
        ({"region": "nowhere"}, "there is no region 'nowhere' now. Set region to one of: ams3"),
        ({"host_size": "s-99"}, "no size 's-99' in fra1 now. The smallest are: s-1vcpu-2gb"),
        ({"image": "cpm"}, "no image 'cpm'. Set image to one such as: ubuntu-22-04-x64"),
    ],
)
def test_what_there_is_not(operator: Operator, wants: dict[str, Any], line: str) -> None:
    with pytest.raises(AccountError, match=line.replace("[", r"\[")):
        operator.wants(**wants).plan()


def test_the_quota(fake: DigitalOcean, operator: Operator) -> None:
    fake.droplet_limit = 2
    with pytest.raises(
        AccountError, match=r"may have 2 droplets, has 0 and needs 3 more\. Ask for"
    ):
        operator.plan()


def test_a_size_that_is_no_longer_sold_is_no_harm(fake: DigitalOcean, applied: Operator) -> None:
    fake.lists["sizes"] = []
    fake.lists["images"] = []
    assert applied.plan().changes == []


def test_another_size_is_left_to_people(applied: Operator) -> None:
    plan = applied.wants(host_size="s-8vcpu-16gb").plan()
    assert plan.changes == []
    assert "shop-1 has the size s-4vcpu-8gb, stack.toml says s-8vcpu-16gb" in plan.notes[0]


@pytest.mark.parametrize(
    "wants", [{"layout": "dev"}, {"vpc_range": "10.99.0.0/20"}, {"domain": "other.example.com"}]
)
def test_what_cannot_be_changed(applied: Operator, wants: dict[str, Any]) -> None:
    with pytest.raises(AccountError, match=r"cannot be changed.*make a stack of another name"):
        applied.wants(**wants).plan()


@pytest.mark.parametrize(
    ("wants", "told"),
    [
        ({}, False),
        ({"layout": "large", "api_nodes": 5}, False),
        ({"layout": "large", "api_nodes": 6}, True),
        ({"layout": "large", "api_nodes": 6, "edge": "load_balancer"}, False),
    ],
)
def test_certificates_by_acme_are_had_for_five_edge_nodes(
    operator: Operator, wants: dict[str, Any], told: bool
) -> None:
    assert ("Set edge to load_balancer" in str(operator.wants(**wants).plan().notes)) == told


def test_a_domain_that_points_elsewhere(operator: Operator) -> None:
    operator.client.send("POST", "domains", {"name": "example.com"})
    record = {"type": "A", "name": "api", "data": "192.0.2.1", "ttl": 60}
    operator.client.send("POST", "domains/example.com/records", record)
    with pytest.raises(
        AccountError, match=r"already points to 192\.0\.2\.1, and the stack did not"
    ):
        operator.plan()


def test_a_hosts_name_that_points_elsewhere(operator: Operator) -> None:
    operator.client.send("POST", "domains", {"name": "example.com"})
    record = {"type": "A", "name": "shop-3.internal.api", "data": "10.0.0.1", "ttl": 60}
    operator.client.send("POST", "domains/example.com/records", record)
    with pytest.raises(AccountError, match=r"shop-3\.internal\.api\.example\.com already points"):
        operator.plan()


def test_the_domain_of_another_stack(applied: Operator) -> None:
    with pytest.raises(AccountError, match="belongs to another stack"):
        applied.wants(name="other", vpc_range="10.30.0.0/20").plan()


def test_twins(fake: DigitalOcean, applied: Operator) -> None:
    twin = {**fake.named("droplets", "shop-1"), "id": 99}
    fake.of("droplets").append(twin)
    with pytest.raises(AccountError, match="more than one droplet 'shop-1'"):
        applied.plan()


def test_somebody_elses_volume(fake: DigitalOcean, applied: Operator) -> None:
    fake.named("volumes", "shop-1-data").update(tags=[], droplet_ids=[])
    with pytest.raises(AccountError, match="does not carry the tag shardstack-shop"):
        applied.plan()


def test_what_is_not_ours_is_not_seen(fake: DigitalOcean, operator: Operator) -> None:
    """A droplet of the same name elsewhere, and one that carries the tag under another name."""
    operator.wants(name="other").apply()
    before = len(fake.of("droplets"))
    for name, tag in (("shop-1", "x"), ("bastion", "shardstack-shop")):
        one = {**fake.of("droplets")[0], "id": 5 + len(name), "name": name, "tags": [tag]}
        fake.of("droplets").append(one)
    other = {"name": "shop", "domain": "shop.example.com", "vpc_range": "10.30.0.0/20"}
    plan = operator.wants(**other).plan()
    assert "+ droplet shop-1" in changes(plan)
    assert plan.of("-") == []
    assert "the tag shardstack-shop is also on bastion" in " ".join(plan.notes)
    operator.apply()
    assert len(fake.of("droplets")) == before + 2 + 3


def test_a_key_that_is_not_there(operator: Operator) -> None:
    with pytest.raises(StackError, match="'nobody' is neither a file here nor a key"):
        operator.wants(ssh_keys=["nobody"]).plan()


def test_a_private_key_is_not_uploaded(operator: Operator) -> None:
    (operator.base / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    with pytest.raises(StackError, match=r"holds no public key. Name the \.pub file"):
        operator.wants(ssh_keys=["id"]).plan()


def test_a_key_of_the_account_is_used(fake: DigitalOcean, operator: Operator) -> None:
    key = (operator.base / "ops.pub").read_text()
    operator.client.send("POST", "account/keys", {"name": "anne", "public_key": key})
    assert not any(one.kind == "ssh_key" for one in operator.plan().changes)
    operator.wants(ssh_keys=["anne"]).apply()
    operator.destroy(with_data=True)
    assert [one["name"] for one in fake.of("ssh_keys")] == ["anne"]


def test_another_key_of_a_person(fake: DigitalOcean, applied: Operator) -> None:
    """It is for droplets that are yet to be made, and no drift."""
    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
    (applied.base / "new.pub").write_text(f"ssh-ed25519 {blob} anne@desk\n")
    plan = applied.wants(ssh_keys=["new.pub"]).plan()
    assert [(one.action, one.kind, one.drift) for one in plan.changes] == [
        ("+", "ssh_key", False),
        ("-", "ssh_key", False),
    ]
    applied.apply(plan)
    assert applied.plan().changes == []
    assert len(fake.of("ssh_keys")) == 1


def test_a_failing_page_is_never_nothing(fake: DigitalOcean, applied: Operator) -> None:
    fake.faults = [Fault("GET", "droplets", "short", times=99)]
    with pytest.raises(Exception, match="could not be read whole"):
        applied.plan()


# ---- plans in files ----------------------------------------------------------------------------


def test_a_plan_survives_its_file(operator: Operator) -> None:
    shown = operator.plan()
    file = operator.base / "plan.json"
    file.write_bytes(msgspec.json.encode(shown))
    assert load_plan(file) == shown
    operator.apply(load_plan(file))
    operator.apply(load_plan(file))  # an apply that was interrupted may be run again


@pytest.mark.parametrize("by_hand", ["droplet", "firewall"])
def test_a_plan_is_refused_when_the_account_has_changed(
    fake: DigitalOcean, applied: Operator, by_hand: str
) -> None:
    shown = applied.wants(host_volume_gib=80).plan()
    if by_hand == "droplet":
        fake.destroy_droplet("shop-1")
    else:
        fake.named("firewalls", "shardstack-shop")["inbound_rules"].pop()
    before = fake.dump()
    with pytest.raises(ChangedError, match="no longer what the plan was made for"):
        applied.apply(shown)
    after = fake.dump()
    assert before["lists"] == after["lists"]
