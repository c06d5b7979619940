"""The table of `make chaos` in docs/quality.md."""

from collections.abc import Sequence
from pathlib import Path

from tests.chaos.oracle import Report

PAGE = Path(__file__).parents[2] / "docs" / "quality.md"
BEGIN, END = "<!-- chaos: written by `make chaos` -->", "<!-- end of chaos -->"


def row(report: Report) -> str:
    errors = ", ".join(f"{number} × {name}" for name, number in report.errors.most_common())
    seconds = "–" if report.seconds is None else f"{report.seconds:.1f}"
    cells = (
        report.title,
        f"{report.requests:,}",
        errors or "0",
        len(report.wrong),
        len(report.lost),
        len(report.doubled),
        seconds,
    )
    return f"| {' | '.join(map(str, cells))} |"


def table(reports: Sequence[Report]) -> str:
    head = (
        "| what befell it | requests | errors that clients got | wrong answers | acknowledged and lost | doubled "
        "| seconds until all was well |"
    )
    return "\n".join([head, "|---|---|---|---|---|---|---|", *map(row, reports)])


def write(reports: Sequence[Report]) -> None:
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(reports)}\n\n{END}{after}")
