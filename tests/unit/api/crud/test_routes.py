"""A resource has the routes that somebody may use, and no others."""

from typing import Annotated

import pytest
from flask import Flask
from msgspec import Struct, defstruct

from api.crud.access import Access, Who
from api.crud.audit import Trail
from api.crud.consistency import DeclarationError
from api.crud.fields import CREATE_ONLY, READ_ONLY, Id, refers
from api.crud.resource import Resource
from api.crud.routes import blueprint
from api.settings import Settings
from api.store import Store
from api.web.operations import of

ALL = {"GET ", "POST ", "GET /<id>", "PUT /<id>", "PATCH /<id>", "DELETE /<id>"}


class Thing(Struct):
    """A thing."""

    name: str


class Fixed(Struct):
    """A thing that nobody changes."""

    name: Annotated[str, CREATE_ONLY]


class Made(Struct):
    """A thing of which no body sets anything."""

    name: Annotated[str, READ_ONLY] | None = None


def routes(**parts: object) -> set[str]:
    settings = Settings(database_uri="mongodb://127.0.0.1", jwt_secret="x" * 40)
    store = Store(settings.store_options())  # connects when it is used, and it is not
    app = Flask("x", static_folder=None)
    resource = Resource(**{"name": "things", "fields": Thing, **parts})
    made = blueprint(resource, store, settings, Trail(store, 60))
    app.register_blueprint(made, url_prefix="/things")
    assert all(of(view) is not None for view in app.view_functions.values())
    assert "{name}" not in str([of(view) for view in app.view_functions.values()])
    return {
        f"{method} {rule.rule.removeprefix('/things').replace('id:document_id', 'id')}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_all() -> None:
    assert routes() == ALL


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        ("list", {"GET "}),
        ("create", {"POST "}),
        ("get", {"GET /<id>"}),
        ("change", {"PUT /<id>", "PATCH /<id>"}),
        ("delete", {"DELETE /<id>"}),
    ],
)
def test_what_nobody_may_do_has_no_route(rule: str, gone: set[str]) -> None:
    assert routes(access=Access(**{rule: Who.NOBODY})) == ALL - gone


def test_what_nothing_is_declared_for_has_none() -> None:
    assert routes(fields=Fixed) == ALL - {"PUT /<id>", "PATCH /<id>"}
    assert routes(fields=Made) == ALL - {"POST ", "PUT /<id>", "PATCH /<id>"}


def test_a_reference_to_nothing_is_refused() -> None:
    leads = defstruct("Book", [("shelf", Annotated[Id, refers("shelves")])])
    with pytest.raises(DeclarationError, match="shelf refers to shelves, which is no resource"):
        routes(fields=leads)
