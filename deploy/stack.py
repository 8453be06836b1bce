"""What a stack shall be: stack.toml, with each setting declared once.

The declaration of a setting is its type with its bounds, its default and the comment that explains
it. The checks with their messages and the file that `init` writes follow from that (`SETTINGS`,
`load`, `as_toml`). Which droplets a stack has is in `layouts`.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import textwrap
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, inspect

from cluster.model.topology import VOTERS, Count, Voters
from deploy.errors import StackError

FILE = "stack.toml"
"""The file of who names none."""

HOST_NAME = re.compile(
    r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])\Z"
)
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")


def about(comment: str, form: str, *, section: str = "") -> Meta:
    """What is told of a setting: in full in the file, and what to give in a message.

    `section` begins one in the file.
    """
    return Meta(description=comment, extra={"form": form, "section": section})


Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}\Z")]
VolumeSize = Annotated[int, Meta(ge=0, le=16_384)]
SIZE = "the slug of a size: `doctl compute size list`, or plan names those of the region"
GIB = "a whole number of GiB from 0 to 16384; 0 is no volume"


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a stack."""

    name: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,28}[a-z0-9]\Z")],
        about(
            "The name of the stack. Its droplets are called NAME-1, or NAME-shard-1-2; all that "
            "belongs to it carries the tag shardstack-NAME, or has that in its name.",
            "2 to 30 small letters, digits and hyphens, a letter first",
            section="cannot be changed later",
        ),
    ] = "shardstack"
    region: Annotated[
        Slug,
        about(
            "Where everything is. All droplets are in one region: they share a private network.",
            "the slug of a region, such as fra1, nyc3 or sgp1",
        ),
    ] = "fra1"
    vpc_range: Annotated[
        str,
        about(
            "The private network (VPC) that is made for the stack. DigitalOcean cannot change it "
            "later. It must not overlap with networks that are to be connected with it.",
            "a private IPv4 network of 16 to 65536 addresses, such as 10.20.0.0/20",
        ),
    ] = "10.20.0.0/20"
    layout: Annotated[
        Literal["dev", "small", "large"],
        about(
            '"dev": everything on one droplet; nothing is there twice, so nothing fails over.\n'
            '"small": three droplets, each a member of every set, a router and an API node. It '
            "survives the loss of any one.\n"
            '"large": a droplet for each config server, member, router and API node, and one for '
            "monitoring.",
            '"dev", "small" or "large"',
        ),
    ] = "small"
    members: Annotated[
        Voters,
        about("Members of each shard in the layout large: 1, 3, 5 or 7.", VOTERS),
    ] = 3
    config_servers: Annotated[
        Voters,
        about("Config servers in the layout large: 1, 3, 5 or 7.", VOTERS),
    ] = 3
    domain: Annotated[
        str,
        about(
            "The name that consumers of the API use. It, or a domain above it, must be delegated "
            "to DigitalOcean (ns1.digitalocean.com to ns3.digitalocean.com). Where the account has "
            "neither, a zone of exactly this name is made.",
            "a name such as api.example.com",
        ),
    ] = ""
    edge: Annotated[
        Literal["acme", "load_balancer"],
        about(
            '"acme": the domain points to the edge nodes, which get their certificates themselves. '
            "Costs nothing more. A lost edge node stays in DNS until `apply`: some clients then "
            "wait for it, until they try another one.\n"
            '"load_balancer": the domain points to a load balancer of '
            "DigitalOcean, which has a certificate that DigitalOcean renews. A lost edge node is "
            "then out of use after half a minute, whatever a consumer's DNS remembers.",
            '"acme" or "load_balancer"',
        ),
    ] = "acme"
    acme_email: Annotated[
        str,
        about(
            'Whom the certificate authority may write to, with edge = "acme".',
            "an address such as ops@example.com",
        ),
    ] = ""

    admin_addresses: Annotated[
        list[str],
        about(
            "From where the droplets may be reached by ssh. Everybody else is refused by the "
            "firewall.",
            'a list of addresses or networks, such as ["203.0.113.7/32"]; your own address is what '
            "`curl -4 https://ifconfig.co` prints",
            section="may be changed by running `apply` again",
        ),
    ] = msgspec.field(default_factory=list)
    shards: Annotated[
        Count,
        about(
            "Shards. More are added by `apply` and the playbook scale.yml. To have fewer, run "
            "remove-shard.yml first, which moves the data, and then `apply --drained SHARD`.",
            "a whole number from 1 to 32",
        ),
    ] = 2
    routers: Annotated[
        Count, about("Routers in the layout large.", "a whole number from 1 to 32")
    ] = 2
    api_nodes: Annotated[
        Annotated[int, Meta(ge=1, le=1000)],
        about(
            "API nodes in the layout large. They are the edge nodes, too.",
            "a whole number from 1 to 1000",
        ),
    ] = 2

    ssh_keys: Annotated[
        list[str],
        about(
            "Who may log in as root: files of public keys, which are uploaded unless they are "
            "there, or names or fingerprints of keys that the account has.",
            'a list such as ["~/.ssh/id_ed25519.pub"]',
            section="for droplets that are yet to be made",
        ),
    ] = msgspec.field(default_factory=lambda: ["~/.ssh/id_ed25519.pub"])
    image: Annotated[
        Slug,
        about("The operating system. The playbooks are made for Ubuntu 24.04.", "an image's slug"),
    ] = "ubuntu-24-04-x64"
    host_size: Annotated[Slug, about("The size of droplets in dev and small.", SIZE)] = (
        "s-4vcpu-8gb"
    )
    shard_size: Annotated[Slug, about("The size of a shard's members in large.", SIZE)] = (
        "s-4vcpu-8gb"
    )
    config_size: Annotated[Slug, about("The size of config servers in large.", SIZE)] = (
        "s-2vcpu-4gb"
    )
    router_size: Annotated[Slug, about("The size of routers in large.", SIZE)] = "s-2vcpu-4gb"
    api_size: Annotated[Slug, about("The size of API nodes in large.", SIZE)] = "s-2vcpu-4gb"
    monitoring_size: Annotated[Slug, about("The size of the monitoring host in large.", SIZE)] = (
        "s-1vcpu-2gb"
    )

    host_volume_gib: Annotated[
        VolumeSize,
        about(
            "The data volume of each droplet in dev and small, in GiB. It outlives its droplet. "
            "0 puts the data on the droplet's own disk.",
            GIB,
            section="may grow, and never shrink",
        ),
    ] = 50
    shard_volume_gib: Annotated[
        VolumeSize, about("The data volume of a shard's member in large, in GiB.", GIB)
    ] = 100
    config_volume_gib: Annotated[
        VolumeSize, about("The data volume of a config server in large, in GiB.", GIB)
    ] = 20

    token_file: Annotated[
        str,
        about(
            "A file with the API token that only you can read (mode 0600), where neither "
            "DIGITALOCEAN_ACCESS_TOKEN nor DIGITALOCEAN_ACCESS_TOKEN_FILE is set.",
            "the path of a file",
            section="access",
        ),
    ] = ""

    @property
    def tag(self) -> str:
        """What all that belongs to the stack carries, or has in its name."""
        return f"shardstack-{self.name}"

    @property
    def edge_tag(self) -> str:
        """What droplets carry that consumers may reach."""
        return f"{self.tag}-edge"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as it is declared; `give` says what it takes."""

    name: str
    type: Any
    default: Any
    give: str
    comment: str
    section: str

    def complaint(self, value: Any) -> str:
        """What the value must be; "" when it is fine."""
        try:
            msgspec.convert(value, self.type)
        except msgspec.ValidationError:
            return f"Give {self.give}."
        return ""


def _setting(field: msgspec.structs.FieldInfo) -> Setting:
    info = inspect.type_info(field.type)
    assert isinstance(info, inspect.Metadata)  # noqa: S101 - `about` sees to it
    told: dict[str, Any] = {**(info.extra_json_schema or {}), **(info.extra or {})}
    made = field.default_factory
    return Setting(
        name=field.name,
        type=field.type,
        default=made() if callable(made) else field.default,
        give=told["form"],
        comment=told["description"],
        section=told["section"],
    )


SETTINGS = {field.name: _setting(field) for field in msgspec.structs.fields(Stack)}


def load(file: Path) -> Stack:
    """The stack that a file describes. Raises StackError with one line per mistake."""
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = f"there is no file {file}. Write one: python -m deploy init"
    except OSError as error:
        problem = f"{file} cannot be read ({error.strerror}). Give an existing file with --stack."
    except UnicodeDecodeError:
        problem = f"{file} is not a text file in UTF-8. Compare it with what `init` writes."
    except tomllib.TOMLDecodeError as error:
        problem = f"{file} is not valid TOML: {error}. Compare it with what `init` writes."
    else:
        return make(values, str(file))
    raise StackError(problem)


def make(values: Mapping[str, Any], source: str) -> Stack:
    """A checked Stack of plain values. Raises StackError with one line per mistake."""
    problems = []
    for name, value in values.items():
        if name not in SETTINGS:
            close = difflib.get_close_matches(name, SETTINGS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(SETTINGS)}."
            problems.append(f"{source}: there is no setting {name!r}. {hint}")
        elif complaint := SETTINGS[name].complaint(value):
            problems.append(f"{source}: {name} is {value!r}. {complaint}")
    if not problems:
        stack = msgspec.convert(dict(values), Stack)
        problems = [
            f"{source}: {name} is {getattr(stack, name)!r}. {what}Give {SETTINGS[name].give}."
            for name, what in _mistakes(stack)
        ]
    if problems:
        raise StackError(*problems)
    return stack


def _mistakes(stack: Stack) -> list[tuple[str, str]]:
    """Settings that do not fit, and what a type cannot say of it."""
    found = []
    if not _is_private_network(stack.vpc_range):
        found.append(("vpc_range", ""))
    if not HOST_NAME.match(stack.domain):
        found.append(("domain", ""))
    if stack.edge == "acme" and not MAIL.match(stack.acme_email):
        found.append(("acme_email", ""))
    if not stack.admin_addresses:
        found.append(("admin_addresses", "Nobody could log in. "))
    elif bad := [one for one in stack.admin_addresses if not _is_network(one)]:
        found.append(("admin_addresses", f"{bad[0]!r} is no network. "))
    if not stack.ssh_keys:
        found.append(("ssh_keys", "Nobody could log in. "))
    return found


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_private_network(text: str) -> bool:
    """Whether DigitalOcean takes it for a VPC: https://docs.digitalocean.com/products/networking/vpc."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        return False
    return network.is_private and 16 <= network.prefixlen <= 28


HEAD = (
    "A stack on DigitalOcean: what `python -m deploy plan` compares with the account, and `apply` "
    "makes. (`python -m deploy init` writes this file.) A setting that is left out has the value "
    "that `init` writes."
)


def as_toml(values: Mapping[str, Any]) -> str:
    """The text of a stack.toml: every setting with its default, or the value given, explained."""
    lines = _comment(HEAD)
    for setting in SETTINGS.values():
        if setting.section:
            lines += ["", f"# ---- {setting.section} ".ljust(97, "-")]
        lines.append("")
        for paragraph in setting.comment.split("\n"):
            lines += _comment(paragraph)
        lines.append(f"{setting.name} = {json.dumps(values.get(setting.name, setting.default))}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, width=97, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
