"""Forms with one file (multipart/form-data, RFC 7578), and which kinds of files are taken.

A form is read as a stream: no file is held in memory. Fields are small and kept; the file's bytes
go to a sink as they arrive, once its first bytes have shown that it may be what its Content-Type
says. Everything is refused as early as it can be known.

Kinds of files are recognised by their content: a name and a declared media type prove nothing. The
first bytes are judged before anything is stored. An archive (ZIP) says what it holds in its
directory, which lies at its end: of it the names are read, and nothing is unpacked. Its entries may
come in any order, so the first ones tell nothing.
"""

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import msgspec
from flask import request
from multipart import MultipartError, MultipartSegment, PushMultipartParser
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header

from api.web.body import unfit
from api.web.languages import say
from api.web.problems import ProblemError, in_body, invalid

HEAD = 1024  # bytes of a file that `begins` gets
TAIL = 256 * 1024  # bytes that `ends` gets; an archive with a longer directory is refused

ZIP = b"PK\x03\x04"
MIMETYPE = b"mimetype"  # the first entry of an OpenDocument file, stored as it is (ODF 1.2, 3.3)
ODT_TYPE = b"application/vnd.oasis.opendocument.text"


class FileType(msgspec.Struct, frozen=True, kw_only=True):
    """How files of a media type look.

    begins  judges the first bytes, at most HEAD
    ends    judges the last bytes, at most TAIL, once all have come; None: the first ones are enough
    """

    begins: Callable[[bytes], bool]
    ends: Callable[[bytes], bool] | None = None


def entries(tail: bytes) -> frozenset[str]:
    """The names in the directory of an archive that ends so; none where it has none."""
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as archive:
            return frozenset(archive.namelist())
    # A directory that is wrong shows in many ways: struct.error, ValueError, OverflowError, …
    except Exception:  # noqa: BLE001
        return frozenset()


def is_zip(head: bytes) -> bool:
    """Begins with an entry."""
    return head.startswith(ZIP)


def is_pdf(head: bytes) -> bool:
    """PDF: the header is somewhere in the first 1,024 bytes (ISO 32000-1, annex H.3.4.1)."""
    return b"%PDF-" in head


def holds_docx(tail: bytes) -> bool:
    """An Office Open XML package (ECMA-376 part 2, 10.1.2.2) with the parts of a text."""
    names = entries(tail)
    return "[Content_Types].xml" in names and any(name.startswith("word/") for name in names)


def may_be_odt(head: bytes) -> bool:
    """An archive that, if it begins by saying what it is, says that it is an OpenDocument text."""
    return is_zip(head) and (head[30:38] != MIMETYPE or head[38:].startswith(ODT_TYPE))


def holds_odt(tail: bytes) -> bool:
    """An OpenDocument package (ODF 1.2 part 3, 2.2.1) with a document's content."""
    return {"META-INF/manifest.xml", "content.xml"} <= entries(tail)


DOCUMENTS = {
    "application/pdf": FileType(begins=is_pdf),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": FileType(
        begins=is_zip, ends=holds_docx
    ),
    "application/vnd.oasis.opendocument.text": FileType(begins=may_be_odt, ends=holds_odt),
}


MEDIA = "multipart/form-data"
MOST_PARTS = 100
LONGEST_HEADER = 8 * 1024  # bytes of one header of a part


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What a form may hold.

    fields      names of the text fields; each at most once
    file        name of the file, which must be there
    types       media types the file may be of, and how they look
    file_limit  bytes
    field_limit bytes of all fields together
    """

    fields: tuple[str, ...]
    file: str
    types: Mapping[str, FileType]
    file_limit: int
    field_limit: int = 16 * 1024


class FileHead(NamedTuple):
    """What is known of a file before its bytes."""

    name: str
    media: str


class Sink(Protocol):
    """Takes the bytes of the file."""

    def write(self, data: bytes) -> None:
        """The next bytes."""


class Received(NamedTuple):
    """A form whose file is in the sink. Fields are text; nothing else was checked of them."""

    fields: dict[str, str]
    file: FileHead


def receive(form: Form, pieces: Iterable[bytes], begin: Callable[[FileHead], Sink]) -> Received:
    """Read a form. `begin` is called with the file's head, when its type is known to be right.

    Raises ProblemError: 415 for another media type of body or file, 400 for what is no form, 413,
    and 422 naming the part.
    """
    try:
        return _Reading(form, begin).run(_events(_boundary(), pieces))
    except MultipartError as error:
        raise _malformed(str(error)) from None


def _events(
    boundary: str, pieces: Iterable[bytes]
) -> Iterator[MultipartSegment | bytes | bytearray | None]:
    """Each part's head, then its data in pieces, then None."""
    limits = {"max_segment_count": MOST_PARTS, "max_header_size": LONGEST_HEADER}
    with PushMultipartParser(boundary, **limits) as parser:
        for piece in pieces:
            yield from parser.parse(piece)


def _boundary() -> str:
    if request.mimetype != MEDIA:
        raise ProblemError(415, unfit([MEDIA]))
    boundary = request.mimetype_params.get("boundary", "")
    if not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise _malformed(say("its Content-Type names no boundary"))
    return boundary


def _malformed(why: str) -> ProblemError:
    detail = say("The body is no {media}: {why}.", media=MEDIA, why=why)
    return ProblemError(400, detail, kind="malformed")


class _Reading:
    def __init__(self, form: Form, begin: Callable[[FileHead], Sink]) -> None:
        self._form = form
        self._begin = begin
        self._fields: dict[str, bytearray] = {}
        self._held = 0
        self._file: FileHead | None = None
        self._name = ""  # of the part being read
        self._in_file = False
        self._head, self._tail = bytearray(), bytearray()
        self._sink: Sink | None = None
        self._size = 0

    def run(self, body: Iterator[MultipartSegment | bytes | bytearray | None]) -> Received:
        for item in body:
            if item is None:
                self._close()
            elif isinstance(item, MultipartSegment):
                self._open(item)
            elif self._in_file:
                self._take_file(item)
            else:
                self._take_field(item)
        if self._file is None:
            raise invalid(in_body(self._form.file, "Choose a file."))
        return Received({name: _text(name, raw) for name, raw in self._fields.items()}, self._file)

    def _open(self, part: MultipartSegment) -> None:
        name, form, filename = part.name or "", self._form, _filename(part)
        if name in self._fields or (name == form.file and self._file is not None):
            raise invalid(in_body(name, "Give it once."))
        self._name, self._in_file = name, filename is not None
        if filename is None:
            if name == form.file:
                raise invalid(in_body(name, "Send it as a file, with a filename."))
            if name not in form.fields:
                raise invalid(in_body(name, "This field is not known here."))
            self._fields[name] = bytearray()
        else:
            if name != form.file:
                known = name in form.fields
                detail = "Send it as text." if known else "This file is not known here."
                raise invalid(in_body(name, detail))
            if not filename:  # what browsers send for a field that was left empty
                raise invalid(in_body(name, "Choose a file."))
            self._file = FileHead(filename, self._declared(part.content_type or ""))

    def _close(self) -> None:
        """A part ends: a file that was too short to be judged is judged now, and its end."""
        if self._in_file:
            if self._sink is None:
                self._recognise()
            ends = self._type().ends
            if ends is not None and not ends(bytes(self._tail)):
                raise self._other_content()
        self._in_file = False

    def _declared(self, media: str) -> str:
        if media not in self._form.types:
            known = ", ".join(self._form.types)
            detail = say("Send a file of one of these types: {known}.", known=known)
            raise ProblemError(
                415, detail, kind="file-type", errors=(in_body(self._form.file, detail),)
            )
        return media

    def _take_field(self, data: bytes | bytearray) -> None:
        self._held += len(data)
        if self._held > self._form.field_limit:
            raise RequestEntityTooLarge
        self._fields[self._name] += data

    def _take_file(self, data: bytes | bytearray) -> None:
        self._size += len(data)
        if self._size > self._form.file_limit:
            detail = say("Send a file of at most {limit} bytes.", limit=self._form.file_limit)
            error = in_body(self._form.file, detail)
            raise ProblemError(413, "The file is too large.", kind="file-size", errors=(error,))
        if self._type().ends is not None:
            self._tail += data
            del self._tail[:-TAIL]
        if self._sink is not None:
            self._sink.write(bytes(data))
            return
        self._head += data
        if len(self._head) >= HEAD:
            self._recognise()

    def _recognise(self) -> None:
        """Judge the file by its first bytes, and begin to write it."""
        if not self._type().begins(bytes(self._head[:HEAD])):
            raise self._other_content()
        assert self._file is not None  # noqa: S101 - set when the part began
        self._sink = self._begin(self._file)
        self._sink.write(bytes(self._head))

    def _type(self) -> FileType:
        assert self._file is not None  # noqa: S101 - the same
        return self._form.types[self._file.media]

    def _other_content(self) -> ProblemError:
        assert self._file is not None  # noqa: S101 - the same
        detail = say("The file's content is not {media}.", media=self._file.media)
        return invalid(in_body(self._form.file, detail if self._head else "The file is empty."))


def _filename(part: MultipartSegment) -> str | None:
    """The part's file name; also in the form `filename*=`, which some libraries send (RFC 5987)."""
    found: str | None = part.filename
    if found is None:
        found = parse_options_header(part.header("Content-Disposition"))[1].get("filename")
    return found


def _text(name: str, raw: bytearray) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise invalid(in_body(name, "Send text in UTF-8.")) from None
