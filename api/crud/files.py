"""A file that belongs to a document: sent with it as a form, streamed both ways, gone with it.

Of an attachment `resume` a document holds

    resume          {name, type, size}, which is shown
    resume_file     the file's id in GridFS      (store/files.py: how the two stay together)
    resume_digest   SHA-256 of its content, in hex; unique where the resource says so

A file does not change: it comes with its document, and goes with it.
"""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from bson import ObjectId
from flask import Response, request
from msgspec import Meta

from api.crud.creation import Creation
from api.crud.fields import Attachment
from api.crud.resource import Resource
from api.crud.values import object_id
from api.crud.visibility import Visibility, missing
from api.settings import Settings
from api.store import DuplicateError, Store, UnavailableError
from api.store.files import DamagedError, Files, Owner, Upload, sweep
from api.web import body as bodies
from api.web import conditions
from api.web import text as texts
from api.web.body import pieces
from api.web.files import FileHead, Form, receive
from api.web.languages import say
from api.web.problems import in_body, invalid

LONGEST_NAME = 1024  # bytes, as it is sent; file systems take 255 to 765
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]").sub


def form_of(attachment: Attachment, create: type[msgspec.Struct], limit: int) -> Form:
    """The form in which a document and its file are sent to be created."""
    return Form(
        fields=create.__struct_fields__,
        file=attachment.field,
        types=attachment.types,
        file_limit=limit,
    )


def form_shape(attachment: Attachment, create: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The form as a struct, to be described; forms are not decoded by it."""
    types = ", ".join(attachment.types)
    schema = {"format": "binary", "contentMediaType": types}
    file = Annotated[str, Meta(description=f"A file: {types}", extra_json_schema=schema)]
    fields = [(attachment.field, file)]
    return msgspec.defstruct(f"{create.__name__}Form", fields, bases=(create,), kw_only=True)


class Attached:
    """The files of one resource's documents."""

    def __init__(self, attachment: Attachment, collection: str, store: Store, form: Form) -> None:
        self._attachment = attachment
        self._collection = collection
        self._form = form
        self.files = Files(store)

    @contextmanager
    def received(self) -> Iterator["Arrived"]:
        """The request's form, whose file is whole, and owned by nobody yet.

        Whatever ends the context without `Arrived.late_fields` removes the file.
        """
        with self._naming(), ExitStack() as stack:

            def begin(head: FileHead) -> Upload:
                upload = self.files.upload(self._name(head.name), head.media)
                uploads.append(stack.enter_context(upload))
                return upload

            uploads: list[Upload] = []
            form = receive(self._form, pieces(), begin)
            yield Arrived(self._attachment, self._collection, form.fields, form.file, uploads[0])

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Refusals name the field that is known outside."""
        try:
            yield
        except DuplicateError as error:
            if error.field == self._attachment.digest_field:
                raise DuplicateError(self._attachment.field) from error
            raise

    def _name(self, given: str) -> str:
        """The name as it is shown. What it is called here if nothing is left: by its field."""
        field = self._attachment.field
        if len(given.encode(errors="replace")) > LONGEST_NAME:
            detail = say("Give the file a name of at most {longest} bytes.", longest=LONGEST_NAME)
            raise invalid(in_body(field, detail))
        try:
            return shown_name(given) or field
        except ValueError as error:
            detail = say("The file's name: {why}", why=str(error))
            raise invalid(in_body(field, detail)) from None

    @contextmanager
    def going(self, file_id: ObjectId | None) -> Iterator[None]:
        """Around the deletion of the document that names this file."""
        if file_id is None:
            yield
            return
        self.files.mark(file_id)
        yield
        self.files.discard(file_id)


class Arrived:
    """A form that has arrived. `fields` are texts, not yet checked."""

    def __init__(
        self,
        attachment: Attachment,
        collection: str,
        fields: dict[str, str],
        head: FileHead,
        upload: Upload,
    ) -> None:
        self.fields = fields
        self._attachment = attachment
        self._collection = collection
        self._upload = upload
        self._name, self._media = upload.name, head.media

    def described(self) -> dict[str, Any]:
        """What the document says of its file: the same whenever the same file is sent."""
        file = self._upload.finish()
        return {
            self._attachment.field: {"name": self._name, "type": self._media, "size": file.size},
            self._attachment.digest_field: file.digest,
        }

    def late_fields(self, document_id: ObjectId) -> dict[str, Any]:
        """The document is written next, under this `_id`, with what this returns."""
        field = self._attachment.file_field
        self._upload.assign(Owner(self._collection, field, document_id))
        return {field: self._upload.id}


def shown_name(given: str) -> str:
    """A file name without folders, in one line that can be shown. Empty: nothing is left of it.

    Raises ValueError with a sentence.
    """
    base = CONTROLS("", re.split(r"[/\\]", given)[-1])
    clean = " ".join(texts.visible(base).split())
    return clean if clean.strip(". ") else ""


def disposition(name: str) -> str:
    """Content-Disposition of a download (RFC 6266): plain for old clients, UTF-8 for others."""
    plain = re.sub(r"[^A-Za-z0-9 ._()-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


SWEPT = 2  # orphans that each upload looks at: more than one upload can leave behind


class AttachmentViews:
    """Beside `Views`, for one resource with an attachment."""

    def __init__(
        self, resource: Resource, store: Store, settings: Settings, creation: Creation
    ) -> None:
        assert resource.attachment is not None  # noqa: S101 - for the type checker
        assert resource.create is not None  # noqa: S101
        self._attachment: Attachment = resource.attachment
        self._resource = resource
        self._shape = resource.create
        self._documents = resource.documents(store)
        self._creation = creation
        self._visibility = Visibility(resource, self._documents)
        form = form_of(self._attachment, resource.create, settings.upload_limit)
        self._attached = Attached(self._attachment, resource.name, store, form)
        self.guard = creation.guard
        self._sweep = functools.partial(sweep, store, grace(settings), SWEPT)
        bodies.prepare(resource.create)

    def create(self) -> Response:
        """Create one of {name}, with its file.

        A form (multipart/form-data) whose fields are texts. The file is checked by its first bytes,
        not by its name.
        """
        with self._attached.received() as arrived:
            fields = bodies.check(arrived.fields, self._shape, self._resource.rules)
            answer = self._creation.create({**fields, **arrived.described()}, arrived.late_fields)
        with suppress(UnavailableError):  # no concern of whoever sent this
            self._sweep()
        return answer

    def fetch(self, document_id: str) -> Response:
        """Fetch the file of one of {name}, as a download."""
        conditions.given()  # 400 where they are malformed, as for documents
        file = self._attachment
        shown = (file.field, file.file_field, file.digest_field)
        found = self._visibility.read(document_id, shown)
        info = found[file.field]
        headers = {
            "ETag": f'"{found[file.digest_field]}"',
            "Content-Disposition": disposition(info["name"]),
            "Content-Length": str(info["size"]),
            "Content-Type": info["type"],
        }
        if request.if_none_match.contains_weak(found[file.digest_field]):
            return Response(status=304, headers={"ETag": headers["ETag"]})
        pieces = self._attached.files.read(found[file.file_field], info["size"])
        try:
            first = next(pieces)
        except DamagedError:  # deleted since its document was read
            raise missing() from None
        return Response(chain((first,), pieces), 200, headers)

    def delete(self, delete: Callable[..., Response], document_id: str) -> Response:
        """The file goes with its document; see store/files.py."""
        self._visibility.target(document_id, self._resource.access.delete)  # is this admitted?
        chosen = object_id(document_id)
        name = self._attachment.file_field
        found = None if chosen is None else self._documents.get(chosen, (name,))
        with self._attached.going(None if found is None else found.get(name)):
            return delete(document_id=document_id)


def grace(settings: Settings) -> float:
    """Seconds after which a file without an owner counts as left behind: longer than any upload."""
    return settings.upload_deadline + settings.request_deadline + settings.claim_grace
