"""The views of a resource whose documents have a file: create, fetch the file, delete."""

import functools
from collections.abc import Callable
from contextlib import suppress
from itertools import chain

from flask import Response, request

from api.crud.attachments import Attached, Attachment, disposition
from api.crud.creation import Creation
from api.crud.declaration import Resource
from api.crud.reach import Reach, missing
from api.crud.values import object_id
from api.settings import Settings
from api.store import Store, UnavailableError
from api.store.files import DamagedError, sweep
from api.store.throttle import Throttle
from api.web import body as bodies
from api.web import conditions
from api.web.proxies import block, client_address

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
        self._reach = Reach(resource, self._documents)
        form = self._attachment.form(resource.create, settings.upload_limit)
        self._attached = Attached(self._attachment, resource.name, store, form)
        self._senders = Throttle(store, "register-address", settings.register_rate_address)
        self._sweep = functools.partial(sweep, store, grace(settings), SWEPT)
        bodies.prepare(resource.create)

    def create(self) -> Response:
        """Create one of {name}, with its file.

        A form (multipart/form-data) whose fields are texts. The file is checked by its first bytes,
        not by its name.
        """
        self._senders.hit(block(client_address()))
        with self._attached.received() as arrived:
            fields = bodies.check(arrived.fields, self._shape, self._resource.rules)
            answer = self._creation.answer({**fields, **arrived.described()}, arrived.born)
        with suppress(UnavailableError):  # no concern of whoever sent this
            self._sweep()
        return answer

    def fetch(self, document_id: str) -> Response:
        """Fetch the file of one of {name}, as a download."""
        conditions.given()  # 400 where they are malformed, as for documents
        file = self._attachment
        shown = (file.field, file.file_field, file.digest_field)
        found = self._reach.read(document_id, shown)
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
        self._reach.target(document_id, self._resource.access.delete)  # may this be asked at all
        chosen = object_id(document_id)
        name = self._attachment.file_field
        found = None if chosen is None else self._documents.get(chosen, (name,))
        with self._attached.going(None if found is None else found.get(name)):
            return delete(document_id=document_id)


def grace(settings: Settings) -> float:
    """Seconds after which a file without an owner counts as left behind: longer than any upload."""
    return settings.upload_deadline + settings.request_deadline + settings.claim_grace
