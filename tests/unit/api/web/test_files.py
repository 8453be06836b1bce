"""Forms with a file: read as a stream, cut anywhere, and refused by name when they are wrong."""

from __future__ import annotations

import io
import random
import zipfile

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException

from api.web.files import DOCUMENTS, TAIL, FileHead, Form, Received, receive
from api.web.problems import ProblemError

FORM = Form(
    fields=("name", "email"),
    file="resume",
    types=DOCUMENTS,
    file_limit=600_000,
    field_limit=1000,
)
EDGE = "x" * 20
TYPE = f"multipart/form-data; boundary={EDGE}"
PDF = b"%PDF-1.7\n" + b"\r\n--" + b"xx" * 9 + b"\r\n-" + b"--\r\n" * 200


def part(name: str, data: bytes, filename: str | None = None, media: str | None = None) -> bytes:
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"'
    head += "" if filename is None else f'; filename="{filename}"'
    head += "" if media is None else f"\r\nContent-Type: {media}"
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"


def pdf(data: bytes = PDF, name: str = "resume", media: str = "application/pdf") -> bytes:
    return part(name, data, "cv.pdf", media)


END = f"--{EDGE}--\r\n".encode()


class Taken:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.heads: list[FileHead] = []
        self.data = b""

    def begin(self, head: FileHead) -> Taken:
        self.heads.append(head)
        return self

    def write(self, data: bytes) -> None:
        self.data += data


def send(body: bytes, step: int = 64, media: str = TYPE, taken: Taken | None = None) -> Received:
    taken = taken or Taken()
    pieces = (body[start : start + step] for start in range(0, len(body), step))
    with Flask("x").test_request_context("/", environ_overrides={"CONTENT_TYPE": media}):
        return receive(FORM, pieces, taken.begin)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 512, 65536])
def test_a_form_cut_anywhere(step: int) -> None:
    for order in range(2):
        parts = [part("name", "Ada é".encode()), pdf(), part("email", b"a@b.c")]
        taken = Taken()
        body = b"".join(parts if order else reversed(parts)) + END
        received = send(body, step, taken=taken)
        assert received.fields == {"name": "Ada é", "email": "a@b.c"}
        assert taken.heads == [received.file] == [FileHead("cv.pdf", "application/pdf")]
        assert taken.data == PDF


WRONG: dict[str, tuple[int, str | None, bytes]] = {
    "no file": (422, "resume", part("name", b"a") + END),
    "file twice": (422, "resume", pdf() + pdf() + END),
    "field twice": (422, "name", part("name", b"a") + part("name", b"a") + pdf() + END),
    "unknown field": (422, "x", part("x", b"a") + pdf() + END),
    "unknown file": (422, "cv", pdf(name="cv") + END),
    "field as a file": (422, "name", pdf(name="name") + END),
    "file as a field": (422, "resume", part("resume", PDF) + END),
    "no name": (422, "", part("", b"a") + END),
    "no file chosen": (422, "resume", part("resume", b"", "", "application/octet-stream") + END),
    "empty file": (422, "resume", pdf(b"") + END),
    "other content": (422, "resume", pdf(b"GIF89a" + bytes(2000)) + END),
    "other type": (415, "resume", pdf(media="image/gif") + END),
    "no type": (415, "resume", part("resume", PDF, "cv.pdf") + END),
    "file too large": (413, "resume", pdf(b"%PDF-" + b"x" * 600_000) + END),
    "field too large": (413, None, part("name", b"x" * 1001) + pdf() + END),
    "field not text": (422, "name", part("name", b"\xff\xfe") + pdf() + END),
    "empty": (400, None, b""),
    "no part": (422, "resume", END),
    "no end": (400, None, part("name", b"a") + pdf()),
    "cut in the file": (400, None, (part("name", b"a") + pdf())[:-300]),
    "cut in the headers": (400, None, part("name", b"a")[:40]),
    "no disposition": (400, None, f"--{EDGE}\r\nA: b\r\n\r\nx\r\n".encode() + END),
    "headers not text": (400, None, f"--{EDGE}\r\n".encode() + b"\xff\xff: x\r\n\r\nx\r\n" + END),
    "headers without end": (400, None, f"--{EDGE}\r\n".encode() + b"A: b\r\n" * 3000),
    "other boundary": (400, None, pdf().replace(EDGE.encode(), b"y" * 20)),
}


def status_of(error: Exception) -> int | None:
    if isinstance(error, ProblemError):
        return error.status
    assert isinstance(error, HTTPException)
    return error.code


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("step", [7, 64, 65536])
def test_what_is_wrong_is_named(case: str, step: int) -> None:
    status, pointer, body = WRONG[case]
    with pytest.raises((ProblemError, HTTPException)) as caught:
        send(body, step)
    error = caught.value
    assert status == status_of(error)
    if pointer is not None:
        assert isinstance(error, ProblemError)
        assert [e.pointer for e in error.errors] == [f"#/{pointer}"]


@pytest.mark.parametrize(
    ("media", "status"),
    [
        ("application/json", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=" + "x" * 71, 400),
        ("multipart/mixed; boundary=x", 415),
    ],
)
def test_media_types(media: str, status: int) -> None:
    with pytest.raises(ProblemError) as caught:
        send(pdf() + END, media=media)
    assert caught.value.status == status


def test_nothing_is_begun_for_a_file_that_is_refused() -> None:
    for case in ("empty file", "other content", "other type", "unknown file"):
        taken = Taken()
        with pytest.raises(ProblemError):
            send(WRONG[case][2], taken=taken)
        assert not taken.heads


def test_noise() -> None:
    """Whatever the bytes are, it is a form or a refusal."""
    dice = random.Random("noise")  # noqa: S311 - the same for everybody
    good = part("name", b"Ada") + pdf() + part("email", b"a@b.c") + END
    statuses = set()
    for _ in range(600):
        body = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            where = dice.randrange(len(body))
            if dice.random() < 0.5:
                del body[where : where + dice.randint(1, 30)]
            else:
                body[where:where] = dice.choice(
                    [b"\r\n", b"--", b"\0", b'"', b"\xff", EDGE.encode()]
                )
        try:
            send(bytes(body), dice.choice([1, 5, 64, 4096]))
        except (ProblemError, HTTPException) as error:
            statuses.add(status_of(error))
    assert statuses <= {400, 413, 415, 422}


@pytest.mark.parametrize(
    "name",
    [
        "Screenshot 2026-11-26 at 5.36.58\u202fPM.pdf",
        "\U0001f469\u200d\U0001f4bb.pdf",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.pdf",
        "a\u00a0b\u3000c.pdf",
        "\u202egnp.pdf",
        "",
    ],
    ids=["macOS", "emoji", "Persian", "spaces", "override", "empty"],
)
def test_file_names_are_data(name: str) -> None:
    taken = Taken()
    body = part("resume", PDF, name, "application/pdf") + END
    if not name:
        with pytest.raises(ProblemError) as caught:
            send(body)
        assert (caught.value.status, caught.value.errors[0].detail) == (422, "Choose a file.")
        return
    assert send(body, taken=taken).file == FileHead(name, "application/pdf")


def test_names_are_case_insensitive() -> None:
    body = pdf().replace(b"Content-Disposition: form-data", b"content-DISPOSITION: Form-Data")
    body = body.replace(b"Content-Type: application/pdf", b"CONTENT-TYPE:Application/PDF; a=b")
    assert send(body + END, media=TYPE.replace("multipart/form", "Multipart/FORM")).file == (
        "cv.pdf",
        "application/pdf",
    )


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ('filename="C:\\fakepath\\cv.pdf"', "cv.pdf"),
        ('filename="a %22b%22.pdf"', 'a "b".pdf'),
        ("filename*=UTF-8''%e2%82%ac.pdf", "\u20ac.pdf"),
        ("filename=plain.pdf", "plain.pdf"),
    ],
)
def test_ways_to_name_a_file(head: str, name: str) -> None:
    body = pdf().replace(b'filename="cv.pdf"', head.encode())
    assert send(body + END).file.name == name


def zipped(*names: str, size: int = 10) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            text = ODT if name == "mimetype" else "x" * size
            archive.writestr(name, text)
    return made.getvalue()


_, DOCX, ODT = DOCUMENTS
LABELLED = ("docMetadata/LabelInfo.xml", "[Content_Types].xml", "word/document.xml")
PACKAGE = ("mimetype", "META-INF/manifest.xml", "content.xml")
SHEET = zipped(*PACKAGE).replace(b"opendocument.text", b"opendocument.shee")

CONTENTS: dict[str, tuple[str, bytes, bool]] = {
    "a document with a label": (DOCX, zipped(*LABELLED), True),
    "a large one": (DOCX, zipped(*LABELLED, size=150_000), True),
    "bytes behind it": (DOCX, zipped(*LABELLED) + bytes(100), True),
    "a workbook": (DOCX, zipped("[Content_Types].xml", "xl/workbook.xml"), False),
    "cut": (DOCX, zipped(*LABELLED)[:-30], False),
    "no archive": (DOCX, b"PK\x03\x04" + bytes(400_000), False),
    "a directory that is too long": (
        DOCX,
        zipped(*LABELLED, *(f"{n:0>200}" for n in range(TAIL // 240))),
        False,
    ),
    "a text": (ODT, zipped(*PACKAGE), True),
    "a text in another order": (ODT, zipped(*PACKAGE[1:], "mimetype"), True),
    "a table": (ODT, SHEET, False),
    "a PDF behind a preamble": ("application/pdf", b"\x00" * 1000 + PDF, True),
    "a PDF too far behind": ("application/pdf", b"\x00" * 1024 + PDF, False),
}


@pytest.mark.parametrize("case", CONTENTS)
@pytest.mark.parametrize("step", [100, 65536])
def test_content_is_recognised(case: str, step: int) -> None:
    media, data, good = CONTENTS[case]
    body, taken = pdf(data, media=media) + END, Taken()
    if good:
        assert send(body, step, taken=taken).file.media == media
        assert taken.data == data
        return
    with pytest.raises(ProblemError) as caught:
        send(body, step)
    assert (caught.value.status, caught.value.errors[0].pointer) == (422, "#/resume")
