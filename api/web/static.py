"""What is the same for everybody until there is other code: packed once, and kept by browsers."""

import gzip
import hashlib
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import NamedTuple, Self

from flask import Response, request

from api.web.operations import Answer
from api.web.problems import ProblemError

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
PAGE = "index.html"
NOT_MODIFIED = Answer(description="Not modified: you have this version")


class Fixed(NamedTuple):
    """A content, the same packed, and a digest of it."""

    content: bytes
    packed: bytes
    tag: str

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The content, packed."""
        return cls(
            content, gzip.compress(content, mtime=0), hashlib.sha256(content).hexdigest()[:16]
        )

    def response(self, media: str) -> Response:
        """It as a response that browsers may keep; 304 for who has it."""
        pack = request.accept_encodings["gzip"] > 0
        response = Response(self.packed if pack else self.content, mimetype=media)
        if pack:
            response.headers["Content-Encoding"] = "gzip"
        response.vary.add("Accept-Encoding")
        response.headers["Cache-Control"] = "public, max-age=60"
        response.set_etag(self.tag + ("-gzip" if pack else ""))
        response.make_conditional(request)
        return response


class Folder:
    """A package's folder, of which everything is served that a page is made of.

    `policy`: the directives of the Content-Security-Policy that the files are served with.
    """

    def __init__(self, package: str, folder: str, policy: tuple[str, ...]) -> None:
        self._root = files(package) / folder
        self._policy = "; ".join(policy)
        self._read = lru_cache(maxsize=None)(self._packed)
        self.assets = tuple(name for name in sorted(_names(self._root)) if name != PAGE)

    def page(self) -> Response:
        """The page, as a response that browsers may keep."""
        return self._serve(PAGE)

    def asset(self, name: str) -> Response:
        """One of the other files. Raises ProblemError 404."""
        if name not in self.assets:
            raise ProblemError(404, "The page has no such file.", kind="missing")
        return self._serve(name)

    def _serve(self, name: str) -> Response:
        response = self._read(name).response(TYPES[PurePosixPath(name).suffix])
        response.headers["Content-Security-Policy"] = self._policy
        return response

    def _packed(self, name: str) -> Fixed:
        return Fixed.of(self._root.joinpath(name).read_bytes())


def _names(folder: Traversable, above: str = "") -> list[str]:
    """The files below a folder that are served, as paths; licences, for one, are not."""
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _names(entry, f"{above}{entry.name}/")
        elif PurePosixPath(entry.name).suffix in TYPES:
            found.append(above + entry.name)
    return found
