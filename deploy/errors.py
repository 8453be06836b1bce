"""What can go wrong between us and DigitalOcean, each said in one line that tells what to do.

DeployError             the root; its text is the whole line, without "error:"
├── StackError          stack.toml is wrong (one line per mistake)
├── TokenError          there is no token, or none that may be used
├── ReachError          DigitalOcean cannot be reached, or does not answer as it should
│   └── LostAnswerError     a change was sent, and whether it was made is not known
├── RefusedError        DigitalOcean refuses a request, and says why
│   └── MissingError        what the request is about is not there
├── AccountError        what is in the account contradicts the stack (one line per mistake)
├── LockedError         somebody else is changing the stack
├── UndrainedError      data may be lost (one line for each shard)
├── ChangedError        the account is no longer what the plan was made for
└── DeadlineError       something was not ready in time
"""

from __future__ import annotations

from console.errors import ShownError


class DeployError(ShownError):
    """One line for the person at the keyboard: what is wrong, where, and what to do."""


class StackError(DeployError):
    """Mistakes in the description of a stack, one line for each."""


class TokenError(DeployError):
    """There is no token, or DigitalOcean does not take it."""


class ReachError(DeployError):
    """DigitalOcean cannot be reached, or what answers is not its API."""


class LostAnswerError(ReachError):
    """A change was sent and no answer came: it may have been made or not."""


class RefusedError(DeployError):
    """DigitalOcean refuses a request. `code` is the status of its answer, `why` its message."""

    def __init__(self, line: str, code: int, why: str) -> None:
        super().__init__(line)
        self.code = code
        self.why = why


class MissingError(RefusedError):
    """What the request is about is not there."""


class AccountError(DeployError):
    """What is in the account does not go together with the stack, one line for each."""


class LockedError(DeployError):
    """Somebody else is changing the stack."""


class UndrainedError(DeployError):
    """The droplets of a shard are to be destroyed, and nobody has said that its data is moved."""


class ChangedError(DeployError):
    """The account is no longer what the plan was made for."""


class DeadlineError(DeployError):
    """Something that DigitalOcean makes was not ready in time."""
