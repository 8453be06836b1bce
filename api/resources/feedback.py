"""Feedback: what people say of a page, and of what went wrong there. Anyone may send it.

It is `open` until an administrator sets it to `handled`, once. Of who sent it it holds the user's
id, where somebody was signed in, and no more: no address, no name. The id goes with the account.
"""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from api.crud.access import Access, Who, principal
from api.crud.fields import (
    ADMIN_ONLY,
    CREATE_ONLY,
    OWNER,
    READ_ONLY,
    Id,
    OnDelete,
    Time,
    refers,
)
from api.crud.resource import EXACT, ORDERED, TEXT, Resource
from api.crud.rules import states
from api.store.document import now
from api.web import text as texts


class FeedbackState(StrEnum):
    """Whether somebody has seen to it."""

    OPEN = "open"
    HANDLED = "handled"


def stamps(_state: str) -> dict[str, Any]:
    """Who has seen to it, and when."""
    return {"handled_at": now(), "handled_by": principal().id}


class Feedback(Struct, kw_only=True):
    """Feedback. `problem`: what went wrong, such as the `request_id` of an answer."""

    message: Annotated[str, texts.paragraphs(2000), CREATE_ONLY]
    page: Annotated[str, texts.line(200), CREATE_ONLY, Meta(examples=["/dashboard/users"])]
    problem: Annotated[str, texts.line(200), CREATE_ONLY] | None = None
    state: Annotated[
        FeedbackState, ADMIN_ONLY, states({FeedbackState.HANDLED: [FeedbackState.OPEN]}, stamps)
    ] = FeedbackState.OPEN
    sender: Annotated[Id, OWNER, READ_ONLY, refers("users", OnDelete.CLEAR)] | None = None
    handled_at: Annotated[Time, READ_ONLY] | None = None
    handled_by: Annotated[Id, READ_ONLY] | None = None


FEEDBACK = Resource(
    name="feedback",
    fields=Feedback,
    access=Access(
        list=Who.ADMIN, create=Who.ANYONE, get=Who.ADMIN, change=Who.ADMIN, delete=Who.ADMIN
    ),
    rate="feedback",
    filters={"state": EXACT, "page": TEXT, "sender": EXACT, "created_at": ORDERED},
)
