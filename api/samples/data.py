"""The sample data: users, projects and leads, the same on every run.

Everything in them is fictional: names are drawn from lists, phone numbers lie in the range kept for
fiction (555-01xx), addresses of mail in example.com/.net/.org (RFC 2606), and national ids begin
with 9, which the scheme they imitate never issues. Users have no password and cannot log in.
"""

import hashlib
import random
import re
from datetime import date, timedelta
from typing import Any

from bson import ObjectId

USERS_COUNT, PROJECTS_COUNT, LEADS_COUNT = 1000, 40, 25
MOST_USERS = 1_000_000
FIRST_SECOND = 1_700_000_000  # in the ids, so that lists go in the order of the samples
FIRST_DAY = date(2026, 1, 5)
MOST_MEMBERS = 6

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


SUBJECTS = (
    "Harbour lights", "Station clock", "Library catalogue", "School garden", "River survey",
    "Bridge repair", "Market website", "Night bus timetable", "Town archive", "Bakery tills",
    "Clinic waiting list", "Orchard map", "Ferry tickets", "Museum guide", "Water meters",
    "Street trees", "Choir festival", "Recycling routes", "Weather stations", "Cycle lanes",
)  # fmt: skip
PHASES = ("first phase", "second phase", "renewal", "pilot", "hand-over")
STATUSES = ("planned", "active", "paused", "done")
AIMS = (
    "Make it usable for everybody, and find out what it costs to keep.",
    "Replace what is worn out, without closing it for a day.",
    "Collect what is known, put it in one place, and let people correct it.",
    "Try it in two districts first; the council decides in autumn.",
)
SKILLS = (
    "bookkeeping", "carpentry", "customer care", "data analysis", "event planning", "first aid",
    "gardening", "journalism", "logistics", "public speaking", "teaching", "translation", "welding",
)  # fmt: skip
DOMAINS = ("example.com", "example.net", "example.org")


def _draw(kind: str, number: int) -> random.Random:
    return random.Random(f"shardstack {kind} {number}")  # noqa: S311 - the same for everybody


def sample_id(number: int, kind: str = "sample") -> ObjectId:
    """The id of sample user (or project) `number`: the same each time, so that loading can be
    repeated.
    """
    digest = hashlib.sha256(f"shardstack {kind} {number}".encode()).digest()
    return ObjectId((FIRST_SECOND + number).to_bytes(4, "big") + digest[:8])


def project_id(number: int) -> ObjectId:
    """The id of sample project `number`."""
    return sample_id(number, "project")


def sample_user(number: int) -> dict[str, Any]:
    """The fields of sample user `number` (from 0), as a consumer would send them."""
    draw = _draw("sample", number)
    first, last = draw.choice(FIRST_NAMES), draw.choice(LAST_NAMES)
    domain = draw.choice(DOMAINS)
    street = f"{draw.randint(1, 240)} {draw.choice(STREETS)} {draw.choice(KINDS)}"
    return {
        "name": f"{first} {last}",
        "national_id": f"9{number // 10000 % 100:02d}-{draw.randint(10, 99)}-{number % 10000:04d}",
        "email": f"{first}.{last}.{number}@{domain}".lower(),
        "phone": f"+1{draw.choice(AREAS)}55501{draw.randint(0, 99):02d}",
        "address": f"{street}, {draw.choice(CITIES)}, {draw.randint(10000, 99999)}",
        "occupation": draw.choice(OCCUPATIONS),
    }


def sample_project(number: int, users: int) -> dict[str, Any]:
    """The fields of sample project `number`, whose people are among the first `users` samples."""
    draw = _draw("project", number)
    owner, *members = draw.sample(range(users), min(users, 1 + draw.randint(1, MOST_MEMBERS)))
    starts = FIRST_DAY + timedelta(days=draw.randint(0, 300))
    status = draw.choice(STATUSES)
    project = {
        "name": f"{SUBJECTS[number % len(SUBJECTS)]}, {draw.choice(PHASES)}",
        "description": draw.choice(AIMS),
        "status": status,
        "owner": str(sample_id(owner)),
        "members": [str(sample_id(one)) for one in members],
        "starts_on": starts.isoformat(),
    }
    if status == "done":
        project["ends_on"] = (starts + timedelta(days=draw.randint(20, 200))).isoformat()
    return project


def sample_lead(number: int) -> dict[str, str]:
    """The fields of sample lead `number`, without its résumé."""
    draw = _draw("lead", number)
    first, last = draw.choice(FIRST_NAMES), draw.choice(LAST_NAMES)
    email = f"{first}.{last}.lead{number}@{draw.choice(DOMAINS)}".lower()
    return {"first_name": first, "last_name": last, "email": email}


def sample_resume(number: int) -> bytes:
    """The résumé of sample lead `number`: a page of PDF. No two are alike."""
    lead, draw = sample_lead(number), _draw("resume", number)
    years = draw.randint(2, 25)
    return pdf(
        [
            f"{lead['first_name']} {lead['last_name']}",
            lead["email"],
            f"{draw.choice(OCCUPATIONS)}, {draw.choice(CITIES)}",
            f"{years} years of experience",
            f"Good at {' and '.join(draw.sample(SKILLS, 2))}",
            "This person is made up.",
        ]
    )


def pdf(lines: list[str]) -> bytes:
    """A page with these lines of ASCII, in a font that every reader has (ISO 32000-1, 9.6.2.2)."""
    escaped = (re.sub(r"([\\()])", r"\\\1", line) for line in lines)
    text = "BT /F1 14 Tf 72 760 Td 22 TL " + " ".join(f"({line}) Tj T*" for line in escaped) + " ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources 6 0 R /Contents 4 0 R >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /Font << /F1 5 0 R >> >>",
    )
    made, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(made))
        made += f"{number} 0 obj\n{one}\nendobj\n"
    table = "0000000000 65535 f \n" + "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(made)}\n%%EOF\n"
    return f"{made}xref\n0 {size}\n{table}{end}".encode("ascii")
