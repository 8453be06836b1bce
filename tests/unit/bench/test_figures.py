"""README and table quote the bench's figures as they were kept, and no others."""

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
