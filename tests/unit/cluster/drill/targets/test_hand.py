"""What a drill's hand on a host does for whoever holds its key, and what it does not."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cluster.drill.targets import hand
from cluster.drill.targets.hands import Hands
from cluster.errors import ClusterError
from cluster.servers.waiting import Waiter

NODE = "shard-1-2"


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with one member, as far as the hand looks."""
    for name, place in (("NODES", "nodes"), ("DATA", "data"), ("LOCK", "lock")):
        monkeypatch.setattr(hand, name, tmp_path / place)
    hand.NODES.mkdir()
    hand.DATA.mkdir()
    (hand.NODES / NODE).write_text("PORT=27021\n")
    return tmp_path


@pytest.mark.parametrize("name", ["shard-1-1", "ssh", "../../etc", "mongos", ""])
@pytest.mark.parametrize("verb", ["state", "wipe", "damage", "dropped", "log"])
def test_what_is_no_server_of_the_host_is_left_alone(verb: str, name: str) -> None:
    more = {"since": 0, "until": 1} if verb == "log" else {}
    said = hand.answer(json.dumps({"verb": verb, "name": name, **more}))
    assert said == {"error": f"{name} is no server of this host"}


@pytest.mark.parametrize("verb", ["kill", "start", "pause", "resume"])
def test_nor_is_it_when_it_is_one_of_several(verb: str) -> None:
    said = hand.answer(json.dumps({"verb": verb, "names": ["ssh", NODE]}))
    assert said == {"error": "ssh is no server of this host"}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "rm -rf /",
        "[]",
        "{}",
        '{"verb": "main"}',
        '{"verb": "state"}',
        '{"verb": "state", "name": "shard-1-2", "more": 1}',
        '{"verb": ["state"]}',
    ],
)
def test_what_is_no_request_is_answered_so(line: str) -> None:
    assert "no such request" in hand.answer(line)["error"]


def test_a_port_is_a_number() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        hand.rules("", "1 accept; }", "both", 1)  # type: ignore[arg-type]


def test_an_address_is_one() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        hand.parting("", [("10.0.0.1 accept; }", 1)])


def test_the_rules_drop_what_comes_and_goes_by_port_and_by_control_group() -> None:
    text = hand.rules("GROUP", 27021, "both", 1)
    assert "tcp dport 27021 counter drop" in text
    assert "tcp sport 27021 counter drop" in text
    assert text.count("GROUP counter drop") == 2


def test_one_that_is_not_heard_hears_and_the_other_way_round() -> None:
    mute, deaf = (hand.rules("", 1, way, 1) for way in ("mute", "deaf"))
    assert "hook output" in mute
    assert "hook input" not in mute
    assert "hook input" in deaf
    assert "hook output" not in deaf


def test_a_share_of_the_packets_is_lost_by_chance() -> None:
    text = hand.rules("", 1, "both", 0.1)
    assert text.count("numgen random mod 1000 < 100 counter drop") == 4


def test_who_is_parted_from_others_says_nothing_to_them() -> None:
    text = hand.parting("GROUP", [("10.0.0.2", 27021), ("fd00::3", 27021)])
    assert "ip daddr 10.0.0.2 tcp dport 27021 GROUP counter drop" in text
    assert "ip6 saddr fd00::3 tcp sport 27021 GROUP counter drop" in text
    assert text.count("counter drop") == 4


# ---- by SSH ------------------------------------------------------------------------------------


@pytest.fixture
def reached(host: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Hands]]:
    """Hands that are reached by a script that is named ssh, which is all that they know of it."""
    monkeypatch.setenv("PATH", f"{host}:/usr/bin:/bin")
    hands = Hands(host / "ssh_config")

    def by(script: str) -> Hands:
        program = host / "ssh"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return hands

    yield by
    hands.close()


def test_a_hand_answers_one_after_the_other(reached: Callable[[str], Hands]) -> None:
    hands = reached(f"exec {sys.executable} {hand.__file__}")
    for _ in range(2):
        with pytest.raises(ClusterError, match=r"db-1: no such request.*drill heal"):
            hands.ask("db-1", "sing")


def test_where_there_is_no_hand_ssh_says_why(reached: Callable[[str], Hands]) -> None:
    hands = reached("echo Permission denied. >&2; exit 255")
    with pytest.raises(ClusterError, match=r"db-1 does not answer by SSH: Permission denied"):
        hands.ask("db-1", "free")


def sessions() -> list[int]:
    """The process ids of sessions with a host db-N that have not ended."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # one that has ended
            found += [child.pid] if any(a.startswith("db-") for a in child.cmdline()) else []
    return found


def test_one_that_ends_is_asked_in_a_new_session(reached: Callable[[str], Hands]) -> None:
    hands = reached("""read line; echo '{"answer": 7}'""")
    asked: dict[str, dict[str, str]] = {"db-1": {}, "db-2": {}}
    assert hands.ask_all("free", asked) == {"db-1": 7, "db-2": 7}
    Waiter(30).until(lambda: not sessions() or None, lambda: f"still there: {sessions()}")
    assert hands.ask_all("free", asked) == {"db-1": 7, "db-2": 7}


def test_it_needs_nothing_of_this_project() -> None:
    """A host's own Python runs it."""
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    line = [python, "-I", hand.__file__]
    done = subprocess.run(line, input="", text=True, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
