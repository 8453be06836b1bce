"""Samples: the same for everybody, valid, all different."""

import hashlib
import re

import msgspec
import pytest

from api.crud.rules import check
from api.resources import USERS
from api.resources.leads import LEADS
from api.resources.projects import PROJECTS
from api.samples import data
from api.web import body as bodies
from api.web.files import is_pdf


def test_users_are_valid_and_normal() -> None:
    for number in range(data.USERS_COUNT):
        sample = data.sample_user(number)
        msgspec.convert(sample, USERS.create)
        assert {f: USERS.rules[f](text) for f, text in sample.items()} == sample


def test_users_are_all_different() -> None:
    people = [data.sample_user(n) for n in range(20_000)]
    for unique in USERS.unique:
        assert len({unique.key(p[unique.field]) for p in people}) == len(people)
    assert len({data.sample_id(n) for n in range(20_000)}) == 20_000
    assert len({p["name"] for p in people[:1000]}) > 900


def test_the_same_each_time_and_in_order() -> None:
    assert data.sample_user(5) == data.sample_user(5)
    assert data.sample_project(5, 9) == data.sample_project(5, 9)
    assert data.sample_resume(5) == data.sample_resume(5)
    ids = [data.sample_id(n) for n in range(1000)]
    assert ids == sorted(ids)
    assert max(ids) < data.sample_id(data.MOST_USERS)


@pytest.mark.parametrize("users", [1, 2, 7, data.USERS_COUNT])
def test_projects_have_people_that_are_there(users: int) -> None:
    there = {str(data.sample_id(number)) for number in range(users)}
    assert PROJECTS.create is not None
    bodies.prepare(PROJECTS.create)
    for number in range(data.PROJECTS_COUNT):
        sample = data.sample_project(number, users)
        fields = bodies.decode(msgspec.json.encode(sample), PROJECTS.create, PROJECTS.rules)
        check(PROJECTS.constraints, PROJECTS.converted(fields))
        people = [sample["owner"], *sample["members"]]
        assert len(set(people)) == len(people)
        assert there.issuperset(people)
    assert users < 7 or any(data.sample_project(n, users)["members"] for n in range(40))


def test_leads_are_all_different() -> None:
    leads = [data.sample_lead(number) for number in range(data.LEADS_COUNT)]
    digests = {hashlib.sha256(data.sample_resume(n)).digest() for n in range(data.LEADS_COUNT)}
    assert len({lead["email"] for lead in leads}) == len(leads) == len(digests)
    for lead in leads:
        assert {f: LEADS.rules[f](text) for f, text in lead.items()} == lead


@pytest.mark.parametrize("number", range(3))
def test_a_resume_is_a_whole_pdf(number: int) -> None:
    """Every object begins where the table says, and the stream is as long as it says."""
    made = data.sample_resume(number)
    assert is_pdf(made)
    table = int(made.rpartition(b"startxref\n")[2].split()[0])
    assert made[table:].startswith(b"xref\n0 7\n0000000000 65535 f \n")
    entries = re.findall(rb"^(\d{10}) 00000 n $", made[table:], re.MULTILINE)
    for object_number, place in enumerate(entries, 1):
        assert made[int(place) :].startswith(b"%d 0 obj\n" % object_number)
    assert len(entries) == 6
    length, text = re.findall(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", made, re.DOTALL)[0]
    assert len(text) == int(length)
    assert data.sample_lead(number)["email"].encode() in text


def test_signs_of_pdf_are_escaped() -> None:
    assert rb"(a \(b\) \\ c)" in data.pdf([r"a (b) \ c"])
