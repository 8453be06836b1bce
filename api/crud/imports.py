"""Bulk import: documents line by line, created batch by batch, with a report on what was refused.

The body is read as a stream. The report waits in a spool until the body has been read: most clients
are half-duplex, they send all before they read anything, and would block for ever against a server
that blocks on sending them its answer.

What an export has written can be imported. Of its fields those are taken that a body can create, or
an administrator can change; the others (`version`, the dates) are known and left out. Ids are kept
where the request asks for it, `?ids=keep`, so that what refers to a document still does. A document
that has the id already stays as it is, and its line is refused.

Each line stands alone: one that is refused does not keep the others from being created. What was
created stays, whatever happens afterwards; and an import that is repeated refuses those lines whose
unique values are taken, by itself included.
"""

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any, Literal, NamedTuple

import msgspec
from bson import ObjectId
from flask import Response, request
from msgspec import UNSET, Meta, UnsetType

from api.crud import values
from api.crud.access import Role, principal
from api.crud.audit import Trail
from api.crud.constraints import check
from api.crud.declaration import Resource
from api.settings import Settings
from api.store import BulkReport, Document, Store
from api.store.bulk import BATCH, create_streamed
from api.web import body as bodies
from api.web import bulk
from api.web.body import PIECE, pieces
from api.web.bulk import Line
from api.web.problems import FieldError, ProblemError, in_body, invalid

BATCH_BYTES = 1024 * 1024  # of lines; together with BATCH it bounds what is held in memory
SPOOL = 1024 * 1024

UNKNOWN = FieldError("The database did not answer in time. Whether it was created is not known.")


Ids = Annotated[Literal["new", "keep"], Meta(description="keep: the lines' own ids, not new ones")]


class ImportQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to import."""

    ids: Ids = "new"


class RefusedLine(msgspec.Struct, kw_only=True):
    """A line of the report: this line of the input was not created. As in problem details,
    `error_count` is there where `errors` does not name all.
    """

    line: int
    status: int
    errors: tuple[FieldError, ...]
    error_count: int | msgspec.UnsetType = msgspec.UNSET


class Summary(msgspec.Struct, kw_only=True):
    """The last line of the report. created + refused = lines that were not empty."""

    created: int
    refused: int


class Read(NamedTuple):
    """A batch of lines that could be created."""

    numbers: list[int]
    items: list[Document]
    ids: list[ObjectId]


def line_shape(resource: Resource) -> type[msgspec.Struct]:
    """A line: what creates a document, what an administrator can change, and what is shown."""
    assert resource.create is not None  # noqa: S101 - else there is no import
    made = {field.name: field for field in msgspec.structs.fields(resource.create)}
    kinds = values.hints(resource.create)
    known: list[Any] = [
        (name, kinds[name])
        if field.required
        else (name, kinds[name], field.default)
        if field.default is not msgspec.NODEFAULT
        else (name, kinds[name], msgspec.field(default_factory=field.default_factory))
        for name, field in made.items()
    ]
    known += [
        (name, kind | UnsetType, UNSET)
        for name, kind in {
            **values.hints(resource.read),
            **_changed(resource),
            "id": values.Id,
        }.items()
        if name not in made
    ]
    name = f"{resource.read.__name__}Line"
    return msgspec.defstruct(name, known, kw_only=True, forbid_unknown_fields=True)


def _changed(resource: Resource) -> dict[str, Any]:
    """The fields of a document that an administrator can change and everybody sees."""
    change, shown = resource.change.get(Role.ADMIN), values.hints(resource.read)
    kinds = {} if change is None else values.hints(change)
    states = {one.field for one in resource.transitions}
    return {
        name: values.without_unset(kind)
        for name, kind in kinds.items()
        if name in shown and name not in states
    }


class Import:
    """Imports into one resource."""

    def __init__(self, resource: Resource, store: Store, settings: Settings, trail: Trail) -> None:
        assert resource.create is not None  # noqa: S101 - else there is no such route
        self._resource = resource
        self.shape = line_shape(resource)
        self._taken = {*resource.create.__struct_fields__, *_changed(resource)}
        self._documents = resource.documents(store)
        self._settings = settings
        self._trail = trail
        bodies.prepare(self.shape)

    def run(self, query: ImportQuery) -> Response:
        """Create many of {name}, one JSON object per line.

        A line may be one of an export: what cannot be set is left out of it.

        The answer has a line for each input line that was refused, and a last one that sums up.
        A line that is refused keeps no other from being created; what is created stays.
        """
        if request.mimetype not in bulk.NAMES:
            raise ProblemError(415, f"Send the body as {bulk.MEDIA}.")
        report = _Report()
        try:
            with self._trail.recorded(f"{self._resource.name}.import", actor=principal().id):
                cut = self._read(report, keep=query.ids == "keep")
        except Exception:
            report.close()
            raise
        if cut is not None:
            report.close()
            detail = f"{cut.detail} {report.created} were created before."
            raise ProblemError(cut.status, detail, kind=cut.kind, headers=cut.headers)
        return report.answer()

    def _read(self, report: "_Report", *, keep: bool) -> ProblemError | None:
        """Import the body; the problem that ended it too early, if one did."""
        lines = bulk.lines(pieces(), self._settings.body_limit)
        try:
            for batch in create_streamed(
                self._documents.create_many,
                self._batches(lines, report, keep=keep),
                self._settings.request_deadline,
            ):
                report.add(batch.numbers, batch.report)
        except ProblemError as cut:
            return cut
        return None

    def _batches(self, lines: Iterator[Line], report: "_Report", *, keep: bool) -> Iterator[Read]:
        batch, size = Read([], [], []), 0
        for line in lines:
            try:
                item, given_id = self._item(line, keep=keep)
            except ProblemError as error:
                report.refuse(line.number, error)
                continue
            batch.items.append(item)
            batch.numbers.append(line.number)
            if given_id is not None:
                batch.ids.append(given_id)
            size += len(line.text or b"")
            if len(batch.items) == BATCH or size > BATCH_BYTES:
                yield batch
                batch, size = Read([], [], []), 0
        if batch.items:
            yield batch

    def _item(self, line: Line, *, keep: bool) -> tuple[Document, ObjectId | None]:
        """What is stored for a line, and under which id if not a new one. Raises ProblemError."""
        if line.text is None:
            raise ProblemError(413, f"The line is longer than {self._settings.body_limit} bytes.")
        resource = self._resource
        fields = bodies.decode(line.text, self.shape, resource.rules)
        given_id = fields.get("id") if keep else None
        if keep and given_id is None:
            raise invalid(in_body("id", "This field is required: ids are to be kept."))
        taken = {name: value for name, value in fields.items() if name in self._taken}
        if resource.owner not in (None, "_id") and taken.get(resource.owner) is None:
            raise invalid(in_body(str(resource.owner), "Name the user it belongs to."))
        given = values.stored(taken, resource.conversions)
        check(resource.constraints, given)
        stored = {**resource.defaults(), **resource.prepare(given)}
        return stored, None if given_id is None else ObjectId(given_id)


class _Report:
    """The report, as it grows."""

    def __init__(self) -> None:
        self._spool: IO[bytes] = SpooledTemporaryFile(SPOOL)  # noqa: SIM115 - closed by the answer
        self.created = 0
        self._refused = 0

    def refuse(self, line: int, error: ProblemError) -> None:
        self._refused += 1
        errors, count = error.errors or _whole(error), error.error_count
        more = count if count > len(errors) else msgspec.UNSET
        refused = RefusedLine(line=line, status=error.status, errors=errors, error_count=more)
        self._spool.write(bulk.encode(refused))

    def add(self, numbers: list[int], found: BulkReport | None) -> None:
        """What became of a batch."""
        if found is None:
            for number in numbers:
                self.refuse(number, ProblemError(503, UNKNOWN.detail, errors=(UNKNOWN,)))
            return
        self.created += found.created
        for index in found.existing:
            there = in_body("id", "It exists, and stays as it is.")
            self.refuse(numbers[index], ProblemError(409, there.detail, errors=(there,)))
        for refused in found.refused:
            detail = "Another one has this value already."
            taken = in_body("id" if refused.field == "_id" else refused.field, detail)
            self.refuse(numbers[refused.index], ProblemError(409, detail, errors=(taken,)))

    def answer(self) -> Response:
        """The whole report, as a response."""
        self._spool.write(bulk.encode(Summary(created=self.created, refused=self._refused)))
        size = self._spool.tell()
        self._spool.seek(0)
        headers = {"Content-Length": str(size)}
        response = Response(self._pieces(), mimetype=bulk.MEDIA, headers=headers)
        response.call_on_close(self.close)
        return response

    def _pieces(self) -> Iterator[bytes]:
        while piece := self._spool.read(PIECE):
            yield piece
        self.close()

    def close(self) -> None:
        """Forget it."""
        self._spool.close()


def _whole(error: ProblemError) -> tuple[FieldError, ...]:
    return (FieldError(error.detail, pointer="#"),)
