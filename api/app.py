"""Puts the parts of the API together."""

import secrets
from functools import partial

from flask import Flask, Response

from api import docs, openapi, resources
from api.auth import gate, routes, tokens
from api.crud.audit import Trail
from api.crud.creation import Counted
from api.crud.routes import blueprint
from api.settings import Settings
from api.settings.checks import networks, origins
from api.store import (
    DuplicateError,
    Store,
    ThrottledError,
    UnavailableError,
    VersionMovedError,
    client,
)
from api.store.deadline import begin_tally, deadline
from api.web import body, conditions, cors, health, logs, metrics, problems, proxies, text
from api.web.health import Draining
from api.web.metrics import Meter
from api.web.requests import Requests

PREFIX = "/api/v1"


def create_app(settings: Settings, draining: Draining | None = None) -> Flask:
    """The WSGI application. It connects to the database at its first request, not before."""
    logs.configure(settings.log_level)
    app = Flask("api", static_folder=None)
    app.config.update(PROPAGATE_EXCEPTIONS=False, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # no redirects: an address is right or it is not
    store = Store(settings.store_options())
    draining = Draining() if draining is None else draining
    store.watch = Counted(store, settings)
    app.extensions["store"] = store
    trail = Trail(store, settings.audit_retention)

    app.config[text.PHONE_REGION] = settings.phone_region
    problems.install(app)
    explain_store_errors(app)
    body.limit(app, settings.body_limit)
    meter = app.extensions["meter"] = Meter()
    bounded = partial(deadline, step=settings.request_deadline)
    Requests(bounded, settings.request_deadline, begin_tally, meter).install(app)
    cors.install(app, origins(settings.cors_origins, "cors_origins"))
    proxies.install(app, networks(settings.trusted_proxies, "trusted_proxies"))
    tokens.install(app, settings)
    gate.agree(resources.ALL)
    gate.install(app, store, settings)

    outlook = health.Outlook(
        lambda: client.probe_reads(store),
        lambda: health.router_name(*client.router(store)),
        deadline,
    )
    writing = health.Outlook(lambda: client.probe_writes(store), lambda: "", deadline)
    app.register_blueprint(health.blueprint(outlook, writing, draining, store.reachable))
    app.register_blueprint(metrics.blueprint(meter))
    app.register_blueprint(routes.blueprint(store, settings, trail), url_prefix=f"{PREFIX}/auth")
    app.register_blueprint(docs.blueprint())
    app.register_blueprint(openapi.blueprint(gate.PUBLIC), url_prefix=PREFIX)
    for resource in resources.ALL:
        app.register_blueprint(
            blueprint(resource, store, settings, trail, resources.ALL),
            url_prefix=f"{PREFIX}/{resource.name}",
        )
    return app


def description() -> bytes:
    """The description of the API, which needs no database and depends on no setting."""
    nowhere = Settings(database_uri="mongodb://127.0.0.1", jwt_secret=secrets.token_urlsafe(48))
    return openapi.text(create_app(nowhere), gate.PUBLIC)


def explain_store_errors(app: Flask) -> None:
    """The store's errors as problem details."""

    @app.errorhandler(DuplicateError)
    def duplicate(error: DuplicateError) -> Response:
        detail = "Another one has this value already."
        return problems.render(
            problems.ProblemError(
                409,
                f"The {error.field} is taken.",
                kind="duplicate",
                errors=(problems.in_body(error.field, detail),),
            )
        )

    @app.errorhandler(VersionMovedError)
    def moved(_error: VersionMovedError) -> Response:
        return problems.render(conditions.failed())

    @app.errorhandler(ThrottledError)
    def throttled(error: ThrottledError) -> Response:
        return problems.render(problems.too_many(error.retry_after))

    @app.errorhandler(UnavailableError)
    def unavailable(error: UnavailableError) -> Response:
        problems.log.warning("unavailable", reason=str(error))
        return problems.render(problems.unavailable(error.retry_after))
