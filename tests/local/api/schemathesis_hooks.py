"""What Schemathesis must know of this API: its formats, its media types, and how to be somebody.

Loaded by Schemathesis itself (SCHEMATHESIS_HOOKS), in a process of its own.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import zipfile
from collections.abc import Callable
from typing import Any

import msgspec
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.transport.serialization import Binary

from api import passwords, settings, setup
from api.app import create_app
from api.resources import ALL
from api.store import Store
from api.store.deadline import deadline
from api.web import text as texts
from api.web.operations import of

URL = os.environ["SHARDSTACK_URL"]
ROLE = os.environ.get("SHARDSTACK_ROLE", "admin")
PASSWORD = "correct-horse-battery"
# These end the session, or need the present password: each call gets an account of its own.
ENDING = r"^/api/v1/auth/(logout|logout-all|password|email|sessions/.+|refresh)$"


def allowed(rule: Callable[[str], str]) -> Callable[[str], bool]:
    """Whether a rule takes a text."""

    def check(text: str) -> bool:
        try:
            rule(text)
        except ValueError:
            return False
        return True

    return check


# Unassigned code points, too, and invisible characters beside others.
PRINTABLE = st.characters(exclude_categories=("Cc", "Cs", "Co"))
LINES = st.text(PRINTABLE, min_size=1, max_size=20)  # composed, it may have twice as many
schemathesis.openapi.format("line", LINES.filter(allowed(texts.line(100))))
schemathesis.openapi.format("text", LINES.filter(allowed(texts.paragraphs(100))))
schemathesis.openapi.format(
    "email",
    st.from_regex(r"[a-z0-9]{1,20}([.+][A-Z0-9]{1,8})?@[a-z0-9]{1,12}\.com", fullmatch=True),
)
schemathesis.openapi.format(
    "phone", st.from_regex(r"\+4930[1-9][0-9]{6}( ext\. [0-9]{1,7})?", fullmatch=True)
)
schemathesis.openapi.format(
    "national-id", st.from_regex(r"[A-Za-z0-9]{4,14}([ ./-][A-Z0-9]{1,4})?", fullmatch=True)
)
schemathesis.openapi.format(
    "password",
    st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=8, max_size=40).filter(
        allowed(passwords.check)
    ),
)


def account() -> dict[str, str]:
    """A new user: e-mail and password."""
    mark = secrets.token_hex(8)
    person = {
        "name": "Ada Lovelace",
        "national_id": f"S-{mark.upper()}",
        "email": f"{mark}@example.com",
        "password": PASSWORD,
    }
    requests.post(f"{URL}/api/v1/auth/signup", json=person, timeout=20).raise_for_status()
    return {"email": person["email"], "password": PASSWORD}


def administrator() -> dict[str, str]:
    """A new administrator, made as the command line makes one."""
    email = f"{secrets.token_hex(8)}@example.com"
    store = Store(settings.load(tokens=False).store_options())
    with deadline(20):
        setup.ensure_admin(store, email, PASSWORD)
    store.close()
    return {"email": email, "password": PASSWORD}


def token(credentials: dict[str, str]) -> str:
    """An access token."""
    answer = requests.post(f"{URL}/api/v1/auth/login", json=credentials, timeout=20)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


class Somebody:
    """Gives a token that works; makes somebody new when the API was told to end the last one."""

    own_id = ""  # of the last one

    def __init__(self, make: Callable[[], dict[str, str]]) -> None:
        self._make = make
        self._token = ""

    def get(self, _case: Any, _context: Any) -> str:
        """The token for the next request."""
        headers = {"Authorization": f"Bearer {self._token}"}
        while True:
            me = requests.get(f"{URL}/api/v1/auth/me", headers=headers, timeout=20)
            wanted = "admin" if self._make is administrator else "user"
            if me.status_code == 200 and me.json()["role"] == wanted:
                Somebody.own_id = me.json()["id"]
                return self._token
            self._token = token(self._make())
            headers = {"Authorization": f"Bearer {self._token}"}

    def set(self, case: Any, data: str, _context: Any) -> None:
        """Put it into the request."""
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.auth(refresh_interval=None).apply_to(path_regex=ENDING)
class NewEachTime(Somebody):
    """A user for one request."""

    def __init__(self) -> None:
        super().__init__(account)

    def get(self, case: Any, context: Any) -> str:
        self._token = ""
        return super().get(case, context)


@schemathesis.auth(refresh_interval=None).skip_for(path_regex=ENDING)
class Lasting(Somebody):
    """The user or administrator of all other requests."""

    def __init__(self) -> None:
        super().__init__(administrator if ROLE == "admin" else account)


# The phase `coverage` tries boundaries of lengths, but knows no formats of ours; no phase knows
# that a cursor belongs to one list, or that a project does not end before it starts. What is meant
# to be valid is made so here; what is meant to be refused stays as it is.
RULES = {name: rule for resource in ALL for name, rule in resource.rules.items()}
RULES |= dict.fromkeys(("current_password", "new_password"), passwords.check)
STAND_INS = {
    "email": lambda: f"{secrets.token_hex(6)}@example.com",
    "national_id": lambda: secrets.token_hex(6),
    "phone": lambda: "+49301234567",
}
FILE_FIELDS = {resource.attachment.field for resource in ALL if resource.attachment}
STAYING = {"role": "admin", "disabled": False}
HEADERS = {"If-Match": "*", "If-None-Match": '"0"', "Idempotency-Key": None}


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Repair what is meant to be valid; spoil what is valid, but not meant to be."""
    if case.meta is None:
        return
    described = getattr(case.meta.phase.data, "description", None) or ""
    if isinstance(case.body, dict) and "custom encoding" in described:
        # It fills this one form without looking at formats, and once repaired takes it for a wrong
        # one. So let it be wrong; the other phases send right ones.
        case.body["spoiled"] = True
        return
    if case.meta.generation.mode is not GenerationMode.POSITIVE:
        spoil(case)
        return
    if isinstance(case.body, dict):
        repair_body(case.body)
        if (case.path_parameters or {}).get("document_id") == Somebody.own_id:
            # Administrators cannot demote or disable themselves.
            case.body.update({k: v for k, v in STAYING.items() if k in case.body})
        # A changed body is judged again, and bytes are nothing that JSON Schema knows.
        place = ParameterLocation.BODY
        case.meta.update_validated_hash(place, case._hash_container(case.body))
        case.meta.clear_dirty(place)
    query = case.query or {}
    for name in [name for name in query if name == "after" or name.partition("[")[0] in RULES]:
        del query[name]
    for name in set(case.headers or ()) & set(HEADERS):
        case.headers[name] = HEADERS[name] or secrets.token_hex(8)


def spoil(case: Any) -> None:
    """A value that breaks nothing but a format may keep our rule all the same: add what breaks."""
    body = case.meta.components.get(ParameterLocation.BODY)
    if body is None or body.mode is not GenerationMode.NEGATIVE or not isinstance(case.body, dict):
        return
    texts = [(k, v) for k, v in case.body.items() if isinstance(v, str) and k in RULES]
    if texts and all(allowed(RULES[k])(v) for k, v in texts):
        view = VIEWS.get((case.operation.method.upper(), case.operation.path))
        if view is not None and any(fits(case.body, shape) for shape in view.body):
            case.body["spoiled"] = True


def fits(body: dict[str, Any], shape: Any) -> bool:
    """Whether a body has the shape; in a form, any text stands for a file."""
    texts = {name: "file" if name in FILE_FIELDS else value for name, value in body.items()}
    try:
        msgspec.convert(texts, shape)
    except msgspec.ValidationError:
        return False
    return True


def repair_body(body: dict[str, Any]) -> None:
    """Values by the rules of their fields; dates in order."""
    for name, value in list(body.items()):
        if name in FILE_FIELDS:
            body[name] = Binary(b"%PDF-1.7\n" + secrets.token_bytes(20))
        elif isinstance(value, str) and name in RULES and not allowed(RULES[name])(value):
            body[name] = STAND_INS.get(name, lambda: "Some valid text 17")()
    if ROLE == "user":  # only administrators create for somebody else
        body.pop("owner", None)
    if body.get("starts_on") and body.get("ends_on"):
        body["starts_on"], body["ends_on"] = sorted((body["starts_on"], body["ends_on"]))


@schemathesis.hook
def before_load_schema(_context: Any, raw_schema: dict[str, Any]) -> None:
    """Where the body depends on who sends it, keep the one for the role that is played."""
    for item in raw_schema["paths"].values():
        for operation in item.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                branches = content["schema"].get("anyOf")
                if branches:
                    content["schema"] = branches[-1 if ROLE == "admin" else 0]


# The operations as the API declares them, by method and path.
VIEWS = {
    (method, re.sub(r"<(?:id:)?([^>]+)>", r"{\1}", rule.rule)): operation
    for made in [create_app(settings.load())]
    for rule in made.url_map.iter_rules()
    for method in rule.methods or ()
    if (operation := of(made.view_functions[rule.endpoint])) is not None
}

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TEXT = "application/vnd.oasis.opendocument.text"


def packed(*members: tuple[str, bytes]) -> bytes:
    """A ZIP file, as DOCX and ODT are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


FILES = {
    "application/pdf": st.binary(max_size=50).map(lambda rest: b"%PDF-1.7\n" + rest),
    WORD: st.binary(max_size=50).map(
        lambda rest: packed(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", rest))
    ),
    TEXT: st.binary(max_size=50).map(
        lambda rest: packed(("mimetype", TEXT.encode()), ("content.xml", rest))
    ),
}
for media, files in FILES.items():
    schemathesis.openapi.media_type(media, files.map(Binary))


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context: Any, value: Any) -> bytes:
    """One line, or one per item."""
    items = value if isinstance(value, list) else [value]
    return b"".join(msgspec.json.encode(item) + b"\n" for item in items)
