"""`GET /api/v1/analytics`: what was counted, for administrators."""

from datetime import date
from functools import partial
from typing import Annotated

from flask import Blueprint, Response
from msgspec import Meta, Struct

from api.analytics import sketch
from api.analytics.rollups import counted
from api.crud.access import Who, admit
from api.store import Document, Store, analytics
from api.web.body import reply
from api.web.languages import say
from api.web.operations import Answer, operation
from api.web.problems import in_query, invalid

MOST_DAYS = 400
SIGN_UP, LOG_IN = "auth.signup", "auth.login"


class AnalyticsQuery(Struct, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Which days."""

    from_: Annotated[date, Meta(description="The first day, in UTC")]
    to: Annotated[date, Meta(description=f"The last one; at most {MOST_DAYS} days in all")]


class RequestCounts(Struct, kw_only=True):
    """How many requests there were, and how many answers of 4xx and 5xx."""

    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0

    @property
    def successes(self) -> int:
        """The others."""
        return self.requests - self.client_errors - self.server_errors


class RouteCounts(RequestCounts, kw_only=True):
    """Of one route. `none`: no route, or no request that the server could read."""

    route: str


class DayCounts(RequestCounts, kw_only=True):
    """Of one day. `active_users` is an estimate (standard error 3.25 %)."""

    day: date
    sign_ups: int
    log_ins: int
    active_users: int
    routes: list[RouteCounts]


class Analytics(Struct, kw_only=True):
    """The days on which anything was asked, in order."""

    days: list[DayCounts]


def blueprint(store: Store) -> Blueprint:
    """The route, to be registered under the API's prefix."""
    found = Blueprint("analytics", __name__)

    @found.get("/analytics")
    @operation(
        query=AnalyticsQuery,
        guard=partial(admit, Who.ADMIN),
        answers={200: Answer(shape=Analytics)},
        problems=(403,),
    )
    def show(query: AnalyticsQuery) -> Response:
        """Sign-ups, log-ins, active users, requests and errors, by day and route.

        Sign-ups and log-ins are those that succeeded. Workers bring what they have counted once a
        minute, so the last minute may be missing; health checks and scrapes are not counted.
        """
        _check(query.from_, query.to)
        days = analytics.read(store, query.from_, query.to)
        return reply(Analytics(days=[of_day(one) for one in days]))

    return found


def _check(first: date, last: date) -> None:
    if last < first:
        raise invalid(in_query("to", say("This is before from, {first}.", first=first.isoformat())))
    if (last - first).days >= MOST_DAYS:
        raise invalid(in_query("to", say("Ask for at most {most} days.", most=MOST_DAYS)))


def of_day(document: Document) -> DayCounts:
    """A day as it is shown."""
    routes = [RouteCounts(route=name, **counts) for name, counts in counted(document).items()]
    routes.sort(key=lambda one: (-one.requests, one.route))
    succeeded = {one.route: one.successes for one in routes}
    return DayCounts(
        day=date.fromisoformat(document["_id"]),
        sign_ups=succeeded.get(SIGN_UP, 0),
        log_ins=succeeded.get(LOG_IN, 0),
        active_users=sketch.estimate(document.get("users", {}).values()),
        requests=sum(one.requests for one in routes),
        client_errors=sum(one.client_errors for one in routes),
        server_errors=sum(one.server_errors for one in routes),
        routes=routes,
    )
