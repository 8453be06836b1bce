"""Documents as the bytes they are: split, counted, and summed up into one digest.

The digest of a collection is the sum of its documents' SHA-256 values modulo 2**256. It says
whether two collections hold the same documents, byte for byte and equally often, whatever order
they are read in: shards answer in none, and in a sharded collection an `_id` may occur twice. It
takes no memory, and no sorting. (The idea is Bellare and Micciancio's AdHash, EUROCRYPT 1997.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from cluster.errors import ClusterError

LONGEST = 48_000_000  # bytes; a document has at most 16 MiB and a little
MODULUS = 1 << 256


class DamageError(ClusterError):
    """A backup is not whole; the text names the file."""


class Digest:
    """What one collection holds so far: `documents`, `size` in bytes, and `hex`."""

    def __init__(self) -> None:
        self.documents = 0
        self.size = 0
        self._sum = 0

    def add(self, document: bytes) -> None:
        """Takes one document in."""
        self.documents += 1
        self.size += len(document)
        self._sum += int.from_bytes(hashlib.sha256(document).digest(), "big")

    @property
    def hex(self) -> str:
        """64 hexadecimal digits."""
        return f"{self._sum % MODULUS:064x}"


def split(batch: bytes) -> Iterator[bytes]:
    """The documents that stand one after the other in a server's batch."""
    start = 0
    while start < len(batch):
        stop = start + int.from_bytes(batch[start : start + 4], "little")
        yield batch[start:stop]
        start = stop


def read(path: Path) -> Iterator[bytes]:
    """The documents of a .bson file. Raises DamageError where it is cut off or no BSON."""
    try:
        with path.open("rb") as file:
            while head := file.read(4):
                length = int.from_bytes(head, "little")
                document = head + file.read(max(0, min(length, LONGEST) - 4))
                if len(document) != length or length < 5 or document[-1] != 0:
                    at = file.tell() - len(document)
                    raise DamageError(f"{path} is damaged from byte {at} on. Take another backup.")
                yield document
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> DamageError:
    """The error for a file that is missing, or that nobody may read."""
    return DamageError(f"{path} cannot be read ({error.strerror}). Take another backup.")


def digest_of(path: Path) -> Digest:
    """The digest of a .bson file; raises DamageError."""
    digest = Digest()
    for document in read(path):
        digest.add(document)
    return digest
