"""The plot of `make bench`: this API's throughput as a multiple of the others', from bench.json."""

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
RATIOS = {"vs_bare": ("of bare Flask's", "ink"), "vs_eve": ("of Eve's", "amber")}
LEFT, TOP, WIDTH, BAR, GROUP = 150, 100, 600, 18, 56


def throughput(palette: Palette) -> str:
    """A bar for each ratio that bench.json has; one scale for all, and a line where it is 1."""
    figures: dict[str, Any] = json.loads(FIGURES.read_text())
    about = figures["about"]
    said = "; ".join(_said(MEASURES[name], figures[name]) for name in MEASURES)
    bottom = TOP + GROUP * len(MEASURES)
    canvas = Canvas(
        (820, bottom + 20),
        palette,
        "Throughput of this API",
        f"As a multiple of bare Flask's and of Eve's, both without authentication: {said}.",
    )
    canvas.label((30, 36), "Throughput of this API, as a multiple", "title", anchor="start")
    machine = about["machine"]
    told = (
        f"{machine['cores']} cores at {machine['mhz'] / 1000:.1f} GHz, for API, routers, shards"
        f" and load generator together; only this API authenticates"
    )
    canvas.label((30, 58), told, "small", anchor="start")
    for place, (name, hue) in enumerate(RATIOS.values()):
        canvas.box(Box(350 + 130 * place, 26, 12, 12), hue)
        canvas.label((368 + 130 * place, 37), name, "small", anchor="start")
    scale = WIDTH / max(figures[m][r] or 0 for m in MEASURES for r in RATIOS)
    canvas.rule((LEFT + scale, TOP - 8), (LEFT + scale, bottom - 8))
    canvas.label((LEFT + scale, TOP - 14), "1: as fast", "tiny")
    for row, (measure, name) in enumerate(MEASURES.items()):
        _group(canvas, TOP + row * GROUP, name, figures[measure], scale)
    return canvas.text()


def _group(canvas: Canvas, top: float, name: str, figures: dict[str, Any], scale: float) -> None:
    """The bars of one measure; `scale` is the length of 1."""
    canvas.label((LEFT - 16, top + 24), name, "place", anchor="end")
    for place, (ratio, (_, hue)) in enumerate(RATIOS.items()):
        value = figures[ratio]
        if value is None:
            continue
        y = top + place * (BAR + 3)
        canvas.box(Box(LEFT, y, round(scale * value, 1), BAR), hue)
        at = (round(LEFT + scale * max(value, 1) + 8, 1), y + 14)
        canvas.label(at, f"{value:.2f}", "small", anchor="start")


def _said(name: str, figures: dict[str, Any]) -> str:
    found = ((figures[ratio], words) for ratio, (words, _) in RATIOS.items())
    return f"{name} " + ", ".join(f"{value:.2f} {words}" for value, words in found if value)
