"""A worker dies by SIGKILL after each write of a registration, a deletion, an import.

Whatever step it dies at: nothing blocks anyone, a repetition succeeds, and orphans are swept.
"""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from bson import ObjectId
from urllib3 import encode_multipart_formdata

from api.resources.leads import LEADS
from api.store import Documents, Store
from api.store.files import CHUNKS, FILES, sweep
from tests.helpers.api import RunningServer, make_person, running

pytestmark = [pytest.mark.long, pytest.mark.core]

SERVER = Path(__file__).with_name("crash_server.py")
MOST_WRITES = 16  # of one request; more would be a defect of its own
PATIENCE = 20.0  # seconds, far above the grace time
NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
def mortal(
    environment: dict[str, str], store: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server of one worker that can be made to die; its master starts a new one."""
    assert store
    alone = {**environment, "SHARDSTACK_WORKERS": "1"}
    with running(alone, tmp_path_factory.mktemp("mortal") / "log", [str(SERVER)]) as server:
        yield server


@pytest.fixture
def leads(store: Store) -> Documents:
    return LEADS.documents(store)


def send(
    server: RunningServer, method: str, path: str, crash: int | None = None, **more: Any
) -> requests.Response | None:
    """One request; None when its worker died of it. Waits for a worker first."""
    headers = dict(more.pop("headers", {}))
    if crash is not None:
        headers["X-Crash-After"] = str(crash)
    server.wait_ready()
    try:
        url = f"{server.url}/api/v1{path}"
        return requests.request(method, url, headers=headers, timeout=20, **more)
    except requests.ConnectionError:
        assert crash is not None
        return None


def sent(server: RunningServer, method: str, path: str, **more: Any) -> requests.Response:
    answer = send(server, method, path, **more)
    assert answer is not None
    return answer


def lead() -> dict[str, Any]:
    """A registration, as arguments of a request."""
    mark = secrets.token_hex(6)
    file = ("cv.pdf", b"%PDF-1.7\n" + secrets.token_bytes(500), "application/pdf")
    fields: Any = {"first_name": "A", "last_name": "B", "email": f"{mark}@example.com"}
    fields["resume"] = file
    body, media = encode_multipart_formdata(fields)
    return {"data": body, "headers": {"Content-Type": media}}


def files(store: Store) -> set[ObjectId]:
    """All files and whatever has chunks."""
    described = {one["_id"] for one in store.collection(FILES).find({}, {"_id": 1})}
    return described | set(store.collection(CHUNKS).distinct("files_id"))


def until_created(server: RunningServer, body: dict[str, Any]) -> None:
    """Repeat a registration; only what a dead worker left may be in its way, and not for long."""
    end = time.monotonic() + PATIENCE
    while (answer := sent(server, "POST", "/leads", **body)).status_code != 201:
        assert answer.status_code == 409, answer.text
        assert time.monotonic() < end, answer.text
        time.sleep(0.05)


def test_registration(mortal: RunningServer, store: Store, leads: Documents) -> None:
    sweep(store, 0)
    before = files(store)
    for writes in range(MOST_WRITES):
        body = lead()
        answer = send(mortal, "POST", "/leads", crash=writes, **body)
        email = body["data"].split(b'"email"')[1].split()[0].decode()
        born = leads.find_unique("email", email) is not None
        assert born or answer is None
        if born:
            assert sent(mortal, "POST", "/leads", **body).status_code == 409
        else:
            until_created(mortal, body)
        found = leads.find_unique("email", email)
        assert found is not None
        sweep(store, 0)
        assert files(store) - before == {found["resume_file"]}
        before |= {found["resume_file"]}
        if answer is not None:
            assert answer.status_code == 201, answer.text
            assert writes >= 6  # counter, description, chunk, owner, claims, document
            return
    raise AssertionError("the request never ends")


def test_deletion(
    mortal: RunningServer, store: Store, leads: Documents, admin: dict[str, str]
) -> None:
    sweep(store, 0)
    before = files(store)
    for writes in range(MOST_WRITES):
        body = lead()
        made = sent(mortal, "POST", "/leads", **body).json()
        path = f"/leads/{made['id']}"
        answer = send(mortal, "DELETE", path, crash=writes, headers=admin)
        if leads.get(ObjectId(made["id"])) is not None:
            assert answer is None
            resume = sent(mortal, "GET", f"{path}/resume", headers=admin)
            assert (resume.status_code, len(resume.content)) == (200, made["resume"]["size"])
            sweep(store, 0)
            assert sent(mortal, "DELETE", path, headers=admin).status_code == 204
        sweep(store, 0)
        assert files(store) == before
        until_created(mortal, body)  # both values are free
        before = files(store)
        if answer is not None:
            assert answer.status_code == 204, answer.text
            assert writes >= 4  # audit, mark, document, chunks
            return
    raise AssertionError("the request never ends")


def test_import(mortal: RunningServer, users: Documents, admin: dict[str, str]) -> None:
    headers = {**admin, "Content-Type": NDJSON}
    for writes in range(MOST_WRITES):
        people = [make_person() for _ in range(5)]
        for person in people:
            del person["password"]
        body = "\n".join(json.dumps(person) for person in people)
        answer = send(mortal, "POST", "/users/import", crash=writes, headers=headers, data=body)
        end = time.monotonic() + PATIENCE
        while len(list(filter(None, (found(users, one) for one in people)))) < len(people):
            assert time.monotonic() < end
            again = sent(mortal, "POST", "/users/import", headers=headers, data=body)
            assert again.status_code == 200, again.text
        emails = {"$in": [person["email"] for person in people]}
        assert users.collection.count_documents({"email": emails}) == len(people)
        if answer is not None:
            assert json.loads(answer.content) == {"created": 5, "refused": 0}
            assert writes >= 3  # audit, claims, documents
            return
    raise AssertionError("the request never ends")


def found(users: Documents, person: dict[str, str]) -> Any:
    return users.find_unique("email", person["email"])
