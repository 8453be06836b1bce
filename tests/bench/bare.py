"""What the API is measured against: a small Flask and PyMongo app with the same database work.

The same commands in the same order on the same collection shape, majority writes, claims on unique
values; no authentication, no validation, no deadline, no retries of its own. It runs under the
same gunicorn settings. The connection string comes in BENCH_URI.
"""

import os
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from argon2 import PasswordHasher, Type
from bson import ObjectId
from flask import Flask, Response, jsonify, request
from pymongo import MongoClient, ReturnDocument
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

Document = dict[str, Any]

FIELDS = (
    "name", "national_id", "email", "phone", "address", "occupation", "role", "disabled",
    "version", "created_at", "updated_at",
)  # fmt: skip

app = Flask("bare")
client: MongoClient[Document] = MongoClient(
    os.environ["BENCH_URI"], w="majority", tz_aware=True, maxPoolSize=12
)
database = client.get_default_database()
users = database["users"]
claims = database["claims"]
audit = database["audit"]
committed = users.with_options(read_concern=ReadConcern("majority"))
hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
SIGNING = secrets.token_bytes(32)


def shown(document: Document) -> Document:
    """A document as JSON can hold it."""
    found = {field: document.get(field) for field in FIELDS}
    found["id"] = str(document["_id"])
    found["created_at"] = document["created_at"].isoformat()
    found["updated_at"] = document["updated_at"].isoformat()
    return found


def answer(document: Document | None, status: int = 200) -> tuple[Response, int]:
    """A document, or 404."""
    if document is None:
        return jsonify({"error": "missing"}), 404
    response = jsonify(shown(document))
    response.headers["ETag"] = f'"{document["version"]}"'
    return response, status


def record(event: str, target: ObjectId, fields: list[str]) -> None:
    """An event of the audit trail."""
    moment = datetime.now(UTC)
    audit.insert_one(
        {
            "event": event,
            "target": target,
            "fields": fields,
            "outcome": "done",
            "ends_at": moment + timedelta(days=365),
            "address": request.remote_addr,
            "created_at": moment,
            "updated_at": moment,
            "version": 1,
        }
    )


@app.get("/api/v1/users/<document_id>")
def get(document_id: str) -> tuple[Response, int]:
    """One user."""
    return answer(users.find_one({"_id": ObjectId(document_id)}, FIELDS))


@app.get("/api/v1/users")
def page() -> Response:
    """A page of users, and where the next one begins."""
    limit = int(request.args["limit"])
    found = list(
        users.find({"version": {"$exists": True}}, FIELDS, sort=[("_id", 1)], limit=limit + 1)
        .batch_size(limit + 2)
    )  # fmt: skip
    following = str(found[limit - 1]["_id"]) if len(found) > limit else None
    return jsonify({"items": [shown(document) for document in found[:limit]], "next": following})


@app.post("/api/v1/users")
def create() -> tuple[Response, int]:
    """A new user, once the audit knows of it and its e-mail and national id are claimed."""
    given = request.get_json()
    moment = datetime.now(UTC)
    document = {
        "_id": ObjectId(),
        **given,
        "role": "user",
        "disabled": False,
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
    }
    record("users.create", document["_id"], list(given))
    keys = (
        f"users.email:{given['email']}",
        f"users.national_id:{given['national_id'].replace('-', '')}",
    )
    wanted = [{"_id": key, "owner": document["_id"], "version": 1, "at": moment} for key in keys]
    try:
        claims.insert_many(wanted, ordered=False)
    except BulkWriteError:
        return jsonify({"error": "taken"}), 409
    users.insert_one(document)
    return answer(document, 201)


@app.patch("/api/v1/users/<document_id>")
def change(document_id: str) -> tuple[Response, int]:
    """Change the fields in the body, if the user is at the version in If-Match."""
    changed = users.find_one_and_update(
        {"_id": ObjectId(document_id), "version": int(request.headers["If-Match"].strip('"'))},
        {"$set": {**request.get_json(), "updated_at": datetime.now(UTC)}, "$inc": {"version": 1}},
        return_document=ReturnDocument.AFTER,
    )
    if changed is None:
        return jsonify({"error": "moved"}), 412
    return answer(changed)


@app.post("/api/v1/auth/login")
def login() -> tuple[Response, int]:
    """A token for e-mail and password."""
    given = request.get_json()
    claim = claims.find_one({"_id": f"users.email:{given['email']}"}, {"owner": 1})
    user = committed.find_one({"_id": claim["owner"]}) if claim else None
    if user is None:
        return jsonify({"error": "wrong"}), 401
    hasher.verify(user["password_hash"], given["password"])
    moment = datetime.now(UTC)
    session = {"id": secrets.token_hex(8), "made_at": moment, "used_at": moment}
    newest = {"$each": [session], "$slice": -20}
    users.update_one({"_id": user["_id"], "disabled": False}, {"$push": {"sessions": newest}})
    record("auth.login", user["_id"], [])
    payload = {"sub": str(user["_id"]), "ses": session["id"], "exp": int(time.time()) + 1800}
    token = jwt.encode(payload, SIGNING, algorithm="HS256")
    return jsonify({"access_token": token, "token_type": "Bearer", "expires_in": 1800}), 200
