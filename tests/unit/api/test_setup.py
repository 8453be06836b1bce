"""Sample users: the same for everybody, valid, all different."""

import msgspec

from api import setup
from api.resources import USERS


def test_valid_and_normal() -> None:
    for number in range(1000):
        sample = setup.sample_user(number)
        msgspec.convert(sample, USERS.create)
        assert {f: USERS.rules[f](text) for f, text in sample.items()} == sample


def test_all_different() -> None:
    people = [setup.sample_user(n) for n in range(20_000)]
    for unique in USERS.unique:
        assert len({unique.key(p[unique.field]) for p in people}) == len(people)
    assert len({setup.sample_id(n) for n in range(20_000)}) == 20_000
    assert len({p["name"] for p in people[:1000]}) > 900


def test_the_same_each_time_and_in_order() -> None:
    assert setup.sample_user(5) == setup.sample_user(5)
    ids = [setup.sample_id(n) for n in range(1000)]
    assert ids == sorted(ids)
