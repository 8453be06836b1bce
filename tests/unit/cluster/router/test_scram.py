"""Log-in by SCRAM: both sides against each other, and what the router does not accept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from typing import Any

import pytest

from cluster.router import scram
from cluster.router.identity import User

PASSWORD = "secret of tests"
SALT = b"16 bytes of salt"


def credentials(password: str = PASSWORD) -> dict[str, Any]:
    """What usersInfo shows of a user with this password."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, 4096)
    key = hmac.digest(salted, b"Client Key", "sha256")
    texts = {
        "salt": SALT,
        "storedKey": hashlib.sha256(key).digest(),
        "serverKey": hmac.digest(salted, b"Server Key", "sha256"),
    }
    encoded = {name: base64.b64encode(value).decode() for name, value in texts.items()}
    return {**encoded, "iterationCount": 4096}


def log_in(password: str) -> None:
    """A whole log-in with the router's own client."""
    talks: list[scram.Conversation] = []

    async def call(command: dict[str, Any]) -> dict[str, Any]:
        try:
            if "saslStart" in command:
                talks[:] = [scram.Conversation("SCRAM-SHA-256", command["payload"], brief=True)]
                payload = talks[0].challenge(credentials())
            else:
                payload = talks[0].answer(command["payload"])
        except scram.ProofError:
            return {"ok": 0, "errmsg": "refused"}
        return {"ok": 1, "conversationId": 1, "payload": payload}

    asyncio.run(scram.log_in(call, password, user="ada", source="admin"))
    assert talks[0].done
    assert talks[0].user == "ada"


def test_the_right_password_is_accepted_and_another_is_not() -> None:
    log_in(PASSWORD)
    with pytest.raises(scram.KeyRefusedError):
        log_in("another")


@pytest.mark.parametrize(
    "first", [b"", b"n,,", b"n,,r=abc", b"n,,n=ada", b"p=tls-unique,,n=ada,r=x", b"n,a=bob,n=a,r=x"]
)
def test_a_first_message_of_another_form_is_refused(first: bytes) -> None:
    with pytest.raises(scram.ProofError):
        scram.Conversation("SCRAM-SHA-256", first, brief=True)


@pytest.mark.parametrize(
    "final",
    ["", "c=biws", "c=biws,r={nonce}", "c=biws,r={nonce},p=", "c=biws,r={nonce},p=!", "c=eSws,r=x"],
)
def test_a_final_message_of_another_form_is_refused(final: str) -> None:
    conversation = scram.Conversation("SCRAM-SHA-256", b"n,,n=ada,r=abc", brief=True)
    nonce = conversation.challenge(credentials()).decode().partition(",")[0].removeprefix("r=")
    with pytest.raises(scram.ProofError):
        conversation.answer(final.format(nonce=nonce).encode())


def test_a_name_may_hold_what_separates_fields() -> None:
    found = scram.Conversation("SCRAM-SHA-1", b"n,,n=a=2Cb=3Dc=3D2C,r=abc", brief=True)
    assert found.user == "a,b=c=2C"


def test_restrictions_of_the_user_and_of_every_role_count() -> None:
    inside, server = {"clientSource": ["10.0.0.0/8"]}, {"serverAddress": ["10.1.1.1", "::1"]}

    def may_come(client: str, own: list[Any], *roles: list[Any]) -> bool:
        entry = {"inheritedRoles": [], "inheritedPrivileges": []}
        held = {"authenticationRestrictions": own, "inheritedAuthenticationRestrictions": [*roles]}
        return User({**entry, **held}).may_come(client, "10.1.1.1")

    assert may_come("192.0.2.1", [])
    assert may_come("10.2.2.2", [inside])
    assert not may_come("192.0.2.1", [inside])
    assert may_come("192.0.2.1", [inside, server])  # either is enough
    assert not may_come("192.0.2.1", [{**inside, **server}])  # both are wanted
    assert not may_come("192.0.2.1", [server], [inside])
    assert may_come("10.2.2.2", [server], [inside])
    assert not may_come("", [inside])
