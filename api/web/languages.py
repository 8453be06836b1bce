"""The language of what people are told: that of Accept-Language (RFC 9110, 12.5.4), or English.

A sentence is written in English where it is raised, and translated where it is answered, by the
one catalogue (catalogue.py). One with values in it is made by `say`, from a template: it is its
English text, and remembers what it was made of. So English costs nothing more. What the catalogue
does not have stays English; an answer in another language says so in Content-Language.

The catalogue also gives each sentence about a field its `code`, which is the same in every
language. It is Python, not gettext's files: there is no build step, and the tests read the
catalogue and the code alike.
"""

from functools import lru_cache
from http import HTTPStatus
from typing import Any, Self

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from api.web.catalogue import CODES, SPANISH, SPANISH_TITLES

ENGLISH = "en"
CATALOGUES = {"es": SPANISH}
TITLES = {"es": SPANISH_TITLES}
LANGUAGES = (ENGLISH, *CATALOGUES)
OTHER = "invalid"  # the code of what the catalogue does not have


class Sentence(str):
    """English text that knows its template and the values in it."""

    __slots__ = ("code", "template", "values")

    template: str
    values: dict[str, Any]
    code: str

    def __str__(self) -> Self:
        """Itself: so it stays what it is on its way through an exception."""
        return self


def say(template: str, /, *, code: str = "", **values: Any) -> Sentence:
    """A sentence with these values. Values that are sentences are translated with it.

    `code`: for the fields that it is said of, where that is not the template's own.
    """
    made = Sentence(template.format(**values) if values else template)
    made.template, made.values = template, values
    made.code = code or CODES.get(template, OTHER)
    return made


def code_of(text: str) -> str:
    """What a sentence about a field is called in every language."""
    return text.code if isinstance(text, Sentence) else CODES.get(text, OTHER)


def translated(text: str, language: str) -> str:
    """The sentence as plain text in a language; in English where there is no translation."""
    catalogue = CATALOGUES.get(language)
    if catalogue is None:
        return str.__str__(text)
    if not isinstance(text, Sentence):
        return catalogue.get(text, text)
    values = {
        name: translated(value, language) if isinstance(value, Sentence) else value
        for name, value in text.values.items()
    }
    found = catalogue.get(text.template, text.template)
    return found.format(**values) if values else found


def title(status: int, language: str) -> str:
    """The name of a status (RFC 9110, 15)."""
    return TITLES.get(language, {}).get(status) or HTTPStatus(status).phrase


@lru_cache(maxsize=256)
def chosen(accepted: str | None) -> str:
    """The language to answer in, for the text of Accept-Language."""
    if accepted is None:
        return ENGLISH
    wanted = parse_accept_header(accepted, LanguageAccept)
    return wanted.best_match(LANGUAGES, default=ENGLISH)


def headers(language: str) -> dict[str, str]:
    """The headers that name the answer's language, and that Accept-Language has chosen it."""
    return {"Content-Language": language, "Vary": "Accept-Language"}
