"""Kinds of files, recognised by their content: a name and a declared media type prove nothing.

The first bytes are judged before anything is stored. An archive (ZIP) says what it holds in its
directory, which lies at its end: of it the names are read, and nothing is unpacked. Its entries may
come in any order, so the first ones tell nothing.
"""

import io
import zipfile
from collections.abc import Callable

import msgspec

HEAD = 1024  # bytes of a file that `begins` gets
TAIL = 256 * 1024  # bytes that `ends` gets; an archive with a longer directory is refused

ZIP = b"PK\x03\x04"
MIMETYPE = b"mimetype"  # the first entry of an OpenDocument file, stored as it is (ODF 1.2, 3.3)
ODT_TYPE = b"application/vnd.oasis.opendocument.text"


class FileType(msgspec.Struct, frozen=True, kw_only=True):
    """How files of a media type look.

    begins  judges the first bytes, at most HEAD
    ends    judges the last bytes, at most TAIL, once all have come; None: the first ones are enough
    """

    begins: Callable[[bytes], bool]
    ends: Callable[[bytes], bool] | None = None


def entries(tail: bytes) -> frozenset[str]:
    """The names in the directory of an archive that ends so; none where it has none."""
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as archive:
            return frozenset(archive.namelist())
    # A directory that is wrong shows in many ways: struct.error, ValueError, OverflowError, …
    except Exception:  # noqa: BLE001
        return frozenset()


def is_zip(head: bytes) -> bool:
    """Begins with an entry."""
    return head.startswith(ZIP)


def is_pdf(head: bytes) -> bool:
    """PDF: the header is somewhere in the first 1,024 bytes (ISO 32000-1, annex H.3.4.1)."""
    return b"%PDF-" in head


def holds_docx(tail: bytes) -> bool:
    """An Office Open XML package (ECMA-376 part 2, 10.1.2.2) with the parts of a text."""
    names = entries(tail)
    return "[Content_Types].xml" in names and any(name.startswith("word/") for name in names)


def may_be_odt(head: bytes) -> bool:
    """An archive that, if it begins by saying what it is, says that it is an OpenDocument text."""
    return is_zip(head) and (head[30:38] != MIMETYPE or head[38:].startswith(ODT_TYPE))


def holds_odt(tail: bytes) -> bool:
    """An OpenDocument package (ODF 1.2 part 3, 2.2.1) with a document's content."""
    return {"META-INF/manifest.xml", "content.xml"} <= entries(tail)


DOCUMENTS = {
    "application/pdf": FileType(begins=is_pdf),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": FileType(
        begins=is_zip, ends=holds_docx
    ),
    "application/vnd.oasis.opendocument.text": FileType(begins=may_be_odt, ends=holds_odt),
}
