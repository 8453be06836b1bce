"""Forms with a file: read as a stream, cut anywhere, and refused by name when they are wrong."""

from __future__ import annotations

import random

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException

from api.web.problems import ProblemError
from api.web.uploads import FileHead, Form, Received, receive

FORM = Form(
    fields=("name", "email"),
    file="resume",
    types={"application/pdf": lambda head: head.startswith(b"%PDF-")},
    file_limit=10_000,
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
    "empty file": (422, "resume", pdf(b"") + END),
    "other content": (422, "resume", pdf(b"GIF89a" + PDF) + END),
    "other type": (415, "resume", pdf(media="image/gif") + END),
    "no type": (415, "resume", part("resume", PDF, "cv.pdf") + END),
    "file too large": (413, "resume", pdf(b"%PDF-" + b"x" * 10_000) + END),
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
@pytest.mark.parametrize("step", [1, 64, 65536])
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
