"""DigitalOcean's own description of its API, which judges requests and answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

ROOT = Path(__file__).parents[2]
FILE = Path(
    os.environ.get("DIGITALOCEAN_OPENAPI")
    or ROOT.parent / "shared" / "data" / "digitalocean-openapi-subset.json"
)
MISSING = (
    f"DigitalOcean's description of its API is not at {FILE}. Get it from "
    "https://github.com/digitalocean/openapi, as one JSON file, and name it in DIGITALOCEAN_OPENAPI"
)


class Request(Protocol):
    """What is judged."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    headers: dict[str, str]


class Judge:
    """Compares with the description; "" is fine."""

    def __init__(self, file: Path = FILE) -> None:
        document = json.loads(file.read_text(encoding="utf-8"))
        # openapi-core takes no path for a number where the description allows a text, too.
        key = document["components"]["parameters"]["ssh_key_identifier"]
        key["schema"] = {"type": "string", "pattern": "^([0-9]+|[0-9a-f]{2}(:[0-9a-f]{2}){15})$"}
        # The document is what it is; we judge by it, and not it.
        self._known: dict[str, str] = {}
        self._api = OpenAPI.from_dict(document, config=Config(spec_validator_cls=None))

    def request(self, one: Request) -> str:
        """What is wrong with a request."""
        return self._once(one, self._api.validate_request)

    def answer(self, one: Request, code: int, body: Any) -> str:
        """What is wrong with an answer of ours."""
        data = b"" if code == 204 else json.dumps(body).encode()
        answer = MockResponse(data, code, {}, "application/json")
        return self._once(one, lambda mock: self._api.validate_response(mock, answer), code, body)

    def _once(self, one: Request, judge: Callable[[MockRequest], None], *more: Any) -> str:
        """To judge takes some milliseconds; tests send the same again and again."""
        authorized = "authorization" in one.headers
        key = json.dumps([one.method, one.path, one.query, one.body, authorized, *more])
        if key not in self._known:
            self._known[key] = ""
            try:
                judge(_mock(one))
            except OpenAPIError as error:
                self._known[key] = _told(error)
        return self._known[key]


def _mock(one: Request) -> MockRequest:
    args = {name: values[0] for name, values in one.query.items()}
    return MockRequest(
        "https://api.digitalocean.com",
        one.method.lower(),
        f"/v2/{one.path}",
        args=args,
        headers={"Authorization": one.headers.get("authorization", "")},
        data=None if one.body is None else json.dumps(one.body).encode(),
        content_type="application/json",
    )


def _told(error: BaseException) -> str:
    parts = [str(error)]
    cause = error.__cause__
    while cause:
        parts.append(str(cause))
        parts += [str(one)[:300] for one in getattr(cause, "schema_errors", [])]
        cause = cause.__cause__
    return " / ".join(parts)[:1500]
