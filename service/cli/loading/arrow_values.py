"""Arrow arrays as JSON values: a value that JSON cannot represent is reported with row and column, never altered."""

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from service.cli.loading.cells import written
from service.cli.loading.errors import LoadError
from service.values import Json

_FIRST_DAY: Final = -719_162
"""0001-01-01 in days since 1970."""
_LAST_DAY: Final = 2_932_896
_PER_DAY: Final = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_MOST: Final = 2**63 - 1
_TEXT: Final = pa.string()


@dataclass
class ColumnIssues:
    """Problems seen at one place of the schema."""

    nans: int = 0
    beyond: tuple[int, str] | None = None
    """Row and value of the first number that neither 64-bit integers nor doubles represent."""


@dataclass
class Converter:
    """Converts the columns of one file, batch by batch.

    `texts`: places whose numbers are written as texts, because some exceed doubles and 64-bit integers, or because of
    `--types`. `problems`: row → why it is refused.
    """

    texts: set[str] = field(default_factory=set)
    problems: dict[int, str] = field(default_factory=dict)
    found: dict[str, ColumnIssues] = field(default_factory=dict)

    def values(self, place: str, array: pa.Array, rows: Sequence[int], forced: str | None = None) -> list[Json]:
        """JSON values of a column; `rows`: the file row of each."""
        if forced is None:
            return self._values(place, array, rows)
        return self._forced(place, array, rows, forced)

    def _forced(self, place: str, array: pa.Array, rows: Sequence[int], kind: str) -> list[Json]:
        values: list[Json] = []
        for row, text in zip(rows, _texts(array), strict=True):
            try:
                values.append(None if text is None else msgspec.Raw(written(text, kind)))
            except ValueError as error:
                values.append(None)
                self._problem(row, place, str(error))
        return values

    def _values(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        kind = array.type
        if isinstance(kind, pa.BaseExtensionType):
            if kind.extension_name == "arrow.uuid":
                return [None if each is None else str(UUID(bytes=each)) for each in array.storage.to_pylist()]
            return self._values(place, array.storage, rows)
        if pa.types.is_dictionary(kind):
            return self._values(place, array.dictionary_decode(), rows)
        if pa.types.is_struct(kind):
            return self._structs(place, array, rows)
        if pa.types.is_map(kind):
            return self._maps(place, array, rows)
        if is_list(kind):
            lengths = pc.list_value_length(array).to_pylist()
            return self._lists(place, array.flatten(), lengths, rows)
        for test, convert in _LEAVES:
            if test(kind):
                return convert(self, place, array, rows)
        raise LoadError(f"the column {place} has the type {kind}, which JSON has no form for; leave the column out")

    def _structs(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        names = [each.name for each in array.type]
        children = [self._values(f"{place}.{name}", array.field(number), rows) for number, name in enumerate(names)]
        cells = zip(*children, strict=True) if children else [()] * len(array)
        return [
            dict(zip(names, values, strict=True)) if valid else None
            for valid, values in zip(array.is_valid().to_pylist(), cells, strict=True)
        ]

    def _lists(self, place: str, elements: pa.Array, lengths: Sequence[int | None], rows: Sequence[int]) -> list[Json]:
        inner = [row for row, length in zip(rows, lengths, strict=True) for _ in range(length or 0)]
        values = iter(self._values(f"{place}[]", elements, inner))
        return [None if length is None else [next(values) for _ in range(length)] for length in lengths]

    def _maps(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        """An object if the keys are texts, else an array of pairs."""
        offsets = array.offsets.to_pylist()
        valid = array.is_valid().to_pylist()
        lengths = [
            end - start if there else None for start, end, there in zip(offsets, offsets[1:], valid, strict=False)
        ]
        # A null may still have elements, which belong to no value.
        spans = [
            pa.array(range(start, end), pa.int64())
            for start, end, there in zip(offsets, offsets[1:], valid, strict=False)
            if there
        ]
        wanted = pa.concat_arrays(spans) if spans else pa.array([], pa.int64())
        keys = self._lists(f"{place} (keys)", array.keys.take(wanted), lengths, rows)
        items = self._lists(place, array.items.take(wanted), lengths, rows)
        if not is_text(array.type.key_type):
            return [
                None if names is None else [list(pair) for pair in zip(names, values, strict=True)]
                for names, values in zip(keys, items, strict=True)
            ]
        made: list[Json] = []
        for row, names, values in zip(rows, keys, items, strict=True):
            if names is not None and len(set(names)) < len(names):
                self._problem(row, place, "a key is there twice in one map")
            made.append(None if names is None else dict(zip(names, values, strict=True)))
        return made

    def _floats(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        values: list[Json] = _doubles(array)
        for number, value in enumerate(values):
            if value is not None and not math.isfinite(value):
                values[number] = None
                if math.isnan(value):
                    self._found(place).nans += 1
                else:
                    spelling = "Infinity" if value > 0 else "-Infinity"
                    self._problem(rows[number], place, f"{spelling} is not a JSON number")
        return values

    def _wide(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        """uint64: a column with a value beyond int64 becomes text."""
        values: list[Json] = array.to_pylist()
        if place in self.texts:
            return [None if value is None else str(value) for value in values]
        for number, value in enumerate(values):
            if value is not None and value > _MOST:
                self._beyond(place, rows[number], str(value))
                break
        return values

    def _decimals(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        values: list[Decimal | None] = array.to_pylist()
        if place in self.texts:
            return [None if value is None else f"{value:f}" for value in values]
        numbers: list[Json] = []
        for row, value in zip(rows, values, strict=True):
            number = None if value is None else as_number(value)
            if value is not None and number is None:
                self._beyond(place, row, f"{value:f}")
            numbers.append(number)
        return numbers

    def _dates(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        days = array.cast(pa.date32(), safe=False)
        self._within_years(place, array, days.cast(pa.int32()).to_pylist(), rows, 1)
        return pc.cast(days, _TEXT).to_pylist()  # type: ignore[no-any-return]

    def _timestamps(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        self._within_years(place, array, array.cast(pa.int64()).to_pylist(), rows, _PER_DAY[array.type.unit])
        return iso(array).to_pylist()  # type: ignore[no-any-return]

    def _within_years(
        self, place: str, array: pa.Array, counts: Sequence[int | None], rows: Sequence[int], per_day: int
    ) -> None:
        """Checks for the years 1 to 9999, which ISO-8601 writes with four digits."""
        for number, count in enumerate(counts):
            if count is not None and not _FIRST_DAY * per_day <= count < (_LAST_DAY + 1) * per_day:
                spelling = _texts(array.slice(number, 1))[0]
                self._problem(rows[number], place, f"{spelling} is outside the years 1 to 9999")

    def _binary(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        return [None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()]

    def _times(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        return _without_zeros(pc.cast(array, _TEXT)).to_pylist()  # type: ignore[no-any-return]

    def _counts(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        return array.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]

    def _plain(self, place: str, array: pa.Array, rows: Sequence[int]) -> list[Json]:
        return array.to_pylist()  # type: ignore[no-any-return]

    def _found(self, place: str) -> ColumnIssues:
        return self.found.setdefault(place, ColumnIssues())

    def _beyond(self, place: str, row: int, value: str) -> None:
        found = self._found(place)
        found.beyond = found.beyond or (row, value)

    def _problem(self, row: int, place: str, text: str) -> None:
        column = place.partition("[")[0].partition(".")[0]
        self.problems.setdefault(row, f"{place}: {text}; --types {column}=text loads the column as texts")


def as_number(value: Decimal) -> int | float | None:
    """The JSON number equal to this decimal, None if there is none: a 64-bit integer, else a double's shortest form."""
    if value == value.to_integral_value():
        whole = int(value)
        return whole if -(2**63) <= whole <= _MOST else None
    double = float(value)
    return double if Decimal(repr(double)) == value else None


def iso(array: pa.Array) -> pa.Array:
    """Timestamps in ISO-8601: instants in UTC with `Z`, others without a zone; no trailing zeros in fractions."""
    if array.type.tz is not None:
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    text = pc.replace_substring(pc.cast(array, _TEXT), " ", "T", max_replacements=1)
    return _without_zeros(text)


def _without_zeros(text: pa.Array) -> pa.Array:
    shorter = pc.replace_substring_regex(text, r"(\.[0-9]*?)0+(Z?)$", r"\1\2")
    return pc.replace_substring_regex(shorter, r"\.(Z?)$", r"\1")


def _texts(array: pa.Array) -> list[str | None]:
    """Values as texts, for `--types`."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _texts(array.storage)
    if pa.types.is_dictionary(kind):
        return _texts(array.dictionary_decode())
    if pa.types.is_nested(kind) or is_binary(kind):
        raise LoadError(f"--types cannot change a column of the type {kind}")
    if pa.types.is_timestamp(kind):
        return iso(array).to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_date(kind):
        array = array.cast(pa.date32(), safe=False)
    if pa.types.is_floating(kind):
        spelled = {math.inf: "Infinity", -math.inf: "-Infinity"}
        return [None if v is None else spelled.get(v) or ("NaN" if v != v else _shortest(v)) for v in _doubles(array)]
    return pc.cast(array, _TEXT).to_pylist()  # type: ignore[no-any-return]


def _doubles(array: pa.Array) -> list[float | None]:
    """Floats by their shortest form: a 32-bit 0.1 is 0.1, not 0.10000000149011612."""
    if pa.types.is_float64(array.type):
        return array.to_pylist()  # type: ignore[no-any-return]
    texts = array.cast(pa.float32()).cast(pa.string()).to_pylist()
    return [None if text is None else float(text) for text in texts]


def _shortest(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else msgspec.json.encode(value).decode()


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    tests = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(pa.types, test)(kind) for test in tests)


def is_binary(kind: pa.DataType) -> bool:
    tests = ("is_binary", "is_large_binary", "is_fixed_size_binary", "is_binary_view")
    return any(getattr(pa.types, test)(kind) for test in tests)


_Convert = Callable[[Converter, str, pa.Array, Sequence[int]], list[Json]]

_LEAVES: Final[tuple[tuple[Callable[[Any], bool], _Convert], ...]] = (
    (is_text, Converter._plain),
    (pa.types.is_boolean, Converter._plain),
    (pa.types.is_null, Converter._plain),
    (pa.types.is_uint64, Converter._wide),
    (pa.types.is_integer, Converter._plain),
    (pa.types.is_floating, Converter._floats),
    (pa.types.is_decimal, Converter._decimals),
    (pa.types.is_date, Converter._dates),
    (pa.types.is_timestamp, Converter._timestamps),
    (pa.types.is_time, Converter._times),
    (pa.types.is_duration, Converter._counts),
    (is_binary, Converter._binary),
)


def kind_of(type: pa.DataType) -> str:
    """The JSON kind of a column of the type, for messages."""
    if isinstance(type, pa.BaseExtensionType):
        return "text" if type.extension_name == "arrow.uuid" else kind_of(type.storage_type)
    if pa.types.is_dictionary(type):
        return kind_of(type.value_type)
    if pa.types.is_struct(type) or (pa.types.is_map(type) and is_text(type.key_type)):
        return "object"
    if pa.types.is_map(type):
        return "list of pairs"
    if is_list(type):
        return f"list of {kind_of(type.value_type)}"
    kinds = (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "integer"),
        (pa.types.is_duration, "integer"),
        (pa.types.is_floating, "number"),
        (pa.types.is_decimal, "number"),
        (pa.types.is_date, "date"),
        (pa.types.is_timestamp, "timestamp"),
        (pa.types.is_null, "null"),
    )
    return next((kind for test, kind in kinds if test(type)), "text")


def note_of(type: pa.DataType) -> str:
    """How values of the type are converted, if that is not obvious."""
    if is_list(type):
        return note_of(type.value_type)
    if is_binary(type):
        return "bytes, in base64"
    if pa.types.is_duration(type):
        return f"durations, in {type.unit}"
    if pa.types.is_timestamp(type) and type.tz is not None and type.tz != "UTC":
        return f"instants, in UTC; the file has the zone {type.tz}"
    return ""
