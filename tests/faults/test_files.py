"""Files come in unchanged, or are refused with the place and the way out (issue 12, section 6)."""

import asyncio
import datetime
import decimal
import io
import json
import os
import random
import re
import secrets
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.support.client import Client
from tests.support.compressed import compressed
from tests.support.loading import Loading, Said, run_load

Json = Any

NOISE = random.Random(1).randbytes(5_000).hex().encode()
"""What gzip cannot make small."""


@pytest.fixture(scope="module")
def files(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Loading:
    return Loading(client, tmp_path_factory.mktemp("files"))


def parquet(**columns: Any) -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.table(columns), made)
    return made.getvalue()


# Cells and columns

CELLS: list[tuple[str, list[str], str, list[Json]]] = [
    ("zip", ["01234", "99999"], "text", ["01234", "99999"]),
    ("phone", ["+491701", "17"], "text", ["+491701", "17"]),
    ("price", ["1.10", "2.5"], "text", ["1.10", "2.5"]),
    ("good", ["1.1", "2.5"], "number", [1.1, 2.5]),
    ("mixed", ["1", "2.5"], "number", [1, 2.5]),
    ("sevens", ["-7", "0"], "integer", [-7, 0]),
    ("edge", ["9223372036854775807", "-9223372036854775808"], "integer", [2**63 - 1, -(2**63)]),
    ("beyond", ["9223372036854775808", "1"], "text", ["9223372036854775808", "1"]),
    ("below", ["-9223372036854775809", "1"], "text", ["-9223372036854775809", "1"]),
    ("huge", ["123456789012345678901234567890", "1"], "text", ["123456789012345678901234567890", "1"]),
    ("minus zero", ["-0", "1"], "text", ["-0", "1"]),
    ("whole fraction", ["1.0", "2.5"], "text", ["1.0", "2.5"]),
    ("exponent", ["1e5", "2"], "text", ["1e5", "2"]),
    ("capital", ["1E-7", "2"], "text", ["1E-7", "2"]),
    ("digits", ["0.1000000000000000055511151231257827", "2"], "text", ["0.1000000000000000055511151231257827", "2"]),
    ("short", [".5", "5."], "text", [".5", "5."]),
    ("spaces", [" 1", "2 "], "text", [" 1", "2 "]),
    ("underscore", ["1_000", "2"], "text", ["1_000", "2"]),
    ("comma", ['"1,5"', "2"], "text", ["1,5", "2"]),
    ("arabic", ["\u0661", "2"], "text", ["\u0661", "2"]),
    ("hex", ["0x10", "2"], "text", ["0x10", "2"]),
    ("nan", ["NaN", "2"], "text", ["NaN", "2"]),
    ("inf", ["inf", "-Infinity"], "text", ["inf", "-Infinity"]),
    ("true", ["true", "FALSE"], "text", ["true", "FALSE"]),
    ("date", ["2024-01-31", "20240131T00Z"], "text", ["2024-01-31", "20240131T00Z"]),
    ("some", ["", "5"], "integer", [None, 5]),
    ("words", ["", "x"], "text", ["", "x"]),
    ("quoted", ['"a ""b""\nc,d"', '"007"'], "text", ['a "b"\nc,d', "007"]),
    ("dotted.name", ["1", "2"], "integer", [1, 2]),
    ("Name", ["x", "y"], "text", ["x", "y"]),
    ("name", ["1", "2"], "integer", [1, 2]),
]


async def test_a_cell_is_a_number_only_if_it_is_written_back_as_it_stands(files: Loading) -> None:
    rows = [",".join(column[0] for column in CELLS)]
    rows += [",".join(column[1][row] for column in CELLS) for row in range(2)]
    said, stored = await files.load("cells.csv", "\n".join(rows))
    assert (said.code, said.err) == (0, [])
    assert said.out[-1].startswith("2 objects stored, 0 refused")
    for place, (name, _, kind, values) in enumerate(CELLS):
        (line,) = [line for line in said.out if line.startswith(f"  {name} ")]
        assert line.removeprefix(f"  {name}").split()[0] == kind, line
        for item, value in zip(stored, values, strict=True):
            assert (item[name], type(item[name])) == (value, type(value)), (place, name)
    assert "line 2 has '01234'" in said.column("zip")


async def test_the_whole_column_decides(files: Loading) -> None:
    """A cell of row 5,501 that is no number makes texts of the first, too."""
    lines = ["n,m", *(f"{row},{row}.5" for row in range(5_500)), "x,07"]
    said, stored = await files.load("late.csv", "\n".join(lines))
    assert said.code == 0
    assert (stored[0], stored[-1]) == ({"n": "0", "m": "0.5"}, {"n": "x", "m": "07"})
    assert "line 5,502 has 'x'" in said.column("n")


async def test_what_the_command_line_says_of_columns(files: Loading) -> None:
    text = "zip,n,flag,odd,d\n01234,1.10,TRUE,NA,2024-01-01\n7,+3,false,2,2024-02-30\n"
    said, stored = await files.load(
        "types.csv", text, "--types", "zip=text,n=number", "--types", "flag=boolean", "--null", "NA"
    )
    assert said.code == 0
    assert stored[0] == {"zip": "01234", "n": 1.1, "flag": True, "odd": None, "d": "2024-01-01"}
    assert stored[1] == {"zip": "7", "n": 3, "flag": False, "odd": 2, "d": "2024-02-30"}
    said, stored = await files.load("types.csv", text, "--text")
    assert stored[0] == {"zip": "01234", "n": "1.10", "flag": "TRUE", "odd": "NA", "d": "2024-01-01"}
    said, stored = await files.load("types.csv", text, "--types", "d=date,n=integer")
    assert (said.code, len(stored)) == (1, 0)
    assert [line.partition(":")[0] for line in said.err] == ["line 2", "line 3"]
    for wrong, words in (
        ("zipp=text", "did you mean `zip`"),
        ("zip=txt", "did you mean `text`"),
        ("zip", "COLUMN=TYPE"),
    ):
        said, _ = await files.load("types.csv", text, "--types", wrong)
        assert said.code == 2, said.text
        assert words in said.text
        assert len(said.err) == 1


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("dup.csv", "a,b,a\n1,2,3\n", (), ["line 1", "'a'", "1 and 3"]),
        ("latin.csv", b"n,m\n1,x\n2,M\xfcller\n", (), ["line 3", "0xfc", "--encoding"]),
        ("late.csv", b"n\n" + b"x\n" * 60_000 + b"\xff\n", (), ["line 60,002", "0xff"]),
        ("cut.csv", b"n\nx\n\xc3", (), ["line 3"]),
        ("open.csv", 'n,m\n1,"open\n2,3\n', (), ["line 2:", "never closed", "--quote none"]),
        ("open.csv", 'n,m\n1,"a\nb"\n2,x\n3,"open\n4,y\n5,z\n', (), ["line 5:", "never closed"]),
        ("open.csv", 'n,"m\n1,2\n', (), ["line 1:", "never closed"]),
        ("nameless.csv", ",n\n0,1\n", (), ["column 1 of 2 has no name"]),
        ("nameless.tsv", "n\t\n0\t1\n", (), ["column 2 of 2 has no name"]),
        ("nameless.parquet", parquet(**{"n": [1], "": [2]}), (), ["column 2 of 2 has no name"]),
        ("bad.csv", 'n,m\n1,"a"b\n', (), ["line 2", "quote"]),
        ("semi.csv", "n;m\n1;2\n", (), ["--delimiter ';'"]),
        ("empty.csv", "", (), ["empty"]),
        ("nameless.csv", "a,,\n1,2,3\n", (), ["line 1", "2 and 3"]),
        ("key.csv", "n,m\n1,2\n", ("--key", "k"), ["no column 'k'"]),
        ("a.xls", "x", (), ["a.xls", "--format"]),
        ("a.parquet", "no table", (), ["a.parquet", "Parquet"]),
        (
            "a.csv.gz",
            compressed(b"n\n" + NOISE)[:-50],
            (),
            ["gzip", "cut off"],
        ),
        ("enc.csv", "n\n1\n", ("--encoding", "utf-9"), ["no such encoding"]),
        ("delim.csv", "n\n1\n", ("--delimiter", "::"), ["one character"]),
        ("format.csv", "n\n1\n", ("--format", "xml"), ["ndjson"]),
        ("array.json", '[{"n":1},', (), ["JSON array"]),
        ("typed.json", '[{"n":1}]', ("--text",), ["--text"]),
    ],
    ids=lambda each: each if isinstance(each, str) and "." in each else "",
)
async def test_what_cannot_be_loaded_is_one_line_and_nothing_is_sent(
    files: Loading, name: str, content: bytes | str, options: tuple[str, ...], words: list[str]
) -> None:
    said, stored = await files.load(name, content, *options)
    assert said.code in (1, 2)
    assert stored == []
    assert len(said.err) == 1, said.err
    assert [word for word in words if word not in said.err[0]] == []


async def test_ragged_rows_are_refused_with_their_lines(files: Loading) -> None:
    text = 'n,m\n1,a\n2\n"3\n3",b\n4,c,d\n\n5,e\n'
    said, stored = await files.load("ragged.csv", text)
    assert said.code == 1
    assert said.out[-1].startswith("3 objects stored, 2 refused")
    assert said.err == ["line 3: 1 cell, where the header has 2", "line 6: 3 cells, where the header has 2"]
    assert [each["m"] for each in stored] == ["a", "b", "e"]
    assert "1 blank line passed over" in said.out[0]
    assert sum("where the header has" in line for line in said.out + said.err) == 2
    dry = await files.run(files.file("ragged.csv", text), "b", "--dry-run")
    assert [line.strip() for line in dry.out if "where the header has" in line] == said.err


async def test_floats_of_32_bits_are_what_they_were_written_as(files: Loading) -> None:
    values = [0.1, 1 / 3, 16777216.0, 3.4028235e38, 1e-45, -2.5, None, float("nan")]
    content = parquet(x=pa.array(values, pa.float32()), l=pa.array([[0.1]] * 8, pa.list_(pa.float32())))
    said, stored = await files.load("f.parquet", content)
    assert said.code == 0, said.text
    assert [each["x"] for each in stored] == [0.1, 0.33333334, 16777216, 3.4028235e38, 1e-45, -2.5, None, None]
    assert stored[0]["l"] == [0.1]
    _, stored = await files.load("f.parquet", content, "--types", "x=text")
    assert [each["x"] for each in stored][:2] == ["0.1", "0.33333334"]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.csv", "n,m\n1,Müller\n".encode("latin-1"), ("--encoding", "latin-1")),
        ("a.csv", "n,m\n1,Müller\n".encode("cp1252"), ("--encoding", "cp1252")),
        ("a.csv", b"\xef\xbb\xbf" + "n,m\n1,Müller\n".encode(), ()),
        ("a.csv", "n,m\n1,Müller\n".encode("utf-16"), ()),
        ("a.csv", "n,m\r1,Müller\r", ()),
        ("a.csv", "n,m\r\n1,Müller\r\n", ()),
        ("a.csv", "n;m\n1;Müller\n", ("--delimiter", ";")),
        ("a.tsv", "n\tm\n1\tMüller\n", ()),
        ("a.csv.gz", compressed("n,m\n1,Müller\n".encode()), ()),
        ("a.txt", "n|m\n1|Müller\n", ("--format", "csv", "--delimiter", "|")),
        ("a.tsv.gz", compressed("n\tm\n1\tMüller\n".encode()), ()),
        ("a.parquet", parquet(n=[1], m=["Müller"]), ()),
        ("a.parquet.gz", compressed(parquet(n=[1], m=["Müller"])), ()),
        ("a.json", '[\n {"metadata":\r\n {"n": 1, "m": "Müller"}}\n]', ()),
        ("a.json", '{\n "metadata": {"n": 1, "m": "Müller"}\n}', ()),
        ("a.json", '{"metadata": {"n": 1, "m": "Müller"}}\n', ()),
        ("a.jsonl.gz", compressed('{"metadata": {"n": 1, "m": "Müller"}}'.encode()), ()),
    ],
)
async def test_forms_of_the_same_row(files: Loading, name: str, content: bytes | str, options: tuple[str, ...]) -> None:
    said, stored = await files.load(name, content, *options)
    assert (said.code, said.err) == (0, [])
    assert stored == [{"n": 1, "m": "Müller"}]


async def test_stdin(files: Loading) -> None:
    for given, options in (
        (b"n,m\n1,x\n", ("--format", "csv")),
        (compressed(b"n\tm\n1\tx\n"), ("--format", "tsv")),
        (b'{"metadata":{"n":1,"m":"x"}}\n', ()),
        (b'[{"metadata":{"n":1,"m":"x"}}]', ()),
        (parquet(n=[1], m=["x"]), ()),
    ):
        bucket = f"files-{os.urandom(5).hex()}"
        said = await files.run("-", bucket, *options, stdin=given)
        assert said.code == 0, said.text
        assert await files.stored(bucket) == [{"n": 1, "m": "x"}]
    said = await files.run("-", "bucket", stdin=b"n,m\n")
    assert said.code == 1
    assert "--format" in said.err[0]


# Parquet


DEEP = pa.struct([("at", pa.timestamp("s")), ("of", pa.list_(pa.struct([("price", pa.decimal128(5, 1))])))])


async def test_parquet_values_keep_what_they_are(files: Loading) -> None:
    money = [decimal.Decimal("12.10"), decimal.Decimal("-0.05"), None]
    at = datetime.datetime(2024, 6, 1, 12, 0, 0, 120000, tzinfo=datetime.UTC)
    content = parquet(
        money=pa.array(money, pa.decimal128(10, 2)),
        wide=pa.array([decimal.Decimal("1234567890123456789.5"), decimal.Decimal(1), None], pa.decimal128(30, 1)),
        blob=pa.array([b"\x00\xff", b"", None]),
        nan=pa.array([1.5, float("nan"), None]),
        nans=pa.array([[1.0, float("nan")], [], None]),
        ns=pa.array([1_704_067_200_123_456_789, 0, None], pa.timestamp("ns")),
        berlin=pa.array([at, None, None], pa.timestamp("ms", "Europe/Berlin")),
        day=pa.array([datetime.date(2024, 1, 31), datetime.date(1, 1, 1), None]),
        clock=pa.array([datetime.time(1, 2, 3, 500_000), datetime.time(0), None]),
        u64=pa.array([2**64 - 1, 1, None], pa.uint64()),
        u63=pa.array([2**63 - 1, 1, None], pa.uint64()),
        deep=pa.array([{"at": 5, "of": [{"price": decimal.Decimal("1.5")}]}, None, {"at": None, "of": None}], DEEP),
        map=pa.array([[("a", 1), ("b", 2)], [], None], pa.map_(pa.string(), pa.int64())),
        kind=pa.array(["x", "y", None]).dictionary_encode(),
        f32=pa.array([0.5, -1.25, None], pa.float32()),
    )  # fmt: skip
    said, stored = await files.load("a.parquet", content)
    assert (said.code, said.err) == (0, []), said.text
    first, second, third = stored
    assert first == {
        "money": 12.1, "wide": "1234567890123456789.5", "blob": "AP8=", "nan": 1.5, "nans": [1.0, None],
        "ns": "2024-01-01T00:00:00.123456789", "berlin": "2024-06-01T12:00:00.12Z", "day": "2024-01-31",
        "clock": "01:02:03.5", "u64": "18446744073709551615", "u63": 2**63 - 1,
        "deep": {"at": "1970-01-01T00:00:05", "of": [{"price": 1.5}]}, "map": {"a": 1, "b": 2}, "kind": "x", "f32": 0.5,
    }  # fmt: skip
    assert second == {
        "money": -0.05, "wide": "1.0", "blob": "", "nan": None, "nans": [], "ns": "1970-01-01T00:00:00", "berlin": None,
        "day": "0001-01-01", "clock": "00:00:00", "u64": "1", "u63": 1, "deep": None, "map": {}, "kind": "y",
        "f32": -1.25,
    }  # fmt: skip
    assert third == dict.fromkeys(first) | {"deep": {"at": None, "of": None}}
    assert "row 1 has 1234567890123456789.5" in said.column("wide")
    assert "base64" in said.column("blob")
    assert "1 NaN became null" in said.column("nan")
    assert "1 NaN became null" in said.column("nans")
    assert "Europe/Berlin" in said.column("berlin")


async def test_parquet_rows_that_json_cannot_hold_are_refused_alone(files: Loading) -> None:
    content = parquet(
        n=[1, 2, 3, 4],
        x=[1.0, float("inf"), 2.0, 3.0],
        xs=[[1.0], [1.0], [-float("inf")], []],
        day=pa.array([0, 0, 0, 2_932_897], pa.date32()),
    )
    said, stored = await files.load("beyond.parquet", content)
    assert said.code == 1
    assert [each["n"] for each in stored] == [1]
    assert [line.partition(":")[0] for line in said.err] == ["row 2", "row 3", "row 4"]
    assert "Infinity is not a JSON number" in said.err[0]
    assert "10000-01-01 is outside the years 1 to 9999" in said.err[2]
    said, stored = await files.load("beyond.parquet", content, "--types", "x=text,day=text")
    assert [(each["x"], each["day"]) for each in stored] == [
        ("1", "1970-01-01"), ("Infinity", "1970-01-01"), ("3", "10000-01-01")
    ]  # fmt: skip
    twice = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), twice)
    said, stored = await files.load("twice.parquet", twice.getvalue())
    assert (said.code, stored) == (1, [])
    assert "'a'" in said.err[0]


async def test_money_in_parquet_can_be_summed(files: Loading, client: Client) -> None:
    content = parquet(total=pa.array([decimal.Decimal("10.25"), decimal.Decimal("0.75")], pa.decimal128(12, 2)))
    bucket = f"files-{os.urandom(5).hex()}"
    await files.run(files.file("money.parquet", content), bucket)
    total = {"function": "sum", "field": "metadata.total", "alias": "sum"}
    answer = await client.aggregate(bucket, {"group_by": [{"field": "none"}], "aggregations": [total]})
    assert answer["results"][0]["metrics"] == {"sum": 11}


# Again, and going on


async def test_a_second_run_doubles_nothing(files: Loading) -> None:
    bucket, file = f"files-{os.urandom(5).hex()}", files.file("twice.csv", "n\n1\n1\n2\n")
    lines = files.file("twice.ndjson", b'{"metadata":{"n":1}}\n{}\n{"metadata":{"n":3},"idempotency_key":"mine"}\n')
    for _ in range(2):
        said = await files.run(file, bucket)
        assert said.code == 0
    assert said.out[-1].startswith("3 objects stored (3 of them were there already), 0 refused")
    assert [each["n"] for each in await files.stored(bucket)] == [1, 1, 2]
    for _ in range(2):
        said = await files.run(lines, bucket)
        assert said.code == 0, said.text
    assert len(await files.stored(bucket)) == 6


async def test_a_key_makes_loading_repeatable(files: Loading, client: Client) -> None:
    bucket = f"files-{os.urandom(5).hex()}"
    first, second = "sku.no,price\na,1\nb,2\n", "sku.no,price\nb,3\nc,4\n"
    for text in (first, first, second):
        said = await files.run(files.file("k.csv", text), bucket, "--key", "sku.no")
        assert said.code == 0, said.text
    assert await files.stored(bucket) == [
        {"sku.no": "a", "price": 1}, {"sku.no": "b", "price": 3}, {"sku.no": "c", "price": 4}
    ]  # fmt: skip
    said = await files.run(files.file("k.csv", "sku.no,price\na,9\n,5\na,8\n"), bucket, "--key", "sku.no")
    assert said.code == 1
    assert said.err == ["line 3: the key has no value here"]
    assert "1 row has the key of an earlier row, the first at line 4" in said.text
    said = await files.run(files.file("k.csv", "price\n9\n"), bucket, "--key", "price")
    assert said.code == 1
    assert "identifies objects by" in said.err[0]
    said = await files.run(
        files.file("k.ndjson", '{"metadata":{"id":1,"v":1}}\n{"id":1,"v":2}\n'), f"{bucket}-2", "--key", "id"
    )
    assert said.code == 0, said.text
    assert len(await files.exported(f"{bucket}-2")) == 1
    keyless = f"files-{os.urandom(5).hex()}"
    await files.run(files.file("k.csv", first), keyless)
    said = await files.run(files.file("k.csv", first), keyless, "--key", "price")
    assert "without a key" in said.err[0]


async def test_a_load_that_breaks_says_where_to_go_on(files: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.cli.loading import client as loading_client
    from service.cli.loading.connection import Connection, Refused

    monkeypatch.setattr(loading_client, "CHUNK_ROWS", 100)
    bucket = f"files-{os.urandom(5).hex()}"
    file = files.file("long.csv", "n\n" + "".join(f"{row}\n" for row in range(1_000)))
    send, sent = Connection.send_again, 0

    async def breaks(self: Connection, method: str, path: str, data: bytes) -> Json:
        nonlocal sent
        sent += 1
        if sent == 4:
            await send(self, method, path, data)  # stored, though its answer is lost
            raise Refused("the service is being replaced", 503)
        return await send(self, method, path, data)

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "send_again", breaks)
        said = await files.run(file, bucket)
    assert said.code == 1
    assert said.err == [
        "the service is being replaced; the first 300 of 1,000 rows are done; go on with --skip-rows 300 (no row is "
        "stored twice)"
    ]
    said = await files.run(file, bucket, "--skip-rows", "300")
    assert (said.code, said.err) == (0, [])
    assert said.out[-1].startswith("700 objects stored (100 of them were there already), 0 refused")
    assert [each["n"] for each in await files.stored(bucket)] == list(range(1_000))


async def test_a_file_may_hold_far_more_than_a_chunk(files: Loading) -> None:
    said, stored = await files.load("chunks.csv", "n\n" + "".join(f"{row}\n" for row in range(5_345)))
    assert said.code == 0
    assert [each["n"] for each in stored] == list(range(5_345))
    good = '{"metadata":{"n":1}}\n'
    bad = "".join("nonsense\n" if row % 2_600 == 2_599 else good for row in range(5_201))
    said, stored = await files.load("chunks.ndjson", bad)
    assert said.code == 1
    assert [line.partition(":")[0] for line in said.err] == ["line 2600", "line 5200"]


# What is said to the user


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--url", "not a url"), "not the address of a service"),
        (("--url", "ftp://127.0.0.1"), "not the address of a service"),
        (("--url", "127.0.0.1:8080"), "not the address of a service"),
        (("--url", "http://127.0.0.1:99999"), "not the address of a service"),
        (("--url", "http://"), "not the address of a service"),
        (("--url", "http://127.0.0.1:1"), "does not answer"),
        (("--url", "http://no-such-host.invalid"), "does not answer"),
        (("--namespace", "a b"), "namespace_name"),
        (("--namespace", "x"), "namespace_name"),
        (("--namespace", "größe"), "header"),
        (("--namespace", "a\nb"), "header"),
        (("--namespace", ""), "header"),
        (("--key", "n", "--key", "n2"), "no column 'n2'"),
        (("--stream", "also"), "one of the two"),
        (("--space", "s"), "--stream"),
        (("--restore",), "NDJSON"),
    ],
)
async def test_a_wrong_option_is_one_plain_line(files: Loading, arguments: tuple[str, ...], words: str) -> None:
    _one_line(await files.run(files.file("a.csv", "n\n1\n"), "bucket", *arguments), words)


async def test_other_wrong_beginnings(files: Loading) -> None:
    file = files.file("a.csv", "n\n1\n")
    _one_line(await files.run(file), "name a bucket, or a stream")
    _one_line(await files.run(files.folder / "none.csv", "b"), "none.csv")
    _one_line(await files.run(files.folder, "b"), "directory")
    _one_line(await files.run(file, "b", key="sk_wrong_wrong_wrong"), "key")
    said = await files.run(file, "b", key="sk_wrong_wrong_wrong\x07")
    assert said.code == 2
    assert said.err[0] == "Tally cannot start; these settings are wrong:"
    assert said.err[1].startswith("TALLY_API_KEY: ")
    _one_line(await files.run(file, "x" * 300), "bucket_name")


def _one_line(said: Said, words: str) -> None:
    assert said.code in (1, 2), said.text
    assert len(said.err) == 1, said.err
    assert words in said.err[0]


async def test_what_is_made_is_told(files: Loading, client: Client) -> None:
    """A misspelt name makes something new, so what is made is said, with what it may have been meant for."""
    letters = "".join(secrets.choice("bcdfghklmnp") for _ in range(12))
    names = {kind: f"{kind}-{letters}" for kind in ("bucket", "stream", "space", "container")}
    right = {**names, "namespace": f"namespace-{letters}", "container": f"container_{letters}"}
    wrong = {kind: name + "x" for kind, name in right.items()}
    file = files.file("a.csv", "n\n1\n")

    def stream(names: dict[str, str]) -> list[str]:
        return ["--stream", names["stream"], "--space", names["space"], "--container", names["container"]]

    inside = ["--namespace", right["namespace"]]
    assert (await files.run(file, right["bucket"], *inside)).made == [
        f"made the namespace {right['namespace']}", f"made the bucket {right['bucket']}",
    ]  # fmt: skip
    assert (await files.run(file, right["bucket"], *inside)).made == []
    assert (await files.run(file, *stream(right), *inside)).made == [
        f"made the {kind} {right[kind]}" for kind in ("space", "container", "stream")
    ]
    assert (await files.run(file, *stream(right), *inside)).made == []

    def asked(kind: str) -> str:
        return f"made the {kind} {wrong[kind]}; did you mean {right[kind]}, which was there?"

    assert (await files.run(file, wrong["bucket"], *inside)).made == [asked("bucket")]
    assert (await files.run(file, *stream({**wrong, "space": right["space"]}), *inside)).made == [
        asked("container"), asked("stream"),
    ]  # fmt: skip
    assert (await files.run(file, "b", "--namespace", wrong["namespace"])).made == [
        asked("namespace"), "made the bucket b",
    ]  # fmt: skip
    for name in (right["namespace"], wrong["namespace"]):
        await client.ok("DELETE", f"/v1/namespaces/{name}", namespace=None)


async def test_names_of_buckets_are_names(files: Loading) -> None:
    """Whatever a path makes of them."""
    for name in (f"a/b {os.urandom(3).hex()}", f"q?x=1#{os.urandom(3).hex()}", f"%2f {os.urandom(3).hex()}"):
        said = await files.run(files.file("a.csv", "n\n1\n"), name)
        assert (said.code, said.err) == (0, []), said.text
        again = await files.run(files.file("a.csv", "n\n1\n"), name)
        assert "1 of them were there already" in again.text


async def test_a_dry_run_sends_nothing(files: Loading, client: Client) -> None:
    file = files.file("a.csv", "zip,n\n01,1\n")
    said = await files.run(file, "b", "--dry-run", "--url", "http://127.0.0.1:1")
    assert said.code == 0
    assert said.out[0].endswith("a.csv: 1 row, 2 columns")
    said = await files.run(file, "--stream", "never", "--dry-run")
    assert said.code == 0
    shown = json.loads(said.text[said.text.index("{") :])
    assert shown["properties"] == {"zip": {"type": {"type": "text"}}, "n": {"type": {"type": "int64"}}}
    status, _ = await client.call("GET", f"/api/v1/projects/{client.namespace}/streams/never")
    assert status == 404


# Streams


async def records_of(client: Client, stream: str) -> list[Json]:
    body = {"limit": 1_000}
    answer = await client.ok("POST", f"/api/v1/projects/{client.namespace}/streams/{stream}/records/filter", body)
    return [
        {"externalId": each["externalId"], **next(iter(next(iter(each["properties"].values())).values()))}
        for each in answer["items"]
    ]


async def test_a_stream_gets_a_container_of_the_columns(files: Loading, client: Client) -> None:
    stream = f"s{os.urandom(4).hex()}"
    text = "Order No,at,day,price,zip,space\n7,2024-01-01T00:00:00Z,2024-01-01,1.5,01234,x\n8,,2024-01-02,2,1,y\n"
    for _ in range(2):
        said = await files.run(files.file("a.csv", text), "--stream", stream, "--key", "Order No")
        assert (said.code, said.err) == (0, []), said.text
        assert said.out[-1].startswith("2 records stored, 0 refused")
    assert "called Order_No" in said.text
    first, second = sorted(await records_of(client, stream), key=lambda each: each["externalId"])
    assert first["externalId"] == "7"
    assert (first["Order_No"], first["price"], first["zip"]) == (7, 1.5, "01234")
    assert first["at"].startswith("2024-01-01T00:00:00")
    assert "at" not in second
    asked = {"items": [{"space": stream, "externalId": stream}]}
    answer = await client.ok("POST", f"/api/v1/projects/{client.namespace}/models/containers/byids", asked)
    types = {name: each["type"]["type"] for name, each in answer["items"][0]["properties"].items()}
    assert types == {
        "Order_No": "int64", "at": "timestamp", "day": "date", "price": "float64", "zip": "text", "space_1": "text"
    }  # fmt: skip


async def test_streams_from_other_files(files: Loading, client: Client) -> None:
    stream = f"s{os.urandom(4).hex()}"
    table = parquet(
        n=[1, 2], tags=[["a"], []], at=pa.array([0, 1], pa.timestamp("ms", "UTC")), deep=[{"a": 1}, None], x=[1.5, None]
    )
    said = await files.run(files.file("a.parquet", table), "--stream", stream)
    assert said.code == 0, said.text
    said = await files.run(files.file("a.ndjson", '{"n":3,"tags":["b"],"x":2}\n{"n":"no"}\n[1]\n'), "--stream", stream,
                           "--types", "n=text")  # fmt: skip
    assert said.code == 1, "types are for tables"
    lines = '{"n":3,"tags":["b"],"x":2}\n{"metadata":{"n":4}}\n[1]\n'
    said = await files.run(files.file("a.ndjson", lines), "--stream", stream)
    assert said.code == 1, said.text
    assert [line.partition(":")[0] for line in said.err] == ["line 3"]
    assert sorted(each["n"] for each in await records_of(client, stream)) == [1, 2, 3, 4]
    said = await files.run(files.file("b.csv", "n\nword\n"), "--stream", stream)
    assert said.code == 1
    assert "has n as int64" in said.err[0]
    said = await files.run(files.file("c.csv", "a b,a_b\n1,2\n"), "--stream", f"{stream}c")
    assert "would both be the property a_b" in said.err[0]


# The bar


async def test_the_bar_counts_what_is_stored(files: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    from service.cli.loading import client as loading_client

    seen: list[tuple[int | None, list[int]]] = []

    @contextmanager
    def bar(console: object, name: str, total: int | None) -> Any:
        counts: list[int] = []
        seen.append((total, counts))
        yield counts.append

    monkeypatch.setattr(loading_client, "storing", bar)
    monkeypatch.setattr(loading_client, "CHUNK_ROWS", 10)
    said, _ = await files.load("bar.csv", "n\n" + "1\n" * 25)
    assert said.code == 0
    assert seen == [(25, [10, 10, 5])]


def test_paths_are_not_typed_in_vain(tmp_path: Path, client: Client) -> None:
    """`~` and `-` in names are the shell's matter; a file called like an option is found."""
    (tmp_path / "a=b,c.csv").write_text("x,y=z\n1,01\n")
    said = run_load(
        client.address, client.key, [str(tmp_path / "a=b,c.csv"), "b", "--dry-run", "--types", "y=z=integer"]
    )
    assert said.code == 0, said.text
    assert said.column("y=z").startswith("integer")


async def test_the_page_says_what_happens(client: Client, tmp_path: Path) -> None:
    """The commands of docs/loading.md, in their order, and what they print."""
    page = (ROOT / "docs/loading.md").read_text()
    ((name, content),) = re.findall(r"```text (\S+)\n(.*?)```", page, re.DOTALL)
    (tmp_path / name).write_text(content)
    blocks = re.findall(r"```bash\n(.*?)```(?:\n```text\n(.*?)```)?", page, re.DOTALL)
    assert len(blocks) == 3
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TALLY_API_KEY": client.key,
        "TALLY_PORT": client.address.rpartition(":")[2],
        "KEY": f"Authorization: Bearer {client.key}",
        "URL": client.address,
    }
    for code, shown in blocks:
        command = code.replace("tally load", f"{sys.executable} -m service load").replace("shop", str(client.namespace))
        command = command.replace("-s ", "-sf ")
        process = await asyncio.create_subprocess_exec(
            "bash", "-e", "-c", command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE
        )
        out = (await process.communicate())[0].decode()
        assert process.returncode == 0, (command, out)
        lines = [line for line in out.splitlines() if not line.startswith("Loading ")]
        pattern = ".*".join(map(re.escape, shown.strip().split("…")))
        assert not shown or re.fullmatch(pattern, "\n".join(lines)), out
    again, first = ("orders-again", "orders")
    assert await Loading(client, tmp_path).stored(again) == await Loading(client, tmp_path).stored(first) != []
