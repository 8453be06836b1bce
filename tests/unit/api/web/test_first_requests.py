"""The first requests of a worker may all come at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

MANY_THREADS_ON_FRESH_SHAPES = """
import sys, threading
from typing import Annotated
import flask, msgspec
from api.web import body

sys.setswitchinterval(1e-6)
app = flask.Flask("x")
text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
for number in range(1000):
    fields = [(f"f{n}", text | None, None) for n in range(8)]
    shape = msgspec.defstruct("Shape", fields, forbid_unknown_fields=True)
    body.prepare(shape)
    barrier = threading.Barrier(8)

    def request():
        barrier.wait()
        with app.test_request_context("/", method="POST", json={"f1": "x"}):
            assert body.read(shape, {})["f1"] == "x"

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


@pytest.mark.long
@pytest.mark.core
def test_a_shape_is_complete_before_threads_read_it() -> None:
    """Without `prepare` some round ends in SIGSEGV (-11)."""
    done = subprocess.run(
        [sys.executable, "-c", MANY_THREADS_ON_FRESH_SHAPES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
