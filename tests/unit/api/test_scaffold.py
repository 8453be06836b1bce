"""`python -m api new-resource`: what it writes works as it is; what is there stays."""

import importlib.util
from pathlib import Path

import pytest

from api import scaffold
from api.crud.resource import Resource
from api.errors import ApiError


@pytest.mark.parametrize(
    ("name", "shape", "first"),
    [
        ("notes", "Note", "A note."),
        ("ad_entries", "AdEntry", "An ad entry."),
        ("equipment", "Equipment", "An equipment."),
    ],
)
def test_it_is_a_resource(tmp_path: Path, name: str, shape: str, first: str) -> None:
    file = scaffold.write(name, tmp_path)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = getattr(module, name.upper())
    assert isinstance(made, Resource)
    assert (made.name, made.read.__name__, made.read.__doc__) == (name, shape, first)
    assert max(map(len, file.read_text().splitlines())) <= 100


@pytest.mark.parametrize("name", ["", "Notes", "my-notes", "9lives", "../users", "class", "a" * 61])
def test_a_name_that_will_not_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(ApiError, match="cannot be a resource"):
        scaffold.write(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["users", "audit", "claims", "throttle", "auth", "ids"])
def test_a_name_that_is_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(ApiError, match=f"there is {name} already"):
        scaffold.write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text("mine")
    with pytest.raises(ApiError, match="exists, and stays as it is"):
        scaffold.write("notes", tmp_path)
    assert (tmp_path / "notes.py").read_text() == "mine"
