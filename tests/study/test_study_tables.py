"""Tables of a study as Markdown, CSV and LaTeX."""

import csv
import io
import re

import pytest

from styleganv.study.tables import (
    CSV_HEAD,
    REAL,
    Cell,
    Table,
    escape_latex,
    format_number,
    to_csv,
    to_latex,
    to_markdown,
)


@pytest.fixture
def tables() -> list[Table]:
    rows = [
        (REAL, [Cell(text="–"), Cell([1.0])]),
        ("A & B_1", [Cell([100.0, 120.0]), Cell([10.0, 12.0])]),
        ("C|D, 50 %", [Cell([250.0]), Cell([10.999, 11.001])]),
        ("E", [Cell([None, float("nan")]), Cell([30.0], as_expected=False)]),
    ]
    quality = Table(
        "quality", "faces #2", "Distances of faces #2.", ["clips seen", "fvd_16f"], rows, {"fvd_16f": "min"}
    )
    motion_rows = [
        ("Speed (×)", [Cell([0.5]), Cell([0.6], as_expected=True)]),
        ("✓", [Cell(text=""), Cell(text="1 of 1")]),
    ]
    return [quality, Table("motion", "faces #2", "Motion.", [REAL, "A & B_1"], motion_rows, by_column=True)]


def test_numbers() -> None:
    assert format_number([]) == format_number([None, float("nan")]) == "–"
    assert format_number([0.0]) == "0" and format_number([1234.5]) == "1,234" and format_number([0.01234]) == "0.0123"
    assert format_number([10.0, 12.0]) == "11.0 ± 1" and format_number([-10.0]) == "-10.0"
    cell = Cell([10.0, 12.0, None], as_expected=True)
    assert (cell.mean, cell.error, str(cell)) == (11, pytest.approx(1), "11.0 ± 1 ✓")


def test_the_best_number_is_bold_and_so_are_its_equals(tables: list[Table]) -> None:
    """Real videos are not compared, and worse numbers that look equal are equal."""
    lines = to_markdown(tables[0]).splitlines()
    assert lines[0] == "|  | clips seen | fvd_16f |" and lines[1] == "|---|---|---|"
    assert lines[2] == "| real | – | 1.00 |"
    assert lines[3] == "| A & B_1 | 110 ± 10 | **11.0 ± 1** |"
    assert lines[4] == "| C\\|D, 50 % | 250 | **11.0 ± 0.001** |"
    assert lines[5] == "| E | – | 30.0 ✗ |"


def test_csv_has_every_number(tables: list[Table]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(tables))))
    assert tuple(rows[0]) == CSV_HEAD and len(rows) == 8 + 4
    found = {(row["table"], row["method"], row["measure"]): row for row in rows}
    row = found["quality", "A & B_1", "fvd_16f"]
    assert (float(row["mean"]), float(row["standard_error"]), row["seeds"]) == (11, pytest.approx(1), "2")
    assert found["quality", "E", "fvd_16f"]["as_expected"] == "no" and found["quality", "E", "clips seen"]["mean"] == ""
    assert found["motion", "A & B_1", "Speed (×)"]["as_expected"] == "yes"
    assert found["motion", "A & B_1", "✓"]["text"] == "1 of 1" and row["dataset"] == "faces #2"


def test_latex_is_escaped_and_complete(tables: list[Table]) -> None:
    text = to_latex(tables)
    assert text.isascii() and text.count(r"\begin{tabular}{lrr}") == text.count(r"\end{tabular}") == 2
    assert r"A \& B\_1 & 110 $\pm$ 10 & \textbf{11.0 $\pm$ 1} \\" in text
    assert r"C|D, 50 \% & 250 & \textbf{11.0 $\pm$ 0.001} \\" in text and r"faces \#2" in text
    assert r"Speed ($\times$) & 0.500 & 0.600 \checkmark \\" in text
    for line in text.splitlines():
        if line.endswith(r"\\"):
            assert len(re.findall(r"(?<!\\)&", line)) == 2, line
        plain = line.replace(r"\{", "").replace(r"\}", "")
        assert plain.count("{") == plain.count("}") and line.count("$") % 2 == line.count(r"\$") % 2, line
    assert escape_latex(r"a\b~{c}^$") == r"a\textbackslash{}b\textasciitilde{}\{c\}\textasciicircum{}\$"
