"""What the API serves: one file per resource, each a declaration.

`declaration` says what a declaration is, `routes` makes the routes from one, `access` decides who
may do what.
"""

from api.resources.declaration import Resource
from api.resources.users import USERS

ALL: tuple[Resource, ...] = (USERS,)

__all__ = ["ALL", "USERS", "Resource"]
