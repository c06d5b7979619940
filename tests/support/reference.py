"""`python -m tests.support.reference` writes docs/reference.md from the code; a test compares the two."""

import inspect
from collections.abc import Iterator

from service.aggregations import KINDS
from service.dialects.flat.filters import LIST_OPERATORS, OPERATORS
from service.dialects.tree.filters import OPERATORS as TREE_OPERATORS
from service.dialects.tree.request import KINDS as TREE_KINDS
from service.errors import ERRORS
from service.settings import Settings
from service.web.routes import ROUTES
from tests.conftest import ROOT

FILE = ROOT / "docs/reference.md"


def reference() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield "Written from the code by `python -m tests.support.reference`. With schemas and examples it is the"
    yield "OpenAPI document: `/docs` and `/openapi.json` of a running Tally, or `tally openapi`."
    yield ""
    yield "## Routes"
    tag = ""
    for op in ROUTES:
        if op.tag != tag:
            tag = op.tag
            yield from ("", f"### {tag}", "", "| method | path | what |", "|---|---|---|")
        yield f"| {op.method.upper()} | `{op.path}` | {op.summary} |"
    yield from ("", "## Aggregation functions of the objects API", "", "| function | what |", "|---|---|")
    for kind in KINDS:
        yield f"| `{kind.name}` | {(inspect.getdoc(kind) or '').splitlines()[0]} |"
    yield from ("", "## Filter operators of the objects API", "")
    yield f"In aggregates: {_named(OPERATORS)}, and `$and`, `$or`, `$nor`."
    yield ""
    yield f"In lists: {_named(LIST_OPERATORS)}; conditions are joined by `AND`, `OR`, `NOT`."
    yield from ("", "## The records API", "")
    yield f"Aggregates: {_named(TREE_KINDS)}."
    yield ""
    yield f"Filters: {_named(TREE_OPERATORS)}."
    yield from ("", "## Errors", "")
    yield "The envelope of the objects API has status and type, that of the records API the status, as `code`."
    yield "Metrics (`tally_refusals_total`) and the log name errors by the codes of this table."
    yield from ("", "| code | status | type | when | what to do |", "|---|---|---|---|---|")
    for error in ERRORS:
        yield f"| `{error.code}` | {error.status} | `{error.type}` | {inspect.getdoc(error)} | {error.remedy} |"
    yield from ("", "## Settings", "", "| environment variable | default | what |", "|---|---|---|")
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "", {}) else f"`{field.default}`"
        yield f"| `TALLY_{name.upper()}` | {default} | {field.description} |"


def _named(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    FILE.write_text(reference())
