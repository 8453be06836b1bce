"""A small drawing board that writes SVG: boxes, groups, cylinders, arrows, labels."""

from dataclasses import dataclass
from html import escape
from typing import NamedTuple

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

STYLES = {
    "title": (15, 600, FONT, "text"),
    "place": (14, 600, FONT, "text"),
    "group": (13, 600, FONT, "text"),
    "small": (12, 400, FONT, "quiet"),
    "tiny": (11, 400, FONT, "quiet"),
    "code": (10.5, 400, MONO, "quiet"),
}
"""Each label style's size in pixels, weight, family and colour."""


@dataclass(frozen=True)
class Palette:
    """Colours of a picture; `fills` and `lines` by the name of the hue."""

    page: str
    border: str
    text: str
    quiet: str
    fills: dict[str, str]
    lines: dict[str, str]


LIGHT = Palette(
    page="#ffffff",
    border="#d0d7de",
    text="#1f2328",
    quiet="#57606a",
    fills={
        "ink": "#f6f8fa",
        "green": "#e6f6ea",
        "blue": "#e4f0ff",
        "violet": "#f1eafe",
        "amber": "#fff4d6",
        "teal": "#e0f5f3",
    },
    lines={
        "ink": "#6e7781",
        "green": "#2c9a4b",
        "blue": "#2f74d0",
        "violet": "#7f56d9",
        "amber": "#b7860b",
        "teal": "#12877d",
    },
)

DARK = Palette(
    page="#0d1117",
    border="#30363d",
    text="#e6edf3",
    quiet="#9da7b3",
    fills={
        "ink": "#161b22",
        "green": "#0f2a18",
        "blue": "#0f2340",
        "violet": "#221a3d",
        "amber": "#2e2408",
        "teal": "#0b2b29",
    },
    lines={
        "ink": "#8b949e",
        "green": "#4bbf6b",
        "blue": "#5b9df5",
        "violet": "#a58bf0",
        "amber": "#d9a938",
        "teal": "#3bbcb0",
    },
)


class Box(NamedTuple):
    """A rectangle: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float


Point = tuple[float, float]


class Canvas:
    """Collects shapes; `text` gives the picture. All lengths are pixels of a viewBox."""

    def __init__(self, size: tuple[int, int], palette: Palette, title: str, words: str) -> None:
        width, height = size
        self._palette = palette
        page = f'fill="{palette.page}" stroke="{palette.border}"'
        self._parts = [
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t d"',
            f'     viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
            f'<title id="t">{escape(title)}</title>',
            f'<desc id="d">{escape(words)}</desc>',
            "<defs>",
            *(_arrow_head(hue, colour) for hue, colour in palette.lines.items()),
            "</defs>",
            f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="14" {page}/>',
        ]

    def text(self) -> str:
        """The whole picture."""
        return "\n".join([*self._parts, "</svg>"]) + "\n"

    def box(self, box: Box, hue: str) -> None:
        """A rounded box."""
        self._rect(box, hue, self._palette.fills[hue], 'rx="10"')

    def group(self, box: Box, hue: str, name: str) -> None:
        """A frame around parts that belong together, its name at the top."""
        self._rect(box, hue, self._palette.page, 'rx="14" stroke-dasharray="2 4"')
        self.label((box.x + box.width / 2, box.y + 25), name, "group")

    def cylinder(self, box: Box, hue: str, sign: str) -> None:
        """A database with one letter on it; a primary's, P, is filled with its line's colour."""
        x, y, width, height = box
        primary = sign == "P"
        line = self._palette.lines[hue]
        fill = line if primary else self._palette.fills[hue]
        rim = self._palette.page if primary else line
        radius = width / 2
        top = f"M{x:g} {y + 8:g}"
        self._parts += [
            (
                f'<path d="{top} v{height - 16:g} a{radius:g} 8 0 0 0 {width:g} 0'
                f' v{16 - height:g} a{radius:g} 8 0 0 0 {-width:g} 0 Z"'
                f' fill="{fill}" stroke="{line}" stroke-width="1.5"/>'
            ),
            (
                f'<path d="{top} a{radius:g} 8 0 0 0 {width:g} 0" fill="none"'
                f' stroke="{rim}" stroke-width="1.5"/>'
            ),
        ]
        colour = self._palette.page if primary else self._palette.text
        self.label((x + radius, y + height / 2 + 10), sign, "title", colour=colour)

    def arrow(self, start: Point, end: Point, hue: str = "ink", *, dashed: bool = False) -> None:
        """An arrow: straight, or curved so that it leaves and arrives level."""
        (x, y), (to_x, to_y) = start, end
        half = (x + to_x) / 2
        bend = "" if x == to_x or y == to_y else f"C{half:g} {y:g} {half:g} {to_y:g}"
        dashes = ' stroke-dasharray="5 5"' if dashed else ""
        self._parts.append(
            f'<path d="M{x:g} {y:g} {bend or "L"} {to_x:g} {to_y:g}" fill="none"'
            f' stroke="{self._palette.lines[hue]}" stroke-width="1.75"'
            f' marker-end="url(#{hue})"{dashes}/>'
        )

    def rule(self, start: Point, end: Point) -> None:
        """A thin line between parts of the picture."""
        (x, y), (to_x, to_y) = start, end
        self._parts.append(
            f'<path d="M{x:g} {y:g} L{to_x:g} {to_y:g}" stroke="{self._palette.border}"/>'
        )

    def label(
        self, at: Point, words: str, style: str, *, anchor: str = "middle", colour: str = ""
    ) -> None:
        """Words, centred on the point unless `anchor` says otherwise, standing on its height."""
        size, weight, family, ink = STYLES[style]
        fill = colour or (self._palette.text if ink == "text" else self._palette.quiet)
        self._parts.append(
            f'<text x="{at[0]:g}" y="{at[1]:g}" font-family="{family}" font-size="{size:g}"'
            f' font-weight="{weight}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'
        )

    def _rect(self, box: Box, hue: str, fill: str, more: str) -> None:
        self._parts.append(
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
            f' fill="{fill}" stroke="{self._palette.lines[hue]}" stroke-width="1.5" {more}/>'
        )


def _arrow_head(hue: str, colour: str) -> str:
    return (
        f'<marker id="{hue}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8"'
        ' markerHeight="8" orient="auto-start-reverse">'
        f'<path d="M0 1 L9 5 L0 9 Z" fill="{colour}"/></marker>'
    )
