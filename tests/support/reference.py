"""`python -m tests.support.reference` writes docs/reference.md from the code; a test compares the two."""

import inspect
from collections.abc import Iterator
from typing import Any, Final

from service import encoding, paths
from service.aggregations import KINDS
from service.conditions.regex import MAX_PATTERN
from service.dialects.flat.filters import LIST_OPERATORS, OPERATORS
from service.dialects.flat.filters.operands import FilterLimits
from service.dialects.flat.listing import MAX_LIMIT, WINDOW
from service.dialects.flat.spec import (
    AggregateRequest,
    AggregationOperation,
    GroupByField,
    HavingCondition,
    RangeBucket,
)
from service.dialects.tree.filters import MAX_DEPTH as FILTER_DEPTH
from service.dialects.tree.filters import MAX_NODES
from service.dialects.tree.filters import OPERATORS as TREE_OPERATORS
from service.dialects.tree.nodes import MAX_HISTOGRAM
from service.dialects.tree.request import KINDS as TREE_KINDS
from service.dialects.tree.request import MAX_ALL, MAX_FILTERS, MAX_LEVEL, MAX_UNIQUE
from service.errors import ERRORS
from service.fields import LENGTHY
from service.listing.computed import COUNTED
from service.records.following import MAX_SYNC
from service.records.ingest import MAX_ID, MAX_ITEMS, MAX_SOURCES
from service.records.reading import MAX_ANSWER
from service.settings import Settings
from service.web.inputs import RECORDS_LIMIT
from service.web.reading import MAX_DEPTH as DEPTH
from service.web.routes import ROUTES
from tests.conftest import ROOT

FILE = ROOT / "docs/reference.md"
LIMITS: Final[tuple[tuple[str, int | str], ...]] = (
    ("bytes of a request body; imports have no limit", "body_limit"),
    ("bytes of a request body about records", RECORDS_LIMIT),
    ("levels of a body", DEPTH),
    ("objects of a batch", "batch_limit"),
    ("different field paths of a bucket", "field_budget"),
    ("levels of an object", encoding.MAX_DEPTH),
    ("characters of a field path", paths.MAX_LENGTH),
    ("bytes of a text that is indexed whole; of a longer one its beginning and its SHA-256", LENGTHY),
    ("groups, or combinations of group and value, of one aggregate", "group_budget"),
    ("objects that one answer reads one by one", "object_budget"),
    ("levels of a filter", FilterLimits.depth),
    ("conditions of a filter", FilterLimits.conditions),
    ("characters of a regular expression", MAX_PATTERN),
    ("results of a page", MAX_LIMIT),
    ("results that `offset` and `page` reach; `cursor` reaches all", WINDOW),
    ("resources of which computed numbers are filtered or sorted by", COUNTED),
    ("records of a request", MAX_ITEMS),
    ("containers of a record", MAX_SOURCES),
    ("characters of an external id", MAX_ID),
    ("bytes of the records in an answer of filter", MAX_ANSWER),
    ("bytes of the records in an answer of sync", MAX_SYNC),
    ("aggregates of a request about records", MAX_ALL),
    ("aggregates of one level; levels of aggregates", MAX_LEVEL),
    ("filters in all `filters` aggregates of a request", MAX_FILTERS),
    ("values of `uniqueValues`", MAX_UNIQUE),
    ("buckets of a histogram", MAX_HISTOGRAM),
    ("buckets of an answer about records", "bucket_limit"),
    ("records that one answer reads one by one", "fold_budget"),
    ("nodes of a filter of records", MAX_NODES),
    ("levels of a filter of records", FILTER_DEPTH),
)
KEYS = {
    AggregateRequest: "The request",
    GroupByField: "`group_by`",
    AggregationOperation: "`aggregations`",
    HavingCondition: "`having`",
    RangeBucket: "`range_buckets`",
}


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
    yield from ("", "## Keys of an aggregate request", "")
    yield "Every other key is refused. A `null` is the same as leaving an optional key out."
    for model in (AggregateRequest, GroupByField, AggregationOperation, HavingCondition, RangeBucket):
        yield from ("", f"### {KEYS[model]}", "", "| key | value | default | what |", "|---|---|---|---|")
        schema = model.model_json_schema()
        for name, field in model.model_fields.items():
            default = "needed" if field.is_required() else "" if field.default is None else f"`{field.default}`"
            yield f"| `{name}` | {_value(schema['properties'][name])} | {default} | {field.description} |"
    yield from ("", "## Aggregation functions of the objects API", "", "| function | what |", "|---|---|")
    for kind in KINDS:
        yield f"| `{kind.name}` | {(inspect.getdoc(kind) or '').splitlines()[0]} |"
    yield from ("", "## Filter operators of the objects API", "")
    yield f"In aggregates: {_named(tuple(OPERATORS))}, and `$and`, `$or`, `$nor`."
    yield ""
    yield f"In lists: {_named(tuple(LIST_OPERATORS))}; conditions are joined by `AND`, `OR`, `NOT`."
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
    yield from ("", "## Limits", "")
    yield "A request beyond a limit is refused with the limit and what was sent; nothing is cut silently."
    yield from ("", "| what | at most |", "|---|---|")
    for what, limit in LIMITS:
        name = f"TALLY_{limit.upper()}" if isinstance(limit, str) else ""
        number = Settings.model_fields[limit].default if isinstance(limit, str) else limit
        yield f"| {what} | {number:,}{f' (`{name}`)' if name else ''} |"
    yield from ("", "## Settings", "", "| environment variable | default | what |", "|---|---|---|")
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "", {}) else f"`{field.default}`"
        yield f"| `TALLY_{name.upper()}` | {default} | {field.description} |"


def _value(schema: dict[str, Any]) -> str:
    """`text`, `array of 1 to 32`, or the words to choose from."""
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    if len(kinds) > 1 or "anyOf" in kinds[0]:
        words = dict.fromkeys(map(_value, kinds))
        return " or ".join(word for word in words if not (word == "integer" and "number" in words))
    kind = kinds[0]
    if "enum" in kind:
        return ", ".join(f"`{each}`" for each in kind["enum"])
    match kind.get("type"):
        case "array":
            least, most = kind.get("minItems", 0), kind.get("maxItems")
            return f"array of {least} to {most:,}" if most else "array"
        case "integer" | "number":
            ends = [
                f"from {kind['minimum']}" if "minimum" in kind else "",
                f"to {kind['maximum']}" if "maximum" in kind else "",
            ]
            return " ".join(("integer" if kind["type"] == "integer" else "number", *filter(None, ends)))
        case "string":
            return "text"
        case other:
            return str(other or "any")


def _named(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    FILE.write_text(reference())
