"""Container properties: their types, valid values, and how values are indexed (contract, 3 and 5)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from service.planning.dates import render
from service.tokens import LONG_MAX, LONG_MIN, string_term
from service.values import Json, index_date, is_number, parse_date
from service.wire import CamelModel

SPACE: Final = r"^[a-zA-Z][a-zA-Z0-9_-]{0,41}[a-zA-Z0-9]?$"
CONTAINER: Final = r"^[a-zA-Z]([a-zA-Z0-9_]{0,253}[a-zA-Z0-9])?$"
PROPERTY: Final = r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,253}[a-zA-Z0-9]?$"

RESERVED: Final = frozenset(
    {
        "space", "externalId", "createdTime", "lastUpdatedTime", "deletedTime", "extensions", "edge_id", "node_id",
        "project_id", "property_group", "seq", "tg_table_name",
    }
)  # fmt: skip

INT32: Final = 2**31
FLOAT32: Final = 3.4028234663852886e38
"""The largest number of single precision; numbers are not rounded to it."""
MAX_TEXT: Final = 128_000

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII)

Key = tuple[str, str, str]
"""Space, container, property."""


TypeName = Literal[
    "text", "boolean", "float32", "float64", "int32", "int64", "timestamp", "date", "json", "direct", "enum"
]


class PropertyType(CamelModel):
    """The type of a property; `list` for all but enum."""

    type: TypeName
    is_list: StrictBool = Field(False, alias="list")
    max_list_size: StrictInt | None = Field(None, ge=1, le=10_000)
    max_text_size: StrictInt | None = Field(None, ge=1, le=MAX_TEXT)
    collation: Literal["ucs_basic"] | None = None
    unit: dict[str, Any] | None = None
    container: dict[str, Any] | None = None
    values: dict[str, dict[str, Any]] | None = Field(None, min_length=1, max_length=32)
    unknown_value: StrictStr | None = None

    @model_validator(mode="after")
    def _fits(self) -> "PropertyType":
        if self.type == "enum":
            if self.values is None:
                raise PydanticCustomError("missing", "an enum needs values (1–32)")
            if self.is_list:
                raise PydanticCustomError("value_error", "an enum cannot be a list")
        elif self.values is not None:
            raise PydanticCustomError("value_error", "values belong to an enum, not to {type}", {"type": self.type})
        return self

    def render(self) -> dict[str, Json]:
        rendered = {name: value for name, value in self.model_dump(by_alias=True).items() if value is not None}
        if self.type == "enum":
            del rendered["list"]
        return rendered


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise PydanticCustomError("reserved", "{name} is a reserved property id", {"name": name})
    return name


class Property(CamelModel):
    """One property of a container."""

    type: PropertyType
    nullable: StrictBool = True
    immutable: Literal[False] = False
    auto_increment: Literal[False] = False
    default_value: Any = None
    name: StrictStr | None = Field(None, max_length=255)
    description: StrictStr | None = Field(None, max_length=1024)

    def render(self) -> dict[str, Json]:
        rendered: dict[str, Json] = {
            "type": self.type.render(),
            "nullable": self.nullable,
            "immutable": False,
            "autoIncrement": False,
            "constraintState": {},
        }
        more = {"defaultValue": self.default_value, "name": self.name, "description": self.description}
        return {**rendered, **{name: value for name, value in more.items() if value is not None}}


def _fitting(given: Property) -> Property:
    """Checks that the default is a value of the property's type."""
    if given.default_value is not None:
        declared = given.type
        column = PropertyColumn(("", "", ""), declared.type, declared.is_list, frozenset(declared.values or ()))
        fits = isinstance(given.default_value, list) if declared.is_list else True
        for each in given.default_value if declared.is_list and fits else [given.default_value]:
            fits = fits and wrong(column, each) is None
        if not fits:
            raise PydanticCustomError("value_error", "defaultValue is not a value of {type}", {"type": column.label})
    return given


PropertyId = Annotated[str, Field(pattern=PROPERTY), AfterValidator(_not_reserved)]


class Container(CamelModel):
    """A container: named, typed properties of records."""

    space: Annotated[str, Field(pattern=SPACE)]
    external_id: Annotated[str, Field(pattern=CONTAINER)]
    properties: dict[PropertyId, Annotated[Property, AfterValidator(_fitting)]] = Field(min_length=1, max_length=1000)
    used_for: Literal["record"]
    name: StrictStr | None = Field(None, max_length=255)
    description: StrictStr | None = Field(None, max_length=1024)
    constraints: dict[str, Any] = Field(default_factory=dict, max_length=0)
    indexes: dict[str, Any] = Field(default_factory=dict, max_length=0)


NUMBERS: Final = frozenset({"float32", "float64", "int32", "int64"})
INTEGERS: Final = frozenset({"int32", "int64"})


@dataclass(frozen=True)
class PropertyColumn:
    """A property as indexed."""

    key: Key
    """Space and container are empty for top-level properties of every record."""
    type: str
    listed: bool = False
    enum: frozenset[str] = frozenset()
    needed: bool = False
    """It is not nullable."""
    default: Any = None
    max_list: int = 2_000
    max_text: int | None = None
    generation: int = 1
    """The container's generation: a deleted and recreated one has separate fields."""

    @cached_property
    def field(self) -> str:
        """Steps are joined by a character that none of them may contain, so no two columns share a field."""
        if self.top:
            return self.key[2]
        name = "/".join(self.key)
        return name if self.generation == 1 else f"{name}@{self.generation}"

    @cached_property
    def extra(self) -> str:
        """The field that counts values missing from the column's own field: duplicates in a list, all json values."""
        return f"{self.field}@extra"

    @property
    def top(self) -> bool:
        return not self.key[0]

    def values(self, record: Mapping[str, Json]) -> list[Json]:
        """A record's values: none, one, or a list's elements; null is not a value."""
        if self.top:
            return [record[self.key[2]]]
        space, container, name = self.key
        value = record["properties"].get(space, {}).get(container, {}).get(name)
        if value is None:
            return []
        return value if self.listed else [value]

    @property
    def label(self) -> str:
        """The type in messages: `int32`, `list of text`."""
        return f"list of {self.type}" if self.listed else self.type

    @cached_property
    def simple(self) -> bool:
        """Whether it has one value in one field and no constraint other than its type."""
        return not self.listed and self.max_text is None and self.mapping is not None

    @cached_property
    def convert(self) -> Callable[[Json], Json]:
        return converter(self)

    @cached_property
    def mapping(self) -> Json | None:
        """The mapping, None if the property is not searchable."""
        return MAPPINGS[self.type]

    def indexed(self, value: Json) -> Json:
        """One value (for a list, an element) as indexed."""
        return _INDEXED[self.type](value)

    def named(self, value: Json) -> Json:
        """One value as used in queries."""
        if self.type in ("timestamp", "date"):
            return index_date(instant(value))
        return self.indexed(value)

    def shown(self, key: Json) -> Json:
        """Converts a bucket's key to a value."""
        match self.type:
            case "boolean":
                return bool(key)
            case "timestamp":
                return render_time(int(key))
            case "date":
                return render_time(int(key))[:10]
            case "direct":
                space, _, external_id = str(key).partition(" ")
                return {"space": space, "externalId": external_id}
            case "int32" | "int64":
                return int(key)
        return key


TOP: Final[Mapping[str, PropertyColumn]] = {
    name: PropertyColumn(("", "", name), type)
    for name, type in {
        "space": "text",
        "externalId": "text",
        "createdTime": "timestamp",
        "lastUpdatedTime": "timestamp",
    }.items()
}
"""Properties of every record; the two times are epoch milliseconds."""

_KEYWORD: Final = {"type": "keyword"}
_TIME: Final = {"type": "date", "format": "epoch_millis||strict_date_optional_time"}
MAPPINGS: Final[Mapping[str, Json | None]] = {
    "text": _KEYWORD,
    "enum": _KEYWORD,
    "direct": _KEYWORD,
    "boolean": {"type": "boolean"},
    "float32": {"type": "double"},
    "float64": {"type": "double"},
    "int32": {"type": "integer"},
    "int64": {"type": "long"},
    "timestamp": _TIME,
    "date": _TIME,
    "json": None,
}


def render_time(millis: int) -> str:
    """ISO-8601 with only as many decimals as needed."""
    text = render(millis, "UTC")
    return f"{text[:-1].rstrip('0')}Z" if "." in text else text


def instant(value: Json) -> int:
    """Epoch milliseconds of a validated timestamp or date; a record's two times are epoch milliseconds already."""
    if isinstance(value, int):
        return value
    millis = timestamp(value)
    if millis is None:
        raise ValueError(value)
    return millis


def timestamp(value: Json) -> int | None:
    """Epoch milliseconds of an ISO-8601 time (or date), finer digits truncated; None for anything else."""
    if not isinstance(value, str):
        return None
    if _DATE.fullmatch(value):
        return parse_date(value)
    match = _TIMESTAMP.fullmatch(value)
    if match is None:
        return None
    return parse_date(value)


def direct_term(value: Json) -> str:
    """A space id has no blank, and a blank sorts before all of its characters: terms sort as (space, id) pairs."""
    return string_term(f"{value['space']} {value['externalId']}")


class Wrong(Exception):
    """A value does not have its property's type."""


def converter(column: PropertyColumn) -> Callable[[Json], Json]:
    """A function that validates a value and returns its indexed form, `wrong` and `indexed` in one; raises `Wrong`."""
    match column.type:
        case "text":
            return _text
        case "boolean":
            return _boolean
        case "int32":
            return _int32
        case "int64":
            return _int64
        case "float32":
            return _float32
        case "float64":
            return _float
        case "timestamp":
            return _time

    def convert(value: Json) -> Json:
        if wrong(column, value) is not None:
            raise Wrong
        return column.indexed(value)

    return convert


def _text(value: Json) -> Json:
    if type(value) is not str:
        raise Wrong
    return string_term(value)


def _boolean(value: Json) -> Json:
    if type(value) is not bool:
        raise Wrong
    return value


def _int32(value: Json) -> Json:
    if type(value) is not int or not -INT32 <= value < INT32:
        raise Wrong
    return value


def _int64(value: Json) -> Json:
    if type(value) is not int or not LONG_MIN <= value <= LONG_MAX:
        raise Wrong
    return value


def _float(value: Json) -> Json:
    if type(value) is float:
        return value + 0.0
    if type(value) is not int:
        raise Wrong
    try:
        return float(value)
    except OverflowError:
        raise Wrong from None


def _float32(value: Json) -> Json:
    number = _float(value)
    if abs(number) > FLOAT32:
        raise Wrong
    return number


def _time(value: Json) -> Json:
    if type(value) is not str or len(value) < 19 or _TIMESTAMP.fullmatch(value) is None:
        raise Wrong
    millis = parse_date(value)
    if millis is None:
        raise Wrong
    return millis


_INDEXED: Final[Mapping[str, Callable[[Json], Json]]] = {
    "text": string_term,
    "enum": string_term,
    "direct": direct_term,
    "boolean": lambda value: value,
    "float32": lambda value: float(value) + 0.0,
    "float64": lambda value: float(value) + 0.0,
    "int32": int,
    "int64": int,
    "timestamp": instant,
    "date": instant,
    "json": lambda value: value,
}


def wrong(column: PropertyColumn, value: Json, *, operand: bool = False) -> str | None:
    """The problem with one value of a column, None if valid; `operand`: of a filter, which may be out of range."""
    match column.type:
        case "text":
            return None if isinstance(value, str) else "a string"
        case "enum":
            if isinstance(value, str) and (operand or value in column.enum):
                return None
            return "a string" if operand else f"one of {', '.join(sorted(column.enum))}"
        case "boolean":
            return None if isinstance(value, bool) else "true or false"
        case "float32" | "float64":
            if not is_number(value) or not _finite(value):
                return "a number"
            fits = operand or column.type == "float64" or abs(value) <= FLOAT32
            return None if fits else f"a number from {-FLOAT32} to {FLOAT32}"
        case "int32" | "int64":
            if operand:
                return None if is_number(value) else "a number"
            low, high = (-INT32, INT32 - 1) if column.type == "int32" else (LONG_MIN, LONG_MAX)
            whole = isinstance(value, int) and not isinstance(value, bool)
            return None if whole and low <= value <= high else f"an integer from {low} to {high}"
        case "timestamp":
            fits = isinstance(value, str) and not _DATE.fullmatch(value) and timestamp(value) is not None
            return None if fits else "an ISO-8601 time such as 2024-01-31T10:30:00Z"
        case "date":
            fits = isinstance(value, str) and bool(_DATE.fullmatch(value)) and timestamp(value) is not None
            return None if fits else "a date such as 2024-01-31"
        case "direct":
            return None if is_reference(value) else 'a direct relation: {"space": …, "externalId": …}'
    return None if value is not None else "a value"


def _finite(value: int | float) -> bool:
    try:
        return abs(float(value)) != float("inf")
    except OverflowError:
        return False


def is_reference(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"space", "externalId"}
        and isinstance(value["space"], str)
        and isinstance(value["externalId"], str)
        and " " not in value["space"]
    )
