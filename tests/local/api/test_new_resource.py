"""The resources of the README, and a new one: added as they are, and served."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

import api
from api import resources, scaffold, schema
from api.settings import Settings
from api.store import Store
from api.store.deadline import deadline
from tests.helpers.api import make_person, serving, sign_up

README = Path(api.__file__).parent / "crud" / "README.md"
NAMES = ["memos", "notes", "orders"]
MEMOS, NOTES, ORDERS = (f"/api/v1/{name}" for name in NAMES)


@pytest.fixture(scope="module")
def with_them(
    conf: Settings, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """The app with the README's files among the resources."""
    folder = tmp_path_factory.mktemp("resources")
    found = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    for name, text in zip(NAMES[1:], found, strict=True):
        (folder / f"{name}.py").write_text(text)
    scaffold.write(NAMES[0], folder)
    resources.__path__.append(str(folder))
    try:
        more = [one for one in resources._discover() if one not in resources.ALL]
        assert [one.name for one in more] == NAMES
        with serving(conf, store, *more) as app:
            with deadline(60):
                lines = schema.apply(store)
            assert any(".notes is sharded by {owner: hashed, _id: 1}" in line for line in lines)
            yield app
    finally:
        resources.__path__.remove(str(folder))
        for name in NAMES:
            sys.modules.pop(f"api.resources.{name}", None)


@pytest.mark.long
@pytest.mark.core
def test_it_is_served(with_them: Flask) -> None:
    client = with_them.test_client()
    me: dict[str, Any] = sign_up(client, make_person())["headers"]
    other: dict[str, Any] = sign_up(client, make_person())["headers"]
    made = client.post(NOTES, json={"title": " Shopping  list ", "text": "Milk"}, headers=me)
    assert (made.status_code, made.json["title"]) == (201, "Shopping list")
    url, tag = made.headers["Location"], made.headers["ETag"]
    assert client.post(NOTES, json={"title": "Other"}, headers=me).status_code == 201

    query = "title[prefix]=Sh&sort=-title&fields=title&limit=50"
    page = client.get(f"{NOTES}?{query}", headers=me).json
    assert page == {"items": [{"id": made.json["id"], "title": "Shopping list"}], "next": None}
    assert client.get(NOTES, headers=other).json["items"] == []
    assert client.get(url, headers=other).status_code == 404

    assert client.get(url, headers={**me, "If-None-Match": tag}).status_code == 304
    patched = client.patch(url, json={"text": None}, headers={**me, "If-Match": tag})
    assert patched.json["text"] is None
    stale = client.put(url, json={"title": "X"}, headers={**me, "If-Match": tag})
    assert stale.status_code == 412
    assert client.put(url, json={"title": "X"}, headers=me).json["title"] == "X"
    assert client.delete(url, headers=me).status_code == 204


def test_a_new_one_is_served(with_them: Flask) -> None:
    client = with_them.test_client()
    me: dict[str, Any] = sign_up(client, make_person())["headers"]
    made = client.post(MEMOS, json={"name": " To  do "}, headers=me)
    assert (made.status_code, made.json["name"]) == (201, "To do")
    url = made.headers["Location"]
    assert client.get(f"{MEMOS}?name[prefix]=To&sort=name", headers=me).json["items"] == [made.json]
    assert client.patch(url, json={"description": "Soon"}, headers=me).json["version"] == 2
    other: dict[str, Any] = sign_up(client, make_person())["headers"]
    assert client.get(url, headers=other).status_code == 404
    assert client.delete(url, headers=me).status_code == 204


def test_it_is_described(with_them: Flask) -> None:
    paths = with_them.test_client().get("/api/v1/openapi.json").json["paths"]
    assert set(paths[NOTES]) >= {"get", "post"}
    assert set(paths[f"{NOTES}/{{document_id}}"]) >= {"get", "put", "patch", "delete"}


def test_orders(with_them: Flask) -> None:
    client = with_them.test_client()
    me: dict[str, Any] = sign_up(client, make_person())["headers"]
    line = {"product": "665f1f77bcf86cd799439011"}
    body = {"address": {"city": " Berlin ", "street": "Mall 1"}, "lines": [line]}
    made = client.post(ORDERS, json=body, headers=me)
    assert made.status_code == 201, made.json
    assert made.json["address"] == {"city": "Berlin", "street": "Mall 1"}
    assert made.json["lines"] == [{**line, "count": 1}]
    url = made.headers["Location"]

    found = client.get(f"{ORDERS}?address.city[prefix]=Ber&sort=address.city", headers=me).json
    assert [one["id"] for one in found["items"]] == [made.json["id"]]
    patched = client.patch(url, json={"address": {"street": None}}, headers=me).json
    assert patched["address"] == {"city": "Berlin", "street": None}
    wrong = {"lines": [line, line, {**line, "count": 0}]}
    refused = client.patch(url, json=wrong, headers=me).json
    assert [one["pointer"] for one in refused["errors"]] == ["#/lines/2/count"]
