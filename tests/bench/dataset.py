"""The same users for every server, each in a database of its own on the same cluster."""

import secrets
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from pymongo import MongoClient
from pymongo.database import Database

from api import passwords, schema, settings, setup
from api.resources import USERS
from api.samples.data import sample_user
from api.store import Store
from api.store.deadline import deadline
from tests.bench.plans import ACCOUNTS, PASSWORD, PEOPLE, Person

ADMIN = "admin@example.com"

Raw = dict[str, Any]


def named(uri: str, database: str) -> str:
    """The connection string with another database in it."""
    parts = urlsplit(uri)
    query = parts.query if "authSource" in parts.query else f"authSource=admin&{parts.query}"
    return urlunsplit((parts.scheme, parts.netloc, f"/{database}", query, ""))


def fill(environment: dict[str, str], others: dict[str, str]) -> list[Person]:
    """Fill the API's database by its own bulk load, and copy it to the `others`, by their names.

    The first `ACCOUNTS` people have a password. Returns everybody.
    """
    store = Store(settings.load(environment).store_options())
    try:
        with deadline(600):
            schema.apply(store)
            setup.ensure_admin(store, ADMIN, PASSWORD)
            USERS.documents(store).create_many([_user(number) for number in range(PEOPLE)])
            return copy(store.database, others)
    finally:
        store.close()


def _user(number: int) -> Raw:
    given: Raw = sample_user(number)
    fields = {name: USERS.rules[name](text) for name, text in given.items()}
    if number < ACCOUNTS:
        fields["password_hash"] = passwords.hash_password(PASSWORD)
    return {**fields, **USERS.defaults()}


def copy(source: Database[Raw], others: dict[str, str]) -> list[Person]:
    """Copy users and claims; Eve's users get the fields that it keeps of its own."""
    users = list(source["users"].find({"version": {"$exists": True}}))
    claims = list(source["claims"].find())
    for name, uri in others.items():
        client: MongoClient[Raw]
        with MongoClient(uri) as client:
            database: Database[Raw] = client.get_default_database()
            for collection in ("users", "claims", "audit"):
                namespace = f"{database.name}.{collection}"
                client.admin.command("shardCollection", namespace, key={"_id": "hashed"})
            if name == "eve":
                for field in ("email", "national_id"):  # it looks there for what is to be unique
                    database["users"].create_index(field)
                database["users"].insert_many([_for_eve(user) for user in users], ordered=False)
            else:
                database["users"].insert_many(users, ordered=False)
                database["claims"].insert_many(claims, ordered=False)
    found = [Person(str(u["_id"]), u["email"], str(u["version"])) for u in users]
    with_password = {str(user["_id"]) for user in users if "password_hash" in user}
    return sorted(found, key=lambda person: person.id not in with_password)


def _for_eve(user: Raw) -> Raw:
    moments = {"_created": user["created_at"], "_updated": user["updated_at"]}
    gone = ("version", "created_at", "updated_at", "password_hash")
    kept = {field: value for field, value in user.items() if field not in gone}
    return {**kept, **moments, "_etag": secrets.token_hex(20)}


def etags_of_eve(uri: str, people: list[Person]) -> list[Person]:
    """The people with the versions that Eve gave them."""
    client: MongoClient[Raw]
    with MongoClient(uri) as client:
        database: Database[Raw] = client.get_default_database()
        users = database["users"].find({}, {"_etag": 1})
        etags = {str(user["_id"]): user["_etag"] for user in users}
    return [Person(person.id, person.email, etags[person.id]) for person in people]


def log_in(url: str, email: str) -> str:
    """What to send as Authorization to be this user of our API."""
    body = {"email": email, "password": PASSWORD}
    answer = requests.post(f"{url}/api/v1/auth/login", json=body, timeout=30)
    answer.raise_for_status()
    return f"Bearer {answer.json()['access_token']}"
