"""Get, change and delete by id touch exactly one shard: by explain of the very commands sent."""

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient


def test_by_id(
    client: FlaskClient,
    admin: dict[str, str],
    another: Callable[[], dict[str, str]],
    seam: Any,
    explain: Callable[[dict[str, Any]], set[str]],
) -> None:
    used: set[str] = set()
    turns = 0
    while turns < 4 or len(used) < 2:  # ids on either shard
        turns += 1
        assert turns < 40, used
        made = client.post("/api/v1/auth/signup", json=another())
        url = made.headers["Location"]
        sent: list[dict[str, Any]] = []
        with seam.hooked(before=lambda _n, _c, command, sent=sent: sent.append(command)):
            assert client.get(url, headers=admin).status_code == 200
            assert client.patch(url, json={"name": "B"}, headers=admin).status_code == 200
            assert client.delete(url, headers=admin).status_code == 204
        on_users = [c for c in sent if "users" in (c.get("find"), c.get("findAndModify"))]
        kinds = [next(iter(c)) for c in on_users]
        assert kinds.count("findAndModify") == 2
        assert "find" in kinds
        for command in on_users:
            touched = explain(command)
            assert len(touched) == 1, command
            used |= touched


def test_a_page_touches_both(
    client: FlaskClient,
    admin: dict[str, str],
    seam: Any,
    explain: Callable[[dict[str, Any]], set[str]],
) -> None:
    """Else the test above would prove nothing."""
    sent: list[dict[str, Any]] = []
    with seam.hooked(before=lambda _n, _c, command: sent.append(command)):
        client.get("/api/v1/users", headers=admin)
    assert len(explain(sent[-1])) == 2
