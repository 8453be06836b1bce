"""Puts the parts of the API together."""

import secrets
from functools import partial
from typing import get_args

from flask import Flask

from api import dashboard, docs, events, monitor, openapi, resources
from api.analytics import routes as analytics
from api.analytics.rollups import Rollups
from api.auth import gate, routes, tokens
from api.crud.audit import Trail
from api.crud.creation import Counted
from api.crud.routes import blueprint
from api.samples import loading
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
from api.web.languages import say
from api.web.metrics import Meter
from api.web.problems import ProblemError
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

    app.extensions["analytics"] = Rollups(store, settings, meter.usage)  # which the server starts
    app.register_blueprint(analytics.blueprint(store), url_prefix=PREFIX)

    outlook = health.Outlook(
        lambda: client.probe_reads(store),
        lambda: health.router_name(*client.router(store)),
        deadline,
    )
    writing = health.Outlook(lambda: client.probe_writes(store), lambda: "", deadline)
    app.register_blueprint(health.blueprint(outlook, writing, draining, store.reachable))
    app.register_blueprint(metrics.blueprint(meter))
    app.register_blueprint(routes.blueprint(store, settings, trail), url_prefix=f"{PREFIX}/auth")
    broker = app.extensions["events"] = events.broker(store, settings, resources.ALL, meter.streams)
    app.register_blueprint(events.blueprint(broker), url_prefix=PREFIX)
    app.register_blueprint(monitor.blueprint(settings), url_prefix=PREFIX)
    app.register_blueprint(loading.blueprint(store, settings, trail), url_prefix=PREFIX)
    app.register_blueprint(dashboard.blueprint())
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


# The store's errors that are answers, and no faults of ours. crud/replay.py has those to
# KeyReusedError (422) and KeyBusyError (409).
Explained = DuplicateError | VersionMovedError | ThrottledError | UnavailableError


def explain_store_errors(app: Flask) -> None:
    """Answer the store's errors with problem details."""
    for kind in get_args(Explained):
        app.register_error_handler(kind, lambda error: problems.render(problem_of(error)))


def problem_of(error: Explained) -> ProblemError:
    """Which status an error of the store becomes, and what the answer says."""
    match error:
        case DuplicateError():
            taken = problems.in_body(error.field, "Another one has this value already.")
            detail = say("The {field} is taken.", field=error.field)
            return ProblemError(409, detail, kind="duplicate", errors=(taken,))
        case VersionMovedError():
            return conditions.failed()  # 412
        case ThrottledError():
            return problems.too_many(error.retry_after)  # 429
        case UnavailableError():
            problems.log.warning("unavailable", reason=str(error))
            return problems.unavailable(error.retry_after)  # 503
