"""What can go wrong below the resources.

StoreError
├── DuplicateError      another document holds this value of a unique field
├── VersionMovedError   the document is no longer at the version the caller named
├── ThrottledError      there were too many of these lately
├── KeyReusedError      an idempotency key came with another body than before
├── KeyBusyError        the request that came first with an idempotency key is still at work
└── UnavailableError    the database did not answer within the deadline; the outcome may be unknown
    └── OvertakenError  so slow that somebody else took over; nothing was written
"""

from api.errors import ApiError


class StoreError(ApiError):
    """Base of everything the store raises on purpose."""


class DuplicateError(StoreError):
    """Another document holds the value of `field`."""

    def __init__(self, field: str) -> None:
        super().__init__(f"the value of {field} is taken")
        self.field = field


class VersionMovedError(StoreError):
    """Somebody else changed the document first."""


class ThrottledError(StoreError):
    """Too many of the same kind; the next is admitted after `retry_after` seconds.

    `first`: this is the first one that was refused since the counting began anew.
    """

    def __init__(self, retry_after: int, first: bool) -> None:
        super().__init__("too many of the same kind")
        self.retry_after = retry_after
        self.first = first


class KeyReusedError(StoreError):
    """The idempotency key stands for another request."""


class KeyBusyError(StoreError):
    """The first request with this idempotency key is not yet done."""


class UnavailableError(StoreError):
    """No answer within the deadline. Worth another try after `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: int = 2) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class OvertakenError(UnavailableError):
    """What it was about to write was fenced by somebody who took this writer for dead."""
