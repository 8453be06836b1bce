"""Draw the pictures of this folder: `python imgs/draw.py`.

Each comes twice, for a light page and for a dark one; a README shows the right one by <picture>.
"""

from collections.abc import Mapping
from pathlib import Path

from bench import throughput
from svg import DARK, LIGHT, Box, Canvas, Palette

HERE = Path(__file__).parent

MIDDLE = 262
"""The height at which a request travels from left to right."""


def architecture(palette: Palette) -> str:
    """The parts of shardstack, and which way a request goes."""
    canvas = Canvas(
        (1180, 672),
        palette,
        "Architecture of shardstack",
        "API consumers reach the API by HTTPS through Caddy. The API speaks to two or more routers,"
        " which send each call to the shard that owns the data. Every shard, like the config"
        " servers, is a replica set of three members. It runs as local processes, without Caddy, or"
        " in Docker Compose, made by one bootstrap.",
    )
    _front(canvas)
    _routers(canvas)
    _config_servers(canvas)
    for number in range(3):
        _shard(canvas, number)
    _places(canvas)
    return canvas.text()


def _front(canvas: Canvas) -> None:
    """From the consumer to the API."""
    canvas.box(Box(36, MIDDLE - 44, 144, 88), "ink")
    canvas.label((108, MIDDLE - 4), "API consumers", "title")
    canvas.label((108, MIDDLE + 18), "with a JWT", "small")
    canvas.arrow((180, MIDDLE), (248, MIDDLE))
    canvas.label((212, MIDDLE - 10), "HTTPS", "small")
    canvas.box(Box(248, MIDDLE - 44, 112, 88), "green")
    canvas.label((304, MIDDLE - 4), "Caddy", "title")
    canvas.label((304, MIDDLE + 18), "in Compose", "small")
    canvas.arrow((360, MIDDLE), (424, MIDDLE))
    for offset in (16, 8, 0):
        canvas.box(Box(424 + offset, MIDDLE - 44 - offset, 132, 88), "blue")
    canvas.label((490, MIDDLE - 4), "API", "title")
    canvas.label((490, MIDDLE + 18), "stateless, thin", "small")
    canvas.arrow((572, MIDDLE), (640, MIDDLE))


def _routers(canvas: Canvas) -> None:
    canvas.group(Box(640, MIDDLE - 104, 190, 208), "violet", "Routers, two or more")
    for number, top in ((1, MIDDLE - 58), (2, MIDDLE + 20)):
        canvas.box(Box(660, top, 150, 62), "violet")
        canvas.label((735, top + 28), f"router {number}", "title")
        canvas.label((735, top + 47), "mongos or stand-in", "tiny")


def _config_servers(canvas: Canvas) -> None:
    """Who is who among members is explained beside them."""
    canvas.group(Box(606, 424, 258, 124), "amber", "Config servers: replica set of 3")
    for number in range(3):
        canvas.cylinder(Box(647 + 64 * number, 466, 48, 62), "amber", "P" if number == 0 else "S")
    canvas.arrow((735, 424), (735, MIDDLE + 104), "amber", dashed=True)
    canvas.label((747, 400), "routing table, users", "small", anchor="start")
    canvas.cylinder(Box(36, 432, 36, 46), "ink", "P")
    canvas.label((86, 453), "primary: takes the writes,", "small", anchor="start")
    canvas.label((86, 470), "another is elected when it fails", "small", anchor="start")
    canvas.cylinder(Box(36, 494, 36, 46), "ink", "S")
    canvas.label((86, 515), "secondary: a write counts once", "small", anchor="start")
    canvas.label((86, 532), "a majority of members has it", "small", anchor="start")


def _shard(canvas: Canvas, number: int) -> None:
    """One replica set; its primary, P, takes the writes, S are its secondaries."""
    top = 44 + number * 152
    canvas.group(Box(908, top, 236, 132), "teal", f"Shard {number + 1}: replica set of 3")
    for member in range(3):
        kind = "P" if member == number else "S"
        canvas.cylinder(Box(938 + 64 * member, top + 48, 48, 62), "teal", kind)
    canvas.arrow((830, MIDDLE), (908, top + 66))


def _places(canvas: Canvas) -> None:
    canvas.rule((36, 576), (1144, 576))
    canvas.label((36, 616), "Two places to run it,", "title", anchor="start")
    canvas.label((36, 636), "made by one bootstrap", "title", anchor="start")
    places = (
        (420, "ink", "local processes", "make up"),
        (740, "blue", "Docker Compose", "make compose-up"),
    )
    for left, colour, name, how in places:
        canvas.box(Box(left, 596, 280, 52), colour)
        canvas.label((left + 140, 617), name, "place")
        canvas.label((left + 140, 636), how, "code")


def pictures() -> Mapping[str, str]:
    """Every picture of this folder: its file's name, and the SVG."""
    return {
        "architecture-light.svg": architecture(LIGHT),
        "architecture-dark.svg": architecture(DARK),
        "bench-light.svg": throughput(LIGHT),
        "bench-dark.svg": throughput(DARK),
    }


if __name__ == "__main__":
    for name, drawn in pictures().items():
        (HERE / name).write_text(drawn)
