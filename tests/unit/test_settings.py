"""Settings are checked when a command starts: each wrong one is named, with what is right."""

import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import certifi
import pytest
from pydantic import ValidationError

from service.cli.embedded import EmbeddedError
from service.cli.running import api_key_of, check_disk
from service.settings import Settings, problems_of, unknown_variables

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUfQqkTmaQyMUrUu1vVxeDYPa4ZqAwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLdGFsbHktdGVzdHMwHhcNMjYwMTAxMDAwMDAwWhcNMzYwMTAx
-----END CERTIFICATE-----
"""
"""The beginning of one: not enough to be one."""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("TALLY_"):
            monkeypatch.delenv(name)


def problems(**values: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Settings(**values)  # type: ignore[arg-type]
    return problems_of(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("api_key", "", "16 characters, not 0"),
        ("api_key", "   \t\n  ", "16 characters, not 0"),
        ("api_key", "short", "16 characters, not 5"),
        ("api_key", "  fifteen_chars__   ", "16 characters, not 15"),
        ("api_key", "one_line_of_a_file\nand_another", "one line"),
        ("api_key", "sk_with_a_control\x01_character", "control characters"),
        ("opensearch_url", "", "an address is missing"),
        ("opensearch_url", "localhost:9200", "begins with http:// or https://"),
        ("opensearch_url", "opensearch", "begins with http:// or https://"),
        ("opensearch_url", "ftp://a:9200", "begins with http:// or https://"),
        ("opensearch_url", "http://a:9200 http://b:9200", "commas"),
        ("opensearch_url", "http://a:9200;http://b:9200", "commas"),
        ("opensearch_url", "http://a:9200http://b:9200", "commas"),
        ("opensearch_url", "http://a:9200,", "an address is missing"),
        ("opensearch_url", "http://a:9200,b:9200", "begins with http:// or https://"),
        ("opensearch_url", "http://a:9200,https://b:9200", "all https"),
        ("opensearch_url", "http://", "no host"),
        ("opensearch_url", "http://:9200", "no host"),
        ("opensearch_url", "http://a:99999", "not an address"),
        ("opensearch_url", "http://a:port", "not an address"),
        ("opensearch_url", "http://[::1", "not an address"),
        ("opensearch_url", "http://a:9200?pretty", "a query"),
        ("opensearch_user", "somebody", "TALLY_OPENSEARCH_USER"),
        ("opensearch_password", "secret-of-mine", "TALLY_OPENSEARCH_USER"),
        ("opensearch_ca", "/nowhere/ca.pem", "No such file"),
        ("opensearch_ca", "/", "a folder"),
        ("opensearch_ca", __file__, "no certificate"),
        ("opensearch_verify", "perhaps", "boolean"),
        ("opensearch_timeout", "0", "greater than 0"),
        ("opensearch_timeout", "inf", "finite"),
        ("opensearch_timeout", "nan", "finite"),
        ("opensearch_timeout", "1e300", "less than or equal"),
        ("opensearch_timeout", "a minute", "number"),
        ("opensearch_heap", "lots", "like 512m"),
        ("opensearch_heap", "512 MB", "like 512m"),
        ("data_dir", __file__, "name a folder"),
        ("host", "", "at least 1"),
        ("port", "http", "integer"),
        ("port", "65536", "65535"),
        ("port", "-1", "0"),
        ("port", "", "integer"),
        ("shards", "0", "1"),
        ("replicas", "1.5", "integer"),
        ("sample", "february", "january"),
        ("cursor_seconds", "0", "1"),
        ("drain_seconds", "-1", "0"),
        ("stream_templates", "{", "no JSON"),
        ("stream_templates", '{"Small": {"type": "Tiny"}}', "Small.type"),
        ("log_level", "loud", "debug"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_right(name: str, value: str, words: str) -> None:
    found = problems(**{name: value})
    assert all(line.startswith("TALLY_") for line in found)
    assert any(words in line for line in found), found
    assert len(found) < 6
    assert not any("secret-of-mine" in line or "_control" in line for line in found), "no secret is shown"


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = {"port": "x", "opensearch_url": "a:9", "opensearch_ca": "/no", "api_key": "k", "opensearch_timeout": "-1"}
    found = problems(**wrong)
    assert {line.partition(":")[0] for line in found} == {f"TALLY_{name.upper()}" for name in wrong}


def test_a_certificate_for_an_address_without_encryption(tmp_path: Path) -> None:
    (line,) = problems(opensearch_url="http://a:9200", opensearch_ca=__file__)
    assert "TALLY_OPENSEARCH_URL begins with http://" in line
    broken = tmp_path / "ca.pem"
    broken.write_text(CERTIFICATE)
    (line,) = problems(opensearch_url="https://a:9200", opensearch_ca=broken)
    assert "holds no certificate" in line


def test_a_certificate_is_taken() -> None:
    file = Path(certifi.where())
    assert Settings(opensearch_url="https://a:9200", opensearch_ca=file).opensearch_ca == file


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("http://a:9200", ("http://a:9200",)),
        ("https://a/", ("https://a",)),
        ("HTTP://A:9200", ("HTTP://A:9200",)),
        ("http://a:9200,http://b:9200", ("http://a:9200", "http://b:9200")),
        (" http://a:9200 , http://[::1]:9201/path ", ("http://a:9200", "http://[::1]:9201/path")),
        ("https://user:word@a:9200", ("https://user:word@a:9200",)),
    ],
)
def test_addresses(text: str, urls: tuple[str, ...]) -> None:
    assert Settings(opensearch_url=text).opensearch_urls == urls


def test_what_is_left_out_may_be_empty() -> None:
    """Compose files and secrets give it so."""
    settings = Settings(opensearch_user="", opensearch_password="", opensearch_ca="")
    assert (settings.opensearch_user, settings.opensearch_password, settings.opensearch_ca) == (None, None, None)
    assert Settings().opensearch_urls == ()


@pytest.mark.parametrize("key", ["sk_0123456789abcd\n", "\r\n  sk_0123456789abcd\t \n", "sk_0123456789abcd"])
def test_white_space_around_a_key_is_no_part_of_it(tmp_path: Path, key: str) -> None:
    given = Settings(api_key=key)
    assert api_key_of(given, make=False) == "sk_0123456789abcd"
    (tmp_path / "api-key").write_text(key)
    assert api_key_of(Settings(data_dir=tmp_path), make=False) == "sk_0123456789abcd"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short\n", b"two_lines_of_text\nand_another_one\n", b"\xff\xfe\x00" * 9]
)
@pytest.mark.parametrize("make", [True, False])
def test_a_key_file_without_a_key_is_refused(tmp_path: Path, content: bytes, make: bool) -> None:
    file = tmp_path / "api-key"
    file.write_bytes(content)
    with pytest.raises(SystemExit, match="api-key"):
        api_key_of(Settings(data_dir=tmp_path), make=make)
    assert file.read_bytes() == content


def test_a_key_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="TALLY_DATA_DIR"):
        api_key_of(Settings(data_dir=tmp_path / "file" / "inside"), make=True)


def test_a_key_that_is_made_is_long_enough(tmp_path: Path) -> None:
    made = api_key_of(Settings(data_dir=tmp_path), make=True)
    assert len(made) > 30
    assert api_key_of(Settings(data_dir=tmp_path), make=False) == made


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TALLY_PROT", "TALLY_PORT"),
        ("tally_prot", "TALLY_PORT"),
        ("TALLY_APIKEY", "TALLY_API_KEY"),
        ("TALLY_KEY", None),
        ("TALLY_OPENSEARCH_URLS", "TALLY_OPENSEARCH_URL"),
        ("TALLY_OPENSEARCH_HOST", "TALLY_HOST"),
        ("TALLY_OPEN_SEARCH_URL", "TALLY_OPENSEARCH_URL"),
        ("TALLY_LOGLEVEL", "TALLY_LOG_LEVEL"),
        ("TALLY_DRAIN", "TALLY_DRAIN_SECONDS"),
        ("TALLY_XYZ", None),
        ("TALLY_", None),
    ],
)
def test_an_unknown_variable_is_told_with_the_nearest_name(name: str, meant: str | None) -> None:
    ((found, hint),) = unknown_variables([name, "TALLY_PORT", "PATH", "TALLYHO"])
    assert found == name
    if meant is not None and name != "TALLY_OPENSEARCH_HOST":
        assert hint == meant


def test_known_variables_are_not_told() -> None:
    names = [f"TALLY_{name.upper()}" for name in Settings.model_fields]
    others = ["TALLY_CACHE_DIR", "TALLY_MAVEN_URL", "TALLY_DASHBOARDS_PASSWORD", "TALLY_TEST_OPENSEARCH_URL"]
    assert unknown_variables([*names, *map(str.lower, names), *others]) == []


# The disk that `run` uses

Usage: Any = namedtuple("Usage", "total used free")
GB = 1_000_000_000


@pytest.mark.parametrize(
    ("total", "free", "told"),
    [
        (100 * GB, 50 * GB, None),
        (100 * GB, 10 * GB, None),
        (100 * GB, 9 * GB, "nearly full"),
        (100 * GB, 5 * GB, "nearly full"),
        (100 * GB, 4 * GB, "The disk is full"),
        (100 * GB, 0, "The disk is full"),
        (2_000 * GB, 90 * GB, "The disk is full"),
        (1 * GB, 400_000_000, "The disk is full"),
        (0, 0, None),
    ],
)
def test_free_space_is_checked_before_opensearch_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, total: int, free: int, told: str | None
) -> None:
    """As OpenSearch's own watermarks would have it a minute later."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(total, total - free, free))
    try:
        found = check_disk(tmp_path / "not" / "made" / "yet")
    except EmbeddedError as error:
        found = str(error)
        assert "TALLY_DATA_DIR" in found
        assert told == "The disk is full"
    assert (told is None) == (found is None)
    assert told is None or told in str(found)
