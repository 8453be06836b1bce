"""explain: what the shards would do.

Never of a cluster write: a mongod that is asked to explain one calls itself until it dies.
"""

from typing import Any

from cluster.router.catalogue import Database
from cluster.router.context import Answer, Context, result
from cluster.router.errors import CommandError, GoneError
from cluster.router.reads import anywhere, on_owners, writes_out
from cluster.router.shards import Reply
from cluster.router.targeting import Route, chunk_of_query, route_of, source_of
from cluster.router.wire import Document

CLUSTER = {"find": "clusterFind", "aggregate": "clusterAggregate"}
_WRITES = {"update": "updates", "delete": "deletes"}


def inner_context(context: Context) -> Context:
    """The explained command as a command of its own.

    Raises:
        CommandError: 9, there is none; 115, it is not one that can be explained.
    """
    inner = context.sent["explain"]
    if not hasattr(inner, "items") or not inner:
        raise CommandError(9, "explain needs a command document")
    sent = dict(inner.items())
    name = next(iter(sent))
    if name not in (*CLUSTER, *_WRITES, "findAndModify", "findandmodify", "count", "distinct"):
        raise CommandError(115, f"explain of {name} is not served")
    for key in ("$readPreference", "lsid"):
        if key in context.sent:
            sent.setdefault(key, context.sent[key])
    return Context(context.services, context.login, name, sent, context.db)


async def explain(context: Context) -> Answer:
    inner = inner_context(context)
    verbosity = context.sent.get("verbosity", "allPlansExecution")
    if inner.name in CLUSTER:
        if writes_out(inner.command.get("pipeline")) and verbosity != "queryPlanner":
            raise CommandError(72, "a pipeline that writes can be explained as queryPlanner only")
        renamed = {CLUSTER.get(key, key): value for key, value in inner.command.items()}

        async def attempt() -> Reply:
            return await anywhere(context, {"explain": renamed, "verbosity": verbosity})

        return result(await context.until_fresh(attempt, inner.namespace))
    route = await _route_to_one(inner)
    if route is None:
        return await _on_all_owners(inner, verbosity)

    async def on_one() -> Reply:
        route = await _route_to_one(inner)
        if route is None:
            raise GoneError("it concerns several shards by now")
        shard = route.shards[0]
        command = {**inner.command, **route.versions_on(shard)}
        return await context.run(shard, {"explain": command, "verbosity": verbosity})

    reply = await context.until_fresh(on_one, inner.namespace)
    result(reply)
    return _merged(verbosity, {reply.host: reply}, list(route.shards))


async def _route_to_one(inner: Context) -> Route | None:
    """The route of a command that one shard carries out; None for several shards."""
    if inner.name in _WRITES:
        statements = inner.sent.get(_WRITES[inner.name])
        if not isinstance(statements, list) or len(statements) != 1:
            raise CommandError(9, f"explain of {inner.name} takes exactly one statement")
        route = await route_of(inner, statements[0])
        return route if len(route.shards) == 1 else None
    collection = await source_of(inner)
    if isinstance(collection, Database):
        return Route((collection.primary,), collection)
    query = inner.command.get("query", {})
    chunk = await chunk_of_query(inner, collection, query, inner.command.get("collation"))
    return Route((chunk.shard,), collection) if chunk else None


async def _on_all_owners(inner: Context, verbosity: Any) -> Document:
    replies = await on_owners(
        inner, inner.command, wrap=lambda c: {"explain": c, "verbosity": verbosity}
    )
    return _merged(verbosity, replies, list(replies))


def _merged(verbosity: Any, replies: dict[str, Reply], shards: list[str]) -> Document:
    """The shape that mongos gives: one stage over the plans of the shards."""
    stage = "SINGLE_SHARD" if len(shards) == 1 else "SHARD_WRITE"
    pairs = list(zip(shards, replies.values(), strict=True))
    plans = [
        {"shardName": shard, **_items(reply.fields.get("queryPlanner"))} for shard, reply in pairs
    ]
    answer: Document = {"queryPlanner": {"winningPlan": {"stage": stage, "shards": plans}}}
    if verbosity != "queryPlanner":
        runs = [
            {"shardName": shard, **_items(reply.fields.get("executionStats"))}
            for shard, reply in pairs
        ]
        totals = {
            name: sum(run.get(name, 0) for run in runs)
            for name in ("nReturned", "totalKeysExamined", "totalDocsExamined")
        }
        answer["executionStats"] = {**totals, "executionStages": {"stage": stage, "shards": runs}}
    return {**answer, "ok": 1.0}


def _items(value: Any) -> Document:
    return dict(value.items()) if hasattr(value, "items") else {}
