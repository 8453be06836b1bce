"""Consumers of a stack's API."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from tests.compose.stack import Stack

PASSWORD = "a long password of mine"


def sign_up(stack: Stack, ca: Path) -> dict[str, Any]:
    """Somebody new, made by a request through HTTPS."""
    mark = secrets.token_hex(5)
    person = {
        "name": "Ada Lovelace",
        "email": f"ada.{mark}@example.org",
        "national_id": f"AL-{mark.upper()}",
        "password": PASSWORD,
    }
    answer = stack.session(ca).post(f"{stack.url}/api/v1/auth/signup", json=person, timeout=20)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def signs_in(stack: Stack, ca: Path, person: dict[str, Any]) -> bool:
    """Whether the person is known, and finds the account."""
    session = stack.session(ca)
    credentials = {"email": person["email"], "password": PASSWORD}
    answer = session.post(f"{stack.url}/api/v1/auth/login", json=credentials, timeout=20)
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    me = session.get(
        f"{stack.url}/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"}, timeout=20
    )
    return bool(me.json()["id"] == person["id"])
