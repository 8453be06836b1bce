"""A resource has the routes that somebody may use, and no others."""

import pytest
from flask import Flask
from msgspec import UNSET, Struct, UnsetType

from api.crud.access import Access, Role, Who
from api.crud.audit import Trail
from api.crud.resource import Resource
from api.crud.routes import blueprint
from api.settings import Settings
from api.store import Store
from api.web.operations import of

ALL = {"GET ", "POST ", "GET /<id>", "PUT /<id>", "PATCH /<id>", "DELETE /<id>"}


class New(Struct, forbid_unknown_fields=True):
    name: str


class Change(Struct, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET


class Thing(Struct):
    id: str
    name: str
    version: int


def routes(**parts: object) -> set[str]:
    settings = Settings(database_uri="mongodb://127.0.0.1", jwt_secret="x" * 40)
    store = Store(settings.store_options())  # connects when it is used, and it is not
    whole = {"name": "things", "read": Thing, "create": New, "change": {Role.USER: Change}}
    app = Flask("x", static_folder=None)
    resource = Resource(**{**whole, **parts})
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
    assert routes(create=None) == ALL - {"POST ", "PUT /<id>"}
    assert routes(change={}) == ALL - {"PUT /<id>", "PATCH /<id>"}
