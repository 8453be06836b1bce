"""Loads the sample data: `POST /api/v1/samples`, `python -m api up` and `sample-data`.

Each document goes through the checks and the write path of the API's own: rules, constraints,
claims, files. What is there stays as it is. A user or project that was deleted comes back once its
tombstone is gone, an hour later; a lead at once.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, NoReturn

import msgspec
from bson import ObjectId
from flask import Blueprint, Response

from api.crud.access import Role, Who, admit, principal
from api.crud.audit import Trail
from api.crud.files import Arrived
from api.crud.references import References
from api.crud.resource import Resource
from api.crud.rules import check
from api.resources import ALL, USERS
from api.resources.leads import LEADS
from api.resources.projects import PROJECTS
from api.samples import data
from api.settings import Settings
from api.store import Document, DuplicateError, Store
from api.store.files import Files
from api.web import body as bodies
from api.web.files import FileHead
from api.web.languages import say
from api.web.operations import Answer, operation
from api.web.problems import ProblemError

PDF = "application/pdf"
AT_ONCE = 5  # leads
OTHERS = "There are {name} that are no samples. Samples are for an empty system."

Progress = Callable[[int], None] | None
"""Gets how many were dealt with since its last call."""


class Counts(msgspec.Struct, kw_only=True):
    """So many of each."""

    users: int = 0
    projects: int = 0
    leads: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, name)} {name}" for name in self.__struct_fields__)


class Loaded(msgspec.Struct, kw_only=True):
    """What became of the samples. refused: others have a value of theirs, or they were deleted."""

    created: Counts = msgspec.field(default_factory=Counts)
    existing: Counts = msgspec.field(default_factory=Counts)
    refused: Counts = msgspec.field(default_factory=Counts)

    def lines(self) -> list[str]:
        """For people: what was created, and whatever else there was."""
        nothing = Counts()
        found = [f"{self.created} created"]
        found += [f"{self.existing} existed"] if self.existing != nothing else []
        return found + ([f"{self.refused} refused"] if self.refused != nothing else [])


def total(users: int) -> int:
    """How many documents are loaded with so many users."""
    return users + min(users, data.PROJECTS_COUNT) + min(users, data.LEADS_COUNT)


class Loader:
    """Loads into one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._references = {
            one.name: References(one, store, ALL) for one in (USERS, PROJECTS, LEADS)
        }
        bodies.prepare(*(_creation(one) for one in (USERS, PROJECTS, LEADS)))

    def load(self, users: int = data.USERS_COUNT, progress: Progress = None) -> Loaded:
        """Load the first `users` sample users, and as many projects and leads as there are, but no
        more than users.
        """
        loaded = Loaded()
        numbers = range(users)
        self._many(loaded, USERS, map(data.sample_user, numbers), data.sample_id, progress)
        projects = [data.sample_project(n, users) for n in numbers[: data.PROJECTS_COUNT]]
        self._many(loaded, PROJECTS, projects, data.project_id, progress)
        leads = [(copy_context(), number) for number in numbers[: data.LEADS_COUNT]]
        with ThreadPoolExecutor(AT_ONCE) as pool:  # each waits for majorities; let them together
            for counts in pool.map(lambda lead: lead[0].run(self._lead, loaded, lead[1]), leads):
                counts.leads += 1
                if progress is not None:
                    progress(1)
        return loaded

    def stranger(self) -> str | None:
        """A resource that holds something else than administrators and samples; None: no one does.

        Of users it looks at the ids: those of samples are from a time before there was an API. So
        each question reads one document, or finds that there is none.
        """
        first, last = data.sample_id(0), data.sample_id(data.MOST_USERS)
        projects = [data.project_id(number) for number in range(data.PROJECTS_COUNT)]
        leads = [data.sample_lead(number)["email"] for number in range(data.LEADS_COUNT)]
        outside = {"$or": [{"_id": {"$lt": first}}, {"_id": {"$gt": last}}]}
        others: tuple[tuple[Resource, Document], ...] = (
            (USERS, {"role": {"$ne": Role.ADMIN.value}, **outside}),
            (PROJECTS, {"_id": {"$nin": projects}}),
            (LEADS, {"email": {"$nin": leads}}),
        )
        for one, where in others:
            if one.documents(self._store).page((), 1, where=where):
                return one.name
        return None

    def _many(
        self,
        loaded: Loaded,
        resource: Resource,
        given: Iterable[dict[str, Any]],
        id_of: Callable[[int], ObjectId],
        progress: Progress,
    ) -> None:
        stored = [resource.beginning(self._checked(resource, one)) for one in given]
        ids = [id_of(number) for number in range(len(stored))]
        report = resource.documents(self._store).create_many(stored, ids, progress)
        setattr(loaded.created, resource.name, report.created)
        setattr(loaded.existing, resource.name, len(report.existing))
        setattr(loaded.refused, resource.name, len(report.refused))

    def _lead(self, loaded: Loaded, number: int) -> Counts:
        """As a form that arrives: the file first, and nobody's until its lead is written. Returns
        where it counts.
        """
        attachment, fields = LEADS.attachment, data.sample_lead(number)
        assert attachment is not None  # noqa: S101 - for the type checker
        leads, name = LEADS.documents(self._store), f"{fields['last_name']}.pdf"
        if leads.find_unique("email", fields["email"]) is not None:
            return loaded.existing
        try:
            with Files(self._store).upload(name, PDF) as upload:
                upload.write(data.sample_resume(number))
                arrived = Arrived(attachment, LEADS.name, fields, FileHead(name, PDF), upload)
                given = self._checked(LEADS, arrived.fields) | arrived.described()
                lead_id = ObjectId()
                leads.create({**LEADS.beginning(given), **arrived.late_fields(lead_id)}, lead_id)
        except DuplicateError:  # another loader was quicker, or somebody has this résumé
            return loaded.refused
        return loaded.created

    def _checked(self, resource: Resource, body: dict[str, Any]) -> Document:
        """The fields of a body as they are stored. Raises ProblemError, as for a consumer's."""
        shape = _creation(resource)
        fields = bodies.decode(msgspec.json.encode(body), shape, resource.rules)
        given = resource.converted(fields)
        check(resource.constraints, given)
        self._references[resource.name].check(given)
        return given


def _creation(resource: Resource) -> type[msgspec.Struct]:
    assert resource.create is not None  # noqa: S101 - these are created by bodies
    return resource.create


def blueprint(store: Store, settings: Settings, trail: Trail) -> Blueprint:
    """The route, to be registered under the API's prefix."""
    samples = Blueprint("samples", __name__)
    loader = Loader(store)

    @samples.post("/samples")
    @operation(
        guard=partial(admit, Who.ADMIN),
        answers={200: Answer(shape=Loaded)},
        problems=(403, 409),
        deadline=settings.bulk_deadline,
    )
    def load() -> Response:
        """Load sample data: users, projects with members, leads with résumés.

        For an empty system: where there is anything but administrators and samples the answer is
        409, and nothing changes. Repeated, it changes nothing that is there. The people are made
        up, and cannot log in.
        """
        found = loader.stranger()
        if found is not None:
            _refuse(found)
        with trail.recorded("samples.load", actor=principal().id):
            return bodies.reply(loader.load())

    return samples


def _refuse(found: str) -> NoReturn:
    detail = say(OTHERS, name=found)
    raise ProblemError(409, detail, kind="not-empty")
