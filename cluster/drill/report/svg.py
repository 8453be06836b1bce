"""Figures of matplotlib as SVG that stands inside a page: its colours and its font are the page's.

A figure is drawn in the colours of `Ink`, which no plot would choose, and which are replaced by the
page's variables; so one drawing serves a light page and a dark one. Identifiers are made the
figure's own, since several stand in one page.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

SIZE = (5.2, 2.9)
"""Inches of a figure: about the width of a telephone; a page may show it larger."""
SMALL = 9.5
"""Points of the smallest text."""


class Ink(StrEnum):
    """A colour of a page, by the name of its variable, and what stands for it in a drawing."""

    TEXT = "#010101"
    FAINT = "#020202"
    GRID = "#030303"
    BAD = "#040404"
    SERIES_0 = "#050500"
    SERIES_1 = "#050501"
    SERIES_2 = "#050502"
    SERIES_3 = "#050503"
    SERIES_4 = "#050504"
    SERIES_5 = "#050505"

    @property
    def variable(self) -> str:
        """The name of the page's variable."""
        return f"--{self.name.lower().replace('_', '-')}"


SERIES = tuple(ink for ink in Ink if ink.name.startswith("SERIES"))
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
"""A style of line for each series: colour alone tells nothing to some."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar is a dollar
    "font.size": 10.5,
    "text.color": Ink.TEXT,
    "axes.labelcolor": Ink.TEXT,
    "axes.edgecolor": Ink.FAINT,
    "axes.titlesize": 10.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": Ink.GRID,
    "grid.linewidth": 0.6,
    "xtick.color": Ink.TEXT,
    "ytick.color": Ink.TEXT,
    "xtick.labelcolor": Ink.TEXT,
    "ytick.labelcolor": Ink.TEXT,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
}


@dataclass(frozen=True)
class Plot:
    """A drawing with a title, and a description for those who do not see it."""

    title: str
    description: str
    svg: str


def plot(
    title: str, description: str, draw: Callable[[Figure], None], height: float = SIZE[1]
) -> Plot:
    """Have `draw` fill a figure of so many inches, and make it part of a page."""
    name = "plot-" + (re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "x")
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(SIZE[0], height), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        draw(figure)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return Plot(title, description, _embedded(out.getvalue(), name, title, description))


def _embedded(svg: str, name: str, title: str, description: str) -> str:
    """What matplotlib wrote, without what belongs to a file of its own."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style type=\"text/css\">.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r"font: (?:[a-z]+ )*([0-9.]+px)[^;\"]*", r"font-size: \1", body)
    for ink in Ink:
        body = body.replace(ink.value, f"var({ink.variable})")
    box = re.search(r'viewBox="[^"]*"', body)
    assert box is not None, "matplotlib always gives a view box"  # noqa: S101
    opening = (
        f'<svg {box[0]} xmlns:xlink="http://www.w3.org/1999/xlink" role="img"'
        f' aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-desc">{html.escape(description)}</desc>'
    )
    return opening + body[body.index(">") + 1 :].strip()
