"""What rules for text fields say of themselves in the description of the API."""

from collections.abc import Callable
from typing import Any

Rule = Callable[[str], str]


def documented(**schema: Any) -> Callable[[Rule], Rule]:
    """Give a rule keywords of JSON Schema: a named `format`, lengths, a description in words.

    Normal forms undo more than a pattern could say (spaces, case, composed characters); a format
    tells the truth, and a generator of test data can be taught it.
    """

    def mark(rule: Rule) -> Rule:
        rule.schema = schema  # type: ignore[attr-defined]
        return rule

    return mark


def schema_of(rule: Rule) -> dict[str, Any]:
    """The keywords of a rule; none when it was given none."""
    found: dict[str, Any] = getattr(rule, "schema", {})
    return found
