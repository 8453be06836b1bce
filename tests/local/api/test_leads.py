"""Leads: a form with a file, checked and streamed; the file stays and goes with its lead."""

import io
import secrets
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from bson import ObjectId
from flask.testing import FlaskClient
from urllib3 import encode_multipart_formdata

from api.resources.leads import LEADS
from api.store import Documents, Store, UnavailableError, files
from api.store.files import CHUNK_SIZE, CHUNKS, FILES, sweep
from api.web.files import DOCUMENTS
from tests.helpers.api import RunningServer

URL = "/api/v1/leads"
PDF, DOCX, ODT = DOCUMENTS


def content(size: int = 1000, begins: bytes = b"%PDF-1.7\n") -> bytes:
    return begins + secrets.token_bytes(size - len(begins))


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, ODT if name == "mimetype" else secrets.token_hex(200))
    return made.getvalue()


def form(file: bytes | None = None, media: str = PDF, name: str = "cv.pdf", **more: Any) -> Any:
    """Name and value of each part; None in `more` leaves one out, a list repeats it."""
    mark = secrets.token_hex(6)
    fields: dict[str, Any] = {
        "first_name": "Grace",
        "last_name": f"Hopper {mark}",
        "email": f"grace.{mark}@example.com",
        "resume": (name, content() if file is None else file, media),
    }
    parts = [(key, value) for key, value in (fields | more).items() if value is not None]
    return [(k, v) for k, vs in parts for v in (vs if isinstance(vs, list) else [vs])]


def register(client: FlaskClient, sent: Any, headers: Any = None) -> Any:
    """The test client's own forms are not well formed for every file."""
    body, media = encode_multipart_formdata(sent)
    return client.post(URL, data=body, content_type=media, headers=headers)


@pytest.fixture
def leads(store: Store) -> Documents:
    return LEADS.documents(store)


@pytest.fixture
def count(store: Store) -> Callable[[], tuple[int, ...]]:
    """How many leads, claims on their values, files and chunks there are."""

    def counted() -> tuple[int, ...]:
        claims = store.collection("claims").count_documents({"_id": {"$regex": "^leads"}})
        live = store.collection("leads").count_documents({"version": {"$exists": True}})
        rest = (store.collection(name).count_documents({}) for name in (FILES, CHUNKS))
        return (live, claims, *rest)

    return counted


def test_a_lead(client: FlaskClient, admin: dict[str, str]) -> None:
    data = content(3 * CHUNK_SIZE)
    sent = form(data, email="Grace.UP@Example.COM", name="/home/me/cv é'中.pdf")
    made = register(client, sent)
    assert made.status_code == 201, made.json
    lead = made.json
    assert lead["email"] == "grace.up@example.com"
    assert lead["resume"] == {"name": "cv é'中.pdf", "type": PDF, "size": len(data)}
    assert lead["state"] == "pending"
    assert (lead["reached_out_at"], lead["reached_out_by"]) == (None, None)
    assert set(lead) == set(LEADS.read.__struct_fields__)

    url = made.headers["Location"]
    assert client.get(url, headers=admin).json == lead
    fetched = client.get(f"{url}/resume", headers=admin)
    assert fetched.data == data
    assert fetched.headers["Content-Type"] == PDF
    assert fetched.headers["Content-Length"] == str(len(data))
    assert fetched.headers["X-Content-Type-Options"] == "nosniff"
    assert fetched.headers["Content-Disposition"] == (
        "attachment; filename=\"cv ___.pdf\"; filename*=UTF-8''cv%20%C3%A9%27%E4%B8%AD.pdf"
    )
    again = {**admin, "If-None-Match": fetched.headers["ETag"]}
    assert client.get(f"{url}/resume", headers=again).status_code == 304
    malformed = {**admin, "If-None-Match": "rq`$i)l"}
    assert client.get(f"{url}/resume", headers=malformed).status_code == 400

    assert client.delete(url, headers=admin).status_code == 204
    assert client.get(f"{url}/resume", headers=admin).status_code == 404
    sent = form(data, email="grace.up@example.com")
    assert register(client, sent).status_code == 201  # both values are free again


def test_only_administrators_see_them(client: FlaskClient, ada: dict[str, Any]) -> None:
    url = register(client, form()).headers["Location"]
    for path in (url, f"{url}/resume", URL):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=ada["headers"]).status_code in (403, 404)
    assert client.delete(url, headers=ada["headers"]).status_code in (403, 404)
    patch = client.patch(url, json={"state": "reached_out"}, headers=ada["headers"])
    assert patch.status_code in (403, 404)


@pytest.mark.parametrize(
    ("media", "data"),
    [
        (DOCX, zipped("[Content_Types].xml", "word/document.xml")),
        (DOCX, zipped("word/document.xml", "[Content_Types].xml")),
        (ODT, zipped("mimetype", "META-INF/manifest.xml", "content.xml")),
        (DOCX, zipped("docMetadata/LabelInfo.xml", "[Content_Types].xml", "word/document.xml")),
    ],
    ids=["docx", "docx of another program", "odt", "docx with a label"],
)
def test_types(client: FlaskClient, media: str, data: bytes) -> None:
    assert register(client, form(data + secrets.token_bytes(9), media)).status_code == 201


REFUSED: dict[str, tuple[int, str, Callable[[], Any]]] = {
    "no such type": (415, "resume", lambda: form(media="image/png")),
    "a page": (415, "resume", lambda: form(b"<html>", "text/html", "cv.html")),
    "named as pdf": (422, "resume", lambda: form(b"MZ\x90" + bytes(900))),
    "a zip, not docx": (422, "resume", lambda: form(zipped("evil.js"), DOCX)),
    "odt as docx": (422, "resume", lambda: form(zipped("mimetype"), DOCX)),
    "empty": (422, "resume", lambda: form(b"")),
    "missing file": (422, "resume", lambda: form(resume=None)),
    "file as text": (422, "resume", lambda: form(resume="%PDF-1.7")),
    "missing field": (422, "first_name", lambda: form(first_name=None)),
    "unknown field": (422, "state", lambda: form(state="reached_out")),
    "digest": (422, "resume_digest", lambda: form(resume_digest="0" * 64)),
    "wrong field": (422, "email", lambda: form(email="nobody")),
    "field twice": (422, "email", lambda: form(email=["a@example.com", "b@example.com"])),
    "long name": (422, "resume", lambda: form(name="x" * 1100 + ".pdf")),
    "a long name of marks": (422, "resume", lambda: form(name="a" + "\u0315\u0300" * 400)),
    "no file chosen": (
        422,
        "resume",
        lambda: form(resume=("", b"", "application/octet-stream")),
    ),
    "too large": (413, "resume", lambda: form(content(10 * 1024**2 + 1))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_nothing(
    client: FlaskClient, count: Callable[[], tuple[int, ...]], case: str
) -> None:
    status, part, sent = REFUSED[case]
    before = count()
    answer = register(client, sent())
    assert answer.status_code == status, answer.json
    assert answer.mimetype == "application/problem+json"
    assert f"#/{part}" in {error["pointer"] for error in answer.json["errors"]}
    assert count() == before


def test_malformed_forms_leave_nothing(
    client: FlaskClient, count: Callable[[], tuple[int, ...]]
) -> None:
    before = count()
    head = b'--x\r\nContent-Disposition: form-data; name="resume"; filename="a.pdf"\r\n'
    cut = head + b"Content-Type: application/pdf\r\n\r\n" + content(3 * CHUNK_SIZE)
    for media, data in (
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"nonsense"),
        ("multipart/form-data; boundary=x", cut),
        ("multipart/form-data; boundary=x", cut[:-100] + b"\r\n--x\r\n"),
    ):
        answer = client.post(URL, data=data, content_type=media)
        assert answer.status_code == 400, answer.json
    assert client.post(URL, json={"first_name": "x"}).status_code == 415
    assert client.post(URL).status_code == 415
    assert count() == before


def test_e_mail_and_content_are_unique(
    client: FlaskClient, count: Callable[[], tuple[int, ...]]
) -> None:
    data = content()
    first = form(data)
    email = dict(first)["email"]
    assert register(client, first).status_code == 201
    before = count()
    for sent, field in ((form(email=email.upper()), "email"), (form(data), "resume")):
        answer = register(client, sent)
        assert answer.status_code == 409
        assert [error["pointer"] for error in answer.json["errors"]] == [f"#/{field}"]
    assert count() == before


@pytest.mark.long
@pytest.mark.core
def test_two_hundred_at_once(
    server: RunningServer, leads: Documents, count: Callable[[], tuple[int, ...]]
) -> None:
    """One e-mail, many files: one lead, and no file besides."""
    before = count()
    email = f"one.{secrets.token_hex(5)}@example.com"
    found: list[int] = []

    def send() -> None:
        session = requests.Session()
        for _ in range(200 // 16 + 1):
            sent = form(email=email)
            body, media = encode_multipart_formdata(sent)
            headers = {"Content-Type": media}
            answer = session.post(server.url + URL, data=body, headers=headers, timeout=30)
            found.append(answer.status_code)

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) >= 200
    assert sorted(set(found)) == [201, 409]
    assert found.count(201) == 1
    assert leads.collection.count_documents({"email": email}) == 1
    assert [now - then for now, then in zip(count(), before, strict=True)] == [1, 2, 1, 1]


def test_the_state_goes_one_way(client: FlaskClient, admin: dict[str, str]) -> None:
    url = register(client, form()).headers["Location"]
    assert client.patch(url, json={"state": "pending"}, headers=admin).status_code == 409
    assert client.patch(url, json={"state": "gone"}, headers=admin).status_code == 422
    assert client.patch(url, json={"email": "a@example.com"}, headers=admin).status_code == 422
    done: Any = client.patch(url, json={"state": "reached_out"}, headers=admin)
    assert done.status_code == 200, done.json
    assert done.json["state"] == "reached_out"
    assert done.json["reached_out_at"]
    me: Any = client.get("/api/v1/auth/me", headers=admin).json
    assert done.json["reached_out_by"] == me["id"]
    for state in ("reached_out", "pending"):
        answer: Any = client.patch(url, json={"state": state}, headers=admin)
        assert answer.status_code == 409
        assert [error["pointer"] for error in answer.json["errors"]] == ["#/state"]
    assert client.get(url, headers=admin).json == done.json
    unknown = url[:-24] + str(ObjectId())
    assert client.patch(unknown, json={"state": "pending"}, headers=admin).status_code == 404


def test_one_of_many_reaches_out(
    server: RunningServer, client: FlaskClient, admin: dict[str, str]
) -> None:
    url = server.url + register(client, form()).headers["Location"]
    found: list[int] = []

    def change() -> None:
        body = {"state": "reached_out"}
        found.append(requests.patch(url, json=body, headers=admin, timeout=20).status_code)

    threads = [threading.Thread(target=change) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [200] + [409] * 11


def test_lists(client: FlaskClient, admin: dict[str, str]) -> None:
    sent = form()
    made = register(client, sent).json
    for query in (
        {"email": made["email"]},
        {"last_name[prefix]": made["last_name"][:-1], "state": "pending"},
        {"email[prefix]": made["email"][:12], "created_at[gte]": made["created_at"]},
    ):
        page: Any = client.get(URL, query_string=query, headers=admin).json
        assert page["items"] == [made], query
    none: Any = client.get(
        URL, query_string={"email": made["email"], "state": "reached_out"}, headers=admin
    )
    assert none.json["items"] == []


def test_an_upload_sweeps_what_others_left(client: FlaskClient, store: Store) -> None:
    """A file from before: the grace time is long over."""
    old = {"_id": ObjectId(), "unsettled": ObjectId("5" * 24).generation_time}
    store.collection(FILES).insert_one(old)
    store.collection(CHUNKS).insert_one({"files_id": old["_id"], "n": 0, "data": b"x"})
    assert register(client, form()).status_code == 201
    assert store.collection(FILES).count_documents({"_id": old["_id"]}) == 0
    assert store.collection(CHUNKS).count_documents({"files_id": old["_id"]}) == 0


def test_a_key_sent_again_creates_once(
    client: FlaskClient, count: Callable[[], tuple[int, ...]]
) -> None:
    data, mark = content(), secrets.token_hex(6)
    headers = {"Idempotency-Key": secrets.token_hex(8)}

    def send(file: bytes) -> Any:
        again = form(file, email=f"key.{mark}@example.com", last_name=mark)
        return register(client, again, headers)

    first = send(data)
    before = count()
    second = send(data)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json == first.json
    assert second.headers["Idempotent-Replayed"] == "true"
    assert send(content()).status_code == 422
    assert count() == before


def test_deletion_that_is_refused_keeps_the_file(
    client: FlaskClient, admin: dict[str, str], store: Store
) -> None:
    made = register(client, form())
    url = made.headers["Location"]
    refused = client.delete(url, headers={**admin, "If-Match": '"99"'})
    assert refused.status_code == 412
    sweep(store, 0)
    assert client.get(f"{url}/resume", headers=admin).status_code == 200


def test_a_file_that_goes_while_it_is_fetched_is_missing(
    client: FlaskClient, admin: dict[str, str], store: Store
) -> None:
    made = register(client, form())
    lead = store.collection("leads").find_one({"_id": ObjectId(made.json["id"])})
    assert lead is not None
    store.collection(CHUNKS).delete_many({"files_id": lead["resume_file"]})
    url = made.headers["Location"]
    assert client.get(f"{url}/resume", headers=admin).status_code == 404


def test_a_sweep_that_fails_is_no_concern_of_the_sender(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise UnavailableError("the database did not answer")

    old = {"_id": ObjectId(), "unsettled": ObjectId("5" * 24).generation_time}
    store.collection(FILES).insert_one(old)
    with monkeypatch.context() as patched:
        patched.setattr(files, "_judge", broken)
        assert register(client, form()).status_code == 201
    sweep(store, 0)


def rss(pid: int) -> int:
    """Resident memory in MiB, of the largest child: the workers are children of the master."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    sizes = []
    for child in children:
        pages = int(Path(f"/proc/{child}/statm").read_text().split()[1])
        sizes.append(pages * 4096 // 1024**2)
    return max(sizes)


@pytest.mark.long
def test_large_files_do_not_fill_the_memory(server: RunningServer, admin: dict[str, str]) -> None:
    """Eight times 10 MB at once, there and back byte for byte."""
    limit = 10 * 1024**2
    before = most = rss(server.process.pid)
    wrong: list[Any] = []

    def there_and_back() -> None:
        data = content(limit)
        body, media = encode_multipart_formdata(form(data))
        headers = {"Content-Type": media}
        made = requests.post(server.url + URL, data=body, headers=headers, timeout=60)
        if made.status_code != 201:
            wrong.append(made.text)
            return
        url = f"{server.url}{URL}/{made.json()['id']}/resume"
        if requests.get(url, headers=admin, timeout=60).content != data:
            wrong.append("other bytes")

    threads = [threading.Thread(target=there_and_back) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, rss(server.process.pid))
        time.sleep(0.02)
    assert not wrong
    assert most - before < 48, (before, most)
