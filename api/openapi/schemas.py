"""Schemas of bodies and parameters, out of msgspec's, with what the fields' rules add to them."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import msgspec

from api.web import queries
from api.web.body import Rules
from api.web.expected import INTEGERS
from api.web.operations import Operation
from api.web.problems import Problem
from api.web.text import Rule, schema_of

Json = dict[str, Any]

NO_NUL = "^[^\\u0000]*$"
TEMPLATE = "#/components/schemas/{name}"


class Schemas:
    """All schemas that operations use; `components` by name."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        types: list[Any] = [Problem]
        for operation in operations:
            answers = [answer.shape for answer in operation.answers.values()]
            types += [*operation.body, *(shape for shape in answers if shape is not None)]
            if operation.query is not None:
                types.append(operation.query)
        unique = list({id(kind): kind for kind in types}.values())
        made, components = msgspec.json.schema_components(unique, ref_template=TEMPLATE)
        self._schemas = {id(kind): schema for kind, schema in zip(unique, made, strict=True)}
        self._kept = unique  # so that no id is given out twice
        self.components: dict[str, Json] = components
        self._formats: dict[str, str] = {}
        self._inlined: set[str] = set()
        for operation in operations:
            for shape in operation.body:
                self._add_rules(shape, operation.rules)
        while unused := self._unused():
            del components[unused]
        queries = {operation.query for operation in operations if operation.query is not None}
        self._queries = {query: self._resolve(self.ref(query)) for query in queries}
        for query in queries:  # shown as parameters, not as objects
            del components[query.__name__]

    def ref(self, kind: Any) -> Json:
        """The schema of a type, as a reference where it has a name."""
        return self._schemas[id(kind)]

    def parts(self, kind: Any) -> Json:
        """The media types that the files of a form may be of."""
        fields = self._resolve(self.ref(kind))["properties"].items()
        return {
            name: {"contentType": field["contentMediaType"]}
            for name, field in fields
            if "contentMediaType" in field
        }

    def formats(self) -> str:
        """The named formats, in words."""
        return "\n".join(f"- `{name}`: {text}" for name, text in sorted(self._formats.items()))

    def parameters(self, query: type[msgspec.Struct], rules: Rules) -> Iterator[Json]:
        """The query parameters that a struct stands for."""
        schema = self._queries[query]
        for name, given in schema.get("properties", {}).items():
            kept = _without_null(given)
            field, _, operator = name.partition("[")
            if field in rules and operator in ("", "in]"):  # a prefix need not be a whole value
                self._add_rule(rules[field], kept.get("items", kept))
            parameter: Json = {"name": name, "in": "query", "schema": kept}
            if name in schema.get("required", ()):
                parameter["required"] = True
            meaning = kept.pop("description", None)
            if meaning:
                parameter["description"] = meaning
            if kept.get("type") == "integer":  # of so many digits they are read
                kept.setdefault("maximum", 10**queries.DIGITS - 1)
                kept.setdefault("minimum", 1 - 10**queries.DIGITS)
            _bound(kept.get("items", kept))
            if kept.get("type") == "array":
                parameter |= {"style": "form", "explode": False}
            yield parameter

    def _resolve(self, schema: Json) -> Json:
        ref = schema.get("$ref")
        return self.components[ref.rpartition("/")[2]] if ref else schema

    def _add_rules(self, shape: type[msgspec.Struct], rules: Rules) -> None:
        schema = self._resolve(self.ref(shape))
        extra: Json = getattr(shape, "json_schema", {})
        schema.update(extra)
        for name, given in schema["properties"].items():
            self._complete(given, rules, name)

    def _complete(self, given: Json, rules: Rules, name: str) -> None:
        """Add what the rules say of the texts in a field, and the bounds of all that is stored."""
        for branch in given.get("anyOf", [given]):
            whole = self._resolve(branch)
            if "properties" in whole:
                # The object as it is here: another resource may have other rules for its like.
                self._inlined.add(branch.pop("$ref").rpartition("/")[2])
                branch.update({**deepcopy(whole), **branch})
                for inner, one in branch["properties"].items():
                    self._complete(one, rules, f"{name}.{inner}")
            elif "items" in branch:
                self._complete(branch["items"], rules, name)
            else:
                if name in rules:
                    self._add_rule(rules[name], branch)
                _bound(branch)

    def _unused(self) -> str | None:
        """An object that stands within bodies only, if there is one."""
        text = msgspec.json.encode([*self._schemas.values(), self.components]).decode()
        left = self._inlined & self.components.keys()
        return next((n for n in left if f'"{TEMPLATE.format(name=n)}"' not in text), None)

    def _add_rule(self, rule: Rule, schema: Json) -> None:
        keywords = schema_of(rule)
        if schema.get("type") == "string" and "enum" not in schema and keywords:
            words = {"description"}  # told once for all, where the formats are explained
            schema.update({key: of for key, of in keywords.items() if key not in words})
            self._formats[keywords["format"]] = keywords["description"]


def _bound(schema: Json) -> None:
    """Say what no value can be, of whatever type: what the database does not hold."""
    if schema.get("type") == "string" and not schema.keys() & {"enum", "format", "pattern"}:
        schema["pattern"] = NO_NUL
    if schema.get("type") == "integer":
        schema.setdefault("minimum", INTEGERS[0])
        schema.setdefault("maximum", INTEGERS[-1])


def _without_null(schema: Json) -> Json:
    """A parameter is there or not, never null."""
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if len(branches) == 1:
        rest |= branches[0]
    elif branches:
        rest["anyOf"] = branches
    default = schema.get("default")
    return rest if default is None else {**rest, "default": default}
