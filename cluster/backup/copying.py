"""Documents copied between the cluster and a backup's files, byte for byte.

They are read by the driver, through a router: it passes over what a moved chunk left behind
(orphans), and knows where everything is, and was. To read from the members would be quicker, but
ours to get right. mongodump is of no use: it cannot read at a cluster time.

`each` works on several collections side by side, and gives them up together: at the first failure,
or when interrupted.

They are written by mongorestore when it is on PATH, and by the driver otherwise. The connection
string goes in a file that only this user can read, never in an argument: `ps` shows arguments to
everybody.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar, cast

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cluster.backup.manifest import Digest, Entry, create, documents_file, read, split
from cluster.errors import ClusterError
from cluster.servers.connections import Client, short
from cluster.servers.waiting import Cancelled

T = TypeVar("T")

TOGETHER = 4  # enough to keep a router and two shards busy
LOOK_SECONDS = 0.5

Look = Callable[[], None]


class Stop:
    """Asked for between two steps of the work; once it is `set`, asking raises Cancelled."""

    def __init__(self) -> None:
        self._set = threading.Event()

    def set(self) -> None:
        """No further step."""
        self._set.set()

    def __call__(self) -> None:
        if self._set.is_set():
            raise Cancelled


def each(things: Iterable[T], act: Callable[[T, Stop], None], look: Look = lambda: None) -> None:
    """Does `act` to every thing, a few at a time; `look` is called meanwhile and may raise.

    The work in hand has ended when this returns or raises, if it asks for Stop often enough.
    """
    stop = Stop()
    pool = ThreadPoolExecutor(TOGETHER)
    try:
        left = {pool.submit(act, thing, stop) for thing in things}
        while left:
            done, left = wait(left, LOOK_SECONDS, FIRST_EXCEPTION)
            for future in done:
                future.result()
            look()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


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


STOP_SECONDS = 10.0


def tool_on_path(name: str) -> str | None:
    """The path of a program; None when it is not on PATH."""
    return shutil.which(name)


def restore_by(tool: str, uri: str, folder: Path, entries: Sequence[Entry]) -> None:
    """Fills collections that are there already, indexes and all; capped ones in their order."""
    flags = ["--noIndexRestore", "--noOptionsRestore", "--bypassDocumentValidation"]
    flags += ['--writeConcern={"w":"majority"}', f"--dir={folder}"]
    with_documents = [entry for entry in entries if entry.has_documents]
    for in_order in (False, True):
        wanted = [e for e in with_documents if bool(e.options.get("capped")) == in_order]
        names = [f"--nsInclude={_pattern(entry.namespace)}" for entry in wanted]
        order = ["--maintainInsertionOrder"] if in_order else []
        if names:
            _run([tool, *flags, *order, *names], uri)


def _pattern(namespace: str) -> str:
    return namespace.replace("\\", "\\\\").replace("*", "\\*")


def _run(command: list[str], uri: str) -> None:
    with _configuration(uri) as file, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [command[0], f"--config={file}", *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            umask=0o077,
        )
        try:
            process.wait()
        finally:
            _stop(process)
        if process.returncode != 0:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
            name = Path(command[0]).name
            raise ClusterError(f"{name} failed with status {process.returncode}: {lines[-1]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _configuration(uri: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="shardstack-") as folder:  # 0700
        file = Path(folder) / "tool.yaml"
        file.touch(0o600)
        file.write_text(f"uri: {json.dumps(uri)}\n", encoding="utf-8")
        yield file
