"""Every command that the router serves: what it needs, and what carries it out.

A command that stands in no table is refused with MongoDB's own code 59.
"""

from cluster.router import admin, explain, permissions, reads, session, sharding, writes
from cluster.router.context import Answer, Context, Handler
from cluster.router.errors import CommandError
from cluster.router.permissions import (
    Needs,
    anyone,
    on_cluster,
    on_collection,
    on_config,
    on_database,
    on_named_database,
    on_namespace,
)

HANDSHAKE: dict[str, Handler] = {
    "hello": session.hello,
    "isMaster": session.hello,
    "ismaster": session.hello,
    "saslStart": session.sasl_start,
    "saslContinue": session.sasl_continue,
    "logout": session.logout,
    "ping": session.ping,
    "buildInfo": session.build_info,
    "buildinfo": session.build_info,
    "connectionStatus": session.connection_status,
    "whatsmyuri": session.whats_my_uri,
}
"""Served before log-in; nothing else is."""

DATA: dict[str, tuple[Needs, Handler]] = {
    "find": (on_collection("find"), reads.find),
    "aggregate": (permissions.aggregate_needs, reads.aggregate),
    "count": (on_collection("find"), reads.count),
    "distinct": (on_collection("find"), reads.distinct),
    "insert": (on_collection("insert"), writes.write),
    "update": (permissions.update_needs, writes.write),
    "delete": (on_collection("remove"), writes.write),
    "findAndModify": (permissions.find_and_modify_needs, writes.find_and_modify),
    "findandmodify": (permissions.find_and_modify_needs, writes.find_and_modify),
    "explain": (anyone, explain.explain),  # needs what the explained command needs: see _needs
    "create": (permissions.create_needs, admin.create),
    "createIndexes": (on_collection("createIndex"), admin.create_indexes),
    "dropIndexes": (on_collection("dropIndex"), admin.coordinated("_shardsvrDropIndexes")),
    "collMod": (permissions.create_needs, admin.coordinated("_shardsvrCollMod")),
    "drop": (on_collection("dropCollection"), admin.coordinated("_shardsvrDropCollection")),
    "dropDatabase": (on_database("dropDatabase"), admin.drop_database),
    "listIndexes": (on_collection("listIndexes"), admin.list_indexes),
    "listCollections": (on_database("listCollections"), admin.list_collections),
    "dbStats": (on_database("dbStats"), admin.db_stats),
    "collStats": (on_collection("collStats"), admin.coll_stats),
    "validate": (on_collection("validate"), admin.validate),
}
"""Commands on a database; on ``config`` and ``admin`` the config servers answer them."""

CURSORS: dict[str, Handler] = {"getMore": reads.get_more, "killCursors": reads.kill_cursors}

_config = sharding.on_config_primary
_users = sharding.manage_users
_grant = permissions.grant_needs

ADMIN: dict[str, tuple[Needs, Handler]] = {
    "listDatabases": (anyone, admin.list_databases),
    "renameCollection": (permissions.rename_needs, admin.rename_collection),
    "addShard": (on_cluster("addShard"), sharding.add_shard),
    "removeShard": (on_cluster("removeShard"), sharding.remove_shard),
    "listShards": (on_cluster("listShards"), sharding.list_shards),
    "getShardMap": (on_cluster("getShardMap"), _config(concern=False)),
    "enableSharding": (on_named_database("enableSharding"), sharding.enable_sharding),
    "shardCollection": (on_namespace("enableSharding"), sharding.shard_collection),
    "refineCollectionShardKey": (on_namespace("refineCollectionShardKey"), sharding.refine),
    "reshardCollection": (on_namespace("reshardCollection"), sharding.reshard),
    "movePrimary": (on_named_database("moveChunk"), sharding.move_primary),
    "moveRange": (on_namespace("moveChunk"), sharding.move_range),
    "moveChunk": (on_namespace("moveChunk"), sharding.move_range),
    "split": (on_namespace("splitChunk"), sharding.split),
    "balancerStart": (
        on_config("settings", "update"),
        _config("_configsvrBalancerStart", concern=False),
    ),
    "balancerStop": (
        on_config("settings", "update"),
        _config("_configsvrBalancerStop", concern=False),
    ),
    "balancerStatus": (
        on_config("settings", "find"),
        _config("_configsvrBalancerStatus", concern=False),
    ),
    "balancerCollectionStatus": (
        on_config("settings", "find"),
        _config("_configsvrBalancerCollectionStatus", concern=False),
    ),
    "addShardToZone": (on_config("shards", "update"), _config("_configsvrAddShardToZone")),
    "removeShardFromZone": (
        on_config("shards", "update"),
        _config("_configsvrRemoveShardFromZone"),
    ),
    "updateZoneKeyRange": (on_config("tags", "update"), _config("_configsvrUpdateZoneKeyRange")),
    "getDefaultRWConcern": (on_cluster("getDefaultRWConcern"), _config(concern=False)),
    "setDefaultRWConcern": (on_cluster("setDefaultRWConcern"), sharding.set_default_concern),
    "flushRouterConfig": (on_cluster("flushRouterConfig"), sharding.flush_router_config),
    "getParameter": (on_cluster("getParameter"), session.get_parameter),
    "serverStatus": (on_cluster("serverStatus"), session.server_status),
    "hostInfo": (on_cluster("hostInfo"), session.host_info),
    "getLog": (on_cluster("getLog"), session.get_log),
    "shutdown": (on_cluster("shutdown"), session.shutdown),
    "getCmdLineOpts": (on_cluster("getCmdLineOpts"), session.command_line),
}
"""Commands on the cluster; they are sent to the database ``admin``."""

USERS: dict[str, tuple[Needs, Handler]] = {
    "createUser": (_grant("createUser"), _users),
    "updateUser": (permissions.update_user_needs, _users),
    "dropUser": (on_database("dropUser"), _users),
    "dropAllUsersFromDatabase": (on_database("dropUser"), _users),
    "grantRolesToUser": (_grant("grantRole"), _users),
    "revokeRolesFromUser": (on_database("revokeRole"), _users),
    "createRole": (_grant("createRole"), _users),
    "updateRole": (_grant("grantRole", "revokeRole"), _users),
    "dropRole": (on_database("dropRole"), _users),
    "grantPrivilegesToRole": (_grant("grantRole"), _users),
    "revokePrivilegesFromRole": (on_database("revokeRole"), _users),
    "grantRolesToRole": (_grant("grantRole"), _users),
    "revokeRolesFromRole": (on_database("revokeRole"), _users),
    "usersInfo": (permissions.users_info_needs, session.users_info),
    "rolesInfo": (on_database("viewRole"), session.users_info),
}

SESSIONS: dict[str, Handler] = {
    "startSession": session.start_session,
    "endSessions": session.fine,
    "refreshSessions": session.fine,
}

_TABLES = {**DATA, **ADMIN, **USERS}
_FREE = {**CURSORS, **SESSIONS}


async def execute(context: Context) -> Answer:
    """Check a command and carry it out.

    Raises:
        CommandError: it is refused, or it failed.
    """
    handshake = HANDSHAKE.get(context.name)
    if handshake is not None:
        return await handshake(context)
    if not context.login.user:
        raise CommandError(13, f"command {context.name} requires authentication")
    _refuse_transaction(context)
    privileges = await context.privileges()
    free = _FREE.get(context.name)
    if free is not None:
        return await free(context)
    if context.name not in _TABLES:
        raise CommandError(59, f"no such command: '{context.name}'")
    permissions.check(context, privileges, _needs(context))
    handler = _TABLES[context.name][1]
    if context.name in ADMIN and context.db != "admin" and context.name != "serverStatus":
        raise CommandError(13, f"{context.name} may only be run against the admin database.")
    if context.db == "local" and context.name in DATA:
        raise CommandError(20, "Can't use 'local' database through a router")
    if context.db in ("config", "admin") and context.name in DATA:
        return await sharding.plain_on_config(context)
    return await handler(context)


def _needs(context: Context) -> Needs:
    if context.name != "explain":
        return _TABLES[context.name][0]
    inner = explain.inner_context(context)
    return lambda _: _TABLES[inner.name][0](inner)


def _refuse_transaction(context: Context) -> None:
    if "startTransaction" in context.sent or "autocommit" in context.sent:
        raise CommandError(
            115,
            "multi-document transactions are not served by the stand-in router; use a real mongos",
        )
