"""What can go wrong below the resources.

StoreError
├── DuplicateError      another document holds this value of a unique field
├── VersionMovedError   the document is no longer at the version the caller named
└── UnavailableError    the database did not answer within the deadline; the outcome may be unknown
"""


class StoreError(Exception):
    """Base of everything the store raises on purpose."""


class DuplicateError(StoreError):
    """Another document holds the value of `field`."""

    def __init__(self, field: str) -> None:
        super().__init__(f"the value of {field} is taken")
        self.field = field


class VersionMovedError(StoreError):
    """Somebody else changed the document first."""


class UnavailableError(StoreError):
    """No answer within the deadline. Worth another try after `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: int = 2) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
