"""Documents copied by the driver, byte for byte.

They are read through a router, which passes over what a moved chunk left behind (orphans) and
knows where everything is, and was; straight from the members it would be quicker, but ours to get
right. They are written by the driver where mongorestore is not at hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cluster.backup.documents import Digest, read, split
from cluster.backup.folder import create
from cluster.backup.manifest import Entry, documents_file
from cluster.backup.parallel import Stop
from cluster.connect import Client, short
from cluster.errors import ClusterError

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
BATCH_DOCUMENTS, BATCH_BYTES = 1000, 8_000_000


def copy_out(client: Client, folder: Path, entry: Entry, concern: ReadConcern, stop: Stop) -> None:
    """Writes one collection's file, in the order the cluster gives (for a capped one, its own).

    A file that is there is replaced. Raises PyMongoError.
    """
    digest = Digest()
    path = documents_file(folder, entry)
    path.unlink(missing_ok=True)
    collection = client[entry.database].get_collection(entry.name, read_concern=concern)
    batches = collection.find_raw_batches({}, batch_size=10_000)
    with os.fdopen(create(path), "wb") as file, batches:
        for batch in batches:
            stop()
            raw = cast("bytes", batch)
            file.write(raw)
            for document in split(raw):
                digest.add(document)
    entry.hold(digest)


def copy_in(client: Client, folder: Path, entry: Entry, stop: Stop) -> None:
    """Inserts one collection's file; acknowledged by a majority when it returns."""
    collection = client.get_database(entry.database).get_collection(
        entry.name, codec_options=RAW, write_concern=WriteConcern("majority")
    )
    in_order = bool(entry.options.get("capped"))
    for batch in _batches(documents_file(folder, entry)):
        stop()
        try:
            collection.insert_many(batch, ordered=in_order, bypass_document_validation=True)
        except BulkWriteError as error:
            first = error.details["writeErrors"][0] if error.details.get("writeErrors") else {}
            why = first.get("errmsg", "not acknowledged by a majority")
            raise ClusterError(f"{entry.namespace} does not take a document: {why}.") from None
        except PyMongoError as error:
            raise ClusterError(
                f"{entry.namespace} could not be filled: {short(error)}. Run the same command "
                "again; it begins anew."
            ) from None


def _batches(path: Path) -> Iterator[list[RawBSONDocument]]:
    batch: list[RawBSONDocument] = []
    size = 0
    for document in read(path):
        if batch and (len(batch) == BATCH_DOCUMENTS or size + len(document) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(RawBSONDocument(document, RAW))
        size += len(document)
    if batch:
        yield batch
