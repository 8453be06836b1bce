"""Files that browsers are shown as they are: read and packed once per process, and kept by them."""

import gzip
import hashlib
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import NamedTuple

from flask import Response, request

from api.web.operations import Answer

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
PAGE = "index.html"
NOT_MODIFIED = Answer(description="Not modified: you have this version")


class File(NamedTuple):
    """A file's content, the same packed, and a digest of it."""

    content: bytes
    packed: bytes
    tag: str


class Folder:
    """A package's folder, of which everything is served that a page is made of.

    `policy`: the directives of the Content-Security-Policy that the files are served with.
    """

    def __init__(self, package: str, folder: str, policy: tuple[str, ...]) -> None:
        self._root = files(package) / folder
        self._policy = "; ".join(policy)
        self._read = lru_cache(maxsize=None)(self._packed)
        self.assets = tuple(name for name in sorted(_names(self._root)) if name != PAGE)

    def serve(self, name: str) -> Response:
        """One of the files, as a response that browsers may keep."""
        file = self._read(name)
        pack = request.accept_encodings["gzip"] > 0
        response = Response(
            file.packed if pack else file.content, mimetype=TYPES[PurePosixPath(name).suffix]
        )
        if pack:
            response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = "public, max-age=60"
        response.headers["Content-Security-Policy"] = self._policy
        response.set_etag(file.tag + ("-gzip" if pack else ""))
        response.make_conditional(request)
        return response

    def _packed(self, name: str) -> File:
        content = self._root.joinpath(name).read_bytes()
        packed = gzip.compress(content, mtime=0)
        return File(content, packed, hashlib.sha256(content).hexdigest()[:16])


def _names(folder: Traversable, above: str = "") -> list[str]:
    """The files below a folder that are served, as paths; licences, for one, are not."""
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _names(entry, f"{above}{entry.name}/")
        elif PurePosixPath(entry.name).suffix in TYPES:
            found.append(above + entry.name)
    return found
