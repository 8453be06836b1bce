"""Whoever listens to a stream of events."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests

PATIENCE = 30.0  # seconds, for an event and for any answer

Headers = dict[str, str]
Event = tuple[str, Any, str | None]


class Listener:
    """Reads a stream of events in a thread: (name, data, id) each."""

    def __init__(
        self,
        url: str,
        headers: Headers,
        since: str | None = None,
        session: requests.Session | None = None,
    ) -> None:
        more = {} if since is None else {"Last-Event-ID": since}
        self.answer = (session or requests).get(
            f"{url}/api/v1/events", headers=headers | more, stream=True, timeout=PATIENCE
        )
        assert self.answer.status_code == 200, self.answer.text
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self.ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self.answer.iter_lines(chunk_size=65536, decode_unicode=True):
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
                    continue
                if "event" in fields:
                    made = fields["event"], json.loads(fields["data"]), fields.get("id")
                    with self._changed:
                        self.events.append(made)
                        self._changed.notify_all()
                fields = {}
        except (requests.RequestException, AttributeError):  # closed under our hands
            pass
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def wait(self, wanted: Callable[[], Any]) -> None:
        """Until this is so."""
        with self._changed:
            assert self._changed.wait_for(wanted, PATIENCE), self.events

    def hears(self, **data: Any) -> Event:
        """Wait for a change that is so; which event it was."""
        self.wait(lambda: self._found(data))
        return self._found(data)[0]

    def _found(self, data: dict[str, Any]) -> list[Event]:
        return [one for one in self.events if data.items() <= one[1].items()]

    @property
    def ids(self) -> set[str]:
        """The documents it was told of."""
        return {data["id"] for name, data, _ in self.events if name == "change"}

    def close(self) -> None:
        """Go away. A plain `close` would wait for the thread that reads."""
        with suppress(RuntimeError, ValueError):  # it has ended already
            self.answer.raw.shutdown()
        self._reader.join(PATIENCE)
        self.answer.close()
