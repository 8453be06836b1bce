"""Requests: what is repeated, what a list must be, where the token goes, and how fast we are."""

from __future__ import annotations

import threading

import pytest

from deploy import client
from deploy.errors import LostAnswerError, ReachError, RefusedError, TokenError
from tests.helpers.digitalocean import READ_ONLY, DigitalOcean, Fault
from tests.helpers.stacks import Operator, QuickClock


def times(fake: DigitalOcean, method: str, path: str) -> int:
    return sum(one.is_(method, path) for one in fake.requests)


@pytest.mark.parametrize("kind", ["429", "500", "503", "html", "truncated", "hang up"])
def test_a_read_is_repeated(fake: DigitalOcean, operator: Operator, kind: str) -> None:
    fake.faults = [Fault("GET", "droplets", kind, times=2)]
    assert operator.client.all("droplets", "droplets") == []
    assert times(fake, "GET", "droplets") == 3
    assert any("trying again" in line for line in operator.lines)


@pytest.mark.parametrize("kind", ["500", "html", "truncated", "hang up"])
def test_a_read_is_given_up(fake: DigitalOcean, operator: Operator, kind: str) -> None:
    fake.faults = [Fault("GET", "droplets", kind, times=99)]
    with pytest.raises(ReachError, match="Try again later"):
        operator.client.all("droplets", "droplets")
    assert times(fake, "GET", "droplets") == 6


@pytest.mark.parametrize("kind", ["500", "503", "html", "truncated", "hang up"])
def test_a_post_without_an_answer_is_not_repeated(
    fake: DigitalOcean, operator: Operator, kind: str
) -> None:
    fake.faults = [Fault("POST", "tags", kind)]
    with pytest.raises(LostAnswerError):
        operator.client.send("POST", "tags", {"name": "a"})
    assert times(fake, "POST", "tags") == 1


def test_a_post_that_was_refused_for_its_rate_is_repeated(
    fake: DigitalOcean, operator: Operator
) -> None:
    fake.faults = [Fault("POST", "tags", "429", headers={"Retry-After": "37"})]
    operator.client.send("POST", "tags", {"name": "a"})
    assert [one["name"] for one in fake.of("tags")] == ["a"]
    assert operator.clock.seconds == 37
    assert operator.clock.longest <= 8  # and each time something was told
    assert len([line for line in operator.lines if "429" in line]) == 5


def test_what_is_gone_may_be_deleted_again(fake: DigitalOcean, operator: Operator) -> None:
    operator.client.send("POST", "tags", {"name": "a"})
    fake.faults = [Fault("DELETE", "tags/*", "late 500")]
    with pytest.raises(RefusedError, match="no such thing"):
        operator.client.send("DELETE", "tags/a")


def fill(fake: DigitalOcean, count: int) -> None:
    fake.lists["tags"] = [{"name": f"t{n}", "resources": {"count": 0}} for n in range(count)]


def test_a_list_is_read_to_its_end(fake: DigitalOcean, operator: Operator) -> None:
    fill(fake, 401)
    assert len(operator.client.all("tags", "tags")) == 401
    assert times(fake, "GET", "tags") == 3


def test_a_list_whose_second_page_fails_is_an_error(fake: DigitalOcean, operator: Operator) -> None:
    fill(fake, 401)
    fake.faults = [Fault("GET", "tags", "500", times=99, page="2")]
    with pytest.raises(ReachError):
        operator.client.all("tags", "tags")


@pytest.mark.parametrize("kind", ["page one", "short", "empty"])
def test_a_list_that_is_not_whole_is_an_error(
    fake: DigitalOcean, operator: Operator, kind: str
) -> None:
    fill(fake, 401)
    fake.faults = [Fault("GET", "tags", kind, times=99, page="2")]
    with pytest.raises(ReachError, match=r"could not be read whole|something else than a list"):
        operator.client.all("tags", "tags")


def test_a_list_that_changes_while_it_is_read_is_read_again(
    fake: DigitalOcean, operator: Operator
) -> None:
    fill(fake, 401)
    fake.faults = [Fault("GET", "tags", "page one", page="2")]
    assert len(operator.client.all("tags", "tags")) == 401


def test_the_token_goes_to_the_end_point_alone(fake: DigitalOcean, operator: Operator) -> None:
    """The pages of the stand-in name api.digitalocean.com as the address of the next one."""
    fill(fake, 201)
    operator.client.all("tags", "tags")
    assert [one.headers["host"] for one in fake.requests] == [fake.url.split("/")[2]] * 2


def test_a_netrc_is_not_looked_at(
    fake: DigitalOcean, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = operator.base / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    operator.client._session.trust_env = True  # as it is for any other host
    operator.client.get("account")
    assert fake.requests[-1].headers["authorization"] == f"Bearer {fake.token}"


def test_a_wrong_token(fake: DigitalOcean, operator: Operator) -> None:
    fake.token = "another"
    with pytest.raises(TokenError, match=r"does not know this token.*Make one at https"):
        operator.client.get("account")


def test_a_token_that_may_only_read(fake: DigitalOcean, operator: Operator) -> None:
    fake.token = READ_ONLY
    reader = Operator(fake, operator.base)
    shown = reader.plan()
    with pytest.raises(RefusedError, match=r"may not POST /v2/account/keys.*read and write"):
        reader.apply(shown)
    assert [one.method for one in fake.requests if one.method != "GET"] == ["POST"]


def test_nobody_there(operator: Operator) -> None:
    operator.client.end_point = "http://127.0.0.1:9/v2/"
    with pytest.raises(ReachError, match="cannot be reached, 6 times"):
        operator.client.send("POST", "tags", {"name": "a"})


def test_a_redirect_is_not_followed(fake: DigitalOcean, operator: Operator) -> None:
    fake.faults = [Fault("GET", "account", "302", headers={"Location": fake.url + "account"})]
    with pytest.raises(ReachError, match="redirect"):
        operator.client.get("account")
    assert len(fake.requests) == 1


def test_we_stay_below_the_limit_of_a_minute(operator: Operator) -> None:
    clock = operator.clock
    at = []
    for _ in range(500):
        operator.client.get("account")
        at.append(clock.now())
    assert isinstance(clock, QuickClock)
    assert all(at[n + 250] - at[n] >= 60 for n in range(250))
    assert clock.now() == 120
    assert clock.longest <= 8
    assert any("250 requests a minute" in line for line in operator.lines)


def test_the_hour_is_used_up(fake: DigitalOcean, operator: Operator) -> None:
    fake.faults = [Fault("GET", "account", "429", times=99, headers={"Retry-After": "1800"})]
    with pytest.raises(ReachError, match="enough requests for now"):
        operator.client.get("account")
    assert operator.clock.seconds == 0


def test_somebody_says_what_we_wait_for(
    fake: DigitalOcean, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENCE", 0.01)
    told = threading.Event()

    def report(line: str) -> None:
        if line == "no answer yet to GET /v2/account":
            told.set()

    fake.on_request = lambda *_: told.wait(60) and None
    operator.client._report = report
    operator.client.get("account")
    assert told.is_set()


def test_many_quick_answers_are_not_silent(fake: DigitalOcean, operator: Operator) -> None:
    def pass_time(_: int, __: object, phase: str) -> None:
        operator.clock.seconds += 1.5 if phase == "after" else 0

    fake.on_request = pass_time
    fill(fake, 200 * 20)
    operator.client.all("tags", "tags")
    assert [line.partition(",")[0] for line in operator.lines] == [
        f"{count} requests sent" for count in (7, 13, 19)
    ]
