"""The settings as people look them up: variable, default, meaning, and what is set now."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from api.settings.checks import FILE, SECRETS, variable
from api.settings.declared import Settings

SET = "(set)"  # of a secret, more is not told
HEAD = """# Settings of the API

Each is an environment variable, checked at start. Where a secret is marked, the same name with
`_FILE` may name a file whose content it is. `python -m api settings` shows this list with what is
set now, and checks it; `python -m api settings --markdown` makes this file.

| variable | default | meaning |
|---|---|---|
"""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One setting. `default` is null where it must be set, `now` where it is not set."""

    variable: str
    default: Any
    required: bool
    secret: bool
    meaning: str
    unit: str
    now: str | None


def listing(environment: Mapping[str, str]) -> list[Listed]:
    """Every setting, in the order of declaration. Values of secrets are not in it."""
    return list(_list(environment))


def _list(environment: Mapping[str, str]) -> Iterator[Listed]:
    hints = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        secret = field.name in SECRETS
        name = variable(field.name)
        now = environment.get(name)
        if secret and (now is not None or name + FILE in environment):
            now = SET
        yield Listed(
            variable=name,
            default=None if field.required else field.default,
            required=field.required or field.name == "jwt_secret",
            secret=secret,
            meaning=noted(hints[field.name], lambda note: note.description),
            unit=noted(hints[field.name], lambda note: (note.extra or {}).get("unit")),
            now=now,
        )


def noted(hint: Any, read: Callable[[msgspec.Meta], str | None]) -> str:
    """What the first note in a setting's type says that says something."""
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    said = (read(note) for note in notes if isinstance(note, msgspec.Meta))
    return next((text for text in said if text), "")


def default_text(entry: Listed) -> str:
    """The default in words, with its unit."""
    if entry.required:
        return "must be set"
    if entry.default == "":
        return "none"
    return f"{entry.default} {entry.unit}".rstrip()


def as_text(entries: list[Listed]) -> str:
    """For a terminal: two lines each."""
    width = max(len(entry.variable) for entry in entries)
    lines = []
    for entry in entries:
        now = "" if entry.now is None else f"   now: {entry.now} {entry.unit}".rstrip()
        secret = "   secret" if entry.secret else ""
        lines += [
            f"{entry.variable:{width}}  default: {default_text(entry)}{secret}{now}",
            f"{'':{width}}  {entry.meaning}",
        ]
    return "\n".join(lines)


def as_markdown(entries: list[Listed]) -> str:
    """The file api/SETTINGS.md."""
    rows = []
    for entry in entries:
        secret = " *Secret.*" if entry.secret else ""
        text = entry.meaning.replace("|", "\\|")
        rows.append(f"| `{entry.variable}` | {default_text(entry)} | {text}.{secret} |\n")
    return HEAD + "".join(rows)
