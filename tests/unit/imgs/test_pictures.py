"""The committed pictures are the ones that the project draws."""

import runpy
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

IMGS = Path(__file__).parents[3] / "imgs"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    monkeypatch.syspath_prepend(str(IMGS))
    pictures: Mapping[str, str] = runpy.run_path(str(IMGS / "draw.py"))["pictures"]()
    return pictures


def test_the_committed_pictures_are_what_the_command_draws(drawn: Mapping[str, str]) -> None:
    committed = {path.name: path.read_text() for path in IMGS.glob("*.svg")}
    assert committed == drawn, "run: python imgs/draw.py"


def test_the_pictures_are_svg_that_says_what_it_shows(drawn: Mapping[str, str]) -> None:
    for text in drawn.values():
        root = ElementTree.fromstring(text)  # noqa: S314 - our own words
        names = [child.tag.rpartition("}")[2] for child in root]
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert names[:2] == ["title", "desc"]


def test_light_and_dark_show_the_same(drawn: Mapping[str, str]) -> None:
    def words(text: str) -> list[str | None]:
        root = ElementTree.fromstring(text)  # noqa: S314 - our own words
        return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]

    light, dark = drawn["architecture-light.svg"], drawn["architecture-dark.svg"]
    assert light != dark
    assert words(light) == words(dark) != []
