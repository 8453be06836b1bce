"""Entity tags and the conditions made of them: If-Match and If-None-Match (RFC 9110, 8.8.3, 13).

A document's tag is its version in quotes: `"7"`. It is a strong one.
"""

import re
from typing import NamedTuple

from flask import request

from api.web.languages import say
from api.web.problems import ProblemError

IF_MATCH = "If-Match"
IF_NONE_MATCH = "If-None-Match"

MALFORMED = '{header} is malformed. Send * or entity tags, separated by commas: "7" or W/"7".'

# One element of the list; elements may be empty (RFC 9110, 5.6.1.2).
ELEMENT = re.compile(r'[ \t]*(?:(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|\Z)')
OURS = re.compile(r"[1-9][0-9]{0,17}").fullmatch


class Tags(NamedTuple):
    """What such a header names: every tag (`*`), or these."""

    all: bool
    strong: frozenset[int]  # the versions in strong tags; foreign tags match nothing
    either: frozenset[int]  # those in weak tags, too


class Conditions(NamedTuple):
    """The conditions of a request; None where there is none."""

    match: Tags | None
    none_match: Tags | None


FREE = Conditions(None, None)


def given() -> Conditions:
    """Those of the current request. Raises ProblemError 400 when malformed."""
    match = request.environ.get("HTTP_IF_MATCH")
    none_match = request.environ.get("HTTP_IF_NONE_MATCH")
    if match is None and none_match is None:
        return FREE
    return Conditions(
        None if match is None else parse(IF_MATCH, match),
        None if none_match is None else parse(IF_NONE_MATCH, none_match),
    )


def parse(header: str, text: str) -> Tags:
    """The tags in a header's text."""
    if text.strip(" \t") == "*":
        return Tags(True, frozenset(), frozenset())
    strong, either, found, place = set(), set(), False, 0
    while place < len(text):
        element = ELEMENT.match(text, place)
        if element is None:
            raise malformed(header)
        weak, opaque = element.groups()
        if opaque is not None:
            found = True
            if OURS(opaque):
                either.add(int(opaque))
                if not weak:
                    strong.add(int(opaque))
        place = element.end()
    if not found:
        raise malformed(header)
    return Tags(False, frozenset(strong), frozenset(either))


def malformed(header: str) -> ProblemError:
    """400: the header is not what RFC 9110 says."""
    return ProblemError(
        400,
        say(MALFORMED, header=header),
        kind="malformed",
    )


def failed() -> ProblemError:
    """412: the document is at another version."""
    return ProblemError(
        412,
        "The document is not at a version that If-Match or If-None-Match admits. "
        "Get it again, and repeat the change with its ETag.",
        kind="version-moved",
    )


def unmodified(version: int) -> bool:
    """Whether a reader has this version already (304). Raises 412 where If-Match names another."""
    match, none_match = given()
    if match is not None and not match.all and version not in match.strong:
        raise failed()
    return none_match is not None and (none_match.all or version in none_match.either)
