"""What a user needs to be allowed for a command: the same actions on the same resources as mongos.

The router runs everything with the cluster's own right, so this table is the only lock on the door:
a command that is not in it is not served.
Source: https://www.mongodb.com/docs/manual/reference/privilege-actions/
"""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.router.context import Context, namespace_of
from cluster.router.errors import CommandError
from cluster.router.identity import Action, Privileges

Needs = Callable[[Context], list[Action]]


def on_collection(*actions: str) -> Needs:
    """Actions on the collection that the command names first."""
    return lambda context: [(context.db, context.collection, action) for action in actions]


def on_namespace(*actions: str) -> Needs:
    """Actions on the collection that an admin command names as ``db.collection``."""
    return lambda context: [(*namespace_of(context), action) for action in actions]


def rename_needs(context: Context) -> list[Action]:
    """Within a database its own action; across databases what copying and dropping would need."""
    db, collection = namespace_of(context)
    to_db, _, to_collection = str(context.sent.get("to")).partition(".")
    needs: list[Action] = [(db, collection, "renameCollectionSameDB")]
    if to_db != db:
        needs = [(db, collection, action) for action in ("find", "dropCollection")]
        needs += [(to_db, to_collection, action) for action in ("insert", "createIndex")]
    if context.sent.get("dropTarget"):
        needs.append((to_db, to_collection, "dropCollection"))
    return needs


def on_database(*actions: str) -> Needs:
    return lambda context: [(context.db, "", action) for action in actions]


def on_named_database(action: str) -> Needs:
    """An action on the database that an admin command names as its value."""
    return lambda context: [(str(context.sent[context.name]), "", action)]


def on_cluster(*actions: str) -> Needs:
    return lambda _: [(None, None, action) for action in actions]


def on_config(collection: str, action: str) -> Needs:
    return lambda _: [("config", collection, action)]


def anyone(_: Context) -> list[Action]:
    """Nothing beyond having logged in; the handler itself looks at whose things are touched."""
    return []


def create_needs(context: Context) -> list[Action]:
    """A view shows what its maker may read, so its maker must be allowed to read it."""
    action = "createCollection" if context.name == "create" else "collMod"
    needs = on_collection(action)(context)
    source, pipeline = context.sent.get("viewOn"), context.sent.get("pipeline")
    if source is not None:
        needs.append((*_place(context.db, source), "find"))
    return needs + _pipeline_needs(context.db, pipeline if isinstance(pipeline, list) else [])


def update_needs(context: Context) -> list[Action]:
    actions = ["update"]
    if any(isinstance(it, Mapping) and it.get("upsert") for it in context.sent.get("updates", ())):
        actions.append("insert")
    return on_collection(*actions)(context)


def find_and_modify_needs(context: Context) -> list[Action]:
    actions = ["find", "remove" if context.sent.get("remove") else "update"]
    if context.sent.get("upsert"):
        actions.append("insert")
    return on_collection(*actions)(context)


_FIRST_STAGES = {
    "$collStats": "collStats",
    "$indexStats": "indexStats",
    "$planCacheStats": "planCacheRead",
}
_CLUSTER_STAGES = {"$currentOp": "inprog", "$listSessions": "listSessions"}
_HARMLESS = frozenset({"$documents", "$listLocalSessions"})


def aggregate_needs(context: Context) -> list[Action]:
    """Every collection that a pipeline reads, at any depth, and the one that it writes."""
    pipeline = context.sent.get("pipeline")
    stages = pipeline if isinstance(pipeline, list) else []
    first = next(iter(stages[0]), "") if stages and isinstance(stages[0], Mapping) else ""
    needs = _pipeline_needs(context.db, stages)
    if context.sent["aggregate"] == 1:
        if first in _CLUSTER_STAGES:
            needs.append((None, None, _CLUSTER_STAGES[first]))
        elif first not in _HARMLESS:
            raise CommandError(115, f"aggregate: 1 with {first or 'no stage'} is not served here")
    else:
        needs.append((context.db, context.collection, _FIRST_STAGES.get(first, "find")))
    return needs


def _pipeline_needs(db: str, stages: list[Any]) -> list[Action]:
    needs: list[Action] = []
    for stage in stages:
        for name, body in stage.items() if isinstance(stage, Mapping) else ():
            needs += _stage_needs(db, name, body)
    return needs


def _stage_needs(db: str, name: str, body: Any) -> list[Action]:
    if name in ("$lookup", "$graphLookup", "$unionWith"):
        source = body.get("from", body.get("coll")) if isinstance(body, Mapping) else body
        needs = [(*_place(db, source), "find")] if source is not None else []
        inner = body.get("pipeline") if isinstance(body, Mapping) else None
        return needs + _pipeline_needs(db, inner if isinstance(inner, list) else [])
    if name == "$facet" and isinstance(body, Mapping):
        branches = [branch for branch in body.values() if isinstance(branch, list)]
        return [need for branch in branches for need in _pipeline_needs(db, branch)]
    if name == "$out":
        place = _place(db, body)
        return [(*place, "insert"), (*place, "remove")]
    if name == "$merge":
        target = body.get("into") if isinstance(body, Mapping) else body
        place = _place(db, target)
        return [(*place, "insert"), (*place, "update")]
    return []


def _place(db: str, value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        place = (value.get("db", db), value.get("coll", ""))
    else:
        place = (db, value)
    if not (isinstance(place[0], str) and isinstance(place[1], str) and place[1]):
        raise CommandError(73, "a pipeline stage names no collection")
    return place


def grant_needs(*own: str) -> Needs:
    """Making users and roles: the actions named, and grantRole for whatever is handed out."""

    def needs(context: Context) -> list[Action]:
        wanted: list[Action] = [(context.db, "", action) for action in own]
        for role in _documents_or_names(context.sent.get("roles")):
            db = role.get("db", context.db) if isinstance(role, Mapping) else context.db
            wanted.append((str(db), "", "grantRole"))
        for privilege in _documents_or_names(context.sent.get("privileges")):
            resource = privilege.get("resource") if isinstance(privilege, Mapping) else None
            db = resource.get("db") if isinstance(resource, Mapping) else None
            wanted.append((str(db or "admin"), "", "grantRole"))
        if context.name in ("updateUser", "updateRole") and "roles" in context.sent:
            wanted.append(("admin", "", "revokeRole"))
        return wanted

    return needs


def _documents_or_names(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def update_user_needs(context: Context) -> list[Action]:
    """A user may change its own password where it has changeOwnPassword; the rest needs more."""
    own = (context.sent["updateUser"], context.db) == (context.login.user, context.login.db)
    fields = context.sent.keys() & {"pwd", "roles", "customData", "authenticationRestrictions"}
    if own and fields <= {"pwd"}:
        return on_database("changeOwnPassword")(context)
    return grant_needs("changePassword", "changeCustomData")(context)


def users_info_needs(context: Context) -> list[Action]:
    """Everybody may look at itself."""
    asked = context.sent["usersInfo"]
    if isinstance(asked, Mapping):
        asked = (asked.get("user"), asked.get("db", context.db))
    else:
        asked = (asked, context.db)
    if asked == (context.login.user, context.login.db) and not context.sent.get("showCredentials"):
        return []
    return on_database("viewUser")(context) if asked[0] != 1 else [("admin", "", "viewUser")]


def check(context: Context, privileges: Privileges, needs: Needs) -> None:
    """Let the command pass, or refuse it.

    Raises:
        CommandError: 13, an action is missing; the message names it.
    """
    for needed in needs(context):
        if not privileges.allow(needed):
            db, collection, action = needed
            where = "the cluster" if db is None else f"{db}.{collection}" if collection else db
            raise CommandError(
                13,
                f"not authorized on {context.db} to execute command {context.name}: "
                f"{context.login.name} lacks {action} on {where}",
            )
