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


def table(rows: Sequence[str]) -> str:
    head = (
        "| fault | requests | errors seen by clients | wrong answers | acknowledged and lost | duplicated "
        "| seconds to recovery |"
    )
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def write(reports: Sequence[Report], titles: Sequence[str]) -> None:
    """Replaces the rows that ran now; the others stay as they were."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    rows = {title: line for line in old.splitlines() for title in titles if line.startswith(f"| {title} |")}
    rows |= {report.title: row(report) for report in reports}
    rendered = table([rows[title] for title in titles if title in rows])
    PAGE.write_text(f"{before}{BEGIN}\n\n{rendered}\n\n{END}{after}")
