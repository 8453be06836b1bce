"""Estimates how many different users there were, without storing who: a HyperLogLog sketch.

Each user falls by a hash into one of REGISTERS, which keeps the longest run of zeros that any hash
in it began with (Flajolet and others, 2007). Registers of several workers are put together by
their maxima, so who was seen twice counts once. The standard error is 3.25 % (1.04 / √1024); while
most registers are empty they are counted instead (linear counting), which errs by less.

The hash is a MAC under a key that is not in the database, and another one each day. So nobody who
reads the registers can try out whether a user was there, or find the same user on two days.
"""

import math
from collections.abc import Iterable, Mapping

REGISTERS = 1024
BITS = 64
RANKED = BITS - REGISTERS.bit_length() + 1  # bits of a hash beside those that choose the register
ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
FEW = 2.5 * REGISTERS


def registers(hashes: Iterable[bytes]) -> dict[int, int]:
    """The registers of these hashes, of which 8 bytes count."""
    found: dict[int, int] = {}
    for one in hashes:
        number = int.from_bytes(one[: BITS // 8], "big")
        place, rest = number % REGISTERS, number // REGISTERS
        found[place] = max(found.get(place, 0), RANKED - rest.bit_length() + 1)
    return found


def together(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    """The registers of all that either has seen."""
    return {place: max(one.get(place, 0), other.get(place, 0)) for place in {*one, *other}}


def estimate(ranks: Iterable[int]) -> int:
    """How many there were, by the registers that are not empty."""
    full = list(ranks)
    empty = REGISTERS - len(full)
    raw = ALPHA * REGISTERS**2 / (empty + math.fsum(2.0**-rank for rank in full))
    if raw <= FEW and empty:
        return round(REGISTERS * math.log(REGISTERS / empty))
    return round(raw)
