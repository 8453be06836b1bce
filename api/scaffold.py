"""`python -m api new-resource NAME`: a resource to begin from, with comments."""

import keyword
import re
from pathlib import Path

from api import resources, schema
from api.errors import ApiError

FOLDER = Path(resources.__file__).parent
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}").fullmatch
TAKEN = frozenset({"auth", "docs"})  # addresses beside those of resources
IMPORTED = frozenset({"Access", "Annotated", "Id", "Resource", "Struct", "Who"})  # by the file

TEMPLATE = '''"""{Title}: everybody writes their own, and sees no others."""

from typing import Annotated

from msgspec import Struct

from api.crud.access import Access, Who
from api.crud.fields import OWNER, READ_ONLY, Id
from api.crud.resource import ORDERED, TEXT, Resource
from api.web import text as texts


class {Class}(Struct, kw_only=True):
    """{A} {one}."""

    # What has no default is required of who creates one; `| None = None` may be absent. Each text
    # has a rule, its normal form: texts.line, .paragraphs, .email, .phone, …
    name: Annotated[str, texts.line(120)]
    description: Annotated[str, texts.paragraphs(2000)] | None = None
    # Marks say more of a field (api/crud/fields.py): UNIQUE, CREATE_ONLY, ADMIN_ONLY, …
    owner: Annotated[Id, OWNER, READ_ONLY]  # whoever creates it


{CONSTANT} = Resource(
    name="{name}",
    fields={Class},
    # Who may: NOBODY (there is no such route), ADMIN, OWNER, MEMBER, USER (whoever is logged in),
    # or ANYONE, who must then stand in PUBLIC in api/auth/gate.py, too.
    access=Access(
        list=Who.OWNER, create=Who.USER, get=Who.OWNER, change=Who.OWNER, delete=Who.OWNER
    ),
    # One's documents are on one shard. Leave this out where a field is UNIQUE.
    shard_key={{"owner": "hashed", "_id": 1}},
    # What lists can be filtered and sorted by. Each costs an index.
    filters={{"name": TEXT, "created_at": ORDERED}},
    sorts=("name",),
)
'''


def write(name: str, folder: Path = FOLDER) -> Path:
    """Write the file of a new resource. Raises ApiError: the name will not do, or is taken."""
    if not NAME(name) or keyword.iskeyword(name):
        raise ApiError(
            f"'{name}' cannot be a resource: give a word of small letters, digits and _, in the "
            "plural, such as notes. It is the collection, and the end of its address"
        )
    one = re.sub(r"ies$", "y", name) if name.endswith("ies") else name.removesuffix("s")
    shape = "".join(part.capitalize() for part in one.split("_"))
    if name in TAKEN or shape in IMPORTED or name in {one.name for one in schema.wanted()}:
        raise ApiError(f"there is {name} already. Choose another name")
    file = folder / f"{name}.py"
    text = TEMPLATE.format(
        Title=name.replace("_", " ").capitalize(),
        Class=shape,
        A="An" if one[0] in "aeiou" else "A",
        one=one.replace("_", " "),
        CONSTANT=name.upper(),
        name=name,
    )
    try:
        with file.open("x", encoding="utf-8") as made:
            made.write(text)
    except FileExistsError:
        raise ApiError(f"{file} exists, and stays as it is. Choose another name") from None
    return file
