"""mongorestore is called rightly; a stand-in here, for the real one could not be had.

It writes down how it was called and then does, with PyMongo, what its namesake does. mongodump,
which cannot read at a cluster time, is left alone.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from cluster.local.cluster import LocalCluster
from tests.local.backup.everything import descriptions, everything, put_everything
from tests.local.cluster.small import client_of, run

pytestmark = pytest.mark.long

Client = MongoClient[dict[str, Any]]

TOOL = """#!{python}
import json, os, stat, sys
from pathlib import Path
from types import SimpleNamespace
import pymongo
from cluster.backup import catalogue, copying

flags = dict(a.removeprefix("--").partition("=")[::2] for a in sys.argv[1:])
config = Path(flags["config"])
called = {{
    "argv": sys.argv[1:],
    "cmdline": Path("/proc/self/cmdline").read_text(),
    "mode": stat.S_IMODE(config.stat().st_mode),
    "folder_mode": stat.S_IMODE(config.parent.stat().st_mode),
    "config": config.read_text(),
}}
with open({log!r}, "a") as log:
    log.write(json.dumps(called) + "\\n")
if os.environ.get("TOOL_FAILS"):
    sys.exit("Failed: something or other")
uri = json.loads(called["config"].removeprefix("uri: "))
client = pymongo.MongoClient(uri)
go_on = lambda: None
wanted = [a.partition("=")[2] for a in sys.argv if a.startswith("--nsInclude=")]
for entry in catalogue.entries(client):
    if entry.namespace in wanted:
        copying.copy_in(client, Path(flags["dir"]), entry, go_on)
"""


@pytest.fixture
def tools(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An environment with both tools on PATH, and the file in which they note their calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("mongodump", "mongorestore"):
        text = TOOL.format(python=sys.executable, log=str(tmp_path / name))
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    root = str(Path(__file__).parents[3])
    return {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": root}, tmp_path


def calls(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_it_is_used_when_it_is_there(
    client: Client,
    source: LocalCluster,
    target: LocalCluster,
    tools: tuple[dict[str, str], Path],
) -> None:
    environment, folder = tools
    put_everything(client)
    place = folder / "backup"
    dumped = run(source, "dump", str(place), **environment)
    assert (dumped.returncode, dumped.stderr) == (0, "")
    restored = run(target, "restore", str(place), **environment)
    assert (restored.returncode, restored.stderr) == (0, "")
    with client_of(target) as other:
        assert everything(other) == everything(client)
        assert descriptions(other) == descriptions(client)
    assert not (folder / "mongodump").exists()
    restores = calls(folder / "mongorestore")
    assert ["--maintainInsertionOrder" in c["argv"] for c in restores] == [False, True]
    assert "--nsInclude=odds.capped" in restores[1]["argv"]
    assert not any("shop.view" in c["cmdline"] for c in restores)
    password = target.access().passwords["admin"]
    for call in restores:
        assert password in call["config"]
        assert password not in call["cmdline"]
        assert (call["mode"], call["folder_mode"]) == (0o600, 0o700)
        assert not Path(call["argv"][0].partition("=")[2]).exists()
    for path in place.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_its_failure_is_told(
    client: Client,
    source: LocalCluster,
    target: LocalCluster,
    tools: tuple[dict[str, str], Path],
) -> None:
    environment, folder = tools
    client["shop"]["things"].insert_one({})
    place = folder / "backup"
    assert run(source, "dump", str(place)).returncode == 0
    done = run(target, "restore", str(place), **environment, TOOL_FAILS="1")
    assert done.returncode == 1
    told = "mongorestore failed with status 1: Failed: something or other."
    assert done.stderr == f"error: {told}\n"
