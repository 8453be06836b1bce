"""Many documents in one request: import and export, one JSON object per line.

Import. Documents come line by line, and are created batch by batch, with a report on what was
refused. The body is read as a stream. The report waits in a spool until the body has been read:
most clients are half-duplex, they send all before they read anything, and would block for ever
against a server that blocks on sending them its answer.

What an export has written can be imported. Of its fields those are taken that a body can create, or
an administrator can change; the others (`version`, the dates) are known and left out. Ids are kept
where the request asks for it, `?ids=keep`, so that what refers to a document still does. A document
that has the id already stays as it is, and its line is refused.

Each line stands alone: one that is refused does not keep the others from being created. What was
created stays, whatever happens afterwards; and an import that is repeated refuses those lines whose
unique values are taken, by itself included.

Export. All documents that the filters admit are read by keyset, page by page, in order of id. Each
page has a deadline of its own and is read again when a failover is in its way, so that one costs
time and no more; between pages nothing is open in the database, however slowly the client reads.
What is created or deleted meanwhile may be in it or not.
"""

from collections.abc import Iterator
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Literal, NamedTuple

import msgspec
from bson import ObjectId
from flask import Response, request
from msgspec import Meta

from api.crud import shapes
from api.crud.access import Who, admit, principal
from api.crud.audit import Trail
from api.crud.lists import Lists
from api.crud.references import References
from api.crud.resource import Resource
from api.crud.rules import States, check
from api.crud.views import Views
from api.crud.visibility import Visibility
from api.settings import Settings
from api.store import BulkReport, Document, Store, UnavailableError
from api.store.bulk import BATCH, create_streamed
from api.store.deadline import deadline
from api.store.pages import After
from api.web import body as bodies
from api.web import bulk, languages
from api.web.body import PIECE, pieces
from api.web.bulk import Line
from api.web.languages import Sentence, say
from api.web.operations import Answer, View, operation
from api.web.problems import FieldError, ProblemError, asked_for, in_body, invalid

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


class Import:
    """Imports into one resource."""

    def __init__(
        self,
        resource: Resource,
        store: Store,
        settings: Settings,
        trail: Trail,
        references: References,
    ) -> None:
        assert resource.create is not None  # noqa: S101 - else there is no such route
        self._references = references
        self._resource = resource
        self.shape = shapes.line(resource.declared, resource.read)
        self._taken = {one.name for one in resource.declared if one.imported and not one.of(States)}
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
            raise ProblemError(415, bodies.unfit([bulk.MEDIA]))
        report = _Report()
        try:
            with self._trail.recorded(f"{self._resource.name}.import", actor=principal().id):
                cut = self._read(report, keep=query.ids == "keep")
        except Exception:
            report.close()
            raise
        if cut is not None:
            report.close()
            why = cut.detail if isinstance(cut.detail, Sentence) else say(cut.detail)
            detail = say("{why} {count} were created before.", why=why, count=report.created)
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
            limit = self._settings.body_limit
            raise ProblemError(413, say("The line is longer than {limit} bytes.", limit=limit))
        resource = self._resource
        fields = bodies.decode(line.text, self.shape, resource.rules)
        given_id = fields.get("id") if keep else None
        if keep and given_id is None:
            raise invalid(in_body("id", "This field is required: ids are to be kept."))
        taken = {name: value for name, value in fields.items() if name in self._taken}
        if resource.owner not in (None, "_id") and taken.get(resource.owner) is None:
            raise invalid(in_body(str(resource.owner), "Name the user it belongs to."))
        given = resource.converted(taken)
        check(resource.constraints, given)
        self._references.check(given)
        stored = resource.beginning(given)
        return stored, None if given_id is None else ObjectId(given_id)


class _Report:
    """The report, as it grows."""

    def __init__(self) -> None:
        self._spool: IO[bytes] = SpooledTemporaryFile(SPOOL)  # noqa: SIM115 - closed by the answer
        self._language = asked_for()
        self.created = 0
        self._refused = 0

    def refuse(self, line: int, error: ProblemError) -> None:
        self._refused += 1
        errors, count = error.errors or _whole(error), error.error_count
        errors = tuple(one.said(self._language) for one in errors)
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
        headers = {"Content-Length": str(size), **languages.headers(self._language)}
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


PAGE = 500
PAGING = frozenset({"limit", "after", "sort", "fields"})


class ExportError(msgspec.Struct):
    """The last line of an export that is not whole; a whole one ends with a document."""

    error: str


class Export:
    """Exports one resource."""

    def __init__(self, resource: Resource, store: Store, settings: Settings, lists: Lists) -> None:
        self._resource = resource
        self._documents = resource.documents(store)
        self._visibility = Visibility(resource, self._documents)
        self._seconds = settings.request_deadline
        self._lists = lists
        self.query = _filters_only(lists.query)

    def run(self, query: msgspec.Struct) -> Response:
        """Get all of {name} that the filters admit, one JSON object per line.

        If the database fails midway, the last line is {"error": "…"} and the export is not whole.
        """
        where = self._visibility.narrow(Who.ADMIN, self._lists.where(query))
        return Response(self._lines(where), mimetype=bulk.MEDIA)

    def _lines(self, where: Document) -> Iterator[bytes]:
        after: After | None = None
        while True:
            try:
                with deadline(self._seconds):
                    page = self._documents.page(
                        self._resource.shown, PAGE, where=where, after=after
                    )
            except UnavailableError as error:
                yield bulk.encode(ExportError(f"The export is not whole: {error}."))
                return
            if page:
                after = (page[-1]["_id"], page[-1]["_id"])
                yield b"".join(bulk.encode(self._resource.show_projected(one)) for one in page)
            if len(page) < PAGE:
                return


def _filters_only(query: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The query of a list without what is about pages."""
    kept = [one for one in msgspec.structs.fields(query) if one.name not in PAGING]
    return msgspec.defstruct(
        query.__name__.replace("Query", "ExportQuery"),
        [(one.name, one.type, one.default) for one in kept],
        rename={one.name: one.encode_name for one in kept},
        kw_only=True,
        forbid_unknown_fields=True,
    )


REPORT = 'A line for each line refused, and a last one: {"created": …, "refused": …}'


def views(
    resource: Resource,
    store: Store,
    settings: Settings,
    trail: Trail,
    single: Views,
) -> Iterator[tuple[str, str, View]]:
    """Name, method and view of each route; none where nobody may. `single`: the other views."""
    rule = resource.access.bulk
    if rule is Who.NOBODY:
        return
    export = Export(resource, store, settings, single.lists)
    exported = operation(
        query=export.query,
        guard=partial(admit, rule),
        answers={200: Answer(shape=resource.read, media=bulk.MEDIA)},
        problems=(403,),
        deadline=settings.bulk_deadline,
    )
    yield "export", "GET", exported(export.run)
    if resource.create is None or resource.attachment is not None:
        return
    importing = Import(resource, store, settings, trail, single.references)
    imported = operation(
        body=(importing.shape,),
        query=ImportQuery,
        rules=resource.rules,
        media=bulk.MEDIA,
        guard=partial(admit, rule),
        answers={200: Answer(shape=RefusedLine, media=bulk.MEDIA, description=REPORT)},
        problems=(400, 403, 408, 413, 415),
        deadline=settings.bulk_deadline,
        body_limit=settings.import_limit,
        streamed=True,
    )
    yield "import", "POST", imported(importing.run)
