"""The description of the API (OpenAPI 3.1), made from what the routes declare of themselves."""

from api.openapi.document import blueprint, describe, text

__all__ = ["blueprint", "describe", "text"]
