"""The commands that are run on a bare machine are those that READMEs and --help show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from api.__main__ import main as api
from cluster.__main__ import main as cluster
from tests.bare.commands import EXAMPLES, NOT_HERE, blocks, examples, packages

ROOT = Path(__file__).parents[3]
PROGRAMS: dict[str, click.Group] = {"api": api, "cluster": cluster}
FOLDERS = ("api", "cluster", "console", "deploy", "ansible", "imgs", "tests")
READMES = [
    ROOT / "README.md",
    *(file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("README.md"))),
]


def test_what_the_commands_need_is_installed() -> None:
    needed = {"make", "curl", "libcurl4", "python3-venv"}  # mongod is linked to libcurl
    assert set(packages().split()) == needed


def test_the_readme_begins_with_its_first_command_and_goes_on() -> None:
    first, *others = blocks()
    assert first.startswith("make up ")
    assert "make test" not in first
    assert any("curl" in block for block in others)
    assert any("cluster remove-shard" in block for block in others)


def test_every_example_of_help_is_run_or_has_a_reason() -> None:
    shown = {*examples(cluster), *examples(api)}
    assert shown <= {*EXAMPLES, *NOT_HERE}
    assert {*EXAMPLES, *NOT_HERE} - shown == {"make down PURGE=1 YES=1 && python -m cluster up"}


@pytest.mark.parametrize("line", [*EXAMPLES, *NOT_HERE])
def test_every_example_is_accepted_as_it_is_written(line: str) -> None:
    assert _accepted(line)


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_readme_shows_is_there(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (readme.parent / target).exists(), f"there is no {target}"
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for target in re.findall(r"(?:`|^|\n)make ([a-z-]+)", text):
        assert target in targets, f"there is no `make {target}`"
    _accepted(text)


def _accepted(text: str) -> int:
    """Have click parse each command of a text; it raises for what it refuses. Returns how many."""
    found = re.findall(r"python -m (api|cluster)((?: [a-zA-Z0-9@./_-]+| …)*)", text)
    for program, arguments in found:
        words = shlex.split(arguments)
        name, command = "", PROGRAMS[program]
        if not words or words == ["--help"] or (program == "cluster" and "--help" in words):
            continue
        context = click.Context(command)
        found_command: click.Command | None = command
        while words and isinstance(found_command, click.Group) and not words[0].startswith("-"):
            name, *words = words
            found_command = found_command.get_command(context, name)
            assert found_command is not None, f"{program} has no command {name}"
        found_command.make_context(name, words)
    return len(found)
