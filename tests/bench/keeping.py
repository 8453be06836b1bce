"""Keeps figures in the tree: imgs/bench.json, and the table of README.md."""

from pathlib import Path
from typing import Any

import msgspec

from tests.bench.plans import NAMES
from tests.bench.results import Result

HERE = Path(__file__).parent
IMGS = HERE.parents[1] / "imgs"
README = HERE / "README.md"
BEGIN, END = "<!-- figures: written by `make bench KEEP=1` -->", "<!-- end of figures -->"


def keep(result: Result) -> None:
    """Write both from what was just measured."""
    IMGS.joinpath("bench.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(result.as_json()), indent=2) + b"\n"
    )
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{table(result.as_json())}\n{END}{after}")


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    about = figures["about"]
    machine = about["machine"]
    measured = (
        f"Measured on {machine['cores']} cores at {machine['mhz'] / 1000:.1f} GHz with Python"
        f" {machine['python']}, router {about['router']}; medians of {about['rounds']} rounds of"
        f" {about['seconds']} s; load average before it: {machine['load_before']}."
    )
    lines = [
        measured,
        "",
        "| | requests per second | of bare Flask's | of Eve's | CPU for a request, of bare's |",
        "|---|---|---|---|---|",
    ]
    for measure, name in NAMES.items():
        one = figures[measure]
        cells = [name, f"{one['ours']:.0f}", f"{one['vs_bare']:.2f}"]
        cells += ["-" if one["vs_eve"] is None else f"{one['vs_eve']:.2f}"]
        cells.append(f"{one['cpu_vs_bare']:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
