"""Problems in the language of Accept-Language, from the app and from the server before it."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from tests.helpers.api import RunningServer, make_person

ES = {"Accept-Language": "es-ES,es;q=0.9,en;q=0.1"}
USERS = "/api/v1/users"


def both(client: FlaskClient, method: str, url: str, headers: Any = None, **more: Any) -> Any:
    """The answer in both languages; all but the words is the same."""
    english: Any = client.open(url, method=method, headers=headers, **more)
    spanish: Any = client.open(url, method=method, headers={**(headers or {}), **ES}, **more)
    assert (english.status_code, english.json["type"]) == (
        spanish.status_code,
        spanish.json["type"],
    )
    assert english.headers["Content-Language"] == "en"
    assert spanish.headers["Content-Language"] == "es"
    assert "Accept-Language" in spanish.headers["Vary"]
    places = [
        [
            (one.get("pointer"), one.get("parameter"), one["code"])
            for one in answer.get("errors", [])
        ]
        for answer in (english.json, spanish.json)
    ]
    assert places[0] == places[1]
    for name in ("title", "detail"):
        assert english.json[name] != spanish.json[name]
    details = zip(english.json.get("errors", []), spanish.json.get("errors", []), strict=True)
    assert all(one["detail"] != other["detail"] for one, other in details)
    return spanish.json


def test_no_token(client: FlaskClient) -> None:
    found = both(client, "GET", "/api/v1/auth/me")
    assert found["detail"] == "Inicie sesión, y envíe el token como 'Authorization: Bearer …'."


def test_nothing_there(client: FlaskClient, admin: dict[str, str]) -> None:
    assert both(client, "GET", "/nothing")["title"] == "No encontrado"
    assert both(client, "PATCH", USERS, admin)["title"] == "Método no permitido"
    found = both(client, "GET", f"{USERS}/{'0' * 24}", admin)
    assert found["detail"] == "No hay ningún documento con este identificador."


def test_every_field(client: FlaskClient, admin: dict[str, str]) -> None:
    body = {"name": "x" * 201, "email": "nobody", "phone": 7, "address": "a\0", "role": "admin"}
    found = both(client, "POST", USERS, admin, json=body)
    assert {one["pointer"]: one["code"] for one in found["errors"]} == {
        "#/name": "too_long", "#/email": "email", "#/phone": "type", "#/address": "characters",
        "#/role": "unknown", "#/national_id": "required",
    }  # fmt: skip


def test_parameters(client: FlaskClient, admin: dict[str, str]) -> None:
    found = both(client, "GET", f"{USERS}?limit=0&sort=x&role=y&nonsense=1&after=z", admin)
    codes = {one["parameter"]: one["code"] for one in found["errors"]}
    assert codes == {"limit": "type", "sort": "choice", "role": "choice", "nonsense": "unknown"}
    assert both(client, "GET", f"{USERS}?after=z", admin)["errors"][0]["code"] == "cursor"


def test_taken(client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]) -> None:
    body = {**make_person(), "email": ada["user"]["email"]}
    found = both(client, "POST", USERS, admin, json=body)
    assert found["detail"] == "El valor de email ya está en uso."
    assert found["errors"][0]["code"] == "duplicate"


def test_not_json(client: FlaskClient, admin: dict[str, str]) -> None:
    found = both(client, "POST", USERS, admin, data="{", content_type="application/json")
    assert found["detail"] == "El cuerpo no es JSON: mire la línea 1, columna 2."


def test_an_import(client: FlaskClient, admin: dict[str, str]) -> None:
    mark = secrets.token_hex(4)
    line = b'{"name": "A", "email": "nobody", "national_id": "%s"}\n' % mark.encode()
    headers = {**admin, **ES, "Content-Type": "application/x-ndjson"}
    report = client.post(f"{USERS}/import", data=line, headers=headers)
    assert report.headers["Content-Language"] == "es"
    assert "Indique una dirección de correo" in report.text
    assert '"code":"email"' in report.text


@pytest.mark.parametrize(
    ("path", "more", "title"),
    [
        ("/" + "x" * 5000, {}, "Dirección demasiado larga"),
        ("/", {"Expect": "nonsense"}, "Expectativa no cumplida"),
    ],
)
def test_what_the_server_refuses(
    server: RunningServer, path: str, more: dict[str, str], title: str
) -> None:
    answer = requests.get(f"{server.url}{path}", headers={**ES, **more}, timeout=10)
    assert answer.json()["title"] == title
    assert answer.headers["Content-Language"] == "es"
    assert answer.headers["Vary"] == "Accept-Language"
    other = requests.get(f"{server.url}{path}", headers=more, timeout=10)
    assert other.headers["Content-Language"] == "en"
