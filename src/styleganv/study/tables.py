"""Tables of a study, and their text as Markdown, CSV and LaTeX.

The CSV has one line per number, so that any of its columns can be selected. The LaTeX requires the packages booktabs
and amssymb.
"""

import csv
import io
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

NONE = "–"
#: Row (or column) of the real videos, which are not compared.
REAL = "real"
CSV_HEAD = ("table", "dataset", "method", "measure", "mean", "standard_error", "seeds", "as_expected", "text")
#: LaTeX of characters that are not plain text in it.
_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "√": r"$\surd$",
    "✓": r"\checkmark",
    "✗": r"$\times$",
    "²": r"$^2$",
}


@dataclass(frozen=True)
class Cell:
    """A number with one value per seed, or a text.

    Attributes:
        values: values that are missing or not finite are ignored.
        as_expected: verdict on the number; None without one.
    """

    values: Sequence[float | None] = ()
    text: str | None = None
    as_expected: bool | None = None

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None and math.isfinite(value)]

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.known) if self.known else None

    @property
    def error(self) -> float | None:
        """Standard error of the mean over seeds; None for fewer than two."""
        return statistics.stdev(self.known) / math.sqrt(len(self.known)) if len(self.known) > 1 else None

    def __str__(self) -> str:
        if self.text is not None:
            return self.text
        return format_number(self.known) + {None: "", True: " ✓", False: " ✗"}[self.as_expected]


@dataclass(frozen=True)
class Table:
    """A table with one row per method, or one column per method if `by_column`.

    Attributes:
        name: kind of the table, e.g. "quality".
        columns: titles of the columns after the first, which has the titles of the rows.
        best: columns whose best number is bold: the title, and min or max.
    """

    name: str
    dataset: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    best: dict[str, str] = field(default_factory=dict)
    by_column: bool = False

    def is_best(self, row: int, column: int) -> bool:
        """Return whether a cell is the best of its column, or looks as good."""
        direction = self.best.get(self.columns[column])
        found = [cells[column] for title, cells in self.rows if title != REAL and cells[column].mean is not None]
        title, cells = self.rows[row]
        if direction is None or title == REAL or len(found) < 2 or cells[column].mean is None:
            return False
        means = [cell.mean for cell in found if cell.mean is not None]
        best = min(means) if direction == "min" else max(means)
        return format_number([cells[column].mean]) == format_number([best])


def format_number(values: Sequence[float | None]) -> str:
    """Format the mean over seeds, with its standard error for two or more."""
    cell = Cell(values)
    if cell.mean is None:
        return NONE
    digits = max(0, 2 - math.floor(math.log10(abs(cell.mean)))) if cell.mean else 0
    text = f"{cell.mean:,.{min(digits, 4)}f}"
    if cell.error is not None:
        text += f" ± {cell.error:,.0f}" if cell.error >= 100 else f" ± {cell.error:.2g}"
    return text


def to_markdown(table: Table) -> str:
    """Return the table as Markdown."""
    lines = [["", *table.columns]]
    for i, (title, cells) in enumerate(table.rows):
        lines.append([title, *(f"**{cell}**" if table.is_best(i, j) else str(cell) for j, cell in enumerate(cells))])
    head, *body = ["| " + " | ".join(word.replace("|", "\\|") for word in line) + " |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *body])


def to_csv(tables: Sequence[Table]) -> str:
    """Return all numbers of the tables, one per line."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for table in tables:
        for title, cells in table.rows:
            for column, cell in zip(table.columns, cells, strict=True):
                method, measure = (column, title) if table.by_column else (title, column)
                numbers = ("" if x is None else repr(x) for x in (cell.mean, cell.error))
                verdict = "" if cell.as_expected is None else "yes" if cell.as_expected else "no"
                seeds = len(cell.known) or ""
                writer.writerow([table.name, table.dataset, method, measure, *numbers, seeds, verdict, cell.text or ""])
    return file.getvalue()


def to_latex(tables: Sequence[Table]) -> str:
    """Return all tables as LaTeX, to be included by `\\input`."""
    return "\n".join(["% Requires \\usepackage{booktabs,amssymb}.", *map(_latex_table, tables)])


def _latex_table(table: Table) -> str:
    def lines() -> Iterator[str]:
        yield r"\begin{table}"
        yield r"\centering"
        yield rf"\caption{{{escape_latex(table.caption)}}}"
        yield rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}"
        yield r"\toprule"
        yield _latex_line(["", *map(escape_latex, table.columns)])
        yield r"\midrule"
        for i, (title, cells) in enumerate(table.rows):
            numbers = [escape_latex(str(cell)) for cell in cells]
            bold = [rf"\textbf{{{number}}}" if table.is_best(i, j) else number for j, number in enumerate(numbers)]
            yield _latex_line([escape_latex(title), *bold])
        yield r"\bottomrule"
        yield r"\end{tabular}"
        yield r"\end{table}"
        yield ""

    return "\n".join(lines())


def _latex_line(words: Sequence[str]) -> str:
    return " & ".join(words) + r" \\"


def escape_latex(text: str) -> str:
    """Return text in which no character has a special meaning in LaTeX."""
    return "".join(_LATEX.get(character, character) for character in text)
