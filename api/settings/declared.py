"""The settings themselves: name, type, default and meaning of each."""

import hashlib
import os
from typing import Annotated

import msgspec
from msgspec import Meta

from api.settings.checks import HOW_TO_MAKE_ONE, SHORTEST_SECRET
from api.store import StoreOptions

MEBIBYTE = 1024 * 1024
PROBE_THREADS = 2  # of a worker, for health checks alone
RATE = "^[1-9][0-9]{0,6}/(second|minute|hour)$"


def positive(doc: str) -> Meta:
    """A number above zero."""
    return Meta(gt=0, description=doc)


def rate(doc: str) -> Meta:
    """So many in a span of time: `10/minute`."""
    return Meta(pattern=RATE, description=doc)


def text(doc: str) -> Meta:
    """Any text."""
    return Meta(description=doc)


def some(doc: str) -> Meta:
    """Any text but none."""
    return Meta(min_length=1, description=doc)


Seconds = Annotated[float, Meta(extra={"unit": "s"})]
Bytes = Annotated[int, Meta(extra={"unit": "bytes"})]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings."""

    # The database
    database_uri: Annotated[
        str, text("mongodb://… through two routers or more, with database and password")
    ]
    request_deadline: Annotated[
        Seconds, positive("For all database calls of one request; a failover must fit in")
    ] = 10
    server_selection: Annotated[
        Seconds, Meta(ge=2, le=5, description="Until no router counts as reachable")
    ] = 3
    pool_wait: Annotated[
        Seconds, Meta(ge=1, le=2, description="Until no free connection counts as overload")
    ] = 1.5
    claim_grace: Annotated[
        Seconds, positive("Age at which an unfinished claim on a unique value may be taken over")
    ] = 30

    # Tokens and sessions
    jwt_secret: Annotated[
        str,
        text(
            f"Signs tokens. {SHORTEST_SECRET} bytes or more ({HOW_TO_MAKE_ONE}): HS256; "
            "or an Ed25519 private key as PEM (openssl genpkey -algorithm ed25519): EdDSA"
        ),
    ] = ""
    jwt_previous_secret: Annotated[
        str, text("While keys rotate: still verifies, no longer signs")
    ] = ""
    jwt_issuer: Annotated[str, some("`iss` of tokens")] = "shardstack"
    jwt_audience: Annotated[str, some("`aud` of tokens")] = "shardstack-api"
    access_token_lifetime: Annotated[Seconds, positive("How long an access token is good")] = 1800
    refresh_token_lifetime: Annotated[
        Seconds, positive("How long a session lasts without being used")
    ] = 14 * 86400
    session_lifetime: Annotated[
        Seconds, positive("How long a session lasts in all, however much it is used")
    ] = 30 * 86400
    refresh_grace: Annotated[
        Seconds,
        Meta(
            ge=0,
            le=60,
            description="How long a client may be told again what its refresh token gave it",
        ),
    ] = 10
    fresh_login: Annotated[
        Seconds,
        positive(
            "How long after a log-in one's own national id can be changed, or account deleted"
        ),
    ] = 300
    clock_leeway: Annotated[
        Seconds,
        Meta(ge=0, le=300, description="By how much clocks may differ when tokens are checked"),
    ] = 30
    device_token_lifetime: Annotated[
        Seconds, positive("How long a log-in proves that a device is no stranger's")
    ] = 180 * 86400
    session_limit: Annotated[
        int, Meta(ge=1, le=100, description="Sessions of one user; the longest unused one ends")
    ] = 20
    principal_cache: Annotated[
        Seconds,
        Meta(
            ge=0,
            le=5,
            description="How long an administrator's reads may go on after being disabled; 0: not",
        ),
    ] = 1

    # Against abuse
    login_rate_account: Annotated[
        str,
        rate("Log-ins tried for one account from one address, or with one device's token"),
    ] = "10/minute"
    login_rate_strangers: Annotated[
        str, rate("Log-ins tried for one account from all addresses it was never used from")
    ] = "30/minute"
    login_rate_address: Annotated[str, rate("Log-ins tried from one address")] = "100/minute"
    register_rate_address: Annotated[str, rate("Sign-ups and leads sent from one address")] = (
        "60/minute"
    )
    feedback_rate_account: Annotated[str, rate("Feedback sent by one account")] = "20/hour"
    feedback_rate_address: Annotated[str, rate("Feedback sent from one address")] = "60/hour"
    unique_rate_account: Annotated[
        str,
        rate("Tries of one account at unique values, which tell whether somebody has them"),
    ] = "10/hour"
    unique_rate_address: Annotated[
        str, rate("The same of one address, refused sign-ups and leads included")
    ] = "60/hour"
    trusted_proxies: Annotated[
        str,
        text(
            "Networks, separated by commas, of proxies: their X-Forwarded-For names the client, "
            "their X-Proxy-Request the request, so that they may repeat it: 127.0.0.1/32,10.0.0.0/8"
        ),
    ] = ""
    cors_origins: Annotated[
        str,
        text("Origins, separated by commas, whose pages may call the API: https://app.example"),
    ] = ""
    audit_retention: Annotated[Seconds, positive("How long the audit trail is kept")] = 365 * 86400
    analytics_retention: Annotated[
        Seconds, positive("How long the counts of a day are kept, from its beginning")
    ] = 400 * 86400

    # Requests
    body_limit: Annotated[Bytes, positive("Largest request body")] = 64 * 1024
    upload_limit: Annotated[Bytes, positive("Largest file")] = 10 * MEBIBYTE
    upload_deadline: Annotated[Seconds, positive("For a file to be sent or fetched")] = 120
    import_limit: Annotated[Bytes, positive("Largest body of a bulk import")] = 256 * MEBIBYTE
    bulk_deadline: Annotated[Seconds, positive("For a bulk import or export")] = 600
    page_size: Annotated[int, positive("Items on a page when the request names none")] = 20
    page_size_limit: Annotated[int, positive("Most items on a page, whatever is asked")] = 100
    phone_region: Annotated[
        str,
        Meta(
            pattern="^([A-Z]{2})?$",
            description="Country (ISO 3166: DE) whose phone numbers may come without +49; "
            "empty: every number needs its country code",
        ),
    ] = ""
    client_timeout: Annotated[
        Seconds, positive("For a header to arrive, and the span over which minimum_rate is taken")
    ] = 8
    minimum_rate: Annotated[
        int,
        positive("Bytes a second: who sends a body or takes an answer more slowly is cut off"),
    ] = 1024
    queue_wait: Annotated[
        Seconds,
        positive(
            "For a thread to be free; then 503. Longer than a failover, which holds up all "
            "threads, and shorter than request_deadline, which it counts against"
        ),
    ] = 8
    idempotency_lifetime: Annotated[
        Seconds, positive("How long an Idempotency-Key is remembered")
    ] = 86400

    # The server
    host: Annotated[str, some("Address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Port to listen on")] = 8000
    workers: Annotated[int, Meta(ge=0, description="Worker processes; 0: one per core")] = 0
    threads: Annotated[int, Meta(ge=1, le=64, description="Threads of a worker")] = 8
    slow_threads: Annotated[
        int,
        Meta(ge=1, le=64, description="Threads of a worker for files, imports and exports"),
    ] = 8
    connections: Annotated[
        int,
        Meta(ge=16, description="Connections of a worker; above, the one that idles longest ends"),
    ] = 4000
    connections_per_address: Annotated[
        int, Meta(ge=8, description="The same for one client's address; proxies are exempt")
    ] = 2000
    event_streams: Annotated[
        int, Meta(ge=0, description="Open streams of events (/api/v1/events) of a worker")
    ] = 500
    drain: Annotated[
        Seconds, Meta(ge=0, description="From readiness 503 to closing the port, at SIGTERM")
    ] = 0.5
    shutdown: Annotated[
        Seconds, positive("How long requests in flight may take to finish after that")
    ] = 6
    metrics_token: Annotated[
        str, text("Bearer token for /metrics, which is closed without one, save to administrators")
    ] = ""
    cluster_url: Annotated[
        str,
        text(
            "Where the cluster's exporter listens (http://127.0.0.1:9216), for what "
            "administrators see of the cluster; nothing without one"
        ),
    ] = ""
    log_level: Annotated[
        str, Meta(pattern="^(debug|info|warning|error)$", description="debug … error")
    ] = "info"
    log_file: Annotated[
        str, text("File that the server logs to, private; without one, standard output")
    ] = ""
    log_limit: Annotated[
        Bytes, positive("Size at which that file becomes FILE.1, in place of an earlier one")
    ] = 8 * MEBIBYTE

    @property
    def signing_secrets(self) -> tuple[str, ...]:
        """What signs and verifies, the oldest first: the last one signs."""
        return tuple(filter(None, (self.jwt_previous_secret, self.jwt_secret)))

    def store_options(self) -> StoreOptions:
        """What the store needs to know."""
        return StoreOptions(
            uri=self.database_uri,
            deadline=self.request_deadline,
            server_selection=self.server_selection,
            pool_wait=self.pool_wait,
            pool_size=self.threads + self.slow_threads + PROBE_THREADS + 2,
            claim_grace=self.claim_grace,
        )

    @property
    def worker_count(self) -> int:
        """Worker processes to run."""
        return self.workers or os.cpu_count() or 1

    def fingerprint(self) -> str:
        """Changes when any setting does; tells nothing of the secrets."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()
