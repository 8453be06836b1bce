"""README, table and plot quote the bench's figures as they were kept, and no others."""

import re
from pathlib import Path

import msgspec

from tests.bench.keeping import BEGIN, END, table
from tests.bench.results import ratio

ROOT = Path(__file__).parents[3]
ROWS = {
    "by_id": "| read by id |",
    "list_50": "| list of 50 |",
    "create": "| create: ",
    "patch": "| patch with If-Match |",
    "login": "| log in |",
}


def test_the_readme_quotes_what_was_kept() -> None:
    kept = msgspec.json.decode((ROOT / "imgs" / "bench.json").read_bytes())
    lines = (ROOT / "README.md").read_text().splitlines()
    for measure, begins in ROWS.items():
        [row] = [line for line in lines if line.startswith(begins)]
        figures = [kept[measure][name] for name in ("vs_bare", "vs_eve", "cpu_vs_bare")]
        wanted = ["-" if figure is None else f"{figure:.2f}" for figure in figures]
        assert [cell.strip() for cell in row.split("|")[2:5]] == wanted, measure


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    rounds = [(10.0, 10.0), (30.0, 20.0), (40.0, 100.0)]
    assert ratio(rounds) == 1.0  # and not 30 / 20, the ratio of the medians


def test_the_benchs_own_table_is_of_what_was_kept() -> None:
    kept = msgspec.json.decode((ROOT / "imgs" / "bench.json").read_bytes())
    text = (ROOT / "tests" / "bench" / "README.md").read_text()
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == table(kept).strip()


def test_the_plot_shows_the_ratios_on_one_scale() -> None:
    """A bar's length is the ratio that the README quotes, in every group by the same measure."""
    kept = msgspec.json.decode((ROOT / "imgs" / "bench.json").read_bytes())
    wanted = [kept[m][r] for m in ROWS for r in ("vs_bare", "vs_eve") if kept[m][r] is not None]
    drawn = (ROOT / "imgs" / "bench-light.svg").read_text()
    bars = [float(w) for w in re.findall(r'<rect x="150" y="[\d.]+" width="([\d.]+)"', drawn)]
    assert len(bars) == len(wanted)
    scale = max(bars) / max(wanted)
    assert all(abs(bar - scale * one) < 0.1 for bar, one in zip(bars, wanted, strict=True))
    numbers = re.findall(r">(\d\.\d\d)<", drawn)
    assert numbers == [f"{one:.2f}" for one in wanted]
