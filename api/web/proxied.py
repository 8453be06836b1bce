"""Which request of a trusted proxy this is: how its repetition on another replica is recognised.

A proxy that loses a replica in the middle of a request sends that request to another one. It names
each request it gets by a fresh UUID in `X-Proxy-Request`, and both tries carry the same. So a
second request with the name of an earlier one says that the proxy has given the earlier one up, and
that nobody has its answer.

Only a proxy that replaces whatever its client sent under this name can say so; from any other
peer than the trusted ones (`trusted_proxies`) the header means nothing.
"""

import re

from flask import g, request

HEADER = "HTTP_X_PROXY_REQUEST"  # as WSGI names it
ACCEPTABLE = re.compile(r"[A-Za-z0-9-]{16,64}").fullmatch


def name() -> str | None:
    """The name that a trusted proxy gave this request."""
    if not g.get("peer_is_trusted"):
        return None
    given: str = request.environ.get(HEADER, "")
    return given if ACCEPTABLE(given) else None
