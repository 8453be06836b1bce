"""What an API needs before it can serve, and what one may try it with.

A secret, the schema and an administrator: making them can be repeated at any moment, what is there
stays as it is. Here alone are administrators made.

Realistic sample users, the same on every run. They have no password and cannot log in. Everything
in them is fictional: names are drawn from lists, phone numbers lie in the range kept for fiction
(555-01xx), addresses of mail in example.com/.net/.org (RFC 2606), and national ids begin with 9,
which the scheme they imitate never issues.
"""

import hashlib
import random
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
from bson import ObjectId

from api import passwords, schema
from api.crud.access import Role
from api.errors import ApiError
from api.resources import USERS
from api.store import BulkReport, Store
from console import Report, files
from console.terminal import python


class Made(msgspec.Struct, frozen=True):
    """What `ensure_admin` did: `created`, `promoted` or `existing`."""

    what: str


class AccountError(ApiError):
    """No administrator could be made. The message is one line and says what to do."""


def generate_password() -> str:
    """A password nobody guesses: 120 random bits."""
    return secrets.token_urlsafe(15)


def exists(store: Store, email: str) -> bool:
    """Whether any user has this address."""
    return USERS.documents(store).find_unique("email", email) is not None


def ensure_admin(
    store: Store, email: str, password: str, name: str = "Administrator", *, promote: bool = False
) -> Made:
    """Make sure that an administrator has this e-mail address. An existing one keeps its password.

    Raises AccountError for bad values, and for a user of another role unless `promote`.
    """
    try:
        address = USERS.rules["email"](email)
        fields = {"name": USERS.rules["name"](name), "email": address}
        passwords.check(password)
    except ValueError as error:
        raise AccountError(str(error).rstrip(".")) from None
    users = USERS.documents(store)
    found = users.find_unique("email", address)
    if found is None:
        number = f"ADMIN-{secrets.token_hex(6).upper()}"  # people may enter their own later
        given = {**fields, "national_id": number, "password": password}
        users.create({**USERS.beginning(given), "role": Role.ADMIN.value})
        return Made("created")
    if found["role"] == Role.ADMIN.value:
        return Made("existing")
    if not promote:
        raise AccountError(
            f"{address} is an ordinary user. Give --promote to make it an administrator"
        )
    users.change(found["_id"], {"role": Role.ADMIN.value})
    return Made("promoted")


ADMIN_EMAIL = "admin@example.com"


class Admin(msgspec.Struct, kw_only=True):
    """What admin.json holds. Fit to be sent to /auth/login as it is."""

    email: str
    password: str


def ensure_jwt_secret(file: Path) -> None:
    """Make the secret that signs tokens, once. Raises FileError."""
    if not file.exists():
        files.write(file, secrets.token_urlsafe(48).encode() + b"\n")


def prepare(
    store: Store,
    admin_file: Path,
    say: Report,
    timed: Callable[[str], AbstractContextManager[None]],
) -> tuple[Admin, bool]:
    """Apply the schema and make the administrator: who it is, and whether it was made just now.

    Names the collections that removed resources left, and leaves them alone.
    Raises FileError, SchemaError, StoreError.
    """
    with timed("schema applied"):
        for line in schema.apply(store):
            say(f"  {line}")
        for name in schema.orphan_names(store):
            say(
                f"  no resource has {name} any more. "
                f"What it holds, and how to remove it: {python()} -m api schema --orphans"
            )
    with timed("administrator"):
        admin = files.read_json(admin_file, Admin)
        if admin is None:
            admin = _new_admin(store)
            files.write(admin_file, msgspec.json.encode(admin))
        made = ensure_admin(store, admin.email, admin.password)
    return admin, made.what == "created"


def _new_admin(store: Store) -> Admin:
    """For an address that is free: in this database an earlier one's may have been lost."""
    email = ADMIN_EMAIL
    if exists(store, email):
        email = ADMIN_EMAIL.replace("@", f".{secrets.token_hex(3)}@")
    return Admin(email=email, password=generate_password())


COUNT = 1000
FIRST_SECOND = 1_700_000_000  # in the ids, so that users are listed in the order of the samples

FIRST_NAMES = """
Amara Mateo Ingrid Kofi Yuki Leila Tomasz Priya Diego Nadia Hugo Aisha Lars Mei Omar Zofia Rafael
Thandi Anders Fatima Elena Kwame Sanna Arjun Lucia Emeka Freya Hassan Noor Viktor Chiara Jamal Ana
Soren Kavya Marek Olga Tariq Ines Bjorn Salma Luca Wanjiru Petra Ravi Simone Idris Hana Gabriel Rosa
Nikolai Farah Otto Lerato Pablo Mina Stefan Zainab Erik Camila Bashir Klara Dmitri Asha Felix Maryam
Julian Beatriz Samir Agnes Teo Rania Oskar Valentina Chidi Astrid Karim Isabel Jonas Divya Marco
Selma Daniel Yara Emil Sofia Rohan Greta Andre Layla Filip Carmen Nils Amina Bruno Vera Malik Judith
""".split()  # noqa: SIM905 - a block of words reads better than a list of strings
LAST_NAMES = """
Okafor Garcia Lindqvist Mensah Tanaka Haddad Kowalski Sharma Fernandez Petrova Moreau Abdi Hansen
Chen Farouk Nowak Silva Dlamini Berg Rahman Rossi Boateng Virtanen Iyer Romero Eze Larsen Malik
Ivanov Conti Diallo Schmidt Costa Nilsson Reddy Novak Popov Aziz Marques Dahl Khalil Ferrari Kamau
Horvat Patel Laurent Juma Sato Weber Castillo Volkov Nasser Keller Molefe Ortega Kim Braun Yusuf
Holm Vargas Idowu Fischer Orlov Menon Wagner Siddiqui Meyer Oliveira Mansour Andersen Navarro Gruber
Achebe Strand Qureshi Ruiz Winter Nair Bianchi Lund Santos Osei Jensen Morales Ali Hoffmann Suzuki
Dubois Toure Vogel Mendes Hussain Kaya Bauer Alvarez Park Ndiaye Engel Lopez
""".split()  # noqa: SIM905
STREETS = """
Maple Oak Harbour Station Mill Church Garden River Hill Park Market Cedar Lake Bridge School Willow
Orchard Meadow Chestnut Quarry Ferry Linden Foundry Canal Abbey Juniper Observatory Sycamore
""".split()  # noqa: SIM905
AREAS = (201, 202, 212, 303, 312, 404, 415, 503, 512, 602, 617, 702, 713, 804, 808, 901, 907, 919)
KINDS = ("Street", "Avenue", "Lane", "Road", "Square", "Row")
CITIES = (
    "Northhaven", "Eastbrook", "Kingsport", "Silverton", "Ashford", "Brightwater", "Stonebridge",
    "Lakemont", "Fairview", "Millbrook", "Greenfield", "Westmere", "Clearwater", "Highgate",
)  # fmt: skip
OCCUPATIONS = (
    "Accountant", "Architect", "Baker", "Bus driver", "Carpenter", "Chemist", "Civil engineer",
    "Cook", "Dentist", "Editor", "Electrician", "Farmer", "Firefighter", "Gardener",
    "Graphic designer", "Hairdresser", "Journalist", "Judge", "Lecturer", "Librarian", "Mechanic",
    "Midwife", "Musician", "Nurse", "Optician", "Pharmacist", "Photographer", "Physician", "Pilot",
    "Plumber", "Postal worker", "Primary school teacher", "Programmer", "Sailor", "Shopkeeper",
    "Social worker", "Statistician", "Surveyor", "Tailor", "Translator", "Veterinarian", "Welder",
)  # fmt: skip


def sample_user(number: int) -> dict[str, Any]:
    """The fields of sample user `number` (from 0), as a consumer would send them."""
    draw = random.Random(f"shardstack sample {number}")  # noqa: S311 - the same for everybody
    first, last = draw.choice(FIRST_NAMES), draw.choice(LAST_NAMES)
    domain = draw.choice(("example.com", "example.net", "example.org"))
    street = f"{draw.randint(1, 240)} {draw.choice(STREETS)} {draw.choice(KINDS)}"
    return {
        "name": f"{first} {last}",
        "national_id": f"9{number // 10000 % 100:02d}-{draw.randint(10, 99)}-{number % 10000:04d}",
        "email": f"{first}.{last}.{number}@{domain}".lower(),
        "phone": f"+1{draw.choice(AREAS)}55501{draw.randint(0, 99):02d}",
        "address": f"{street}, {draw.choice(CITIES)}, {draw.randint(10000, 99999)}",
        "occupation": draw.choice(OCCUPATIONS),
    }


def sample_id(number: int) -> ObjectId:
    """The id of sample user `number`: the same each time, so that loading can be repeated."""
    digest = hashlib.sha256(f"shardstack sample {number}".encode()).digest()
    return ObjectId((FIRST_SECOND + number).to_bytes(4, "big") + digest[:8])


def load_samples(
    store: Store, count: int = COUNT, progress: Callable[[int], None] | None = None
) -> BulkReport:
    """Create the first `count` sample users, through the same write path and checks as the API's.

    Those that exist stay as they are. `progress` gets the number of users done since its last call.
    """
    users = [
        USERS.beginning({f: USERS.rules[f](text) for f, text in sample_user(number).items()})
        for number in range(count)
    ]
    ids = [sample_id(number) for number in range(count)]
    return USERS.documents(store).create_many(users, ids, progress)
