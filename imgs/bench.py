"""The plot of `make bench`: requests per second of each server, drawn from bench.json."""

import json
from pathlib import Path
from typing import Any

from svg import Box, Canvas, Palette

FIGURES = Path(__file__).with_name("bench.json")

MEASURES = {
    "by_id": "read by id",
    "list_50": "list of 50",
    "create": "create",
    "patch": "patch",
    "login": "log in",
}
SERVERS = {"ours": ("this API", "blue"), "bare": ("bare Flask", "ink"), "eve": ("Eve", "amber")}
LEFT, TOP, WIDTH, BAR, GROUP = 150, 92, 560, 18, 76


def throughput(palette: Palette) -> str:
    """Bars by measure, each as long as its share of the fastest of the measure."""
    figures: dict[str, Any] = json.loads(FIGURES.read_text())
    about = figures["about"]
    said = "; ".join(_said(MEASURES[name], figures[name]) for name in MEASURES)
    canvas = Canvas(
        (820, TOP + GROUP * len(MEASURES) + 20),
        palette,
        "Requests per second",
        f"This API, with authentication and validation, against a bare Flask handler and Eve,"
        f" which have neither authentication: {said}.",
    )
    canvas.label((30, 36), "Requests per second", "title", anchor="start")
    machine = about["machine"]
    told = (
        f"{machine['cores']} cores at {machine['mhz'] / 1000:.1f} GHz, for API, routers, shards"
        f" and load generator together; only this API authenticates"
    )
    canvas.label((30, 58), told, "small", anchor="start")
    for place, (name, hue) in enumerate(SERVERS.values()):
        canvas.box(Box(480 + 110 * place, 26, 12, 12), hue)
        canvas.label((498 + 110 * place, 37), name, "small", anchor="start")
    for row, (measure, name) in enumerate(MEASURES.items()):
        _group(canvas, TOP + row * GROUP, name, figures[measure])
    return canvas.text()


def _group(canvas: Canvas, top: float, name: str, figures: dict[str, Any]) -> None:
    """The bars of one measure."""
    canvas.label((LEFT - 16, top + 34), name, "place", anchor="end")
    fastest = max(figures[server] or 0 for server in SERVERS)
    for place, (server, (_, hue)) in enumerate(SERVERS.items()):
        rate = figures[server]
        if rate is None:
            continue
        y = top + place * (BAR + 3)
        length = max(2.0, WIDTH * rate / fastest)
        canvas.box(Box(LEFT, y, round(length, 1), BAR), hue)
        canvas.label((round(LEFT + length + 8, 1), y + 14), f"{rate:.0f}", "small", anchor="start")


def _said(name: str, figures: dict[str, Any]) -> str:
    eve = "" if figures["eve"] is None else f", Eve {figures['eve']:.0f}"
    return f"{name} {figures['ours']:.0f}, bare {figures['bare']:.0f}{eve}"
