"""A file that belongs to a document: sent with it as a form, streamed both ways, gone with it.

Of an attachment `resume` a document holds

    resume          {name, type, size}, which is shown
    resume_file     the file's id in GridFS      (store/files.py: how the two stay together)
    resume_digest   SHA-256 of its content, in hex; unique where the resource says so

A file does not change: it comes with its document, and goes with it.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from bson import ObjectId
from msgspec import Meta

from api.store import DuplicateError, Store, Unique
from api.store.files import Files, Owner, Upload
from api.web import text as texts
from api.web.body import pieces
from api.web.files import FileHead, FileType, Form, receive
from api.web.problems import in_body, invalid

LONGEST_NAME = 1024  # bytes, as it is sent; file systems take 255 to 765
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]").sub


class FileInfo(msgspec.Struct, kw_only=True):
    """A file as shown. `size` in bytes."""

    name: str
    type: str
    size: int


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """Declares a file that each document of a resource has.

    field   its name: the part of the form, the field that is shown (a `FileInfo`), and the last
            part of the address it is fetched from
    types   the media types it may be of, and how they look
    """

    field: str
    types: Mapping[str, FileType]

    @property
    def file_field(self) -> str:
        """The stored field with the file's id."""
        return f"{self.field}_file"

    @property
    def digest_field(self) -> str:
        """The stored field with the digest."""
        return f"{self.field}_digest"

    @property
    def unique(self) -> Unique:
        """To be declared where no two documents may have the same content."""
        return Unique(self.digest_field)

    def form(self, create: type[msgspec.Struct], limit: int) -> Form:
        """The form that creates a document."""
        return Form(
            fields=create.__struct_fields__, file=self.field, types=self.types, file_limit=limit
        )

    def shape(self, create: type[msgspec.Struct]) -> type[msgspec.Struct]:
        """The form as a struct, to be described; forms are not decoded by it."""
        types = ", ".join(self.types)
        schema = {"format": "binary", "contentMediaType": types}
        file = Annotated[str, Meta(description=f"A file: {types}", extra_json_schema=schema)]
        fields = [(self.field, file)]
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

        Whatever ends the context without `Arrived.born` removes the file.
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
            detail = f"Give the file a name of at most {LONGEST_NAME} bytes."
            raise invalid(in_body(field, detail))
        try:
            return shown_name(given) or field
        except ValueError as error:
            raise invalid(in_body(field, f"The file's name: {error}")) from None

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

    def born(self, document_id: ObjectId) -> dict[str, Any]:
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
