"""What commands open: the settings and the database that a state folder leads to."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.settings import Settings
    from api.store import Store

COMMAND_SECONDS = 120.0  # for the database work of one command


def settings_of(state: str, *, tokens: bool) -> "Settings":
    """The settings; `tokens`: whether the command makes or checks tokens."""
    from api import settings  # noqa: PLC0415
    from api.local.state import State  # noqa: PLC0415

    return settings.load(State(Path(state)).environment(os.environ), tokens=tokens)


@contextmanager
def store_of(state: str) -> "Iterator[Store]":
    """The database, within the time that a command has."""
    from api.store import Store  # noqa: PLC0415
    from api.store.deadline import deadline  # noqa: PLC0415

    store = Store(settings_of(state, tokens=False).store_options())
    try:
        with deadline(COMMAND_SECONDS):
            yield store
    finally:
        store.close()
