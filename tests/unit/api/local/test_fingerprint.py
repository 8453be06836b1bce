"""The code's fingerprint: it changes with what is served, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.local import state

BESIDE = [
    "__pycache__/app.cpython-311.pyc",
    "__pycache__/app.cpython-311.pyc.140234",  # as it is called until it is whole
    "resources/__pycache__/notes.cpython-311.pyc",
    ".app.py.swp",
    "app.py~",
    "#app.py#",
    ".idea/workspace.xml",
    "README.md",
]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(state, "FOLDERS", (tmp_path,))
    write(tmp_path / "app.py", "1")
    write(tmp_path / "resources" / "leads.py", "2")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_it_changes_with_each_file(package: Path) -> None:
    seen = {state.fingerprint()}
    for path in (package / "app.py", package / "resources/notes.py", package / "docs/index.html"):
        write(path, "3")
        seen.add(state.fingerprint())
    (package / "resources" / "notes.py").rename(package / "resources" / "memos.py")
    seen.add(state.fingerprint())
    (package / "resources" / "memos.py").unlink()
    seen.add(state.fingerprint())
    assert len(seen) == 6


@pytest.mark.parametrize("name", BESIDE)
def test_it_does_not_change_with_what_is_written_beside(package: Path, name: str) -> None:
    before = state.fingerprint()
    write(package / name, "4")
    assert state.fingerprint() == before


def test_a_file_that_vanishes_meanwhile(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state.fingerprint()
    vanishing = package / "saved.py"
    vanishing.write_text("5")
    read = Path.read_bytes

    def vanish(path: Path) -> bytes:
        if path == vanishing:
            path.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", vanish)
    assert state.fingerprint() == before


def test_a_link_that_leads_nowhere(package: Path) -> None:
    before = state.fingerprint()
    (package / "lock.py").symlink_to("user@host.1234")
    assert state.fingerprint() == before
