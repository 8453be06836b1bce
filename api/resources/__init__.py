"""What the API serves: one file per resource, each a declaration, found by itself.

A new resource is a new file here that holds one `Resource` (`api/crud/resource.py` says what
it may declare), and no other change.
"""

import importlib
import pkgutil

from api.crud import consistency
from api.crud.resource import Resource
from api.resources.users import USERS


def _discover() -> tuple[Resource, ...]:
    """The declarations of the modules beside this one, by module name."""
    modules = [
        importlib.import_module(f"{__name__}.{found.name}")
        for found in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name)
    ]
    found = tuple(
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Resource)
    )
    for one in found:
        consistency.check(one)
    return found


ALL: tuple[Resource, ...] = _discover()

__all__ = ["ALL", "USERS", "Resource"]
