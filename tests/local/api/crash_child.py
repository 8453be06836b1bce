"""Does one thing to users, and dies by SIGKILL after so many of its writes.

Arguments: what (create, change or delete), after how many writes, two e-mail addresses.
The writes are counted by seam.py as the database acknowledges them; 0 dies before the first.
"""

import os
import signal
import sys
from typing import Any

import seam
from bson import ObjectId

from api import settings
from api.resources import USERS
from api.store import Store
from api.store.deadline import deadline


def main() -> None:
    """See above."""
    what, limit, first, second = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    left = limit

    def die_if_due() -> None:
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(name: str, _collection: str, _command: dict[str, Any]) -> None:
        if name in seam.WRITES:
            die_if_due()

    def after(name: str, _collection: str, _command: dict[str, Any]) -> None:
        nonlocal left
        if name in seam.WRITES:
            left -= 1
            die_if_due()

    seam.install()
    users = USERS.documents(Store(settings.load(tokens=False).store_options()))
    with deadline(20):
        owner = users.find_unique("email", first)
        with seam.SEAM.hooked(before, after):
            if what == "create":
                users.create({"email": first, "national_id": f"N{first}", "name": "C", "by": limit})
            else:
                assert owner is not None
                if what == "change":
                    users.change(ObjectId(owner["_id"]), {"email": second})
                else:
                    users.delete(ObjectId(owner["_id"]))


if __name__ == "__main__":
    main()
