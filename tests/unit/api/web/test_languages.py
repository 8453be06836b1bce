"""What people are told is in the catalogue, all of it; and the language is that of the request."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from flask import Flask
from msgspec import Meta

import api
from api.crud.fields import Id
from api.web import expected, languages, problems
from api.web.catalogue import CODES, SPANISH, SPANISH_TITLES
from api.web.languages import Sentence, chosen, code_of, say, translated
from api.web.problems import ProblemError, in_body, in_query, invalid

ROOT = Path(api.__file__).parent
# Who speaks to operators, and not to consumers; and what is written for the description.
APART = (
    "__main__.py", "errors.py", "openapi.py", "scaffold.py", "schema.py", "setup.py", "local/",
    "settings/", "store/", "crud/consistency.py", "crud/shapes.py", "samples/data.py",
    "serving/listening.py", "serving/server.py", "web/catalogue.py",
)  # fmt: skip
DESCRIBE = {"description", "notes"}  # keyword arguments
DESCRIPTIONS = {"Body by which people create their own account: with a password."}
ALSO = {"The export is not whole: {error}."}  # the end of a stream, for programs
SENTENCE = re.compile(r"[A-Z{].* .*\.", re.DOTALL).fullmatch


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        if not str(path.relative_to(ROOT)).startswith(APART):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def spoken(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but docstrings, and what describes routes and fields."""
    for name, value in ast.iter_fields(tree):
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST):
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            if isinstance(node, ast.keyword) and node.arg in DESCRIBE:
                continue
            assert name
            yield node
            yield from spoken(node)


def plain(node: ast.JoinedStr) -> str:
    return "".join(
        one.value if isinstance(one, ast.Constant) else f"{{{ast.unparse(one.value)}}}"
        for one in node.values
        if isinstance(one, ast.Constant | ast.FormattedValue)
        and isinstance(one.value, str | ast.expr)
    )


def calls_say(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say"


def test_every_sentence_has_a_translation() -> None:
    """Whatever looks like one in the code that answers, and whatever `say` is given."""
    missing, seen = [], 0
    for path, tree in trees():
        for node in spoken(tree):
            text = ""
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value if SENTENCE(node.value) else ""
            elif isinstance(node, ast.Call) and calls_say(node) and node.args:
                first = node.args[0]
                text = str(first.value) if isinstance(first, ast.Constant) else ""
            known = text in SPANISH or not re.sub(r"{\w+}", "", text).strip()
            if not known and text not in DESCRIPTIONS:
                missing.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}: {text}")
            seen += bool(text)
    assert missing == []
    assert seen > 100


def test_no_sentence_is_put_together_by_hand() -> None:
    """An f-string has lost what it was made of: `say` keeps it."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {text}"
        for path, tree in trees()
        for node in spoken(tree)
        if isinstance(node, ast.JoinedStr) and SENTENCE(text := plain(node)) and text not in ALSO
    ]
    assert found == []


def test_every_translation_is_of_something() -> None:
    """What the code no longer says goes from the catalogue, too."""
    used = {
        node.value
        for _, tree in trees()
        for node in spoken(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    described = "an id: 24 hexadecimal digits"  # made of the description of `Id`
    assert set(SPANISH) - used - {described} == set()


@pytest.mark.parametrize("english", sorted(SPANISH))
def test_a_translation_has_the_same_values(english: str) -> None:
    spanish = SPANISH[english]
    assert sorted(re.findall(r"{\w*}", spanish)) == sorted(re.findall(r"{\w*}", english))
    assert spanish != english or english == "true or false"
    assert english.endswith(".") == spanish.endswith(".")


def test_every_status_that_is_answered_has_a_title() -> None:
    statuses = {
        int(node.args[0].value)
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "ProblemError"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(statuses) > 12
    assert statuses <= set(SPANISH_TITLES)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"), ("", "en"), ("es", "es"), ("es-MX", "es"), ("ES-es", "es"), ("fr", "en"),
        ("de, es;q=0.5", "es"), ("en;q=0.1, es", "es"), ("en-GB,en;q=0.9,es;q=0.8", "en"),
        ("es;q=0", "en"), ("*", "en"), ("fr;q=1, en;q=0, es;q=0.1", "es"), (";;q=x,,", "en"),
    ],
)  # fmt: skip
def test_the_language_is_what_the_request_prefers(accepted: str | None, language: str) -> None:
    assert chosen(accepted) == language


def test_a_sentence_survives_an_exception() -> None:
    given = say("Give at most {longest} characters.", longest=5)
    assert given == "Give at most 5 characters."
    caught = str(ValueError(given))
    assert isinstance(caught, Sentence)
    assert translated(caught, "es") == "Escriba como máximo 5 caracteres."
    assert type(translated(caught, "en")) is str
    assert code_of(caught) == "too_long"


def test_values_are_not_translated() -> None:
    named = say(
        "There are {name} that are no samples. Samples are for an empty system.", name="items"
    )
    assert translated(named, "es").startswith("Hay items que no")


def test_what_nobody_translated_stays() -> None:
    for text in ("A rule of {their} own.", say("A rule of {their} own.", their="x"), say("{")):
        assert translated(text, "es") == str.__str__(text)
        assert code_of(text) == "invalid"


Colour = Literal["red", "green"]


@pytest.mark.parametrize(
    ("kind", "value", "code", "spanish"),
    [
        (int, "x", "type", "Indique un número entero."),
        (int | None, "x", "type", "Indique un número entero o null."),
        (Annotated[int, Meta(ge=2, le=5)], 9, "out_of_range", "Indique un número entero de 2 a 5."),
        (Annotated[int, Meta(ge=3)], 1, "out_of_range", "Indique un número entero de al menos 3."),
        (Annotated[int, Meta(le=3)], 1.5, "type", "Indique un número entero de como máximo 3."),
        (Annotated[float, Meta(ge=3)], 1, "out_of_range", "Indique un número de al menos 3."),
        (bool, 1, "type", "Indique true o false."),
        (date, "x", "type", "Indique una fecha como 2026-01-31."),
        (Colour, "blue", "choice", "Indique uno de: red, green."),
        (Id, "x", "pattern", "Indique un identificador: 24 cifras hexadecimales."),
        (
            Annotated[str, Meta(max_length=3)], "four", "too_long",
            "Indique un texto de como máximo 3 caracteres.",
        ),
        (
            Annotated[list[int], Meta(min_length=2, max_length=3)], [1], "too_short",
            "Indique una lista de 2 a 3 elementos.",
        ),
        (
            Annotated[list[int], Meta(min_length=2)], "x", "type",
            "Indique una lista de al menos 2 elementos.",
        ),
    ],
)  # fmt: skip
def test_what_to_give(kind: Any, value: Any, code: str, spanish: str) -> None:
    [(_, found)] = expected.faults(kind, value)
    assert (code_of(found), translated(found, "es")) == (code, spanish)


def test_what_to_give_in_a_query() -> None:
    few = Annotated[list[int], Meta(max_length=4)]
    found = expected.sentence(few, separated=True)
    english = "Give at most 4 values separated by commas, each a whole number."
    spanish = "Indique como máximo 4 valores separados por comas, cada uno un número entero."
    assert (found, translated(found, "es")) == (english, spanish)


@pytest.fixture
def client() -> Any:
    app = Flask("test")
    problems.install(app)

    @app.get("/problem")
    def problem() -> None:
        raise invalid(
            in_body("a.2.b", say("Give at most {longest} characters.", longest=7)),
            in_query("limit", "Give it once."),
        )

    @app.get("/own")
    def own() -> None:
        raise ProblemError(409, "A sentence of somebody's own resource.")

    return app.test_client()


def test_english_is_as_it_was(client: Any) -> None:
    answer = client.get("/problem")
    assert answer.json == {
        "type": "urn:shardstack:problem:invalid",
        "title": answer.json["title"],
        "status": 422,
        "detail": "Some fields are not valid.",
        "errors": [
            {"detail": "Give at most 7 characters.", "pointer": "#/a/2/b", "code": "too_long"},
            {"detail": "Give it once.", "parameter": "limit", "code": "repeated"},
        ],
    }
    assert answer.headers["Content-Language"] == "en"
    assert answer.headers["Vary"] == "Accept-Language"


def test_spanish(client: Any) -> None:
    answer = client.get("/problem", headers={"Accept-Language": "es-MX,es;q=0.9,en;q=0.5"})
    assert answer.json == {
        "type": "urn:shardstack:problem:invalid",
        "title": "Contenido no procesable",
        "status": 422,
        "detail": "Algunos campos no son válidos.",
        "errors": [
            {
                "detail": "Escriba como máximo 7 caracteres.",
                "pointer": "#/a/2/b",
                "code": "too_long",
            },
            {"detail": "Indíquelo una sola vez.", "parameter": "limit", "code": "repeated"},
        ],
    }
    assert answer.headers["Content-Language"] == "es"
    missing = client.get("/nothing", headers={"Accept-Language": "es"})
    assert missing.json["title"] == "No encontrado"
    assert missing.json["detail"] == "No hay nada en esta dirección."
    own = client.get("/own", headers={"Accept-Language": "es"}).json
    assert (own["title"], own["detail"]) == ("Conflicto", "A sentence of somebody's own resource.")


def test_codes_are_names() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in CODES.values())
    assert languages.LANGUAGES == ("en", "es")
