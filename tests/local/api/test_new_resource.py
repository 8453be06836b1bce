"""The resource of the README: added as it stands there, and served."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask

import api
from api import resources, schema
from api.app import create_app
from api.settings import Settings
from api.store import Store
from api.store.deadline import deadline
from tests.local.api.conftest import make_person, sign_up

README = Path(api.__file__).parent / "crud" / "README.md"
NOTES = "/api/v1/notes"


@pytest.fixture(scope="module")
def with_notes(
    conf: Settings, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """The app with one file more among the resources."""
    folder = tmp_path_factory.mktemp("resources")
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    (folder / "notes.py").write_text(found[1])
    before = resources.ALL
    resources.__path__.append(str(folder))
    app = None
    try:
        resources.ALL = resources._discover()
        assert [r.name for r in resources.ALL if r not in before] == ["notes"]
        with deadline(60):
            lines = schema.apply(store)
        assert any(".notes is now sharded by {owner: hashed, _id: 1}" in line for line in lines)
        app = create_app(msgspec.structs.replace(conf, database_uri=store.options.uri))
        yield app
    finally:
        resources.ALL = before
        resources.__path__.remove(str(folder))
        sys.modules.pop("api.resources.notes", None)
        if app is not None:
            app.extensions["store"].close()
        with deadline(60):
            if "notes" in schema.orphan_names(store):
                schema.drop(store, "notes")


def test_it_is_served(with_notes: Flask) -> None:
    client = with_notes.test_client()
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


def test_it_is_described(with_notes: Flask) -> None:
    paths = with_notes.test_client().get("/api/v1/openapi.json").json["paths"]
    assert set(paths[NOTES]) >= {"get", "post"}
    assert set(paths[f"{NOTES}/{{document_id}}"]) >= {"get", "put", "patch", "delete"}
