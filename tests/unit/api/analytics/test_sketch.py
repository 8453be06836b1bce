"""A sketch tells how many there were, within its error; put together it counts nobody twice."""

import hashlib
import math
import statistics

import pytest

from api.analytics.sketch import REGISTERS, estimate, registers, together

ERROR = 1.04 / math.sqrt(REGISTERS)


def hashes(start: int, count: int, of: str = "") -> list[bytes]:
    return [hashlib.sha256(f"{of} {n}".encode()).digest()[:16] for n in range(start, start + count)]


def test_nobody() -> None:
    assert estimate([]) == 0


@pytest.mark.parametrize("count", [1, 2, 5, 12, 50])
def test_few_are_told_almost_exactly(count: int) -> None:
    found = [estimate(registers(hashes(0, count, str(n))).values()) for n in range(20)]
    assert statistics.median(found) == pytest.approx(count, abs=1)


@pytest.mark.parametrize("count", [500, 2500, 5000, 40_000])
def test_many_within_the_error(count: int) -> None:
    """Ten sketches: their errors are those of the formula, and lean to neither side."""
    errors = [estimate(registers(hashes(0, count, str(n))).values()) / count - 1 for n in range(10)]
    assert abs(statistics.mean(errors)) < ERROR
    assert max(map(abs, errors)) < 4 * ERROR


def test_together_nobody_counts_twice() -> None:
    one, other = registers(hashes(0, 300)), registers(hashes(200, 300))
    assert together(one, other) == registers(hashes(0, 500))
    assert together(one, one) == one


def test_what_it_keeps_is_small() -> None:
    found = registers(hashes(0, 20_000))
    assert set(found) == set(range(REGISTERS))
    assert all(1 <= rank <= 55 for rank in found.values())
    assert registers([bytes(8)]) == {0: 55}
