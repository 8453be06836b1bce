"""Schemas of bodies and parameters, out of msgspec's, with what the fields' rules add to them."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from api.web.operations import Operation
from api.web.problems import Problem
from api.web.rules import schema_of

Json = dict[str, Any]

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
        for operation in operations:
            for shape in operation.body:
                self._add_rules(shape, operation)
        queries = {operation.query for operation in operations if operation.query is not None}
        self._queries = {query: self._resolve(self.ref(query)) for query in queries}
        for query in queries:  # shown as parameters, not as objects
            del components[query.__name__]

    def ref(self, kind: Any) -> Json:
        """The schema of a type, as a reference where it has a name."""
        return self._schemas[id(kind)]

    def formats(self) -> str:
        """The named formats, in words."""
        return "\n".join(f"- `{name}`: {text}" for name, text in sorted(self._formats.items()))

    def parameters(self, query: type[msgspec.Struct]) -> Iterator[Json]:
        """The query parameters that a struct stands for."""
        schema = self._queries[query]
        for name, given in schema.get("properties", {}).items():
            kept = _without_null(given)
            parameter: Json = {"name": name, "in": "query", "schema": kept}
            if name in schema.get("required", ()):
                parameter["required"] = True
            meaning = kept.pop("description", None)
            if meaning:
                parameter["description"] = meaning
            if kept.get("type") == "array":
                parameter |= {"style": "form", "explode": False}
            yield parameter

    def _resolve(self, schema: Json) -> Json:
        ref = schema.get("$ref")
        return self.components[ref.rpartition("/")[2]] if ref else schema

    def _add_rules(self, shape: type[msgspec.Struct], operation: Operation) -> None:
        schema = self._resolve(self.ref(shape))
        extra: Json = getattr(shape, "json_schema", {})
        schema.update(extra)
        for name, given in schema["properties"].items():
            rule = operation.rules.get(name)
            keywords = schema_of(rule) if rule is not None else {}
            for branch in given.get("anyOf", [given]):
                if branch.get("type") == "string" and "enum" not in branch:
                    branch.update({k: v for k, v in keywords.items() if k != "description"})
            if "format" in keywords:
                self._formats[keywords["format"]] = keywords.get("description", "")


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
