"""What a cluster shall be: its counts, timings and sizes, each declared once.

A Topology is what a person asks for, in TOML, by flags or in the environment. The declaration of a
field is its type with its bounds, its default, the line that `--help` has, and the comment that
explains it. Flags, variables, checks with their messages, and `default.toml` follow from that
(`SETTINGS`, `make`, `as_toml`). Which nodes a topology makes, and where they listen, is in
`layout`.
"""

from __future__ import annotations

import difflib
import functools
import json
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, inspect

from cluster.errors import TopologyError

AUTO = "auto"
FILE_VARIABLE = "SHARDSTACK_TOPOLOGY"
"""Names the TOML file, where no flag does."""


def about(
    flag: str, comment: str, *, section: str = "", form: str = "", here_only: bool = False
) -> Meta:
    """What is told of a setting: in one line with its flag, and in full in the TOML file.

    `section` begins one in that file. `form`: what to give, where the type does not say it.
    `here_only`: it is for processes of this machine, and has no variable.
    """
    extra = {"flag": flag, "section": section, "here_only": here_only}
    return Meta(description=comment, extra={**extra, "form": form} if form else extra)


Auto = Literal["auto"]
Voters = Literal[1, 3, 5, 7]
Count = Annotated[int, Meta(ge=1, le=32)]
GiB = Annotated[float, Meta(ge=0.25, le=10_000, extra={"unit": "GIB", "form": "GiB"})]
MiB = Annotated[int, Meta(ge=16, le=1_000_000, extra={"unit": "MIB"})]
Connections = Annotated[int, Meta(ge=100, le=1_000_000, extra={"unit": "COUNT"})]
Port = Annotated[int, Meta(ge=1024, le=65535, extra={"unit": "PORT", "form": "a first port"})]
# The databases that are the servers' own or the project's are nobody's.
Database = Annotated[
    str, Meta(pattern=r"^(?!(?i:admin|local|config|cluster)\Z)[A-Za-z][A-Za-z0-9_-]{0,62}\Z")
]
VOTERS = "1, 3, 5 or 7: an even number of voters survives no more than one fewer does"


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a cluster; sizes in GiB and MiB, times in milliseconds.

    What is AUTO follows from where the cluster runs: the profile, sizes from memory, free ports.
    """

    members: Annotated[
        Voters,
        about(
            "Members of each shard: 1, 3, 5 or 7.",
            "Members of each shard's replica set: 1, 3, 5 or 7. Three survive the loss of one.",
            section="hard to change later",
            form=VOTERS,
        ),
    ] = 3
    config_servers: Annotated[
        Voters,
        about(
            "Config servers: 1, 3, 5 or 7.",
            "Members of the config servers' replica set: 1, 3, 5 or 7.",
            form=VOTERS,
        ),
    ] = 3
    ports: Annotated[
        Auto | Port,
        about(
            "auto, or the first port of all.",
            '"auto" chooses free ports when the cluster is made and remembers them in the state '
            "folder. A number is the port of the first router; the other nodes get the ports that "
            "follow.",
            here_only=True,
        ),
    ] = "auto"
    database: Annotated[
        Database,
        about(
            "The application's database.",
            'The application\'s database. The user "app" may read, write, index and shard it, and '
            "nothing else.",
            form="a name of letters, digits, _ and -, at most 63, that begins with a letter; "
            "admin, cluster, config and local are the cluster's own",
        ),
    ] = "shardstack"

    shards: Annotated[
        Count,
        about(
            "Shards.",
            "Shards. More are added; to have fewer, run `remove-shard NAME`, which moves the data "
            "first.",
            section="may be changed by running `up` again",
        ),
    ] = 2
    routers: Annotated[
        Count,
        about(
            "Routers.",
            "Routers. Clients get all their addresses and use another when one dies; one is no "
            "fail-over.",
        ),
    ] = 2
    election_timeout_ms: Annotated[
        int,
        Meta(ge=500, le=60_000),
        about(
            "Silence after which a primary is replaced.",
            "How long the members of a set wait for a silent primary before they elect another, in "
            "milliseconds. It is the greater part of what the death of a primary costs: with 1700, "
            "writes to that shard pause for about two seconds; with MongoDB's own 10000, for about "
            "twelve. Lower is not free: a primary that is merely slow for that long (a saturated "
            "disk, a paused virtual machine, a lossy link) is voted out too, and each election "
            "pauses writes as well. About 2000 suits members in one machine or one region; use "
            "10000 between regions.\n"
            "Why not 2000 itself: a member without anybody to copy from looks for somebody once a "
            "second. With 1700 (and the random 15 % that members add) the new primary is there "
            "when it looks for the second time; with 2000 just after that, and majority writes "
            "wait for the third: 2.1 s or 3.1 s.",
        ),
    ] = 1700
    heartbeat_interval_ms: Annotated[
        int,
        Meta(ge=50, le=30_000),
        about(
            "Time between heartbeats.",
            "How often members tell one another that they are alive, in milliseconds. It must be "
            "well below the election timeout, so that one lost heartbeat is not taken for a death.",
        ),
    ] = 500

    profile: Annotated[
        Literal["auto", "laptop", "production"],
        about(
            "How each mongod is set.",
            'How each mongod is set: "laptop" starts and stops fast and takes little disk; '
            '"production" keeps MongoDB\'s defaults for what matters when something has happened. '
            '"auto" is laptop for processes of this machine, production for containers and hosts. '
            "cluster/model/profiles.py has each value, and why.",
            section="take effect when a node is started",
        ),
    ] = "auto"
    cache_gb: Annotated[
        Auto | GiB,
        about(
            "Cache of each mongod in GiB, at least 0.25.",
            "WiredTiger's cache for each mongod, in GiB (0.25 is the least it takes). A mongod "
            "needs about 0.1 GiB beside it. Nine idle ones stay below 1.6 GiB in all, since a "
            "cache only grows with use.\n"
            '"auto" here and below: as much as suits the memory that a member has '
            "(cluster/model/profiles.py). That is its container's limit, or an equal share of the "
            "machine's memory (on a laptop of a quarter of it).",
        ),
    ] = "auto"
    oplog_mb: Annotated[
        Auto | MiB,
        about(
            "Oplog of each member in MiB.",
            "The size of each member's oplog, in MiB: how far a member may fall behind, or a "
            "change stream may go back, before it must start from scratch. A member keeps what "
            '"auto" was when it was made; a number is set immediately, also where there is data, '
            "and is then at least 990.",
        ),
    ] = "auto"
    connections: Annotated[
        Auto | Connections,
        about(
            "Connections that may come in to each mongod.",
            "How many connections may come in to each mongod.",
        ),
    ] = "auto"

    def changed(self, **changes: Any) -> Topology:
        """The same with some values changed; raises TopologyError when one does not fit."""
        return make({**msgspec.structs.asdict(self), **changes}, "the topology", given=changes)


# ---- what follows from the declarations --------------------------------------------------------


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as it is declared.

    `words` are those it takes, `number` the type of numbers it takes, None where it takes none.
    """

    name: str
    type: Any
    default: Any
    words: tuple[str, ...]
    number: type[int] | type[float] | None
    unit: str
    give: str
    flag_help: str
    comment: str
    section: str
    here_only: bool

    @property
    def flag(self) -> str:
        """Its flag on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Its variable in the environment."""
        return f"SHARDSTACK_{self.name.upper()}"

    def read(self, text: str) -> Any:
        """The value that a text stands for; ValueError when it should be a number and is none."""
        if self.number is None or text.lower() in self.words:
            return text
        return self.number(text)

    def complaint(self, value: Any) -> str:
        """What the value must be; "" when it is fine."""
        try:
            msgspec.convert(value, self.type)
        except msgspec.ValidationError:
            return f"Give {self.give}."
        return ""


def _alternatives(kind: inspect.Type) -> Iterator[tuple[inspect.Type, dict[str, Any]]]:
    """The types of a union, or the one type, each with what its own Meta adds."""
    for one in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        yield (one.type, one.extra or {}) if isinstance(one, inspect.Metadata) else (one, {})


def _setting(field: msgspec.structs.FieldInfo) -> Setting:
    info = inspect.type_info(field.type)
    assert isinstance(info, inspect.Metadata)  # noqa: S101 - `about` sees to it
    told: dict[str, Any] = {**(info.extra_json_schema or {}), **(info.extra or {})}
    words: list[str] = []
    number: type[int] | type[float] | None = None
    unit, forms = "", [told["form"]] if "form" in told else []
    for kind, more in _alternatives(info.type):
        if isinstance(kind, inspect.LiteralType):
            words += [one for one in kind.values if isinstance(one, str)]
            number = int if any(isinstance(one, int) for one in kind.values) else number
        elif isinstance(kind, (inspect.IntType, inspect.FloatType)):
            number = int if isinstance(kind, inspect.IntType) else float
            unit = more.get("unit", "")
            forms.append(f"{more.get('form', 'a whole number')} from {kind.ge:g} to {kind.le:.0f}")
    quoted = [f'"{word}"' for word in words]
    if len(quoted) > 1:
        forms.append(f"{', '.join(quoted[:-1])} or {quoted[-1]}")
    elif quoted:
        forms = [f"{quoted[0]}, or {form}" for form in forms]
    return Setting(
        name=field.name,
        type=field.type,
        default=field.default,
        words=tuple(words),
        number=number,
        unit=unit,
        give=forms[0],
        flag_help=told["flag"],
        comment=told["description"],
        section=told["section"],
        here_only=told["here_only"],
    )


SETTINGS = {field.name: _setting(field) for field in msgspec.structs.fields(Topology)}
DEFAULTS: Mapping[str, Any] = {name: one.default for name, one in SETTINGS.items()}


def load(
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    called: Callable[[Setting], str] = lambda setting: setting.flag,
) -> Topology:
    """The topology of a TOML file (None: the default) with some values overridden.

    `called` says what the overridden ones are called where they come from. Raises TopologyError
    with one line per mistake.
    """
    values = dict(DEFAULTS)
    source = "the default topology"
    if path is not None:
        values |= _read(path)
        source = str(path)
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    return make(values | given, source, given=given, called=called)


def make(
    values: Mapping[str, Any],
    source: str,
    given: Mapping[str, Any] | None = None,
    called: Callable[[Setting], str] = lambda setting: setting.flag,
) -> Topology:
    """A checked Topology of plain values; the rest is for the messages, as in `load`."""
    problems = []
    values = {name: _word(name, value) for name, value in values.items()}
    for name in values:
        if name not in SETTINGS:
            close = difflib.get_close_matches(name, SETTINGS, n=1)
            known = ", ".join(SETTINGS)
            hint = f" Did you mean {close[0]}?" if close else f" It may hold: {known}."
            problems.append(f"{source}: there is no setting {name!r}.{hint}")
    for name, setting in SETTINGS.items():
        where = called(setting) if name in (given or {}) else f"{source}: {name}"
        if name not in values:
            problems.append(f"{where} is missing. Add it.")
        elif complaint := setting.complaint(values[name]):
            problems.append(f"{where} is {values[name]!r}. {complaint}")
    if not problems:
        topology = Topology(**values)
        problems = [f"{source}: {problem}" for problem in _contradictions(topology)]
    if problems:
        raise TopologyError(*problems)
    return topology


def _word(name: str, value: Any) -> Any:
    """A word with a meaning of its own is taken in capitals, too; a database's name has none."""
    has_words = name in SETTINGS and SETTINGS[name].words
    return value.lower() if isinstance(value, str) and has_words else value


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"{path} cannot be read ({error.strerror}). Give an existing file to --topology."
    except UnicodeDecodeError:
        problem = f"{path} is not a text file in UTF-8. Give a TOML file to --topology."
    except tomllib.TOMLDecodeError as error:
        problem = f"{path} is not valid TOML: {error}. Compare it with what `topology` prints."
    raise TopologyError(problem)


def _contradictions(topology: Topology) -> list[str]:
    problems = []
    if topology.heartbeat_interval_ms * 2 > topology.election_timeout_ms:
        problems.append(
            f"heartbeat_interval_ms {topology.heartbeat_interval_ms} is too long for an "
            f"election_timeout_ms of {topology.election_timeout_ms}. Make it at most half of it."
        )
    nodes = topology.routers + topology.config_servers + topology.shards * topology.members
    if isinstance(topology.ports, int) and topology.ports + nodes - 1 > 65535:
        problems.append(
            f"{nodes} nodes do not fit above port {topology.ports}. "
            f"Choose a first port of at most {65536 - nodes}."
        )
    return problems


HEAD = (
    "The cluster that `python -m cluster up` makes. (`python -m cluster topology` prints this "
    "file, which follows from cluster/model/topology.py.)"
)
USE = (
    "To have another one, copy this file, change it and pass it with --topology FILE (or "
    f"{FILE_VARIABLE}=FILE), or override single values with the flag of the same name: --shards 3, "
    "--election-timeout-ms 5000, … What a file leaves out keeps the value given here."
)


def as_toml() -> str:
    """The text of `default.toml`: every setting with its default, explained."""
    comment = functools.partial(
        textwrap.wrap,
        width=100,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
    )
    lines = [*comment(HEAD), "#", *comment(USE)]
    for setting in SETTINGS.values():
        if setting.section:
            lines += ["", f"# ---- {setting.section} ".ljust(97, "-")]
        lines.append("")
        for paragraph in setting.comment.split("\n"):
            lines += comment(paragraph)
        lines.append(f"{setting.name} = {json.dumps(setting.default)}")
    return "\n".join(lines) + "\n"
