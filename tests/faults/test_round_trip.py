"""Twenty hostile files through load, export and restore: every cell against the file, read independently."""

import base64
import datetime
import decimal
import gzip
import io
import json
import math
import os
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.client import Client
from tests.support.compressed import compressed
from tests.support.loading import Loading

Json = Any
Rows = list[dict[str, Json]]


class Digits(str):
    """A number of a JSON text, as it is written there."""

    __slots__ = ()


def spelled(text: str | bytes) -> Json:
    return json.loads(text, parse_int=Digits, parse_float=Digits)


@dataclass(frozen=True)
class Hostile:
    """A file, the options that it needs, what it holds by another reader, and how a cell is compared."""

    name: str
    content: bytes
    options: tuple[str, ...]
    rows: Callable[[bytes], Rows]
    same: Callable[[Json, Json], bool]


# Files of text


def same_text(cell: str | None, value: Json) -> bool:
    """A text is the cell, a number is written as the cell is; a cell without a value is null in a column of numbers."""
    return bool(value == (cell or "")) if isinstance(value, str) else value is None and not cell


def text_file(
    name: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *options: str,
    delimiter: str = ",",
    encoding: str = "utf-8",
    end: str = "\n",
    quote: bool = True,
) -> Hostile:
    """Every cell between quotes, so that no writer decides what a cell needs."""

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if quote else text

    lines = [delimiter.join(map(cell, each)) for each in (header, *rows)]
    content = (end.join(lines) + end).encode(encoding)
    if name.endswith(".gz"):
        content = compressed(content)

    def read(content: bytes) -> Rows:
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        return _by_duckdb(plain.decode(encoding), delimiter, '"' if quote else "")

    return Hostile(name, content, options, read, same_text)


def _by_duckdb(text: str, delimiter: str, quote: str) -> Rows:
    """All cells as texts, by a reader that has nothing in common with the loader's."""
    sql = (
        "SELECT * FROM read_csv(?, header=true, all_varchar=true, delim=?, quote=?, escape=?, nullstr='', "
        "auto_detect=false, columns=?, strict_mode=false, max_line_size=10000000)"
    )
    return asked_duckdb(text.encode(), sql, delimiter, quote, quote, _columns(text, delimiter, quote))


def asked_duckdb(content: bytes, sql: str, *parameters: Json) -> Rows:
    with tempfile.NamedTemporaryFile() as file, duckdb.connect() as connection:
        file.write(content)
        file.flush()
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(sql, [file.name, *parameters])
        names = [each[0] for each in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _columns(text: str, delimiter: str, quote: str) -> dict[str, str]:
    head = text.lstrip("\ufeff").splitlines()[0]
    names = head.split(quote + delimiter + quote) if quote else head.split(delimiter)
    names[0], names[-1] = names[0].removeprefix(quote), names[-1].removesuffix(quote)
    return {name.replace(quote * 2, quote) if quote else name: "VARCHAR" for name in names}


NUMBERS = ["0", "-0", "1", "1.0", "1.5", "1.10", "01", "+1", ".5", "5.", "1e5", "1E5", "1e-7", "-1", "0.1", "1e400",
           "9223372036854775807", "9223372036854775808", "-9223372036854775808", "NaN", "inf", "0x1f", "1_0", "1,5",
           "\u0661", "123456789012345678901234567890", "0.30000000000000004", "0.1000000000000000055", "",
           " 1"]  # fmt: skip
WORDS = ["", "null", "NULL", "NA", "true", "#N/A", "=1+1", "'", '"', '""', "a,b", "a;b", "a\tb", "line\nbreak",
         "crlf\r\nhere", "\\", "\\n", " x ", "Müller", "日本語", "e\u0301", "\U0001f600", "\u2028", "\u00a0", "\u200b",
         "\x01\x1f\x7f", "-", "x" * 40_000, "<b>", "{}"]  # fmt: skip
PLAIN = [word for word in WORDS if not set(word) & set('\t\n\r"')]


def text_files() -> list[Hostile]:
    chance = random.Random(12)
    mixed = [[chance.choice(NUMBERS), chance.choice(WORDS[:-3]), f"{n:05}", str(n)] for n in range(300)]
    late = [[str(n), f"{n}.5", "2024-01-01"] for n in range(2_500)] + [["x", "1.50", "soon"]]
    return [
        text_file("zips.csv", ["zip", "phone", "price"], [["01234", "+491701", "1.10"], ["1", "2", "3.5"]]),
        text_file("numbers.csv", [f"c{n}" for n in range(len(NUMBERS))], [NUMBERS, ["1"] * len(NUMBERS)]),
        text_file("words.csv", [f"c{n}" for n in range(len(WORDS))], [WORDS, ["x"] * len(WORDS)]),
        text_file("mixed.csv", ["number", "word", "padded", "n"], mixed, end="\r\n"),
        text_file("late.csv", ["n", "x", "at"], late),
        text_file("latin.csv", ["Straße", "n"], [["Müller", "1"], ["ÿ", "02"]], "--encoding", "latin-1",
                  encoding="latin-1"),
        text_file("utf16.csv", ["a", "b"], [["日本", "1"], ["\U0001f600", "2.50"]], encoding="utf-16"),
        text_file("marked.csv", ["a", "b"], [["é", "1"], ["", "2"]], encoding="utf-8-sig"),
        text_file("semicolons.csv", ["a", "b"], [["1,5", "a;b"], ["2", ""]], "--delimiter", ";", delimiter=";"),
        text_file("headers.csv", ["a.b", "a b", "ä", "\\", "metadata", "object_id", "B", "a"], [list("12345678")]),
        text_file("tabs.tsv", ["a", "b"], [['5" pipe', '"x'], ["01", ""], ['""', "'"]], "--quote", "none",
                  delimiter="\t", quote=False),
        text_file("words.tsv.gz", [f"c{n}" for n in range(len(PLAIN))], [PLAIN, ["1"] * len(PLAIN)], delimiter="\t"),
    ]  # fmt: skip


# Parquet


def same_value(cell: Json, value: Json) -> bool:
    """One value, in the form that the documentation says."""
    if isinstance(cell, dict):
        return (
            isinstance(value, dict) and list(cell) == list(value) and all(same_value(cell[k], value[k]) for k in cell)
        )
    if isinstance(cell, list):
        return isinstance(value, list) and len(cell) == len(value) and all(map(same_value, cell, value))
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return value is None
    if isinstance(cell, bool) or isinstance(value, bool):
        return cell is value
    if isinstance(cell, bytes):
        return isinstance(value, str) and base64.b64decode(value, validate=True) == cell
    if isinstance(cell, decimal.Decimal):
        return decimal.Decimal(value) == cell
    if isinstance(cell, float):
        return isinstance(value, Digits) and float(value) == cell
    if isinstance(cell, int):
        return bool(value == str(cell))
    if isinstance(cell, datetime.datetime):
        found = datetime.datetime.fromisoformat(value)
        return (found.tzinfo is None) == (cell.tzinfo is None) and found == cell
    if isinstance(cell, datetime.date | datetime.time):
        return bool(value == cell.isoformat()) or datetime.time.fromisoformat(value) == cell
    return type(cell) is str and type(value) is str and cell == value


def by_duckdb(content: bytes) -> Rows:
    return asked_duckdb(content, "SELECT * FROM read_parquet(?)")


def parquet_file(name: str, table: pa.Table, **options: Any) -> Hostile:
    made = io.BytesIO()
    pq.write_table(table, made, **options)
    return Hostile(name, made.getvalue(), (), by_duckdb, same_value)


def parquet_files() -> list[Hostile]:
    decimals = [decimal.Decimal(text) for text in ("12.10", "0.00", "-99999999.99", "0.01")]
    wide = [decimal.Decimal(text) for text in ("1234567890123456789012345.12", "-0.01", "1.00")]
    at = [
        datetime.datetime(2024, 2, 29, 23, 59, 59, 999999),
        datetime.datetime(1, 1, 1),
        datetime.datetime(9999, 12, 31),
    ]
    zoned = [each.replace(tzinfo=datetime.UTC) for each in at]
    leaf = {"p": decimal.Decimal("1.5"), "b": b"\x00\xfe", "t": at[0]}
    nested = pa.struct(
        [("of", pa.list_(pa.struct([("p", pa.decimal128(9, 1)), ("b", pa.binary()), ("t", pa.timestamp("us"))])))]
    )
    return [
        parquet_file("money.parquet", pa.table({
            "small": pa.array([*decimals, None], pa.decimal128(10, 2)),
            "wide": pa.array([*wide, None, None], pa.decimal128(38, 2)),
            "whole": pa.array([decimal.Decimal(5), None, decimal.Decimal(2**62), None, None], pa.decimal128(20, 0)),
        })),
        parquet_file("times.parquet", pa.table({
            "naive": pa.array([*at, None], pa.timestamp("us")),
            "utc": pa.array([*zoned, None], pa.timestamp("us", "UTC")),
            "zoned": pa.array([zoned[0], None, zoned[0], None], pa.timestamp("ms", "America/New_York")),
            "day": pa.array([each.date() for each in at] + [None]),
            "clock": pa.array([each.time() for each in at] + [None]),
        })),
        parquet_file("nested.parquet", pa.table({
            "deep": pa.array([{"of": [leaf, leaf]}, {"of": []}, {"of": None}, None], nested),
            "lists": pa.array([[[1, None], []], [], None, [None]], pa.list_(pa.list_(pa.int64()))),
            "map": pa.array([[("b", 1), ("a", 2)], [], None, [("é", None)]], pa.map_(pa.string(), pa.int64())),
        })),
        parquet_file("odd.parquet", pa.table({
            "u64": pa.array([2**64 - 1, 0, None, 5], pa.uint64()).cast(pa.decimal128(20, 0)),
            "i64": pa.array([2**63 - 1, -(2**63), None, 0]), "bytes": pa.array([b"", bytes(range(256)), None, b"x"]),
            "nan": pa.array([math.nan, 1e308, -0.0, None]), "nans": pa.array([[math.nan, 1.5], [], None, [5e-324]]),
            "yes": pa.array([True, False, None, True]), "word": pa.array(["1", "", None, "01"]).dictionary_encode(),
        })),
        parquet_file("groups.parquet", pa.table({
            "n": pa.array(range(2_100), pa.int32()),
            "text": pa.array([f"{n:04}" if n % 7 else None for n in range(2_100)]),
            "tags": pa.array([[str(n)] * (n % 4) for n in range(2_100)]), "x": pa.array([n / 3 for n in range(2_100)]),
        }), row_group_size=333),
    ]  # fmt: skip


# JSON

OBJECTS = [
    '{"metadata":{"n":1.10,"big":9223372036854775807,"e":1E5,"z":-0.0,"t":"\\u00e9\\ud83d\\ude00\\u0000\\/"}}',
    '{"metadata":{"deep":' + "[" * 40 + "1" + "]" * 40 + ',"":"empty name","a.b":{"c":[{}]}}}',
    '{"metadata":{"null":null,"yes":true,"list":[1,1.0,"1",[],{}],"same":"e\u0301","long":"' + "x" * 50_000 + '"}}',
    '{"metadata":{},"extra":[0.1,1e-7,123456789.123456789],"$weird":"x","Ünï":"\u2028"}',
]


def lines_of(content: bytes) -> Rows:
    plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return [spelled(line) for line in plain.decode("utf-8-sig").split("\n") if line.strip()]


def json_files() -> list[Hostile]:
    def same(cell: Json, value: Json) -> bool:
        return bool(cell == value)

    lines = "\n".join(OBJECTS).encode()
    spaced = "\ufeff\n\n" + "\r\n \n".join(OBJECTS) + "\n\n"
    array = "[\n" + " ,\r\n".join(each.replace('":', '" :\n ') for each in OBJECTS) + "\n]"
    return [
        Hostile("objects.ndjson", lines, (), lines_of, same),
        Hostile("spaced.jsonl.gz", compressed(spaced.encode()), (), lines_of, same),
        Hostile("array.json", array.encode(), (), lambda content: list(spelled(content)), same),
    ]


FILES = [*text_files(), *parquet_files(), *json_files()]


def test_there_are_twenty() -> None:
    assert len(FILES) == 20
    assert len({each.name for each in FILES}) == 20


@pytest.fixture(scope="module")
def files(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Loading:
    return Loading(client, tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("hostile", FILES, ids=[each.name for each in FILES])
async def test_every_cell_comes_back(files: Loading, client: Client, hostile: Hostile) -> None:
    first, second = (f"hostile-{os.urandom(5).hex()}" for _ in range(2))
    said = await files.run(files.file(hostile.name, hostile.content), first, *hostile.options)
    assert (said.code, said.err) == (0, []), said.text
    _, lines, _ = await client.send("GET", f"/v1/buckets/{first}/objects/export")
    said = await files.run(files.file("back.ndjson", lines), second, "--restore")
    assert (said.code, said.err) == (0, []), said.text
    _, again, _ = await client.send("GET", f"/v1/buckets/{second}/objects/export")
    objects = [spelled(line) for line in again.split("\n") if line]
    before = [spelled(line) for line in lines.split("\n") if line]
    own = ("bucket_id",)
    assert [_without(each, own) for each in objects] == [_without(each, own) for each in before]
    wanted = hostile.rows(hostile.content)
    assert len(objects) == len(wanted)
    cells = 0
    for number, (row, found) in enumerate(zip(wanted, objects, strict=True)):
        if hostile.same is same_text or hostile.same is same_value:
            found = found["metadata"]
        else:
            found = {name: found[name] for name in row}
        assert list(found) == list(row)
        for name, cell in row.items():
            assert hostile.same(cell, found[name]), (number, name, cell, found[name])
            cells += 1
    assert cells


def _without(item: dict[str, Json], names: Sequence[str]) -> dict[str, Json]:
    return {name: value for name, value in item.items() if name not in names}
