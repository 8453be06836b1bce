"""Sample users: the same for everybody, valid, all different."""

import msgspec

from api import samples
from api.resources import USERS


def test_valid_and_normal() -> None:
    for number in range(1000):
        sample = samples.sample_user(number)
        msgspec.convert(sample, USERS.create)
        assert {f: USERS.rules[f](text) for f, text in sample.items()} == sample


def test_all_different() -> None:
    people = [samples.sample_user(n) for n in range(20_000)]
    for unique in USERS.unique:
        assert len({unique.key(p[unique.field]) for p in people}) == len(people)
    assert len({samples.sample_id(n) for n in range(20_000)}) == 20_000
    assert len({p["name"] for p in people[:1000]}) > 900


def test_the_same_each_time_and_in_order() -> None:
    assert samples.sample_user(5) == samples.sample_user(5)
    ids = [samples.sample_id(n) for n in range(1000)]
    assert ids == sorted(ids)
