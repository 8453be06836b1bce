"""What a workload runs against: four calls on a key, and a look at everything."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cluster.drill.history import Guarantee, Outcome, State


@dataclass(frozen=True)
class Answer:
    """How many documents an acknowledged call matched, and the key's content if the call tells."""

    found: int = 1
    state: State | None = None


class Target(Protocol):
    """A store of lists, called by several threads at once.

    A method returns once the call is acknowledged, and raises whatever its client library raises
    otherwise; `outcome` then says what that means for a write.
    """

    @property
    def groups(self) -> Sequence[str]:
        """The parts of the data that fail separately: "shard-1/000007" belongs to "shard-1"."""

    @property
    def guarantee(self) -> Guarantee:
        """What `read` promises."""

    def insert(self, key: str, token: str) -> Answer:
        """Create the key with one token."""

    def append(self, key: str, token: str) -> Answer:
        """Push a token to the key's list and increment its count, in one atomic write."""

    def read(self, key: str) -> Answer:
        """Read the key."""

    def delete(self, key: str) -> Answer:
        """Remove the key."""

    def scan(self) -> Iterable[tuple[str, State]]:
        """Everything that is stored, one pair for each document."""

    def outcome(self, error: Exception) -> Outcome:
        """FAILED if a write that raised this is certainly without effect, else UNKNOWN."""
